"""Layer 4: what is left of plain routing, beside proxies; and what one real server more costs.

The ways are measured one after the other in interleaved rounds, in alternating order; ratios are taken within a round.
Client, kernel, proxy and real server share the machine's cores, so what one way costs more is missing elsewhere: the
figures compare ways and are no machine's top speed.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

from tests.support.api_clients import NativeClient
from tests.support.namespaces import Lab, Namespace
from tests.support.steelyard_process import SteelyardProcess

from bench.layer4_hosts import LARGE_BYTES, Hosts, Way, hosts
from bench.machine import program, say
from bench.report import Findings, Table, percentile

CONNECTIONS = 32
LIMIT, OURS, PROXY = "plain routing", "Steelyard", "HAProxy TCP mode"
#: of plain routing, and of HAProxy, with connections kept
LEAST_OF_LIMIT, LEAST_OF_PROXY = 0.80, 1.5
GOAL_MS = 50.0
_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
_WRONG = re.compile(r"Non-2xx.*|Socket errors.*")

#: sends datagrams as fast as it can: address, port, seconds
_SEND = """
import socket, sys, time
made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
made.connect((sys.argv[1], int(sys.argv[2])))
send, end, data = made.send, time.monotonic() + float(sys.argv[3]), b"x" * 64
while time.monotonic() < end:
    for _ in range(500):
        try:
            send(data)
        except ConnectionRefusedError:
            pass
