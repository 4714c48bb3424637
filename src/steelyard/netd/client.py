"""How others speak to `steelyard-netd`. Each request has its own connection, so either side may restart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from steelyard.engines.layer4.contract import Record, ServiceTraffic, Traffic
from steelyard.model.errors import EngineRefused
from steelyard.netd.protocol import LINE_BYTES, NetdStatus, standings_json
from steelyard.plan.kernel import KernelChange, KernelPlan
from steelyard.plan.layer4 import ServerName, Standings

ANSWER_SECONDS = 20.0


class SendWhole(EngineRefused):
    """The change was worked out against something that is not in force there."""


class GoneBack(EngineRefused):
    """A change of the host's network that nobody confirmed has gone back, and whoever asks does not know yet."""


class NetdClient:
    """Asks `steelyard-netd`. Every method raises `EngineRefused` when it does not answer or says no."""

    def __init__(self, socket_path: Path | str) -> None:
        self._path = Path(socket_path)

    async def replace_plan(
        self, plan: KernelPlan, generation: str, confirm: float | None = None, knows_undone: str = ""
    ) -> None:
        """Have exactly that plan. `confirm`: the host's network goes back after so many seconds (5-3600).

        Raises `GoneBack` unless `knows_undone` is the `undone` of its status.
        """
        dumped = plan.model_dump(mode="json")
        await self._ask(
            {"op": "plan", "plan": dumped, "generation": generation, "confirm": confirm, "knows_undone": knows_undone}
        )

    async def change(self, base: str, change: KernelChange, generation: str, confirm: float | None = None) -> None:
        """Have these objects. Raises `SendWhole` when `base` is not in force there, `GoneBack` as `replace_plan`."""
        dumped = change.model_dump(mode="json")
        await self._ask({"op": "change", "base": base, "change": dumped, "generation": generation, "confirm": confirm})

    async def check(self, base: str, change: KernelChange) -> tuple[str, ...]:
        """What that change would do, in words. Raises when it would be refused, and `SendWhole` as `change`."""
        dumped = change.model_dump(mode="json")
        return tuple((await self._ask({"op": "check", "base": base, "change": dumped}))["operations"])

    async def tell(self, standings: Standings, *, whole: bool = False) -> None:
        """Say what the checks found; `whole` says that servers not named have no verdict."""
        await self._ask({"op": "tell", "standings": standings_json(standings), "whole": whole})

    async def drop(self, servers: Iterable[ServerName]) -> None:
        """Cut every open connection of these servers."""
        await self._ask({"op": "drop", "servers": ["/".join(name) for name in servers]})

    async def traffic(self) -> Mapping[str, ServiceTraffic]:
        """Counters of every layer-4 service, by key."""
        found = (await self._ask({"op": "traffic"}))["traffic"]
        return {
            key: ServiceTraffic(
                Traffic(**one["whole"]), {server: Traffic(**more) for server, more in one["servers"].items()}
            )
            for key, one in found.items()
        }

    async def records(self, service: str) -> tuple[Record, ...]:
        """The persistence records of a layer-4 service."""
        found = (await self._ask({"op": "records", "service": service}))["records"]
        return tuple(Record(**one) for one in found)

    async def flush_records(self, service: str) -> None:
        """Forget every persistence record of a layer-4 service."""
        await self._ask({"op": "flush_records", "service": service})

    async def confirm(self, generation: str) -> None:
        """Keep the change of the host's network that made this generation."""
        await self._ask({"op": "confirm", "generation": generation})

    async def undo(self, generation: str) -> None:
        """Take that change back now."""
        await self._ask({"op": "undo", "generation": generation})

    async def status(self) -> NetdStatus:
        """How it is."""
        return NetdStatus.from_json(await self._ask({"op": "status"}))

    async def rest(self) -> None:
        """End what services have, layer 4 and their addresses; the host's own network stays."""
        await self._ask({"op": "rest"})

    async def clear(self) -> None:
        """Remove all that is ours from the kernel, and nothing else."""
        await self._ask({"op": "clear"})

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        answer = await self._exchange(request)
        if answer.get("ok"):
            return answer
        kind = SendWhole if answer.get("send_whole") else GoneBack if answer.get("undone") else EngineRefused
        raise kind(str(answer.get("error", "steelyard-netd refused")), words=str(answer.get("words", "")))

    async def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                reader, writer = await asyncio.open_unix_connection(str(self._path), limit=LINE_BYTES)
                try:
                    writer.write(json.dumps(request, separators=(",", ":")).encode() + b"\n")
                    await writer.drain()
                    line = await reader.readline()
                finally:
                    writer.close()
        except (OSError, TimeoutError) as failure:
            raise EngineRefused(
                f"steelyard-netd does not answer on {self._path}", words=str(failure) or "timed out"
            ) from failure
        if not line.endswith(b"\n"):
            raise EngineRefused(f"steelyard-netd closed {self._path} without an answer")
        found: dict[str, Any] = json.loads(line)
        return found
