"""Steelyard with 1,000 services of 10 real servers: calls, bursts, memory, starts. Through its real HTTPS interface."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import processes
from tests.support.api_clients import LoadMasterClient
from tests.support.ports import free_port
from tests.support.steelyard_process import SteelyardProcess

from bench.compiling import compiling
from bench.cpu import resident_mb
from bench.engine_socket import EngineSockets, ServerSeen
from bench.in_force import wait_until_in_force
from bench.large import SERVERS, SERVICES, WEIGHT, server_address, service, service_address
from bench.machine import Haproxy, haproxies, say
from bench.origins import nginx
from bench.report import Findings, Table, percentile

_START_SECONDS = 60.0
_SETTLE_SECONDS = 2.0


@dataclass(frozen=True)
class Size:
    """How much to do. `calls` of each kind, `burst` services added back to back."""

    services: int
    calls: int
    burst: int


FULL = Size(services=SERVICES, calls=400, burst=1000)
QUICK = Size(services=SERVICES, calls=50, burst=100)


def scale(*, quick: bool) -> list[Table]:
    """The pure core, then a running Steelyard for each HAProxy there is."""
    size = QUICK if quick else FULL
    say("scale: compiling")
    pure = Findings("Compiling 1,000 services x 10 real servers")
    compiling(pure)
    return [pure.table(), *(_running(haproxy, size) for haproxy in haproxies())]


def _running(haproxy: Haproxy, size: Size) -> Table:
    findings = Findings(f"HAProxy {haproxy.version}: {size.services:,} services x {SERVERS} real servers")
    findings.notes.append(
        f"Calls are LoadMaster API calls over HTTPS, one client, one connection, {size.calls} of each kind; a change"
        " counts until `show servers state` on HAProxy's own socket shows it. TCP checks on every tenth service."
    )
    with real_servers() as server_port:
        say(f"scale, HAProxy {haproxy.version}: {size.burst:,} services from nothing")
        with SteelyardProcess(haproxy=haproxy.path) as empty:
            _burst(findings, empty, size.burst, "to an empty appliance")
        with SteelyardProcess(haproxy=haproxy.path) as steelyard:
            port = free_port()
            say(f"scale, HAProxy {haproxy.version}: declaring {size.services:,} services")
            _declare(findings, steelyard, size, port, server_port)
            time.sleep(_SETTLE_SECONDS)
            say(f"scale, HAProxy {haproxy.version}: calls")
            _calls(findings, steelyard, size, port, server_port)
            _one_service(findings, steelyard)
            _memory(findings, steelyard)
            say(f"scale, HAProxy {haproxy.version}: starts")
            _starts(findings, steelyard, port)
            say(f"scale, HAProxy {haproxy.version}: {size.burst:,} services more")
            _burst(findings, steelyard, size.burst, f"to {size.services:,} others")
            _memory(findings, steelyard, f" with {size.services + size.burst:,} services")
    return findings.table()


@contextlib.contextmanager
def real_servers(port: int | None = None) -> Iterator[int]:
    """One port that answers on every loopback address, a free one unless one is given."""
    port = port or free_port()
    with tempfile.TemporaryDirectory(prefix="bench-servers-") as name:
        path = Path(name) / "nginx.conf"
        path.write_text(
            f"worker_processes 1; daemon off; pid {name}/pid; error_log {name}/log;"
            "events { worker_connections 4096; }"
            f'http {{ access_log off; server {{ listen 0.0.0.0:{port}; location / {{ return 200 "ok"; }} }} }}'
        )
        with nginx(path, port):
            yield port


def _burst(findings: Findings, steelyard: SteelyardProcess, count: int, where: str) -> None:
    """Services added one call after the other, until the last reload has ended."""
    engine, api, port = EngineSockets(steelyard.state_dir), steelyard.loadmaster, free_port()
    before, calls = engine.reloads(), []
    started = time.perf_counter()
    for number in range(count):
        called = time.perf_counter()
        api.must("addvs", vs=service_address(number), port=port, prot="tcp", VStype="http", CheckType="none")
        calls.append(time.perf_counter() - called)
    wait_until_in_force(steelyard)
    elapsed = time.perf_counter() - started
    reloads = engine.reloads() - before
    what = f"adding {count:,} services back to back {where}"
    detail = f" (a call: p50 {percentile(calls, 0.5) * 1000:.0f}, p99 {percentile(calls, 0.99) * 1000:.0f} ms)"
    findings.below(what, elapsed, 60, "s", detail)
    # the first one comes at once, so there may be one more than there were seconds
    findings.figure(f"{what}: reloads", f"{reloads} in {elapsed:.0f} s", "one a second", met=reloads <= elapsed + 1)


def _declare(findings: Findings, steelyard: SteelyardProcess, size: Size, port: int, server_port: int) -> None:
    """The large configuration in one call."""
    engine = EngineSockets(steelyard.state_dir)
    before, started = engine.reloads(), time.perf_counter()
    services = [service(number, port, server_port) for number in range(size.services)]
    answer = steelyard.native.put("/configuration", json={"services": services})
    if answer.status_code != 200:
        raise RuntimeError(f"the configuration was refused: {answer.text[:500]}")
    wait_until_in_force(steelyard)
    elapsed = time.perf_counter() - started
    findings.figure("declaring all of it in one call", f"{elapsed:.1f} s, {engine.reloads() - before} reload")


def _calls(findings: Findings, steelyard: SteelyardProcess, size: Size, port: int, server_port: int) -> None:
    """Weights and switches of single real servers, spread over all services."""
    engine, api = EngineSockets(steelyard.state_dir), steelyard.loadmaster
    servers = _servers_of(steelyard)
    before = engine.reloads()

    def times(
        change: Callable[[int], dict[str, object]], shows: Callable[[dict[str, ServerSeen], str, int], bool]
    ) -> list[float]:
        return [
            _until_shown(api, engine, servers, number, port, server_port, change(number), shows)
            for number in range(size.calls)
        ]

    weights = times(
        lambda number: {"Weight": 2 * WEIGHT + number % 7},
        lambda seen, name, number: _has_weight(seen, name, 2 * WEIGHT + number % 7),
    )
    off = times(lambda number: {"Enable": "N"}, lambda seen, name, number: seen[name].disabled)
    on = times(lambda number: {"Enable": "Y"}, lambda seen, name, number: not seen[name].disabled)
    for what, taken in (("changing a weight", weights), ("disabling a real server", off), ("enabling it again", on)):
        detail = f" (p50 {percentile(taken, 0.5) * 1000:.1f}, most {max(taken) * 1000:.1f})"
        findings.below(f"{what}, p99 until HAProxy has it", percentile(taken, 0.99) * 1000, 50, "ms", detail)
    reloads = engine.reloads() - before
    findings.figure("reloads during these calls", str(reloads), "0", met=reloads == 0)


def _servers_of(steelyard: SteelyardProcess) -> list[tuple[str, str]]:
    """For each service, the engine's names of the service and of the server that is changed."""
    found = []
    for number, one in enumerate(steelyard.native.get("/status").json()["services"]):
        found.append((f"vs{one['index']}", f"rs{one['servers'][number % SERVERS]['index']}"))
    return found


