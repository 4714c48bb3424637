"""What health checks cost: 10,000 real servers checked at the default interval, and 1,000 over TLS.

CPU time is counted, not time by the clock, so the figures hold on a machine that does other things too. HAProxy's
share is what it spends more than without checks: verdicts reach it through its socket, and its list of servers is
compared every twenty seconds. The real servers are one nginx on loopback addresses. Over loopback the kernel does the
work of both ends in the checking process' time, so a real network makes it cheaper, not dearer.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.certificates import leaf
from tests.support.ports import free_port
from tests.support.steelyard_process import SteelyardProcess

from bench.cpu import cpu_seconds, resident_mb, user_and_system
from bench.in_force import wait_until_in_force
from bench.large import SERVERS, service
from bench.machine import haproxies, say
from bench.origins import nginx
from bench.report import Findings, Table

#: seconds between two checks of one server: the default
INTERVAL = 9
_UP_SECONDS = 120.0


@dataclass(frozen=True)
class Spent:
    """CPU time over some time, as shares of one core."""

    checking: float
    user: float
    system: float
    haproxy: float


def checks(*, quick: bool) -> list[Table]:
    """One table: many cheap checks, then fewer over TLS."""
    seconds = 18.0 if quick else 63.0
    haproxy = haproxies()[0]
    findings = Findings(f"Checks at the default interval of {INTERVAL} s, HAProxy {haproxy.version}")
    with _real_servers() as (plain, tls):
        for kinds, services, goal in ((("tcp", "http"), 1000, 60.0), (("https",), 100, 40.0)):
            with SteelyardProcess(haproxy=haproxy.path) as steelyard:
                _measure(findings, steelyard, kinds, services, tls if kinds == ("https",) else plain, goal, seconds)
    findings.notes.append(
        f"Measured for {seconds:.0f} s each, from CPU time in /proc. A check is one cycle: connect, send, read, judge,"
        " write down. `user` is Python, `system` the kernel's share of the same time, which over loopback has the real"
        " server's side of the connection in it."
    )
    return [findings.table()]


def _measure(
    findings: Findings,
    steelyard: SteelyardProcess,
    kinds: tuple[str, ...],
    services: int,
    server_port: int,
    goal: float,
    seconds: float,
) -> None:
    what = f"{services * SERVERS:,} real servers, {' and '.join(kind.upper() for kind in kinds)}"
    port = free_port()
    say(f"checks: {what}: without checks")
    _declare(steelyard, ("none",), services, port, server_port)
    time.sleep(5)
    idle = _spent(steelyard, seconds)
    say(f"checks: {what}: with checks")
    _declare(steelyard, kinds, services, port, server_port)
    _wait_until_up(steelyard)
    time.sleep(INTERVAL)
    busy = _spent(steelyard, seconds)
    more = max(0.0, busy.haproxy - idle.haproxy)
    rate = services * SERVERS / INTERVAL
    detail = f" of a core: checking {busy.checking:.1%}, HAProxy {more:.1%} more than without"
    findings.below(f"{what}: all they cost", (busy.checking + more) * 100, goal, "%", detail)
    total, user, system = (share / rate * 1e6 for share in (busy.checking, busy.user, busy.system))
    findings.figure(f"{what}: one check", f"{total:.0f} us: user {user:.0f}, system {system:.0f}")
    findings.figure(f"{what}: memory of the checking process", f"{resident_mb(steelyard.health_pid())[1]:.0f} MB")


def _declare(steelyard: SteelyardProcess, kinds: tuple[str, ...], services: int, port: int, server_port: int) -> None:
    """The large configuration, its services' checks of these kinds in turn."""
    wanted = [
        {**service(number, port, server_port), "check_type": kinds[number % len(kinds)]} for number in range(services)
    ]
    answer = steelyard.native.put("/configuration", json={"services": wanted})
    if answer.status_code != 200:
        raise RuntimeError(f"the configuration was refused: {answer.text[:500]}")
    wait_until_in_force(steelyard)


def _wait_until_up(steelyard: SteelyardProcess) -> None:
    deadline = time.monotonic() + _UP_SECONDS
    while True:
        found = steelyard.native.get("/status").json()["services"]
        left = sum(one["status"] != "Up" for one in found)
        if not left:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"{left} services are not up")
        time.sleep(1)


def _spent(steelyard: SteelyardProcess, seconds: float) -> Spent:
    checking, haproxy = [steelyard.health_pid()], steelyard.haproxy_pids()
    before = (cpu_seconds(checking), *user_and_system(checking[0]), cpu_seconds(haproxy))
    began = time.perf_counter()
    time.sleep(seconds)
    elapsed = time.perf_counter() - began
    after = (cpu_seconds(checking), *user_and_system(checking[0]), cpu_seconds(haproxy))
    return Spent(*((now - then) / elapsed for now, then in zip(after, before, strict=True)))


@contextlib.contextmanager
def _real_servers() -> Iterator[tuple[int, int]]:
    """One nginx that answers on every loopback address: its plain port and its port of TLS."""
    plain, tls = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="bench-checked-") as name:
        certificate = leaf("bench.example", kind="rsa").write(Path(name), "bench")
        path = Path(name) / "nginx.conf"
        path.write_text(
            f"worker_processes 1; daemon off; pid {name}/pid; error_log {name}/log; worker_rlimit_nofile 20000;"
            "events { worker_connections 16000; }"
            f"http {{ access_log off; ssl_certificate {certificate}; ssl_certificate_key {certificate};"
            f"server {{ listen 0.0.0.0:{plain} backlog=8192; listen 0.0.0.0:{tls} ssl backlog=8192;"
            'location / { return 200 "ok"; } } }'
        )
        with nginx(path, plain):
            yield plain, tls
