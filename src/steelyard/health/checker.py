"""The process at work: runs the cycles, keeps the board, and tells HAProxy, the files and the subscribers."""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from steelyard.health.board import Board, Changes, Known, Probe, TargetName
from steelyard.health.effects import Place
from steelyard.health.files import PlanFile, VerdictFile
from steelyard.health.netd_pusher import NetdPusher
from steelyard.health.probe import cycle
from steelyard.health.pusher import Pusher
from steelyard.health.recent import RecentEvents
from steelyard.health.saver import Saver
from steelyard.health.scheduler import Scheduler
from steelyard.health.status import Event
from steelyard.health.transcript import Outcome, Transcript
from steelyard.health.transcript_log import TranscriptLog
from steelyard.health.weighing import Weighing
from steelyard.model.errors import OperatorError
from steelyard.plan.haproxy import service_key
from steelyard.plan.health import HealthPlan, Service

log = logging.getLogger(__name__)

#: Cycles started in one turn of the loop. Few enough that a burst of new targets does not delay answers into time-outs.
STARTED_AT_ONCE = 48
#: Seconds the scheduler is left alone at least.
TICK_SECONDS = 0.005
#: Durable records printed after each cycle; more than change by it.
PRINTED_AT_ONCE = 20
#: Descriptors kept for HAProxy, files and the control socket; most checks at once.
RESERVED_DESCRIPTORS, MOST_AT_ONCE = 128, 12_000

Listener = Callable[[Event], None]

_SERVICE_WORDS = {"shut": "takes no clients", "open": "takes clients again"}


