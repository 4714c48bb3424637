"""The checking process by itself: its control socket, its files and its end, without any HAProxy."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.ports import free_port

from steelyard.health.client import HealthClient
from steelyard.health.status import Event
from steelyard.model.errors import EngineRefused
from steelyard.plan.health import Check, HealthPlan, Service, Target

pytestmark = pytest.mark.timeout(60)


class Health:
    """One checking process in a directory of its own."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="syh"))
        self.socket = self.directory / "c.sock"
        self.state = self.directory / "state"
        self.client = HealthClient(self.socket)
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "steelyard.health", "--socket", str(self.socket)),
                    *("--haproxy-socket", str(self.directory / "none"), "--directory", str(self.state)),
                    *("--master-socket", str(self.directory / "none.m")),
                ],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 15
        while not self._listens():
            if self.process.poll() is not None or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        return self.process

    def _listens(self) -> bool:
        """Between the socket's file and its listener is a moment."""
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
            raise

    async def raw(self, *lines: bytes) -> list[dict[str, Any]]:
        """Lines as they are, over one connection, and an answer to each."""
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_unix_connection(str(self.socket), limit=1 << 24)
            found = []
            for line in lines:
                writer.write(line + b"\n")
                found.append(json.loads(await reader.readline()))
            writer.close()
        return found


@pytest.fixture
def health() -> Iterator[Health]:
    made = Health()
    try:
        yield made
    finally:
        made.end()
        shutil.rmtree(made.directory)


def _service(port: int, key: str = "vs1", **more: Any) -> Service:
    check = more.pop("check", Check(kind="tcp", interval=1, timeout=1, attempts=1))
    target = Target(key="rs1", address="127.0.0.1", port=port, weight=1000, enabled=more.pop("enabled", True))
    return Service(key=key, check=check, persistent=True, fixed=False, drop_on_failure=False, targets=(target,), **more)


async def _listening(port: int) -> asyncio.Server:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    return await asyncio.start_server(accept, "127.0.0.1", port)


async def test_a_bad_line_is_answered_and_kills_nothing(health: Health) -> None:
    answers = await health.raw(
        b"{",
        b"[]",
        b'{"op":"nonsense","id":7}',
        b'{"op":["x"]}',
        b'{"op":"plan"}',
        b'{"op":"plan","plan":{"services":{"vs1":{"key":"vs2"}}},"id":"x"}',
        b'{"op":"update","wait":1e99}',
        b'{"op":"transcripts","target":"vs9/rs9"}',
        b"\xff\xfe",
        b'{"op":"snapshot","id":8}',
    )
    assert [answer["ok"] for answer in answers] == [False] * 9 + [True]
    assert all(answer.get("error") for answer in answers[:-1])
    assert [answer.get("id") for answer in answers] == [None, None, 7, None, None, "x", None, None, None, 8]
    assert answers[-1]["verdicts"] == {}


async def test_a_check_that_cannot_be_sent_is_refused_and_the_plan_stays(health: Health) -> None:
    port = free_port("127.0.0.1")
    await health.client.replace_plan(HealthPlan(services={"vs1": _service(port)}))
    bad = Check(kind="http", interval=9, timeout=4, attempts=2, url="/ x")
    with pytest.raises(EngineRefused) as refused:
        await health.client.update({"vs1": _service(port, check=bad)})
    assert "URL" in refused.value.words
    assert set(await health.client.snapshot()) == {"vs1/rs1"}


async def test_nobody_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(EngineRefused):
        await HealthClient(tmp_path / "none").snapshot()
    with pytest.raises(EngineRefused):
        await anext(HealthClient(tmp_path / "none").subscribe())


async def test_checks_go_on_without_haproxy_and_subscribers_hear_of_changes(health: Health) -> None:
    port = free_port("127.0.0.1")
    events = health.client.subscribe()
    first = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0.3)
    server = await _listening(port)
    try:
        verdicts = await health.client.update({"vs1": _service(port)}, wait=5)
        assert verdicts["vs1/rs1"].state == "up"
        async with asyncio.timeout(5):
            up = await first
            assert (up.event, up.target, up.before, up.after) == ("verdict", "vs1/rs1", "unknown", "up")
            server.close()
            down = await anext(events)
            assert (down.before, down.after) == ("up", "down")
            assert down.reason == f"connection refused by 127.0.0.1:{port}"
            await health.client.update({"vs1": _service(port, enabled=False)})
            drain = await anext(events)
        assert (drain.event, drain.before, drain.after, drain.reason) == ("admin", "ready", "drain", "disabled")
        assert isinstance(drain, Event)
    finally:
        server.close()
        await events.aclose()  # type: ignore[attr-defined]  # a generator, declared as the iterator it is used as
    said = await health.client.transcripts("vs1/rs1")
    assert said[0].started > said[-1].started


