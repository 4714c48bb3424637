"""CPU time per request of the proxies, in interleaved rounds.

In each round every contender serves the same load for a moment, in alternating order, so that what drifts (clock,
cache, neighbours) meets all alike. Figures are medians; ratios are taken within a round, against the mean of the two
hand-tuned instances. The second of them differs from the first in nothing, so its ratio to the first is the noise.
Processes are started anew for each sitting, because where one's memory happens to lie can cost a per cent.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from bench.contenders import WORKS, Running, Work, by_hand, by_nginx, by_steelyard
from bench.cpu import cpu_seconds
from bench.machine import Cores, Haproxy, haproxies, program, say, split_cores
from bench.origins import Origins, running_origins
from bench.report import Table

TRIES = 3
CONNECTIONS = 32
GOAL = 1.03

Start = Callable[[Work, Origins, Cores, str, Path], AbstractContextManager[Running]]

#: by name, in the order of the first round
CONTENDERS: dict[str, Start] = {
    "hand-tuned": by_hand,
    "Steelyard": by_steelyard,
    "hand-tuned again": by_hand,
    "nginx": by_nginx,
}
_FINISHED = re.compile(r"(\d+) requests in ([\d.]+)(m?s)")
_WRONG = re.compile(r"Non-2xx.*|Socket errors.*")


@dataclass(frozen=True)
class Effort:
    """How long to measure. `seconds` of load for each contender in each round."""

    sittings: int
    rounds: int
    seconds: int


FULL = Effort(sittings=3, rounds=8, seconds=1)
QUICK = Effort(sittings=1, rounds=3, seconds=1)


@dataclass(frozen=True)
class Turn:
    """One contender in one round: CPU microseconds and requests a second."""

    microseconds: float
    rate: float


def data_plane(*, quick: bool) -> list[Table]:
    """A table for each HAProxy and each kind of work."""
    effort = QUICK if quick else FULL
    with split_cores() as cores, running_origins() as origins:
        return [
            _table(measure(work, origins, cores, one, effort), work, one, cores)
            for one in haproxies()
            for work in WORKS
        ]


def measure(work: Work, origins: Origins, cores: Cores, haproxy: Haproxy, effort: Effort) -> list[dict[str, Turn]]:
    """The rounds of all sittings."""
    rounds: list[dict[str, Turn]] = []
    for sitting in range(effort.sittings):
        say(f"data plane, HAProxy {haproxy.version}, {work}: sitting {sitting + 1} of {effort.sittings}")
        with tempfile.TemporaryDirectory(prefix="bench-") as directory, contextlib.ExitStack() as stack:
            running = {
                name: stack.enter_context(start(work, origins, cores, haproxy.path, Path(directory)))
                for name, start in CONTENDERS.items()
            }
            for one in running.values():
                turn(one, 1)  # not counted: connections, caches and tables get warm
            for number in range(effort.rounds):
                order = list(running) if number % 2 == 0 else list(running)[::-1]
                turns = {name: turn(running[name], effort.seconds) for name in order}
                rounds.append(turns)
    return rounds


def turn(contender: Running, seconds: int) -> Turn:
    """Load one contender for so long. Raises `RuntimeError` when an answer is not what it should be.

    A turn in which other work left the proxy no time at all is told and made again: it must not cost the sitting.
    """
    for _ in range(TRIES):
        made = _turn(contender, seconds)
        if made is not None:
            return made
        say(f"{contender.url} finished no request in {seconds} s: the turn is made again")
    raise RuntimeError(f"{contender.url} finished no request in {TRIES} turns of {seconds} s")


def _turn(contender: Running, seconds: int) -> Turn | None:
    pids = contender.pids()
    before = cpu_seconds(pids)
    finished = subprocess.run(
        [program("wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", *contender.asking, contender.url],
        capture_output=True,
        text=True,
        check=True,
    )
    time.sleep(0.05)  # the connections of wrk end
    spent = cpu_seconds(pids) - before
    wrong = _WRONG.search(finished.stdout)
    if wrong is not None:
        raise RuntimeError(f"{contender.url}: {wrong[0]}")
    found = _FINISHED.search(finished.stdout)
    if found is None:
        raise RuntimeError(f"wrk did not say what it finished: {finished.stdout} {finished.stderr}")
    if int(found[1]) == 0:
        return None
    elapsed = float(found[2]) / (1000 if found[3] == "ms" else 1)
    return Turn(spent / int(found[1]) * 1e6, int(found[1]) / elapsed)


def _table(rounds: list[dict[str, Turn]], work: Work, haproxy: Haproxy, cores: Cores) -> Table:
    rows = []
    for name in CONTENDERS:
        costs = [turns[name].microseconds for turns in rounds]
        ratios = ratios_of(name, rounds)
        low, _, high = quantiles(ratios, n=4) if len(ratios) > 1 else (ratios[0],) * 3
        met = "" if name != "Steelyard" else "yes" if median(ratios) <= GOAL else "**no**"
        rows.append(
            (
                name,
                f"{median(costs):.2f}",
                f"{min(costs):.2f} - {max(costs):.2f}",
                "1" if name == "hand-tuned" else f"{median(ratios):.3f}",
                "" if name == "hand-tuned" else f"{low:.3f} - {high:.3f}",
                f"{median(turns[name].rate for turns in rounds):,.0f}",
                "" if name != "Steelyard" else f"<= {GOAL}: {met}",
            )
        )
    columns = ("", "CPU µs/request", "range", "ratio of pairs", "middle half", "requests/s", "goal")
    notes = [f"{len(rounds)} rounds, {CONNECTIONS} connections, one thread each."]
    if cores.shared:
        notes.append("Only one core: proxy, origins and load shared it.")
    return Table(f"HAProxy {haproxy.version}, {work}", columns, tuple(rows), tuple(notes))


def ratios_of(name: str, rounds: list[dict[str, Turn]]) -> list[float]:
    """Each round's cost against the hand-tuned pair of that round; the second hand-tuned one against the first."""
    ratios = []
    for turns in rounds:
        first, second = turns["hand-tuned"].microseconds, turns["hand-tuned again"].microseconds
        base = first if name.startswith("hand-tuned") else (first + second) / 2
        ratios.append(turns[name].microseconds / base)
    return ratios
