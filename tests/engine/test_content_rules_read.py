"""Whatever text operators put into content rules, HAProxy reads what is made of them."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import haproxy_binaries
from tests.support.haproxy_binaries import Reader
from tests.support.strategies import private_key

from steelyard.compile.compiler import Compiler, EngineFacts
from steelyard.emit.haproxy.configuration import ConfigurationEmitter, globals_text
from steelyard.model.commands import AddRule, AddService
from steelyard.model.configuration import Configuration
from steelyard.model.content_rule import ADD_HEADER, DELETE_HEADER, MATCH, MODIFY_URL, REPLACE_HEADER
from steelyard.model.errors import OperatorError

pytestmark = pytest.mark.engine

_TEXT = st.text(
    st.sampled_from("ab/.#'\"\\%${}[]()|;,&<>=+-*?^~!@: éß€") | st.characters(min_codepoint=33), max_size=12
)
_HEADERS = st.sampled_from(("Host", "X-A", "x'y", "a#b", "`", "!", "%s", "-m", "body-x", "|", "&"))
_EXPRESSION = st.lists(
    _TEXT.map(re.escape) | st.sampled_from(("(a)", "(?:b|c)", "[^/]+", ".*", "^", "$", r"\d{2,3}", "(?i)", "(?P<n>x)"))
).map("".join)


@st.composite
def _rule(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from((MATCH, ADD_HEADER, DELETE_HEADER, REPLACE_HEADER, MODIFY_URL)))
    made: dict[str, Any] = {"rule_type": kind, "only_on_flag": draw(st.integers(0, 9))}
    if kind == MATCH:
        made["match_type"] = draw(st.sampled_from(("regex", "prefix", "postfix", "exact")))
        made["header"] = draw(st.sampled_from(("", "", "body", "method", "src-ip")) | _HEADERS)
        made["pattern"] = draw(_EXPRESSION if made["match_type"] == "regex" else _TEXT)
        for name in ("negate", "ignore_case", "must_fail"):
            made[name] = draw(st.booleans())
        made["set_on_match"] = draw(st.integers(0, 9))
        for name in ("include_host", "include_query") if not made["header"] else ():
            made[name] = draw(st.booleans())
        return made
    if kind != DELETE_HEADER:
        made["replacement"] = draw(_TEXT | st.just(r"\0") | st.just(r"%[src]\0\\"))
    if kind in (ADD_HEADER, REPLACE_HEADER):
        made["header"] = draw(_HEADERS)
    if kind != ADD_HEADER:
        made["pattern"] = f"/{draw(_EXPRESSION)}/" if kind == DELETE_HEADER else draw(_EXPRESSION)
    return made


def _configured(drawn: list[dict[str, Any]]) -> Configuration:
    """A service that uses every rule wherever its type may be; rules the model refuses are left out."""
    configuration = Configuration()
    types: dict[str, int] = {}
    for number, rule in enumerate(drawn):
        try:
            configuration = AddRule({"name": f"r{number}", **rule}).apply(configuration).configuration
        except OperatorError:
            continue
        types[f"r{number}"] = rule["rule_type"]
    matching = [name for name, kind in types.items() if kind == MATCH]
    lists = {
        "pre_rules": matching,
        "request_rules": list(types),
        "response_rules": [name for name, kind in types.items() if kind not in (MATCH, MODIFY_URL)],
    }
    server = {"address": "10.0.0.1", "port": 80, "rules": matching}
    where = {"address": "127.0.0.1", "port": 8097, "service_type": "http", "servers": [server]}
    try:
        return AddService({**where, **lists}).apply(configuration).configuration
    except OperatorError as refusal:
        # flags in a circle, for one: then without the lists where they could do harm
        assert refusal.message
        return AddService(where | {"servers": [server | {"rules": []}]}).apply(configuration).configuration


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with tempfile.TemporaryDirectory(prefix="sy") as root:
        yield Reader(Path(root))


@pytest.mark.parametrize("name", haproxy_binaries.NAMES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(_rule(), min_size=1, max_size=12))
def test_haproxy_reads_every_rule(name: str, reader: Reader, drawn: list[dict[str, Any]]) -> None:
    binary = haproxy_binaries.require(name)
    plan = Compiler(EngineFacts(threads=1, lua=True, open_files=20_000)).compile(_configured(drawn)).haproxy
    reader.put_certificates(plan, private_key)
    text = ConfigurationEmitter(reader.paths).text(plan).removeprefix(globals_text(plan.settings, reader.paths))
    assert reader.refusal(binary, reader.header() + text) == ""
