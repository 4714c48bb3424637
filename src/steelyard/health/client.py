"""The control plane's side of the control socket. Each request has its own connection, so it survives a restart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from steelyard.health.status import LINE_BYTES, Event, TargetStatus
from steelyard.health.transcript import Transcript
from steelyard.health.weight_status import WeightStatus
from steelyard.model.errors import EngineRefused
from steelyard.plan.health import HealthPlan, Service

#: Seconds the process may take for an answer, beyond what the request itself asks it to wait.
ANSWER_SECONDS = 10.0


class HealthClient:
    """Asks the checking process. Every method raises `EngineRefused` when it does not answer or says no.

    `secret` finds a password among the secrets: the compiler knows only their names.
    """

    def __init__(self, socket_path: Path | str, secret: Callable[[str], bytes] | None = None) -> None:
        self._path = Path(socket_path)
        self._secret = secret

    async def replace_plan(self, plan: HealthPlan) -> None:
        """Replace everything that is watched."""
        dumped = plan.model_dump(mode="json")
        for service in dumped["services"].values():
            self._fill_in(service)
        await self._ask({"op": "plan", "plan": dumped})

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
            "services": {key: None if one is None else self._dumped(one) for key, one in services.items()},
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

    async def weights(self, services: Sequence[str] | None = None) -> dict[str, WeightStatus]:
        """The weights of these services' servers, or of all, by "service/server"; only of those whose weights move."""
        answer = await self._ask({"op": "weights", "services": None if services is None else list(services)})
        return {name: WeightStatus.from_json(one) for name, one in answer["weights"].items()}

    async def set_weights(self, service: str, weights: Mapping[str, int], seconds: float, *, replace: bool) -> None:
        """Set weights from outside for a time; `replace` ends those of all other servers of the service."""
        request = {"op": "weigh", "service": service, "weights": dict(weights), "seconds": seconds, "replace": replace}
        await self._ask(request)

    async def subscribe(self, after: str | None = None, number: int = 0) -> AsyncIterator[Event]:
        """Events from the first step of the iterator on; ends with `EngineRefused` when the process goes away.

        With a run, what came after event `number` of it and is still known comes first; with the name of another run
        everything that is still known.
        """
        request = {"op": "subscribe", "after": after, "number": number}
        async with self._connected(ANSWER_SECONDS) as (reader, writer):
            answer = await self._exchange(reader, writer, request, ANSWER_SECONDS)
            for missed in answer.get("missed", ()):
                yield Event.from_json(missed)
            while True:
                try:
                    line = await reader.readline()
                except OSError as failure:
                    raise self._silent(failure) from failure
                if not line.endswith(b"\n"):
                    raise EngineRefused("The checking process has ended the subscription")
                yield Event.from_json(json.loads(line))

    def _dumped(self, service: Service) -> dict[str, Any]:
        data = service.model_dump(mode="json")
        self._fill_in(data)
        return data

    def _fill_in(self, service: dict[str, Any]) -> None:
        """Put the passwords into a service's checks, which name them."""
        for check in (service["check"], *(further["check"] for further in service.get("further", ()))):
            directory = check.get("directory")
            if directory and directory["password_key"] and self._secret is not None:
                directory["password"] = self._secret(directory["password_key"]).decode()

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