def concurrency() -> int:
    """How many checks may run at the same time: what the host's limit on descriptors leaves, which is raised first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wished = MOST_AT_ONCE + RESERVED_DESCRIPTORS
    if hard != resource.RLIM_INFINITY:
        wished = min(wished, hard)
    if soft != resource.RLIM_INFINITY and soft < wished:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wished, hard))
        soft = wished
    return max(16, MOST_AT_ONCE if soft == resource.RLIM_INFINITY else min(soft - RESERVED_DESCRIPTORS, MOST_AT_ONCE))


class Checker:
    """All parts of the process but its control socket. Made and used inside a running loop."""

    def __init__(self, directory: Path, worker: Path, master: Path, netd: Sequence[Path] = ()) -> None:
        self._plan_file = PlanFile(directory)
        self._verdict_file = VerdictFile(directory)
        remembered, drops = self._verdict_file.load()
        self._limit = concurrency()
        self.weighing = Weighing(directory, self._limit // 4)
        self.board = Board(remembered, self.weighing.weigher.weight)
        self._transcript_log = TranscriptLog(directory, self.board.probe_names)
        self.weighing.serve(self.board, self._reweighed)
        self.pusher = Pusher(worker, master)
        self.pusher.want({}, drops)
        self._netd_pusher = NetdPusher(netd)
        self._scheduler: Scheduler[Probe] = Scheduler()
        self._plan_saver = Saver(self._plan_file.path, self._plan_content)
        self._verdict_saver = Saver(self._verdict_file.path, self._verdict_content)
        self._cycles: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._sleeps_until = float("inf")
        self._drains = asyncio.Event()
        self._spoken = asyncio.Event()
        self._listeners: set[Listener] = set()
        self.recent = RecentEvents()
        plan = self._plan_file.load()
        if plan is not None:
            try:
                self.replace(plan)
            except OperatorError as failure:
                log.error("The plan of the last run cannot be used, waiting for a new one: %s", failure.message)
        self.pusher.when_it_disagrees(self._doubt)

    async def run(self) -> None:
        """Check until cancelled, then write the files."""
        try:
            async with asyncio.TaskGroup() as group:
                for part in (
                    *(self._schedule, self._end_drains, self.weighing.run),
                    *(self.pusher.run, self._netd_pusher.run),
                ):
                    group.create_task(part())
                group.create_task(self._plan_saver.run())
                group.create_task(self._verdict_saver.run())
                group.create_task(self._transcript_log.run())
        finally:
            for task in self._cycles:
                task.cancel()
            self._plan_saver.finish()
            self._verdict_saver.finish()
            self._transcript_log.finish()

    def replace(self, plan: HealthPlan) -> None:
        """Take a whole plan. Raises `OperatorError` when a check cannot be sent; nothing changes then."""
        gone: dict[str, Service | None] = dict.fromkeys(self.board.services)
        polls = self.weighing.prepare(plan.services)
        changes = self.board.replace(plan, time.time())
        self._plan_file.note({**gone, **plan.services})
        self._taken(changes)
        self.weighing.take({**gone, **plan.services}, polls)

    def update(
        self, services: Mapping[str, Service | None], drain_seconds: int | None, drop_at_drain_end: bool | None
    ) -> None:
        """Take new versions of some services; None removes one. Raises `OperatorError` as `replace` does."""
        polls = self.weighing.prepare(services)
        changes = self.board.update(services, time.time(), drain_seconds, drop_at_drain_end)
        self._plan_file.note(services)
        self._taken(changes)
        self.weighing.take(services, polls)

    async def first_verdicts(self, services: Iterable[str], timeout: float) -> None:
        """Wait until every probe of these services has given a verdict, at most `timeout` seconds; then push it."""
        targets = self.board.targets(services)
        waiting = [probe for _, known in targets for probe in known.probes if _is_unsure(known, probe)]
        try:
            async with asyncio.timeout(timeout):
                while any(not probe.fresh for probe in waiting):
                    self._spoken.clear()
                    await self._spoken.wait()
        except TimeoutError:
            # The caller asked for no more; the servers stay unknown, which the answer says.
            pass
        await self.pusher.flush(0.5)
        await self._netd_pusher.flush(0.5)

    async def transcripts(self, known: Known) -> list[Transcript]:
        """The last transcripts of what decides a target, newest first, those of processes before this one too."""
        for probe in self.board.deciding(known).probes:
            await self._transcript_log.recall(probe)
        return self.board.transcripts(known)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every event; the returned function ends it."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    def _doubt(self, servers: Collection[Place]) -> None:
        """HAProxy had these servers otherwise than the last run remembered, which may have been killed before it wrote
        down what it told HAProxy: they are asked at once.
        """
        now = asyncio.get_running_loop().time()
        for backend, key in servers:
            known = self.board.find((service_key(backend), key))
            for probe in known.probes if known is not None else ():
                self._scheduler.hurry(probe, now)
        self._wake.set()

    async def _schedule(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            free = self._limit - len(self._cycles) - self.weighing.running
            due = self._scheduler.due(loop.time(), min(free, STARTED_AT_ONCE))
            for probe in due:
                task = loop.create_task(self._cycle(probe))
                self._cycles.add(task)
                task.add_done_callback(self._cycles.discard)
            if len(due) == STARTED_AT_ONCE:
                await asyncio.sleep(0)
                continue
            await self._pause(loop, free=free - len(due))

    async def _pause(self, loop: asyncio.AbstractEventLoop, *, free: int) -> None:
        """Sleep until the next cycle is due or something new is to be scheduled."""
        at = self._scheduler.next_at()
        now = loop.time()
        if free <= 0:
            at = now + TICK_SECONDS
        self._sleeps_until = float("inf") if at is None else max(at, now + TICK_SECONDS)
        timer = None if at is None else loop.call_at(self._sleeps_until, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            if timer is not None:
                timer.cancel()

    async def _cycle(self, probe: Probe) -> None:
        loop = asyncio.get_running_loop()
        try:
            before = probe.last
            said = await cycle(probe.asker, probe.key[0].attempts)
            if probe in self._scheduler:
                self._apply(self.board.record(probe, said, time.time()))
                self._transcript_log.note(probe, said)
                self._verdict_file.note(probe.targets)
                self._verdict_file.print_some(self.board, PRINTED_AT_ONCE)
                self._verdict_saver.later()
                self._spoken.set()
                unasked = said[-1].outcome is Outcome.UNASKED
                if unasked and (before is None or before.outcome is not Outcome.UNASKED):
                    log.warning("%s not judged: %s", _names(probe.targets), said[-1].reason)
        except Exception:
            # A bug in one check must not end the checking of all others; the verdict stays as it was.
            log.exception("The check of %s failed in itself", _names(probe.targets))
        finally:
            self._scheduler.finished(probe, loop.time())
            at = self._scheduler.next_at()
            if at is not None and at < self._sleeps_until:
                self._wake.set()

    async def _end_drains(self) -> None:
        while True:
            self._drains.clear()
            at = self.board.next_drain_end()
            try:
                async with asyncio.timeout(None if at is None else max(0.0, at - time.time())):
                    await self._drains.wait()
            except TimeoutError:
                self._apply(self.board.end_drains(time.time()))

    def _taken(self, changes: Changes) -> None:
        """A plan or a part of one was taken in."""
        now = asyncio.get_running_loop().time()
        for probe in changes.removed:
            self._scheduler.remove(probe)
        for probe in changes.added:
            known = (self.board.find(name) for name in probe.targets)
            at_once = any(_is_unsure(one, probe) for one in known if one is not None)
            self._scheduler.add(probe, probe.key[0].interval, now, at_once=at_once)
        self._wake.set()
        self._drains.set()
        self._plan_saver.soon()
        self._verdict_file.note(changes.touched)
        self._apply(changes, afresh=True)

    def _apply(self, changes: Changes, *, afresh: bool = False) -> None:
        if changes.wanted or changes.drops:
            self._tell(changes, afresh=afresh)
            self._verdict_file.note(changes.touched)
            self._verdict_saver.soon()
            self._drains.set()
        if changes.events:
            self._verdict_file.note(_name(event) for event in changes.events)
            self._verdict_saver.soon()
        for event in changes.events:
            _log(event, self.board)
            numbered = self.recent.keep(event)
            for listener in tuple(self._listeners):
                listener(numbered)

    def _reweighed(self, changes: Changes) -> None:
        """Weights have moved; nothing durable follows from that alone."""
        if changes.events or changes.drops:
            self._apply(changes)
        elif changes.wanted:
            self._tell(changes)

    def _tell(self, changes: Changes, *, afresh: bool = False) -> None:
        """Tell each engine what is its own. What goes from one to the other is forgotten there."""
        kernel = {place: want for place, want in changes.wanted.items() if self._in_kernel(place)}
        drops = [place for place in changes.drops if self._in_kernel(place)]
        self._netd_pusher.want({place: kernel.get(place) for place in changes.wanted}, drops)
        others = {place: None if place in kernel else want for place, want in changes.wanted.items()}
        self.pusher.want(others, [place for place in changes.drops if place not in drops], afresh=afresh)

    def _in_kernel(self, place: Place) -> bool:
        service = self.board.services.get(service_key(place[0]))
        return service is not None and service.in_kernel

    def _plan_content(self) -> list[str]:
        return self._plan_file.content(self.board.drain_seconds, self.board.drop_at_drain_end)

    def _verdict_content(self) -> list[str]:
        return self._verdict_file.content(self.board, self.pusher.waiting_drops())


def _is_unsure(known: Known, probe: Probe) -> bool:
    """True when this check has not spoken; a verdict remembered from a run before counts as spoken."""
    return not probe.fresh and (known.state == "unknown" or probe.last is None)


def _name(event: Event) -> TargetName:
    service, _, target = event.target.partition("/")
    return service, target


def _names(targets: Iterable[TargetName]) -> str:
    return ", ".join(sorted("/".join(name) for name in targets)) or "a removed server"


def _log(event: Event, board: Board) -> None:
    """One line in the manner of LoadMaster's: who, where, what, why."""
    known = board.find(_name(event))
    where = "" if known is None or known.target.follows else f" {known.target.address}:{known.target.port}"
    if event.event == "service":
        level = logging.CRITICAL if event.after == "shut" else logging.WARNING
        log.log(level, "%s %s: %s", event.target, _SERVICE_WORDS[event.after], event.reason)
    elif event.event == "admin":
        log.info("%s%s now %s: %s", event.target, where, event.after, event.reason)
    elif event.after == "down":
        log.warning("%s%s removed: %s", event.target, where, event.reason)
    elif event.after == "up":
        log.warning(
            "%s%s %s: %s", event.target, where, "added" if event.before == "unknown" else "re-added", event.reason
        )
    else:
        log.info("%s%s now %s: %s", event.target, where, event.after, event.reason)
