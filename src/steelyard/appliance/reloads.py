"""Reloads, at most one a second: changes that come faster share the next one.

The first reload after a quiet second starts at once and its caller waits for it. Changes within that second are put
off to its end and reloaded together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

#: seconds from the start of one reload to the start of the next
SPACING = 1.0


class Reloads:
    """Runs one callback, spaced. The callback must reload to the newest plan there is."""

    def __init__(self, reload: Callable[[], Awaitable[None]]) -> None:
        self._reload = reload
        self._last = float("-inf")
        self._pending: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self.count = 0

    @property
    def pending(self) -> bool:
        """Whether a reload is put off or running."""
        return self._pending is not None or (self._task is not None and not self._task.done())

    def request(self) -> tuple[asyncio.Future[None], bool]:
        """Ask for a reload that includes everything planned by now: (its future, whether it starts at once)."""
        loop = asyncio.get_running_loop()
        if self._pending is None:
            self._pending = loop.create_future()
            # nobody need wait for it; the appliance marks the revisions of a failed one
            self._pending.add_done_callback(lambda future: future.exception())
        at_once = not (self._task is not None and not self._task.done()) and loop.time() >= self._last + SPACING
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return self._pending, at_once

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._pending is not None:
            delay = self._last + SPACING - loop.time()
            if delay > 0:
                await asyncio.sleep(delay)
            current, self._pending = self._pending, None
            self._last = loop.time()
            self.count += 1
            try:
                await self._reload()
            except Exception as failure:
                # whoever waits for this reload is told, bugs included; the next one must still be possible
                current.set_exception(failure)
            else:
                current.set_result(None)

    async def close(self) -> None:
        """Finish what is pending."""
        if self._task is not None:
            await self._task
