"""Changes of every kind while clients are served: none of their requests may fail.

Five loads run at once: keep-alive HTTP/1.1 and a new connection each request, both in clear, then keep-alive HTTP/1.1
and HTTP/2 over TLS, and in clear to a service that balances among sub-services. First nothing changes; then the kinds
of `change_kinds` and `change_kinds_layer7` take turns until there were enough of them, each one waited for until it is
in force. Both the services that carry the loads and others beside them are changed. The load is that of the tests
(`tests.support.load`): a request without a whole answer has failed, and none is repeated.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.support.load import Load, Result
from tests.support.load_worker.settings import Kind
from tests.support.steelyard_process import SteelyardProcess

from bench import change_kinds, change_kinds_layer7
from bench.change_kinds import NAME, Scene, Step
from bench.engine_socket import EngineSockets
from bench.in_force import wait_until_in_force
from bench.machine import Haproxy, haproxies, say
from bench.origins import Origins, running_origins
from bench.report import Findings, Table, percentile

KINDS: Mapping[str, tuple[Step, ...]] = change_kinds.KINDS | change_kinds_layer7.KINDS
#: name -> how its clients speak
_LOADS: Mapping[str, Kind] = {
    "http1": "http1",
    "http1-new": "http1-new",
    "https1": "https1",
    "h2": "h2",
    "sub-services": "http1",
}
_QUIET_SECONDS = 10.0


@dataclass(frozen=True)
class Effort:
    """How many changes in all, and whether each is waited for; otherwise several share a reload."""

    changes: int
    waits: bool


FULL = Effort(changes=200, waits=True)
QUICK = Effort(changes=sum(len(steps) for steps in KINDS.values()), waits=False)
_REST_SECONDS = 0.05


def changes(*, quick: bool) -> list[Table]:
    """A table for each HAProxy."""
    effort = QUICK if quick else FULL
    with running_origins() as origins:
        return [_measure(haproxy, origins, effort) for haproxy in haproxies()]


def _steps(count: int) -> Iterator[tuple[str, Step]]:
    """At least so many steps; every kind is ended before the next, so the services end as they began."""
    done = 0
    while done < count:
        for kind, steps in KINDS.items():
            for step in steps:
                yield kind, step
            done += len(steps)
            if done >= count:
                return


@contextlib.contextmanager
def _loads(scene: Scene) -> Iterator[list[Load]]:
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                Load(kind, "127.0.0.1", _port(scene, name), sni=NAME if kind in ("https1", "h2") else None)
            )
            for name, kind in _LOADS.items()
        ]


def _port(scene: Scene, name: str) -> int:
    if name == "sub-services":
        return scene.parent
    return scene.tls if _LOADS[name] in ("https1", "h2") else scene.plain


def _measure(haproxy: Haproxy, origins: Origins, effort: Effort) -> Table:
    with SteelyardProcess(haproxy=haproxy.path) as steelyard:
        scene, engine = Scene(steelyard, origins), EngineSockets(steelyard.state_dir)
        scene.build()
        time.sleep(1.5)
        say(f"changes, HAProxy {haproxy.version}: quiet")
        with _loads(scene) as loads:
            time.sleep(_QUIET_SECONDS)
            quiet = [load.result() for load in loads]
        say(f"changes, HAProxy {haproxy.version}: {effort.changes} changes of {len(KINDS)} kinds")
        before, taken = engine.reloads(), []
        failures: Counter[str] = Counter()
        with _loads(scene) as loads:
            started = time.perf_counter()
            for kind, step in _steps(effort.changes):
                failed, called = sum(load.failed for load in loads), time.perf_counter()
                step(scene)
                if effort.waits:
                    wait_until_in_force(steelyard)
                taken.append(time.perf_counter() - called)
                time.sleep(_REST_SECONDS)
                failures[kind] += sum(load.failed for load in loads) - failed
            time.sleep(2)
            elapsed = time.perf_counter() - started
            busy = [load.result() for load in loads]
        reloads = engine.reloads() - before
    return _table(haproxy, quiet, busy, len(taken), elapsed, reloads, taken, failures)


def _table(
    haproxy: Haproxy,
    quiet: list[Result],
    busy: list[Result],
    count: int,
    elapsed: float,
    reloads: int,
    taken: list[float],
    failures: Counter[str],
) -> Table:
    findings = Findings(f"HAProxy {haproxy.version}: {count} changes of {len(KINDS)} kinds under load")
    for kind, before, during in zip(_LOADS, quiet, busy, strict=True):
        findings.figure(
            f"{kind}: failed requests", f"{during.failed} of {during.requests:,}", "0", met=during.failed == 0
        )
        findings.figure(f"{kind}: p99 (p50) during changes", f"{during.p99_ms:.1f} ({during.p50_ms:.1f}) ms", "")
        findings.figure(f"{kind}: p99 (p50) in quiet", f"{before.p99_ms:.1f} ({before.p50_ms:.1f}) ms", "")
        if during.failed:
            findings.notes.append(f"{kind} failed: {dict(during.reasons)}")
    p50, p99 = (percentile(taken, share) * 1000 for share in (0.5, 0.99))
    findings.figure("a change until it is in force, p50 / p99", f"{p50:.0f} / {p99:.0f} ms")
    findings.figure("reloads", f"{reloads} in {elapsed:.0f} s", "one a second", met=reloads <= elapsed + 1)
    if any(failures.values()):
        named = ", ".join(f"{kind}: {number}" for kind, number in failures.items() if number)
        findings.notes.append(f"Failures were seen around these changes: {named}.")
    return findings.table()
