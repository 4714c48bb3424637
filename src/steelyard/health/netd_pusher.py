"""Tells `steelyard-netd` the verdicts, for services at layer 4, and makes sure it has heard them.

A change is pushed at once. Every `RECONCILE_SECONDS`, at start and after a failure everything is told anew, so a
restart of the other side or a lost request repairs itself. While it is away the wanted states wait here; the kernel
meanwhile keeps what it was told last. Nothing is done while no service runs at layer 4.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from steelyard.health.effects import Wanted
from steelyard.health.steps import Server
from steelyard.model.errors import EngineRefused
from steelyard.netd.client import NetdClient
from steelyard.plan.layer4 import Standing

log = logging.getLogger(__name__)

RECONCILE_SECONDS = 20.0
WATCH_SECONDS = 1.0
FIRST_DELAY, LAST_DELAY = 0.1, 5.0


class NetdPusher:
    """Wanted states of every server at layer 4, and the one task that brings them into the kernel.

    `sockets` are where the process may listen; the first that is there counts.
    """

    def __init__(self, sockets: Sequence[Path]) -> None:
        self._sockets = tuple(sockets)
        self._wanted: dict[Server, Standing] = {}
        self._dirty: set[Server] = set()
        self._drops: set[Server] = set()
        self._whole = False
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._reported = ""

    def want(self, states: Mapping[Server, Wanted | None], drops: Iterable[Server] = ()) -> None:
        """Take new wanted states; None forgets a server."""
        for name, want in states.items():
            if want is None:
                self._wanted.pop(name, None)
                self._dirty.discard(name)
            else:
                self._wanted[name] = standing(want)
                self._dirty.add(name)
        self._drops.update(drops)
        if self._dirty or self._drops:
            self._idle.clear()
            self._wake.set()

    async def flush(self, timeout: float) -> None:
        """Wait until all that is wanted was told once, at most `timeout` seconds; not while nobody listens."""
        if not self._reported:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._idle.wait()

    async def run(self) -> None:
        """Tell until cancelled."""
        delay = FIRST_DELAY
        self._whole = True
        while True:
            self._wake.clear()
            try:
                await self._push()
            except EngineRefused as failure:
                self._idle.set()
                self._whole = True
                if self._reported != failure.message:
                    log.warning("steelyard-netd cannot be told: %s (%s)", failure.message, failure.words)
                    self._reported = failure.message
                await asyncio.sleep(delay)
                delay = min(delay * 2, LAST_DELAY)
                continue
            if self._reported:
                log.info("steelyard-netd hears the verdicts again")
            self._reported, delay = "", FIRST_DELAY
            if not self._dirty and not self._drops:
                self._idle.set()
                await self._rest()

    async def _rest(self) -> None:
        """Until there is something to tell: a change, another listener, or that it is time to tell all again."""
        loop = asyncio.get_running_loop()
        end, listener = loop.time() + RECONCILE_SECONDS, self._identity()
        while not self._whole:
            try:
                async with asyncio.timeout(WATCH_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                self._whole = loop.time() >= end or self._identity() != listener
            else:
                return

    def _identity(self) -> tuple[int, int] | None:
        """Which socket is listened on: another process has another one, maybe under the same number."""
        for path in self._sockets:
            with contextlib.suppress(OSError):
                found = path.stat()
                return found.st_ino, found.st_ctime_ns
        return None

    async def _push(self) -> None:
        # what changes while this is told is for the next turn
        whole, told, drops = self._whole, self._dirty, self._drops
        self._whole, self._dirty, self._drops = False, set(), set()
        if not self._sockets or not (self._wanted or drops):
            return
        client = NetdClient(next((one for one in self._sockets if one.exists()), self._sockets[0]))
        try:
            if whole or told:
                names = self._wanted.keys() if whole else told & self._wanted.keys()
                await client.tell({name: self._wanted[name] for name in names}, whole=whole)
            if drops:
                # after the verdict: a client whose connection is cut comes back at once
                await client.drop(sorted(drops))
        except EngineRefused:
            self._drops |= drops
            raise


def standing(want: Wanted) -> Standing:
    """A wanted state as the kernel is told it: layer 4 knows no draining, only whether clients come."""
    return Standing(want.up and want.admin == "ready", want.weight)


__all__ = ["NetdPusher", "standing"]