def _until_shown(
    api: LoadMasterClient,
    engine: EngineSockets,
    servers: list[tuple[str, str]],
    number: int,
    port: int,
    server_port: int,
    change: dict[str, object],
    shows: Callable[[dict[str, ServerSeen], str, int], bool],
) -> float:
    """Seconds from the call to the moment HAProxy shows the change."""
    place = number * 7 % len(servers)
    backend, name = servers[place]
    where = {"vs": service_address(place), "port": port, "prot": "tcp"}
    server = {"rs": server_address(place, place % SERVERS), "rsport": server_port}
    started = time.perf_counter()
    api.must("modrs", {**where, **server, **change})
    while not shows(engine.servers(backend), name, number):
        if time.perf_counter() - started > 5:
            raise RuntimeError(f"HAProxy does not show {change} on {backend}/{name}: {engine.servers(backend)}")
    return time.perf_counter() - started


def _has_weight(seen: dict[str, ServerSeen], name: str, weight: int) -> bool:
    """Whether the server has its share: weights of a backend are scaled together to fit HAProxy's 256."""
    others = {server.weight for other, server in seen.items() if other != name}
    return len(others) == 1 and abs(seen[name].weight / others.pop() - weight / WEIGHT) < 0.02


def _one_service(findings: Findings, steelyard: SteelyardProcess) -> None:
    """A service more, after a quiet second: the call returns when it is in force."""
    engine = EngineSockets(steelyard.state_dir)
    before, port, started = engine.reloads(), free_port(), time.perf_counter()
    steelyard.loadmaster.must("addvs", vs="127.0.0.1", port=port, prot="tcp", VStype="http", CheckType="none")
    elapsed = time.perf_counter() - started
    with socket.create_connection(("127.0.0.1", port), 1):
        pass
    wait_until_in_force(steelyard)
    reloads = engine.reloads() - before
    findings.figure(
        "adding a service, until it serves", f"{elapsed * 1000:.0f} ms, {reloads} reload", "1 reload", met=reloads == 1
    )