"""


@dataclass(frozen=True)
class Effort:
    """How long to measure. `seconds` for each way in each round; `services` of ten servers, and calls."""

    rounds: int
    seconds: int
    services: int
    calls: int


FULL = Effort(rounds=8, seconds=2, services=1000, calls=50)
QUICK = Effort(rounds=2, seconds=1, services=1000, calls=8)

Measure = Callable[[Hosts, Way, int], float | None]


def layer4(*, quick: bool) -> list[Table]:
    """A table of rates for each kind of work, and one of what a change costs."""
    effort = QUICK if quick else FULL
    with hosts() as there:
        works: tuple[tuple[str, str, Measure], ...] = (
            ("requests/s, connections kept", "{:,.0f}", _kept),
            ("requests/s, a connection each", "{:,.0f}", _each),
            ("MB/s", "{:,.0f}", _throughput),
            ("UDP datagrams/s delivered, one sender", "{:,.0f}", _datagrams),
        )
        tables = [_table(there, name, shown, measure, effort) for name, shown, measure in works]
    return [*tables, _changes(effort)]


def _table(there: Hosts, work: str, shown: str, measure: Measure, effort: Effort) -> Table:
    rounds: list[dict[str, float]] = []
    for way in there.ways:
        measure(there, way, 1)  # not counted
    for number in range(effort.rounds):
        say(f"layer 4, {work}: round {number + 1} of {effort.rounds}")
        order = there.ways if number % 2 == 0 else there.ways[::-1]
        found = {way.name: measure(there, way, effort.seconds) for way in order}
        rounds.append({name: value for name, value in found.items() if value is not None})
    rows = []
    for way in there.ways:
        values = [found[way.name] for found in rounds if way.name in found]
        if not values:
            rows.append((way.name, "cannot", "", ""))
            continue
        of_limit = median(found[way.name] / found[LIMIT] for found in rounds)
        ratio = median(found[way.name] / found[PROXY] for found in rounds) if PROXY in rounds[0] else None
        rows.append(
            (way.name, shown.format(median(values)), f"{of_limit:.0%}", "" if ratio is None else f"{ratio:.2f}")
        )
    notes = [f"{effort.rounds} rounds of {effort.seconds} s each."]
    if work.endswith("kept"):
        notes.append(_goal(rounds))
    return Table(f"Layer 4: {work}", ("way", work, f"of {LIMIT}", f"times {PROXY}"), tuple(rows), tuple(notes))


def _goal(rounds: list[dict[str, float]]) -> str:
    of_limit = median(found[OURS] / found[LIMIT] for found in rounds)
    of_proxy = median(found[OURS] / found[PROXY] for found in rounds)
    met = of_limit >= LEAST_OF_LIMIT and of_proxy >= LEAST_OF_PROXY
    return (
        f"Goal: at least {LEAST_OF_LIMIT:.0%} of {LIMIT} and {LEAST_OF_PROXY:g} times {PROXY}:"
        f" {'yes' if met else '**no**'}"
    )


def _wrk(there: Hosts, url: str, seconds: int, *words: str) -> float:
    done = there.client.run(
        program("wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", *words, url, timeout=seconds + 30
    ).stdout
    wrong, rate = _WRONG.search(done), _RATE.search(done)
    if wrong is not None or rate is None:
        raise RuntimeError(f"{url}: {wrong[0] if wrong else done}")
    return float(rate[1])


def _kept(there: Hosts, way: Way, seconds: int) -> float:
    return _wrk(there, way.url, seconds)


def _each(there: Hosts, way: Way, seconds: int) -> float:
    return _wrk(there, way.url, seconds, "-H", "Connection: close")


def _throughput(there: Hosts, way: Way, seconds: int) -> float:
    return _wrk(there, f"{way.url}large", seconds) * LARGE_BYTES / 1e6


def _datagrams(there: Hosts, way: Way, seconds: int) -> float | None:
    if way.udp is None:
        return None
    before = _received(there.server)
    began = time.monotonic()
    sender = there.client.popen(sys.executable, "-c", _SEND, way.udp[0], str(way.udp[1]), str(seconds))
    sender.wait(seconds + 30)
    return (_received(there.server) - before) / (time.monotonic() - began)


def _received(server: Namespace) -> int:
    """UDP datagrams that have come to a host, whether anybody takes them or not."""
    lines = [line.split() for line in server.run("cat", "/proc/net/snmp").stdout.splitlines() if line[:4] == "Udp:"]
    counted = dict(zip(lines[0][1:], map(int, lines[1][1:]), strict=True))
    return counted["InDatagrams"] + counted["NoPorts"] + counted["InErrors"]


def _changes(effort: Effort) -> Table:
    findings = Findings("Layer 4: one real server more")
    findings.notes.append(
        f"Calls of the native API over HTTPS, {effort.calls} of each kind; the answer comes when the kernel has it."
    )
    for services in (10, effort.services):
        say(f"layer 4: {services:,} services")
        with _many(services) as call:
            spent = []
            for number in range(effort.calls):
                index = 1 + number * max(1, services // effort.calls) % services
                server = {"address": f"10.200.{number}.1", "port": 8080}
                began = time.perf_counter()
                call("POST", f"/virtual-services/{index}/real-servers", server)
                spent.append((time.perf_counter() - began) * 1000)
            detail = f" (95 % within {percentile(spent, 0.95):.1f})"
            what = f"to one of {services:,} services of 10"
            findings.below(what, median(spent), GOAL_MS, "ms", detail)
    return findings.table()


@contextmanager
def _many(services: int) -> Iterator[Callable[[str, str, Any], Any]]:
    """A Steelyard with so many layer-4 services of ten servers, in a host of its own."""
    with Lab() as lab:
        host = lab.host("many")
        places = [f"10.9.{number >> 8}.{number & 255}" for number in range(1, services + 1)]
        host.ip(*(f"addr add {one}/32 dev lo" for one in places))
        with host.inside():
            steelyard = SteelyardProcess().start()
            api: NativeClient = steelyard.native

        def call(method: str, path: str, body: Any) -> Any:
            with host.inside():
                answer = api.request(method, path, json=body)
            if answer.status_code >= 300:
                raise RuntimeError(f"{method} {path}: {answer.text}")
            return answer.json()

        try:
            wanted = [
                {
                    **{"address": place, "port": 80, "force_l4": True, "service_type": "gen", "check_type": "none"},
                    "servers": [
                        {"address": f"10.{100 + number // 250}.{number % 250}.{each}", "port": 8080}
                        for each in range(1, 11)
                    ],
                }
                for number, place in enumerate(places)
            ]
            call("PUT", "/configuration", {"services": wanted})
            call("GET", "/status", None)
            yield call
        finally:
            with host.inside():
                steelyard.stop()


__all__ = ["layer4"]
