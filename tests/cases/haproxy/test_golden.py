"""Every golden case, compared byte for byte and read by the real HAProxy."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.cases.haproxy.golden import NOTHING, ROOT, STATE_DIR, Case, cases
from tests.support import haproxy_binaries
from tests.support.haproxy_binaries import Reader
from tests.support.strategies import private_key

from steelyard.diff.haproxy import difference
from steelyard.emit.haproxy.server_state import ServerState
from steelyard.engines.haproxy.fake import FakeHaproxy
from steelyard.engines.host import LocalHost
from steelyard.plan.haproxy import HaproxyPlan

TEXTS, SEQUENCES = cases(sequences=False), cases(sequences=True)


def _name(case: Case) -> str:
    return case.name


def expect(path: Path, content: str, update: bool) -> None:
    """Compare with a golden file, or write it."""
    if update:
        path.write_text(content)
        return
    assert path.exists(), f"{path.relative_to(ROOT)} is missing; run pytest tests/cases --update-goldens"
    assert path.read_text() == content, f"{path.relative_to(ROOT)} differs"


@pytest.mark.parametrize("case", TEXTS, ids=_name)
def test_a_configuration_gives_this_text(case: Case, update_goldens: bool) -> None:
    texts = case.texts(case.compiler().compile(case.configuration()).haproxy)
    for name, text in texts.items():
        expect(case.path / name, text, update_goldens)
    assert {path.name for path in case.path.iterdir()} == {*texts, "configuration.yaml"}


def _lines(items: Sequence[str]) -> str:
    return "".join(f"{item}\n" for item in items) or NOTHING


@pytest.mark.parametrize("case", SEQUENCES, ids=_name)
def test_a_change_costs_this(case: Case, update_goldens: bool) -> None:
    compiler, configuration = case.compiler(), case.configuration()
    plan, engine = compiler.compile(configuration).haproxy, FakeHaproxy()
    asyncio.run(engine.start(plan, _all_up(plan)))
    expected = {"1-configuration.yaml"}
    for number, command in case.changes():
        configuration = command.apply(configuration).configuration
        after = compiler.compile(configuration).haproxy
        found = difference(plan, after)
        expect(case.path / f"{number}-operations.txt", _lines(engine.describe(found.operations)), update_goldens)
        expect(case.path / f"{number}-reload.txt", _lines(found.reload_reasons), update_goldens)
        expected |= {f"{number}-{name}" for name in ("change.yaml", "operations.txt", "reload.txt")}
        for operation in found.operations:
            asyncio.run(engine.run(operation, after))
        if found.reload_reasons:
            asyncio.run(engine.reload(after, lambda after=after: _all_up(after)))  # type: ignore[misc]
        plan = after
    assert len(expected) > 1, "a sequence without a change"
    assert {path.name for path in case.path.iterdir()} == expected


def _all_up(plan: HaproxyPlan) -> list[ServerState]:
    return [
        ServerState(service.key, server, True, "ready" if server.enabled else "maint", server.weight)
        for service in plan.services.values()
        for server in service.backend.servers
    ]


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with tempfile.TemporaryDirectory(prefix="sy") as root:
        yield Reader(Path(root))


@pytest.mark.engine
@pytest.mark.parametrize("name", haproxy_binaries.NAMES)
@pytest.mark.parametrize("case", TEXTS, ids=_name)
def test_haproxy_reads_every_golden(case: Case, name: str, reader: Reader) -> None:
    """The very bytes of the golden, but for the state directory."""
    binary = haproxy_binaries.require(name)
    reader.put_certificates(case.compiler().compile(case.configuration()).haproxy, private_key)
    texts = {path.name: _moved(path, reader) for path in case.path.iterdir() if path.suffix != ".yaml"}
    for file, text in texts.items():
        if file.endswith(".list"):
            (reader.layout.engine / "lists" / file).write_text(text)
    header = "" if case.engine["whole"] else reader.header()
    refusal = reader.refusal(binary, header + texts["haproxy.cfg"])
    if case.engine.get("needs_bandwidth_limits") and not LocalHost(str(binary)).capabilities().bandwidth_limits:
        assert "bwlim" in refusal
        return
    assert refusal == ""


def _moved(path: Path, reader: Reader) -> str:
    return path.read_text().replace(STATE_DIR, str(reader.layout.root))


@pytest.mark.engine
@pytest.mark.parametrize("name", haproxy_binaries.NAMES)
@pytest.mark.parametrize("case", SEQUENCES, ids=_name)
def test_haproxy_reads_what_every_sequence_ends_with(case: Case, name: str, reader: Reader) -> None:
    binary = haproxy_binaries.require(name)
    configuration = case.configuration()
    for _, command in case.changes():
        configuration = command.apply(configuration).configuration
    plan = case.compiler().compile(configuration).haproxy
    reader.put_certificates(plan, private_key)
    text = case.texts(plan)["haproxy.cfg"].replace(STATE_DIR, str(reader.layout.root))
    assert reader.refusal(binary, reader.header() + text) == ""


def test_every_folder_is_a_case() -> None:
    """A folder without a configuration would be passed over silently."""
    known = {case.path for case in (*TEXTS, *SEQUENCES)}
    folders = {path for path in ROOT.glob("*/*") if path.is_dir() and path.parent.name != "__pycache__"}
    assert folders == known


@pytest.mark.parametrize("case", [*TEXTS, *SEQUENCES], ids=_name)
def test_cases_are_named_in_words(case: Case) -> None:
    assert re.fullmatch(r"[a-z0-9-]+/[a-z0-9.-]+", case.name)