def _memory(findings: Findings, steelyard: SteelyardProcess, note: str = "") -> None:
    now, most = resident_mb(steelyard.pid)
    findings.below(f"memory of the control plane{note}", most, 250, "MB", f" at most, {now:.0f} now")
    if not note:
        findings.figure("memory of steelyard-health", f"{resident_mb(steelyard.health_pid())[1]:.0f} MB at most")
        workers = [resident_mb(pid)[0] for pid in steelyard.haproxy_pids()]
        findings.figure("memory of HAProxy, master and workers", " + ".join(f"{one:.0f}" for one in workers) + " MB")


def _starts(findings: Findings, steelyard: SteelyardProcess, port: int) -> None:
    """Cold: nothing runs. Adoption: the control plane was killed, the engines go on."""
    steelyard.stop_control_plane()
    processes.end(steelyard.processes(), grace=1.0)
    answering, serving = _start(steelyard, port)
    findings.below("cold start, until clients are served", serving, 3, "s")
    findings.below("cold start, until the API answers", answering, 3, "s")
    engine = EngineSockets(steelyard.state_dir)
    time.sleep(_SETTLE_SECONDS)
    before, masters = engine.reloads(), steelyard.haproxy_master_pid()
    steelyard.kill9()
    answering, _ = _start(steelyard, port)
    adopted = steelyard.haproxy_master_pid() == masters and engine.reloads() == before
    findings.below("adoption after kill -9, until the API answers", answering, 3, "s")
    findings.figure("adoption leaves HAProxy alone", "yes" if adopted else "no", "yes", met=adopted)


def _start(steelyard: SteelyardProcess, port: int) -> tuple[float, float]:
    """Seconds until the API answers, and until the last service answers a client."""
    started = time.perf_counter()
    served: list[float] = []
    client = threading.Thread(target=_wait_for_service, args=(started, port, served), daemon=True)
    client.start()
    steelyard.start(_START_SECONDS)
    answering = time.perf_counter() - started
    client.join(_START_SECONDS)
    if not served:
        raise RuntimeError("no service answers after the start")
    return answering, served[0]


def _wait_for_service(started: float, port: int, served: list[float]) -> None:
    address = service_address(SERVICES - 1)
    while time.perf_counter() - started < _START_SECONDS:
        with contextlib.suppress(OSError), socket.create_connection((address, port), 1) as client:
            client.settimeout(2)
            client.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            if client.recv(64).startswith(b"HTTP/1.1 200"):
                served.append(time.perf_counter() - started)
                return
        time.sleep(0.01)
