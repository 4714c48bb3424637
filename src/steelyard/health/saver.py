"""When the durable files are written: at most once per 200 ms, in a thread, and always before the process ends.

A change of verdict is written soon. Transcripts change with every check; they ride along with the next such write, or
are written every `LAZY_SECONDS`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from steelyard.health.files import write_whole

log = logging.getLogger(__name__)

#: Seconds between two writes of one file, and after a write that failed.
SOON_SECONDS = 0.2
LAZY_SECONDS = 20.0
RETRY_SECONDS = 5.0


class Saver:
    """Writes one file when it is told to; `content` is called just before each write."""

    def __init__(self, path: Path, content: Callable[[], list[str]]) -> None:
        self._path = path
        self._content = content
        self._soon = asyncio.Event()
        self._dirty = False

    def soon(self) -> None:
        """The content has changed."""
        self._dirty = True
        self._soon.set()

    def later(self) -> None:
        """The content has changed in a way that may wait."""
        self._dirty = True

    async def run(self) -> None:
        """Write whenever there is something to write, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(LAZY_SECONDS):
                    await self._soon.wait()
            except TimeoutError:
                # Nothing urgent: what may wait has waited long enough.
                pass
            self._soon.clear()
            if self._dirty and not await self._write():
                await asyncio.sleep(RETRY_SECONDS)
                self.soon()
            await asyncio.sleep(SOON_SECONDS)

    def finish(self) -> None:
        """The last write, at the end of the process. Call it after `run` has ended."""
        if self._dirty:
            self._dirty = False
            try:
                write_whole(self._path, self._content())
            except OSError as failure:
                log.error("%s cannot be written: %s", self._path, failure)

    async def _write(self) -> bool:
        self._dirty = False
        content = self._content()
        # A write that has begun is finished even when this task is cancelled; `finish` must not overtake it.
        writing = asyncio.ensure_future(asyncio.to_thread(write_whole, self._path, content))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            self._dirty = True
            await asyncio.wait({writing})
            raise
        except OSError as failure:
            log.error("%s cannot be written, trying again: %s", self._path, failure)
            return False
        return True
