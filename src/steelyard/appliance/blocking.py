"""Calls that block for long, such as to a server that does not answer, in threads that nobody waits for at the end.

`asyncio.to_thread` has its threads waited for when the process ends: an authority that hangs would keep it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

_R = TypeVar("_R")


async def in_own_thread(call: Callable[[], _R]) -> _R:
    """What the call gives, or raises. Who is cancelled meanwhile leaves the thread to itself."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_R] = loop.create_future()

    def succeeded(result: _R) -> None:
        if not future.done():
            future.set_result(result)

    def failed(failure: Exception) -> None:
        if not future.done():
            future.set_exception(failure)

    def run() -> None:
        try:
            result = call()
        except Exception as failure:
            tell(failed, failure)
        else:
            tell(succeeded, result)

    def tell(outcome: Callable[[Any], None], value: Any) -> None:
        # the loop may have ended when the call does
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(outcome, value)

    threading.Thread(target=run, name="blocking-call", daemon=True).start()
    return await future
