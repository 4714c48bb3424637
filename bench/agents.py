"""What load agents cost: 1,000 real servers polled at the default interval, all of whose weights move all the time.

CPU time is counted, as in `checks`. The agents are one nginx that tells another load each time, so that every poll
moves a weight: the worst there is. Checks are off, so the figures are those of polling and of telling HAProxy alone.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.ports import free_port
from tests.support.steelyard_process import SteelyardProcess

from bench.cpu import cpu_seconds, resident_mb
from bench.in_force import wait_until_in_force
from bench.large import SERVERS, service
from bench.machine import haproxies, say
from bench.origins import nginx
from bench.report import Findings, Table

AGENTS = 1000
#: seconds between two polls: the default of agents is 7, and that of checks, which it is never below, 9
INTERVAL = 9


def agents(*, quick: bool) -> list[Table]:
    """One table: polling all agents, and nothing else."""
    seconds = 18.0 if quick else 63.0
    haproxy = haproxies()[0]
    findings = Findings(f"Load agents polled every {INTERVAL} s, HAProxy {haproxy.version}")
    with _agents() as port, SteelyardProcess(haproxy=haproxy.path) as steelyard:
        first = free_port()
        _declare(steelyard, "wrr", first, port)
        say("agents: without polls")
        checking, idle = _spent(steelyard, seconds)
        _declare(steelyard, "adaptive", first, port)
        _wait_until_heard(steelyard)
        say("agents: with polls")
        polling, busy = _spent(steelyard, seconds)
        more = max(0.0, busy - idle)
        detail = f" of a core: polling {polling - checking:.1%}, HAProxy {more:.1%} more than without"
        findings.figure(f"{AGENTS:,} agents: all they cost", f"{(polling - checking + more):.1%}{detail}")
        each = (polling - checking) * INTERVAL / AGENTS * 1e6
        findings.figure("one poll", f"{each:.0f} us, with its share of telling HAProxy")
        memory = resident_mb(steelyard.health_pid())[1]
        findings.figure("memory of the checking process", f"{memory:.0f} MB")
    return [findings.table()]


def _declare(steelyard: SteelyardProcess, schedule: str, port: int, agent: int) -> None:
    wanted = [
        {**service(number, port, agent), "check_type": "none", "schedule": schedule, "adaptive_port": agent}
        for number in range(AGENTS // SERVERS)
    ]
    answer = steelyard.native.put("/configuration", json={"services": wanted})
    if answer.status_code != 200:
        raise RuntimeError(f"the configuration was refused: {answer.text[:500]}")
    wait_until_in_force(steelyard)


def _wait_until_heard(steelyard: SteelyardProcess) -> None:
    """Until the last service's agents were heard; the others had as long."""
    deadline = time.monotonic() + 60
    while True:
        found = steelyard.native.get(f"/virtual-services/{AGENTS // SERVERS}/weights").json()["members"]
        if all(one["load"] is not None for one in found):
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"agents were not heard: {found[0]['reason']}")
        time.sleep(0.5)


def _spent(steelyard: SteelyardProcess, seconds: float) -> tuple[float, float]:
    """CPU of the checking process and of HAProxy, as shares of one core."""
    pids = ([steelyard.health_pid()], steelyard.haproxy_pids())
    before = [cpu_seconds(each) for each in pids]
    began = time.perf_counter()
    time.sleep(seconds)
    elapsed = time.perf_counter() - began
    checking, haproxy = ((cpu_seconds(each) - then) / elapsed for each, then in zip(pids, before, strict=True))
    return checking, haproxy


@contextlib.contextmanager
def _agents() -> Iterator[int]:
    """One nginx that tells a load of two digits, taken from the clock, on every loopback address."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-agents-") as name:
        path = Path(name) / "nginx.conf"
        path.write_text(
            f"worker_processes 1; daemon off; pid {name}/pid; error_log {name}/log;"
            "events { worker_connections 4000; }"
            "http { access_log off; default_type text/plain;"
            r'map $msec $load { "~\.\d(?<digits>\d\d)" $digits; }'
            f'server {{ listen 0.0.0.0:{port} backlog=4096; location / {{ return 200 "$load\\n"; }} }} }}'
        )
        with nginx(path, port):
            yield port
