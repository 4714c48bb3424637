"""The control socket: a Unix socket of mode 0600 that speaks lines of JSON, one request and one answer each.

A request is `{"op": ..., "id": ...}`; its answer carries the same `id` and `ok`. Requests of one connection are
answered in order. A line that cannot be understood gets an answer too. The answer to `subscribe` has the events that
came after the one the request names, and from then on events are sent between answers; a subscriber that does not read
is cut off, so that it cannot fill the memory.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from steelyard.engines.supervisor import say_ready
from steelyard.health.checker import Checker
from steelyard.health.status import LINE_BYTES, Event
from steelyard.model.errors import SteelyardError
from steelyard.plan.health import HealthPlan, Service

log = logging.getLogger(__name__)

#: Unread events after which a subscriber is cut off.
BACKLOG_BYTES = 16 * 1024 * 1024
#: Statuses gathered before the checks get their turn again.
AT_A_TIME = 250
#: Longest a caller may ask to wait, in seconds.
LONGEST_WAIT = 60.0

Answer = dict[str, Any]


class _Request(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Plan(_Request):
    plan: HealthPlan


class _Update(_Request):
    services: dict[str, Service | None] = Field(default_factory=dict)
    drain_seconds: int | None = None
    drop_at_drain_end: bool | None = None
    wait: float = Field(0.0, ge=0, le=LONGEST_WAIT)


class _Transcripts(_Request):
    target: str


class _Weights(_Request):
    services: list[str] | None = None


class _Weigh(_Request):
    service: str
    weights: dict[str, int]
    seconds: float = Field(gt=0)
    replace: bool = False


class _Subscribe(_Request):
    after: str | None = None
    number: int = Field(0, ge=0)


class ControlServer:
    """Answers requests about one checker."""

    def __init__(self, checker: Checker, path: Path) -> None:
        self._checker = checker
        self._path = path
        self._connections: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until cancelled; the socket's file goes then."""
        before = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(self._connected, str(self._path), limit=LINE_BYTES)
        finally:
            os.umask(before)
        say_ready()
        try:
            await asyncio.Event().wait()
        finally:
            server.close()
            self._path.unlink(missing_ok=True)
            for task in tuple(self._connections):
                task.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        ends: list[Callable[[], None]] = []
        try:
            while line := await reader.readline():
                answer, subscribe = await self._answer(line)
                writer.write(_line(answer))
                if subscribe and not ends:
                    ends.append(self._checker.listen(lambda event: _tell(writer, event)))
                await writer.drain()
        except (OSError, ValueError) as failure:
            # The other side has gone, or sent an endless line: nobody is left to be told but the log.
            log.info("A control connection ended: %s", failure)
        except asyncio.CancelledError:
            # Only the end of the process cancels a connection; asyncio would log it as an error.
            pass
        finally:
            for end in ends:
                end()
            writer.close()

    async def _answer(self, line: bytes) -> tuple[Answer, bool]:
        """The answer to one line, and whether it subscribes."""
        number: Any = None
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise ValueError("a request is a JSON object")
            number = request.get("id")
            op = request.get("op")
            handler = self._handlers().get(op) if isinstance(op, str) else None
            if handler is None:
                raise ValueError(f"unknown op {op!r}; known are {', '.join(self._handlers())}")
            answer = {"ok": True, **await handler(request)}
        except ValidationError as failure:
            answer, op = {"ok": False, "error": _said(failure)}, None
        except SteelyardError as failure:
            answer, op = {"ok": False, "error": failure.message, **failure.details()}, None
        except (ValueError, RecursionError) as failure:
            answer, op = {"ok": False, "error": str(failure)}, None
        except Exception as failure:
            log.exception("A request failed in itself")
            answer, op = {"ok": False, "error": f"internal error: {failure!r}"}, None
        if number is not None:
            answer["id"] = number
        return answer, op == "subscribe"

    def _handlers(self) -> dict[str, Callable[[Answer], Awaitable[Answer]]]:
        return {
            "plan": self._plan,
            "update": self._update,
            "sync": self._sync,
            "snapshot": self._snapshot,
            "transcripts": self._transcripts,
            "subscribe": self._subscribe,
            "weights": self._weights,
            "weigh": self._weigh,
        }

    async def _plan(self, request: Answer) -> Answer:
        plan = _Plan.model_validate(request).plan
        _refuse_other_names(plan.services)
        self._checker.replace(plan)
        return {}

    async def _update(self, request: Answer) -> Answer:
        update = _Update.model_validate(request)
        _refuse_other_names(update.services)
        self._checker.update(update.services, update.drain_seconds, update.drop_at_drain_end)
        await self._checker.first_verdicts(update.services, update.wait)
        return await self._verdicts(self._checker.board.with_followers(update.services))

    async def _sync(self, request: Answer) -> Answer:
        return {"repaired": await self._checker.pusher.reconcile()}

    async def _snapshot(self, request: Answer) -> Answer:
        return await self._verdicts(None)

    async def _transcripts(self, request: Answer) -> Answer:
        target = _Transcripts.model_validate(request).target
        service, _, key = target.partition("/")
        known = self._checker.board.find((service, key))
        if known is None:
            raise ValueError(f"unknown target {target!r}")
        return {"transcripts": [transcript.as_json() for transcript in await self._checker.transcripts(known)]}

    async def _subscribe(self, request: Answer) -> Answer:
        """What came since the event the subscriber names. Nothing else runs until it is subscribed."""
        known = _Subscribe.model_validate(request)
        if known.after is None:
            return {}
        return {"missed": [event.as_json() for event in self._checker.recent.after(known.after, known.number)]}

    async def _weights(self, request: Answer) -> Answer:
        statuses = self._checker.weighing.statuses(_Weights.model_validate(request).services)
        return {"weights": {"/".join(name): status.as_json() for name, status in statuses.items()}}

    async def _weigh(self, request: Answer) -> Answer:
        asked = _Weigh.model_validate(request)
        await self._checker.weighing.set_external(asked.service, asked.weights, asked.seconds, replace=asked.replace)
        return {}

    async def _verdicts(self, services: Iterable[str] | None) -> Answer:
        verdicts: dict[str, Any] = {}
        for count, (name, known) in enumerate(list(self._checker.board.targets(services)), start=1):
            verdicts["/".join(name)] = self._checker.board.status(known).as_json()
            if count % AT_A_TIME == 0:
                await asyncio.sleep(0)
        return {"verdicts": verdicts}


def _refuse_other_names(services: Mapping[str, Service | None]) -> None:
    for key, service in services.items():
        if service is not None and service.key != key:
            raise ValueError(f"the service under {key!r} calls itself {service.key!r}")


def _line(data: Answer) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode() + b"\n"


def _tell(writer: asyncio.StreamWriter, event: Event) -> None:
    if writer.transport.get_write_buffer_size() > BACKLOG_BYTES:
        writer.transport.abort()
    elif not writer.is_closing():
        writer.write(_line(event.as_json()))


def _said(failure: ValidationError) -> str:
    """The first three faults of a request; input values are left out, they may be secrets."""
    faults = failure.errors(include_input=False, include_url=False)
    return "; ".join(f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in faults[:3])
