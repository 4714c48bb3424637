"""Sessions that are resumed: by tickets over reloads and restarts, by the cache, and not by keys that are over."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from tests.engine.rig import Rig, Service, eventually
from tests.support.certificates import leaf
from tests.support.origin import Origin

from steelyard.engines.haproxy.ticket_keys import read_keys
from steelyard.model.commands import SetParameters

pytestmark = pytest.mark.engine

VERSIONS = ("tls1_2", "tls1_3")


def _client(service: Service, version: str, *more: str) -> str:
    """One request by `openssl s_client`: "New" or "Reused", by what it says of the session."""
    command = ["openssl", "s_client", "-connect", f"{service.address}:{service.port}", f"-{version}", "-ign_eof", *more]
    answer = subprocess.run(
        [*command, "-servername", "tickets.example"],
        input="GET / HTTP/1.1\r\nHost: tickets.example\r\nConnection: close\r\n\r\n",
        capture_output=True,
        text=True,
        errors="replace",
        timeout=10,
        check=False,
    )
    assert "HTTP/1.1 200" in answer.stdout, answer.stdout + answer.stderr
    return next(line.split(",")[0] for line in answer.stdout.splitlines() if line.startswith(("New,", "Reused,")))


class Sessions:
    """A session of each protocol, as a client keeps them."""

    def __init__(self, service: Service, folder: Path, *more: str) -> None:
        self._service, self._folder, self._more = service, folder, more
        for version in VERSIONS:
            assert self._ask(version, "-sess_out") == "New"

    def _ask(self, version: str, option: str) -> str:
        return _client(self._service, version, *self._more, option, str(self._folder / version))

    def resumed(self) -> tuple[str, ...]:
        return tuple(self._ask(version, "-sess_in") for version in VERSIONS)


@pytest.fixture
def service(rig: Rig, one: Origin) -> Service:
    names = rig.started.appliance.snapshot().configuration.certificates
    rig.certificate("tickets", leaf("tickets.example"), replace="tickets" in names)
    return rig.http(one, ssl_acceleration=True, certificates=("tickets",))


def _reload(rig: Rig, service: Service) -> None:
    before = rig.worker
    service.change(idle_time=service.setting("idle_time") + 1)
    assert rig.worker != before


def test_a_ticket_is_good_after_a_reload(rig: Rig, service: Service, tmp_path: Path) -> None:
    sessions = Sessions(service, tmp_path)
    assert sessions.resumed() == ("Reused", "Reused")
    _reload(rig, service)
    assert sessions.resumed() == ("Reused", "Reused")
    keys = rig.started.layout.ticket_keys
    assert keys.stat().st_mode & 0o777 == 0o600
    keys.unlink()
    _reload(rig, service)
    assert sessions.resumed() == ("New", "New"), "cleared away, they are made anew"


def _age(rig: Rig, hours: float) -> None:
    at = time.time() - hours * 3600
    os.utime(rig.started.layout.ticket_keys, (at, at))


def _rotate(rig: Rig) -> None:
    """What the appliance does every minute."""
    rig.rotate_ticket_keys()


def test_keys_are_replaced_when_their_time_is_over_without_a_reload(rig: Rig, service: Service, tmp_path: Path) -> None:
    path = rig.started.layout.ticket_keys
    first = read_keys(path)
    sessions = Sessions(service, tmp_path)
    with rig.without_reload():
        _age(rig, 7.9)
        _rotate(rig)
        assert read_keys(path) == first, "not yet"
        _age(rig, 8.1)
        _rotate(rig)
        assert read_keys(path)[:2] == first[1:]
        assert sessions.resumed() == ("Reused", "Reused"), "what encrypted still decrypts"
        _rotate(rig)
        assert read_keys(path)[:2] == first[1:], "once in its time"
        newer = Sessions(service, tmp_path)
    _reload(rig, service)
    assert newer.resumed() == ("Reused", "Reused"), "the next process has the same keys"
    with rig.without_reload():
        _age(rig, 100)
        _rotate(rig)
        assert not set(read_keys(path)) & set(first)
        assert newer.resumed() == ("New", "New"), "no key is older than its time, however long nobody looked"


def test_a_control_plane_that_was_away_replaces_keys_at_its_start(own_rig: Rig, one: Origin, tmp_path: Path) -> None:
    own_rig.certificate("tickets", leaf("tickets.example"))
    service = own_rig.http(one, ssl_acceleration=True, certificates=("tickets",))
    sessions = Sessions(service, tmp_path)
    path = own_rig.started.layout.ticket_keys
    before = read_keys(path)
    own_rig.let_go()
    at = time.time() - 30 * 3600
    os.utime(path, (at, at))
    own_rig.start()
    eventually(lambda: not set(read_keys(path)) & set(before), "the keys are replaced")
    eventually(lambda: sessions.resumed() == ("New", "New"), "the worker has the new ones")


def test_without_tickets_the_cache_resumes_until_a_reload(rig: Rig, service: Service, tmp_path: Path) -> None:
    rig.do(SetParameters("tls", {"session_tickets": False}))
    try:
        sessions = Sessions(service, tmp_path)
        assert sessions.resumed()[0] == "Reused"
        _reload(rig, service)
        assert sessions.resumed()[0] == "New", "each process has a cache of its own"
        rig.do(SetParameters("tls", {"session_cache_size": 0, "session_lifetime": 600}))
        sessions = Sessions(service, tmp_path)
        assert sessions.resumed()[0] == "New"
    finally:
        rig.do(SetParameters("tls", {"session_tickets": True, "session_cache_size": 20_000, "session_lifetime": 300}))
