"""What a factory reset clears, what it keeps, and that it can be begun again at any point."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.model.making import apply

from steelyard.appliance.factory_reset import MARKER, Reset, ask, asked, clear, done, network_documents
from steelyard.engines.haproxy.layout import Layout
from steelyard.model.commands import AddRoute, AddUser, ManageNetwork
from steelyard.model.configuration import Configuration
from steelyard.model.errors import HostLacks
from steelyard.model.network import Interface

RESET = Reset("scrypt$00$00", True, "bal", "web")


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    # pytest's own directories have names that are too long for the sockets below
    with tempfile.TemporaryDirectory(prefix="sy-") as root:
        yield filled(Path(root) / "state", tmp_path)


def filled(root: Path, tmp_path: Path) -> Layout:
    found = Layout(root)
    found.make()
    for name in ("steelyard.db", "steelyard.db-wal", "events.db", "statistics.db", "sessions.db", "admin.pem", "other"):
        (found.root / name).write_text("content")
    for name in ("health/plan.json", "acme-hooks/dns", "netd/plan.jsonl", "steelyard.lock"):
        (found.root / name).parent.mkdir(exist_ok=True)
        (found.root / name).write_text("content")
    (found.engine / "certificates" / "shop.pem").write_text("content")
    (found.root / "elsewhere").symlink_to(tmp_path)
    return found


def managed() -> Configuration:
    eth0 = Interface.make({"name": "eth0", "number": 0, "kind": "port", "address": "192.0.2.5/24"})
    taken_over = ManageNetwork(True, (eth0,), found={"default_gateway": "192.0.2.1"})
    return apply(AddUser("bal", "scrypt$00$00"), taken_over, AddRoute("10.0.0.0/8", "192.0.2.254"), to=Configuration())


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def test_nothing_goes_that_nobody_asked_for(layout: Layout) -> None:
    before = files(layout.root)
    assert clear(layout) is None
    assert files(layout.root) == before


def test_everything_goes_but_what_is_no_configuration(layout: Layout, tmp_path: Path) -> None:
    ask(layout.root, RESET)
    assert (layout.root / MARKER).stat().st_mode & 0o777 == 0o600
    assert clear(layout) == RESET
    assert files(layout.root) == {MARKER, "acme-hooks/dns", "netd/plan.jsonl", "steelyard.lock"}
    assert tmp_path.exists(), "a link goes, not what it leads to"
    assert layout.staging.is_dir()
    # as after a kill: until it is done it is done again
    (layout.root / "steelyard.db").write_text("half")
    assert clear(layout) == RESET
    assert "steelyard.db" not in files(layout.root)
    done(layout.root)
    done(layout.root)
    assert asked(layout.root) is None


def test_the_network_is_kept_as_it_was(layout: Layout) -> None:
    here = managed()
    ask(layout.root, Reset("scrypt$00$00", False, "bal", "api", network_documents(here)))
    reset = asked(layout.root)
    assert reset is not None
    first = apply(AddUser("bal", "scrypt$11$11"), to=Configuration())
    found = reset.applied(first)
    assert (found.host, found.interfaces, found.routes) == (here.host, here.interfaces, here.routes)
    assert found.users == first.users
    assert Reset("", False, "bal", "api").applied(first) is first
    assert network_documents(first) == {}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"password_hash": 1}', json.dumps({"password_hash": "x", "one_time": 1, "extra": 2})]
)
def test_a_note_that_nobody_has_written_clears_nothing(layout: Layout, text: str) -> None:
    before = files(layout.root)
    (layout.root / MARKER).write_text(text)
    with pytest.raises(HostLacks, match="not what a factory reset has written"):
        clear(layout)
    assert files(layout.root) == before | {MARKER}
