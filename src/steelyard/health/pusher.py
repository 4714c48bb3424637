"""Tells HAProxy the verdicts, and makes sure it has heard them.

A change is pushed at once. Every `RECONCILE_SECONDS`, at start, when the worker's socket is a new one and after every
failure, HAProxy's own list of servers is read and only the differences are sent, so a reload, a restart or a lost
command repairs itself. While HAProxy is away, the wanted states wait here. A server it does not know yet is no error:
the control plane reloads it and says `sync`.

Old workers that drain after a reload take no `set server` (they send no new connection anywhere), so only session
drops reach them: their sessions are listed and shut down one by one, through the master.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path

from steelyard.emit.haproxy.runtime import commands
from steelyard.engines.haproxy.runtime import ask, batches
from steelyard.health.effects import Wanted
from steelyard.health.engine_text import answers, is_missing, old_workers, servers_state, sessions_of
from steelyard.health.steps import Have, Server, operations
from steelyard.model.errors import EngineRefused
from steelyard.plan.operations import Operation

log = logging.getLogger(__name__)

RECONCILE_SECONDS = 20.0
WATCH_SECONDS = 1.0
FIRST_DELAY, LAST_DELAY = 0.1, 5.0
#: Seconds to the reconcile after a refused command or an unknown server; it doubles while that goes on.
AGAIN_SECONDS = 1.0
#: More servers than this are not told blindly: HAProxy's state is read, and only the differences are sent.
TOLD_BLINDLY = 200
ASK_SECONDS = 5.0

#: The master's socket stays open after an answer (2.6 and 2.8), unlike a worker's; `quit` closes it.
_QUIT = "\nquit"


class Pusher:
    """Wanted states of every server, and the one task that brings them into HAProxy."""

    def __init__(self, worker: Path, master: Path) -> None:
        self._worker = worker
        self._master = master
        self._wanted: dict[Server, Wanted] = {}
        self._told: dict[Server, Have] = {}
        self._dirty: set[Server] = set()
        self._drops: set[Server] = set()
        self._old_drops: set[Server] = set()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._lock = asyncio.Lock()
        self._broken = True
        self._reread = True
        self._incomplete = False
        self._reported: set[tuple[Server, str]] = set()
        self._reported_away = ""
        self._identity: tuple[int, int] | None = None
        self._disagrees: Callable[[Collection[Server]], None] | None = None

    def want(
        self, states: Mapping[Server, Wanted | None], drops: Iterable[Server] = (), *, afresh: bool = False
    ) -> None:
        """Take new wanted states; None forgets a server. `afresh` sends all, whatever HAProxy was told before."""
        self._reread = self._reread or (afresh and len(states) > TOLD_BLINDLY)
        for name, want in states.items():
            if want is None:
                self._wanted.pop(name, None)
                self._told.pop(name, None)
                continue
            self._wanted[name] = want
            self._dirty.add(name)
            if afresh:
                self._told.pop(name, None)
        drops = tuple(drops)
        self._drops.update(drops)
        self._old_drops.update(drops)
        if self._dirty or self._drops:
            self._idle.clear()
            self._wake.set()

    def when_it_disagrees(self, listener: Callable[[Collection[Server]], None]) -> None:
        """Tell once, at the first look at HAProxy, which servers it had up or down otherwise than wanted."""
        self._disagrees = listener

    def waiting_drops(self) -> list[Server]:
        """Servers whose sessions are still to be dropped."""
        return sorted(self._drops | self._old_drops)

    async def flush(self, timeout: float) -> None:
        """Wait until all that is wanted was pushed once; not while HAProxy is away, at most `timeout` seconds."""
        if not self._broken:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._idle.wait()

    async def run(self) -> None:
        """Push and reconcile until cancelled."""
        loop = asyncio.get_running_loop()
        delay, again, next_reconcile = FIRST_DELAY, AGAIN_SECONDS, 0.0
        while True:
            self._wake.clear()
            try:
                if self._reread or loop.time() >= next_reconcile or self._worker_identity() != self._identity:
                    await self.reconcile(refusals=False)
                    again = min(again * 2, RECONCILE_SECONDS) if self._incomplete else AGAIN_SECONDS
                    next_reconcile = loop.time() + (again if self._incomplete else RECONCILE_SECONDS)
                elif self._dirty or self._drops:
                    await self._push()
                    if self._incomplete:
                        again = AGAIN_SECONDS
                        next_reconcile = min(next_reconcile, loop.time() + again)
                delay = FIRST_DELAY
            except EngineRefused:
                # Reported where it happened; the next turn reads HAProxy's state and sends what is missing.
                self._idle.set()
                await asyncio.sleep(delay)
                delay = min(delay * 2, LAST_DELAY)
                continue
            if not self._dirty and not self._drops:
                self._idle.set()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(WATCH_SECONDS):
                        await self._wake.wait()

    async def reconcile(self, *, refusals: bool = True) -> int:
        """Compare HAProxy's state with the wanted one and send the differences; returns how many servers differed.

        Raises `EngineRefused` when HAProxy does not answer and, unless `refusals` is False, when it refuses a command.
        """
        async with self._lock:
            identity = self._worker_identity()
            with self._failures():
                self._reread, before = False, set(self._dirty)
                have = servers_state(await ask(self._worker, "show servers state", timeout=ASK_SECONDS))
                self._told = {name: have[name] for name in self._wanted if name in have}
                doubtful = self._compare()
                # What HAProxy does not know is left to the next reconcile, but for what was wanted while it answered.
                self._dirty = ((self._dirty - before) | self._told.keys()) - doubtful
                differing, refusal = await self._send()
                self._incomplete = self._incomplete or len(self._told) < len(self._wanted) or bool(doubtful)
            self._identity = identity
            if differing:
                log.info("HAProxy was told of %d servers whose state differed", differing)
            if refusal and refusals:
                raise EngineRefused("HAProxy refused a command", words=refusal)
            return differing

    def _compare(self) -> set[Server]:
        """At the first look: tell which servers HAProxy has otherwise; gives those it has down.

        What HAProxy was told last may be newer than what a killed process wrote down, so these stay down until the next
        look, a second later, or until their checks have spoken.
        """
        listener, self._disagrees = self._disagrees, None
        if listener is None:
            return set()
        differing = {n for n, have in self._told.items() if have.admin != "maint" and have.up != self._wanted[n].up}
        listener(differing)
        return {name for name in differing if self._wanted[name].up}

    async def _push(self) -> None:
        async with self._lock:
            with self._failures():
                await self._send()

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except EngineRefused as failure:
            self._broken = self._reread = True
            words = f"{failure.message}: {failure.words}"
            if words != self._reported_away:
                log.warning("%s; checks go on, and HAProxy is told when it answers", words)
                self._reported_away = words
            raise
        if self._broken and self._reported_away:
            log.warning("HAProxy answers again")
        self._broken, self._reported_away = False, ""

    async def _send(self) -> tuple[int, str]:
        """Send what is dirty; returns for how many servers, and the first refusal. Call it with the lock held."""
        dirty, self._dirty = self._dirty, set()
        drops = sorted(self._drops)
        changes = [(name, self._told.get(name), self._wanted[name]) for name in sorted(dirty) if name in self._wanted]
        steps = operations(changes, drops)
        wants = {name: want for name, _, want in changes}
        try:
            refusal = await self._tell(steps, wants)
        except EngineRefused:
            self._dirty |= dirty
            raise
        self._drops.difference_update(drops)
        if self._old_drops:
            await self._drop_in_old_workers()
        return len({name for name, _ in steps}), refusal

    async def _tell(self, steps: list[tuple[Server, Operation]], wants: Mapping[Server, Wanted]) -> str:
        """Run operations on the worker and note what it was told; returns the first refusal, or nothing."""
        lines = [(name, line) for name, operation in steps for line in commands(operation)]
        sent, refusal = 0, ""
        refused: set[Server] = set()
        for batch, count in _counted([line for _, line in lines]):
            said = answers(await ask(self._worker, batch, timeout=ASK_SECONDS))
            if len(said) != count:
                raise EngineRefused("HAProxy's answers do not match the commands", words=" | ".join(said)[:200])
            for (name, line), answer in zip(lines[sent : sent + count], said, strict=True):
                if not answer:
                    continue
                refused.add(name)
                if not is_missing(answer):
                    refusal = refusal or f"{line}: {answer}"
                    if (name, answer) not in self._reported:
                        self._reported.add((name, answer))
                        log.warning("HAProxy refused %r: %s", line, answer)
            sent += count
        self._incomplete = bool(refused)
        for name, want in wants.items():
            if name in refused or name not in self._wanted:
                self._told.pop(name, None)
            else:
                before = self._told.get(name)
                weight = want.weight if want.weight is not None else before.weight if before is not None else -1
                self._told[name] = Have(want.up, want.admin, weight)
        return refusal

    async def _drop_in_old_workers(self) -> None:
        """Cut the sessions that old workers still hold. A failure is reported and tried again at the next reconcile."""
        drops = sorted(self._old_drops)
        try:
            for pid in await self._old_workers():
                try:
                    await self._drop_in_old_worker(pid, drops)
                except EngineRefused:
                    # A worker that ended meanwhile leaves the question without an answer, and has no session left.
                    if pid in await self._old_workers():
                        raise
        except EngineRefused as failure:
            log.warning(
                "Sessions in old workers were not dropped, trying again: %s: %s", failure.message, failure.words
            )
            return
        self._old_drops.difference_update(drops)

    async def _old_workers(self) -> list[int]:
        return old_workers(await ask(self._master, f"show proc{_QUIT}", timeout=ASK_SECONDS))

    async def _drop_in_old_worker(self, pid: int, drops: list[Server]) -> None:
        # In the master's CLI the prefix holds for one command only, and `;` goes back to the master.
        listed = await ask(self._master, f"@!{pid} show sess{_QUIT}", timeout=ASK_SECONDS)
        cut = [f"@!{pid} shutdown session {pointer}" for pointer in sessions_of(listed, frozenset(drops))]
        for batch in batches(cut):
            await ask(self._master, f"{batch}{_QUIT}", timeout=ASK_SECONDS)

    def _worker_identity(self) -> tuple[int, int] | None:
        """Changes when HAProxy was started anew and has bound a new socket; a reload keeps it."""
        try:
            found = self._worker.stat()
        except OSError:
            return None
        return found.st_ino, found.st_ctime_ns


def _counted(lines: list[str]) -> list[tuple[str, int]]:
    """Batches with the number of commands in each; a `;` may also be inside a quoted word."""
    found: list[tuple[str, int]] = []
    position = 0
    for batch in batches(lines):
        count, size = 0, -1
        while size < len(batch):
            size += len(lines[position + count]) + 1
            count += 1
        found.append((batch, count))
        position += count
    return found
