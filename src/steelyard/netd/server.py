"""The socket of `steelyard-netd`: who may speak, what was said, and the clock of what waits to be confirmed.

Whoever is of the same user, root, or a user named at the start may speak; the kernel says who it is (SO_PEERCRED).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from steelyard.engines.privilege import peer_user
from steelyard.engines.supervisor import say_ready
from steelyard.model.errors import SteelyardError
from steelyard.netd.keeper import HasGoneBack, Keeper, UnknownBase
from steelyard.netd.protocol import (
    LINE_BYTES,
    ChangePlan,
    CheckChange,
    Drop,
    OfGeneration,
    OfService,
    ReplacePlan,
    Tell,
)

log = logging.getLogger("steelyard.netd")

#: seconds between two looks at whether others have changed what is ours
REPAIR_SECONDS = 30.0
_SAVE_SECONDS = 0.2
_ANNOUNCE_SECONDS = 1.0
_STRANGER_SECONDS = 2.0

Answer = dict[str, Any]
_T = TypeVar("_T")


class NetdServer:
    """Answers requests about one keeper, which works in a thread of its own."""

    def __init__(self, keeper: Keeper, path: Path, users: frozenset[int]) -> None:
        self._keeper = keeper
        self._path = path
        self._users = users
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="keeper")
        self._beside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="looking")
        self._connections: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._unsaved = asyncio.Event()
        self._untold = asyncio.Event()

    async def run(self) -> None:
        """Bring the kernel to what was kept, then serve until cancelled; the socket's file goes then."""
        self._loop = asyncio.get_running_loop()
        await self._do(self._keeper.start)
        self._path.unlink(missing_ok=True)
        before = os.umask(0o111)
        try:
            # Anybody may open it as far as its directory lets them; who it is decides.
            server = await asyncio.start_unix_server(self._connected, str(self._path), limit=LINE_BYTES)
        finally:
            os.umask(before)
        say_ready()
        self._untold.set()
        watchers = [
            asyncio.create_task(watch()) for watch in (self._undo_overdue, self._repair, self._save, self._announce)
        ]
        try:
            await asyncio.gather(*watchers)
        finally:
            server.close()
            self._path.unlink(missing_ok=True)
            for task in (*watchers, *self._connections):
                task.cancel()
            await self._do(self._keeper.save_standings)
            self._beside.shutdown()
            self._thread.shutdown()

    async def _do(self, action: Callable[[], _T]) -> _T:
        return await self._loop.run_in_executor(self._thread, action)

    # --- what happens by itself

    async def _undo_overdue(self) -> None:
        while True:
            self._wake.clear()
            left = self._keeper.confirm_left()
            try:
                # a look in between, because a clock that is set moves the end
                async with asyncio.timeout(None if left is None else min(left + 0.01, 1.0)):
                    await self._wake.wait()
            except TimeoutError:
                await self._guarded(self._keeper.undo_overdue)

    async def _repair(self) -> None:
        while True:
            await asyncio.sleep(REPAIR_SECONDS)
            if self._keeper.has_problems or not await self._looked(self._keeper.is_repaired):
                await self._guarded(self._keeper.repair)

    async def _save(self) -> None:
        while True:
            await self._unsaved.wait()
            self._unsaved.clear()
            await asyncio.sleep(_SAVE_SECONDS)
            await self._guarded(self._keeper.save_standings)

    async def _announce(self) -> None:
        while True:
            await self._untold.wait()
            await asyncio.sleep(_ANNOUNCE_SECONDS)
            self._untold.clear()
            if await self._guarded(self._keeper.announce):
                self._untold.set()

    async def _looked(self, look: Callable[[], _T]) -> _T | None:
        """Look at the kernel in another thread: with thousands of objects it takes a while, and changes go before."""
        try:
            return await self._loop.run_in_executor(self._beside, look)
        except SteelyardError:
            # whoever needs it looks again and says so
            return None
        except Exception:
            log.exception("Looking at the kernel failed")
            return None

    async def _guarded(self, action: Callable[[], _T]) -> _T | None:
        try:
            return await self._do(action)
        except Exception:
            # told by the log; a bug in one of these must not end the process that keeps the network
            log.exception("What happens by itself failed")
            return None

    # --- requests

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        try:
            user = peer_user(writer.get_extra_info("socket"))
            if user not in self._users:
                log.warning("a connection of user %s was refused", user)
                await _pass_over_line(reader)
                writer.write(_line({"ok": False, "error": f"User {user} may not speak to steelyard-netd"}))
                await writer.drain()
                return
            while line := await reader.readline():
                writer.write(_line(await self._answer(line)))
                await writer.drain()
        except (OSError, ValueError) as failure:
            log.info("A connection ended: %s", failure)
        except asyncio.CancelledError:
            # only the end of the process cancels one
            pass
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> Answer:
        number: Any = None
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise ValueError("a request is a JSON object")
            number = request.get("id")
            handlers = self._handlers()
            handler = handlers.get(str(request.get("op")))
            if handler is None:
                raise ValueError(f"unknown op {request.get('op')!r}; known are {', '.join(handlers)}")
            if request.get("op") == "traffic":
                await self._looked(self._keeper.look)
            answer = {"ok": True, **await self._do(lambda: handler(request))}
            self._wake.set()
            self._untold.set()
        except ValidationError as failure:
            answer = {"ok": False, "error": _said(failure)}
        except SteelyardError as failure:
            answer = {
                "ok": False,
                "error": failure.message,
                "words": str(failure.details().get("words", "")),
                "send_whole": isinstance(failure, UnknownBase),
                "undone": isinstance(failure, HasGoneBack),
            }
        except (ValueError, RecursionError) as failure:
            answer = {"ok": False, "error": str(failure)}
        except Exception as failure:
            log.exception("A request failed in itself")
            answer = {"ok": False, "error": f"internal error: {failure!r}"}
        if number is not None:
            answer["id"] = number
        return answer

    def _handlers(self) -> dict[str, Callable[[Answer], Answer]]:
        return {
            "plan": self._plan,
            "change": self._change,
            "check": self._check,
            "tell": self._tell,
            "drop": self._drop,
            "traffic": self._traffic,
            "records": self._records,
            "flush_records": self._flush_records,
            "confirm": self._confirm,
            "undo": self._undo,
            "status": lambda request: self._keeper.status().as_json(),
            "rest": self._rest,
            "clear": self._clear,
        }

    # these run in the keeper's thread, parsing included: a plan of a thousand services takes a while

    def _plan(self, request: Answer) -> Answer:
        asked = ReplacePlan.model_validate(request)
        self._keeper.replace_plan(asked.plan, asked.generation, asked.confirm, asked.knows_undone)
        return {}

    def _change(self, request: Answer) -> Answer:
        asked = ChangePlan.model_validate(request)
        self._keeper.change(asked.base, asked.change, asked.generation, asked.confirm, asked.knows_undone)
        return {}

    def _check(self, request: Answer) -> Answer:
        asked = CheckChange.model_validate(request)
        return {"operations": self._keeper.check(asked.base, asked.change)}

    def _tell(self, request: Answer) -> Answer:
        asked = Tell.model_validate(request)
        self._keeper.tell(asked.values(), whole=asked.whole)
        self._unsaved_soon()
        return {}

    def _unsaved_soon(self) -> None:
        self._loop.call_soon_threadsafe(self._unsaved.set)

    def _drop(self, request: Answer) -> Answer:
        self._keeper.drop(Drop.model_validate(request).names())
        return {}

    def _traffic(self, request: Answer) -> Answer:
        return {"traffic": {key: asdict(one) for key, one in self._keeper.traffic().items()}}

    def _records(self, request: Answer) -> Answer:
        return {"records": [asdict(one) for one in self._keeper.records(OfService.model_validate(request).service)]}

    def _flush_records(self, request: Answer) -> Answer:
        self._keeper.flush_records(OfService.model_validate(request).service)
        return {}

    def _confirm(self, request: Answer) -> Answer:
        self._keeper.confirm(OfGeneration.model_validate(request).generation)
        return {}

    def _undo(self, request: Answer) -> Answer:
        self._keeper.undo(OfGeneration.model_validate(request).generation)
        return {}

    def _rest(self, request: Answer) -> Answer:
        self._keeper.rest()
        return {}

    def _clear(self, request: Answer) -> Answer:
        self._keeper.clear()
        return {}


async def _pass_over_line(reader: asyncio.StreamReader) -> None:
    """Read a stranger's request without keeping it: an answer to one that is still writing would be lost."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_STRANGER_SECONDS):
            while chunk := await reader.read(65536):
                if b"\n" in chunk:
                    return


def _line(data: Answer) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode() + b"\n"


def _said(failure: ValidationError) -> str:
    faults = failure.errors(include_input=False, include_url=False)
    return "; ".join(f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in faults[:3])
