"""The control plane's side of the control socket. Each request has its own connection, so it survives a restart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from steelyard.health.status import LINE_BYTES, Event, TargetStatus
from steelyard.health.transcript import Transcript
from steelyard.model.errors import EngineRefused
from steelyard.plan.health import HealthPlan, Service

#: Seconds the process may take for an answer, beyond what the request itself asks it to wait.
ANSWER_SECONDS = 10.0


class HealthClient:
    """Asks the checking process. Every method raises `EngineRefused` when it does not answer or says no."""

    def __init__(self, socket_path: Path | str) -> None:
        self._path = Path(socket_path)

    async def replace_plan(self, plan: HealthPlan) -> None:
        """Replace everything that is watched."""
        await self._ask({"op": "plan", "plan": plan.model_dump(mode="json")})

    async def update(
        self,
        services: Mapping[str, Service | None],
        *,
        drain_seconds: int | None = None,
        drop_at_drain_end: bool | None = None,
        wait: float = 0.3,
    ) -> dict[str, TargetStatus]:
        """Replace some services (None removes one) and return their targets' statuses.

        Answers when every target has its first verdict, or after `wait` seconds (0-60). Settings left out stay.
        """
        request: dict[str, Any] = {
            "op": "update",
            "services": {key: None if one is None else one.model_dump(mode="json") for key, one in services.items()},
            "wait": wait,
        }
        if drain_seconds is not None:
            request["drain_seconds"] = drain_seconds
        if drop_at_drain_end is not None:
            request["drop_at_drain_end"] = drop_at_drain_end
        return _statuses(await self._ask(request, extra=wait))

    async def sync(self) -> int:
        """HAProxy was reloaded or restarted: returns, once it has every verdict, how many servers differed."""
        return int((await self._ask({"op": "sync"}))["repaired"])

    async def snapshot(self) -> dict[str, TargetStatus]:
        """Every target's status, by "service/server"."""
        return _statuses(await self._ask({"op": "snapshot"}))

    async def transcripts(self, target: str) -> list[Transcript]:
        """The last 20 attempts at "service/server", newest first."""
        answer = await self._ask({"op": "transcripts", "target": target})
        return [Transcript.from_json(one) for one in answer["transcripts"]]

    async def subscribe(self) -> AsyncIterator[Event]:
        """Events from the first step of the iterator on; ends with `EngineRefused` when the process goes away."""
        async with self._connected(ANSWER_SECONDS) as (reader, writer):
            await self._exchange(reader, writer, {"op": "subscribe"}, ANSWER_SECONDS)
            while True:
                try:
                    line = await reader.readline()
                except OSError as failure:
                    raise self._silent(failure) from failure
                if not line.endswith(b"\n"):
                    raise EngineRefused("The checking process has ended the subscription")
                yield Event.from_json(json.loads(line))

    async def _ask(self, request: dict[str, Any], *, extra: float = 0.0) -> dict[str, Any]:
        timeout = ANSWER_SECONDS + extra
        async with self._connected(timeout) as (reader, writer):
            return await self._exchange(reader, writer, request, timeout)

    @asynccontextmanager
    async def _connected(self, timeout: float) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        try:
            async with asyncio.timeout(timeout):
                reader, writer = await asyncio.open_unix_connection(str(self._path), limit=LINE_BYTES)
        except (OSError, TimeoutError) as failure:
            raise self._silent(failure) from failure
        try:
            yield reader, writer
        finally:
            writer.close()

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: dict[str, Any], timeout: float
    ) -> dict[str, Any]:
        try:
            async with asyncio.timeout(timeout):
                writer.write(json.dumps(request, separators=(",", ":")).encode() + b"\n")
                await writer.drain()
                line = await reader.readline()
        except (OSError, TimeoutError) as failure:
            raise self._silent(failure) from failure
        if not line.endswith(b"\n"):
            raise EngineRefused(f"The checking process closed {self._path} without an answer")
        answer: dict[str, Any] = json.loads(line)
        if not answer.get("ok"):
            words = "; ".join(str(answer[name]) for name in ("error", "words") if answer.get(name))
            raise EngineRefused("The checking process refused the request", words=words)
        return answer

    def _silent(self, failure: BaseException) -> EngineRefused:
        return EngineRefused(f"The checking process does not answer on {self._path}", words=str(failure) or "timed out")


def _statuses(answer: Mapping[str, Any]) -> dict[str, TargetStatus]:
    return {name: TargetStatus.from_json(one) for name, one in answer["verdicts"].items()}
