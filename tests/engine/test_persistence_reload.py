"""Persistence survives reloads: clients that come back all the time, while reload follows reload."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.engine.rig import Rig, eventually
from tests.support.background_loop import BackgroundLoop
from tests.support.origin import Origin, TcpOrigin

from steelyard.engines.haproxy import engine, records

pytestmark = [pytest.mark.engine, pytest.mark.slow]

CLIENTS = 40
REST = 0.15


@dataclass
class Client:
    """Comes back on a new connection again and again, and notes which server it got."""

    source: str
    port: int
    question: bytes
    name: Callable[[bytes], str]
    got: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                async with asyncio.timeout(10):
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(self.source, 0))
                    writer.write(self.question)
                    answer = await reader.readuntil(b"\n") if self.question == b"hello\n" else await reader.read()
                    writer.close()
                self.got.append(self.name(answer))
            except (OSError, EOFError, TimeoutError, LookupError) as failure:
                self.failures.append(repr(failure))
            await asyncio.sleep(REST)


def _http_name(answer: bytes) -> str:
    for line in answer.split(b"\r\n"):
        if line.lower().startswith(b"x-origin: "):
            return line[10:].decode()
    raise LookupError(answer[:80])


def _line_name(answer: bytes) -> str:
    name, colon, _ = answer.decode().partition(":")
    if not colon:
        raise LookupError(answer)
    return name


class Crowd:
    """All clients, in a thread of their own."""

    def __init__(self, clients: list[Client]) -> None:
        self.clients = clients
        self._loop = BackgroundLoop("crowd")
        self._stop = asyncio.Event()
        self._done = asyncio.run_coroutine_threadsafe(self._run(), self._loop.loop)

    async def _run(self) -> None:
        await asyncio.gather(*(client.run(self._stop) for client in self.clients))

    def wait_for_all(self) -> None:
        """Wait until every client was there three more times."""
        goals = {id(client): len(client.got) + 3 for client in self.clients}
        eventually(
            lambda: all(len(client.got) >= goals[id(client)] for client in self.clients), "every client came", 30
        )

    def end(self) -> None:
        self._loop.loop.call_soon_threadsafe(self._stop.set)
        self._done.result(20)
        self._loop.stop()


def _names(name: str) -> bytes:
    return f"GET / HTTP/1.1\r\nHost: a\r\nX-User: {name}\r\nConnection: close\r\n\r\n".encode()


def test_no_client_changes_its_server_while_reloads_happen(
    own_rig: Rig, one: Origin, two: Origin, three: Origin, line_one: TcpOrigin, line_two: TcpOrigin
) -> None:
    """The first reloads come right after a cold start, when a worker does not teach its records by itself yet."""
    rig = own_rig
    # without checks: on a busy machine a slow check is a verdict, and would move clients rightly
    by_source = rig.http(one, two, three, persistence="src", check_type="none")
    by_header = rig.http(one, two, three, persistence="header", cookie="X-User", check_type="none")
    lines = rig.tcp(line_one, line_two, persistence="src", check_type="none")
    clients: list[Client] = []
    for number in range(CLIENTS):
        source = f"127.0.2.{number + 1}"
        clients.append(Client(source, by_source.port, _names("-"), _http_name))
        clients.append(Client(source, by_header.port, _names(f"user{number}"), _http_name))
        clients.append(Client(source, lines.port, b"hello\n", _line_name))
    workers = {rig.worker}
    crowd = Crowd(clients)
    try:
        crowd.wait_for_all()
        for number in range(10):
            by_source.change(idle_time=100 + number)
            workers.add(rig.worker)
            if number % 3 == 0:
                rig.http(one, two)
        crowd.wait_for_all()
        # and once more when workers teach by themselves
        eventually(rig.teaches, "the worker has resynchronised", 20)
        for number in range(4):
            lines.change(idle_time=200 + number)
            workers.add(rig.worker)
        crowd.wait_for_all()
    finally:
        crowd.end()
    assert len(workers) >= 15
    moved = [(client.source, client.port, client.got) for client in clients if len(set(client.got)) != 1]
    assert not moved, f"{len(moved)} of {len(clients)} clients changed their server: {moved[0]}"
    assert not [failure for client in clients for failure in client.failures]
    assert {client.got[0] for client in clients} == {"one", "two", "three"}


def test_clients_wait_for_records_that_a_busy_host_hands_on_late(
    own_rig: Rig, one: Origin, two: Origin, three: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def late(socket: Path, found: Sequence[records.Record]) -> None:
        await asyncio.sleep(2)
        await records.write_records(socket, found)

    service = own_rig.http(one, two, three, persistence="src", check_type="none")
    clients = [Client(f"127.0.2.{number}", service.port, _names("-"), _http_name) for number in range(1, 13)]
    crowd = Crowd(clients)
    try:
        crowd.wait_for_all()
        monkeypatch.setattr(engine, "write_records", late)
        service.change(idle_time=100)
        crowd.wait_for_all()
    finally:
        crowd.end()
    assert not [client.failures for client in clients if client.failures]
    assert [set(client.got) for client in clients] == [{client.got[0]} for client in clients]


def test_a_reload_does_not_restart_the_timer_of_a_record(own_rig: Rig, one: Origin) -> None:
    service = own_rig.http(one, persistence="src", persistence_timeout=60)
    eventually(own_rig.teaches, "the worker has resynchronised", 20)
    service.fetch("/")
    time.sleep(1.5)
    service.change(add_via=6)
    eventually(service.records, "the new worker has the record")
    ((_, left),) = service.records().values()
    assert left < 59


def test_records_survive_a_restart_of_the_control_plane(own_rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    service = own_rig.http(one, two, three, persistence="src")
    before = {f"127.0.3.{n}": service.name(source=f"127.0.3.{n}") for n in range(1, 8)}
    worker = own_rig.worker
    own_rig.let_go()
    own_rig.start()
    assert own_rig.worker == worker, "what runs is adopted, not started again"
    assert {source: service.name(source=source) for source in before} == before
    service.change(add_via=6)
    assert {source: service.name(source=source) for source in before} == before


@pytest.mark.parametrize("warm", [False, True])
def test_clients_that_connected_before_a_reload_and_speak_after_keep_their_server(
    own_rig: Rig, one: Origin, two: Origin, three: Origin, warm: bool
) -> None:
    """The worker that has them has handed its records on by then, or has never taught any."""
    service = own_rig.http(one, two, three, persistence="src", check_type="none")
    if warm:
        eventually(own_rig.teaches, "the worker has resynchronised", 20)
    sources = [f"127.0.3.{number}" for number in range(1, 13)]
    before = {source: service.name(source=source) for source in sources}
    connections = {source: service.connect(source=source) for source in sources}
    service.change(add_via=6)
    time.sleep(0.5)
    started = time.monotonic()
    after = {source: connection.request("/").name for source, connection in connections.items()}
    assert after == before
    assert time.monotonic() - started < 0.5, "nobody had to wait"
    assert {source: service.name(source=source) for source in sources} == before
    for connection in connections.values():
        connection.close()