async def test_an_update_waits_no_longer_than_asked(health: Health) -> None:
    slow = Check(kind="http", interval=9, timeout=5, attempts=1)
    port = free_port("127.0.0.1")

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    server = await asyncio.start_server(silent, "127.0.0.1", port)
    began = time.monotonic()
    verdicts = await health.client.update({"vs1": _service(port, check=slow)}, wait=0.3)
    assert time.monotonic() - began < 2
    assert verdicts["vs1/rs1"].state == "unknown"
    server.close()


async def test_its_files_and_socket_are_for_its_user_only(health: Health) -> None:
    await health.client.update({"vs1": _service(free_port("127.0.0.1"))}, wait=5)
    assert health.socket.stat().st_mode & 0o777 == 0o600
    assert health.end() == 0
    assert not health.socket.exists()
    for name in ("plan.json", "verdicts.json", "transcripts.log"):
        assert (health.state / name).stat().st_mode & 0o777 == 0o600
    assert not list(health.state.glob("*.new"))


def _has_transcripts(health: Health, most: int) -> bool:
    file = health.state / "transcripts.log"
    return file.exists() and len(file.read_text().split("\n")) > most


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_it_comes_back_with_plan_verdicts_and_transcripts(health: Health, number: signal.Signals) -> None:
    server = await _listening(port := free_port("127.0.0.1"))
    never = Check(kind="tcp", interval=900, timeout=1, attempts=1)
    await health.client.update({"vs1": _service(port, check=never, enabled=False)}, drain_seconds=86_400, wait=5)
    # refused three times in a row
    thrice = Check(kind="tcp", interval=900, timeout=1, attempts=3)
    await health.client.update({"vs2": _service(free_port("127.0.0.1"), "vs2", check=thrice)}, wait=5)
    before = await health.client.snapshot()
    said = await health.client.transcripts("vs2/rs1")
    assert [one.attempt for one in said] == [3, 2, 1]
    if number is signal.SIGKILL:
        async with asyncio.timeout(5):
            while not await asyncio.to_thread(_has_transcripts, health, 4):  # noqa: ASYNC110 - a file is waited for
                await asyncio.sleep(0.05)
    health.end(number)
    health.start()
    async with asyncio.timeout(10):
        while True:
            try:
                after = await health.client.snapshot()
                break
            except EngineRefused:
                await asyncio.sleep(0.05)
    assert after["vs1/rs1"].state == "up"
    assert after["vs1/rs1"].since == before["vs1/rs1"].since
    assert after["vs1/rs1"].drain_ends == before["vs1/rs1"].drain_ends
    assert after["vs1/rs1"].reason.startswith("connected in ")
    told = await health.client.transcripts("vs2/rs1")
    assert [(one.attempt, one.reason) for one in told] == [(one.attempt, one.reason) for one in said]
    server.close()


async def test_a_second_process_is_kept_out(health: Health) -> None:
    first = health.process
    await health.client.snapshot()
    second = health.start()
    assert second.wait(10) == 1
    health.process = first
    assert await health.client.snapshot() == {}


async def test_losing_its_terminal_does_not_end_it(health: Health) -> None:
    await health.client.snapshot()
    os.kill(health.process.pid, signal.SIGHUP)
    await asyncio.sleep(0.3)
    assert await health.client.snapshot() == {}


async def test_a_thousand_services_change_one_by_one_quickly(health: Health) -> None:
    """The bound is ten times what it takes here, so that only a cost that grows with the plan breaks it."""
    never = Check(kind="none", interval=900, timeout=1, attempts=1)
    services = {f"vs{n}": _service(80, f"vs{n}", check=never) for n in range(1000)}
    await health.client.replace_plan(HealthPlan(services=services))
    await asyncio.sleep(1)
    took = []
    for _ in range(20):
        began = time.perf_counter()
        await health.client.update({"vs500": _service(80, "vs500", check=never)}, wait=0)
        took.append(time.perf_counter() - began)
    assert sorted(took)[10] < 0.02
