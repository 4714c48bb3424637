"""Nothing an operator can enter reaches engine text unquoted.

Every text setting of every object is given text that would break out of a careless template. Either the model refuses
it, or the engine's text has it as exactly one word, and HAProxy accepts that text. Driven by the catalogue: a setting
that is declared tomorrow is fuzzed tomorrow.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support import haproxy_binaries
from tests.support.haproxy_binaries import Reader
from tests.support.strategies import compiler, material, private_key, with_certificates
from tests.unit.emit.words_reader import words_of

from steelyard.emit.haproxy.configuration import ConfigurationEmitter
from steelyard.emit.haproxy.runtime import commands
from steelyard.emit.haproxy.server import server_words
from steelyard.model.commands import AddServer, AddService, PutCertificate
from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError
from steelyard.model.real_server import RealServer
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import HaproxyPlan
from steelyard.plan.operations import AddServer as AddServerOperation

CONTROLS = [chr(code) for code in (*range(32), 0x7F, 0x85, 0x2028, 0x2029)]
#: each would do harm somewhere: end a line, a word, a quote, an expression, a command; name a variable or a format
ATTACKS = [
    *(f"a{control}b" for control in CONTROLS),
    "x\nbackend evil",
    "x\r\n  server evil 6.6.6.6:80",
    "x' server evil",
    'x" server evil',
    "x\\",
    "x\\' y",
    "x # y",
    "#x",
    "$HOME",
    "${HOME}",
    '"${HOME}"',
    "x;shutdown sessions",
    "x y",
    "x) if { always_true }",
    "x),lower,map(/etc/passwd",
    "x,y",
    "{ x }",
    "%[src]",
    "%[env(HOME)]",
    "%",
    "}",
    "-f /etc/passwd",
    "../../etc/passwd",
    "/etc/passwd",
    "é",
    "中",
    "\U0001f512",
    "\u00a0",
    "\ufeff",
    "\u202ex",
    "",
    "-",
    "!#$&*+.^_`|~-",
    ".~-_",
    "*.example.com",
    "x" * 100_000,
]
#: settings in which the value of each text setting would come closest to the engine
CONTEXTS: list[dict[str, Any]] = [
    {"service_type": "gen"},
    {"service_type": "http", "persistence": "cookie", "cookie": "c", "query_tag": "q"},
    {"service_type": "http", "persistence": "active-cook-src"},
    {"service_type": "http", "persistence": "header", "cookie": "c"},
    {"service_type": "http", "persistence": "query-hash", "query_tag": "q"},
    {"service_type": "http", "ssl_acceleration": True, "ssl_reencrypt": True, "certificates": ["shop"]},
    {"service_type": "http", "ssl_reverse": True},
    {"service_type": "http", "check_type": "https", "check_method": 2},
]
TEXTS = sorted(name for name, declared in VirtualService.declared().items() if declared.kind in ("text", "list"))


def _values(name: str, attack: str) -> Any:
    return [attack] if VirtualService.declared()[name].kind == "list" else attack


def _accepted(name: str) -> Iterator[tuple[str, Configuration]]:
    """Every attack on a setting that the model lets through, with the configuration it gives."""
    base = with_certificates()
    for context in CONTEXTS if VirtualService.declared()[name].setting.built else CONTEXTS[:1]:
        for attack in ATTACKS:
            settings = {"address": "192.0.2.1", "port": 80, "servers": [{"address": "10.0.0.1", "port": 80}], **context}
            try:
                yield attack, AddService({**settings, name: _values(name, attack)}).apply(base).configuration
            except OperatorError:
                continue


def _check_words(plan: HaproxyPlan, reader: Reader) -> str:
    """The whole text, after every line was cut as HAProxy cuts it and found to be the words of the plan."""
    text = ConfigurationEmitter(reader.paths).text(plan)
    lines = [words_of(line) for line in text.removesuffix("\n").split("\n")]
    for service in plan.services.values():
        for part in (service.frontend, service.backend):
            for directive in part.directives if part is not None else ():
                assert list(directive.words) in lines
        for server in service.backend.servers:
            assert ["server", server.name, *server_words(server)] in lines
    sections = [
        words[-1 if len(words) < 2 else 1]
        for line, words in zip(text.split("\n"), lines, strict=False)
        if not line.startswith(" ")
    ]
    assert [name for name in sections if name.startswith("vs")] == [
        service.key for service in plan.services.values() for part in (service.frontend, service.backend) if part
    ]
    servers = sum(len(service.backend.servers) for service in plan.services.values())
    assert sum(words[0] == "server" for words in lines) == servers
    return text


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with tempfile.TemporaryDirectory(prefix="sy") as root:
        yield Reader(Path(root))


@pytest.mark.engine
@pytest.mark.parametrize("name", TEXTS)
def test_what_is_accepted_stays_one_word_and_haproxy_accepts_it(name: str, reader: Reader) -> None:
    seen = set()
    for attack, configuration in _accepted(name):
        assert not any(control in attack for control in CONTROLS)
        plan = compiler().compile(configuration).haproxy
        text = _check_words(plan, reader)
        if text in seen:
            continue
        seen.add(text)
        reader.put_certificates(plan, private_key)
        for binary in haproxy_binaries.present():
            assert reader.refusal(binary, text) == "", f"{name}={attack!r}"


@pytest.mark.parametrize("attack", ATTACKS)
def test_certificates_are_named_so_that_their_name_is_a_file_in_its_directory(attack: str) -> None:
    try:
        made = PutCertificate(attack, material()).apply(with_certificates()).configuration
    except OperatorError:
        return
    assert attack in made.certificates
    assert "/" not in attack
    assert attack not in ("", ".", "..")
    assert attack.isascii()


@pytest.mark.parametrize("name", [n for n, d in RealServer.declared().items() if d.kind == "text"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_text_of_a_real_server_reaches_the_engine_as_an_address_or_not_at_all(name: str, attack: str) -> None:
    base = AddService({"address": "192.0.2.1", "port": 80}).apply(with_certificates()).configuration
    settings = {"address": "10.0.0.1", "port": 80, name: attack}
    try:
        made = AddServer(1, settings).apply(base).configuration
    except OperatorError:
        return
    (server,) = compiler().compile(made).haproxy.services["vs1"].backend.servers
    assert server.address == "10.0.0.1"
    assert commands(AddServerOperation("vs1", server)) == ("add server vs1/rs1 10.0.0.1:80 id 1 weight 100",)


@pytest.mark.parametrize("attack", ATTACKS)
def test_addresses_are_only_addresses(attack: str) -> None:
    for field in ("address", "port", "protocol", "service_type"):
        settings: dict[str, Any] = {"address": "192.0.2.1", "port": 80, field: attack}
        with pytest.raises(OperatorError):
            AddService(settings).apply(with_certificates())
