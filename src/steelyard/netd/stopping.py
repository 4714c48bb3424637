"""Ending the `steelyard-netd` of a state directory, and with it what services have in the kernel."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

from steelyard.engines.running import ended, running_with
from steelyard.model.errors import SteelyardError
from steelyard.netd.client import NetdClient


def stop_services(socket: Path) -> None:
    """Have a `steelyard-netd` that somebody else runs end what services have in the kernel. Raises `EngineRefused`."""
    asyncio.run(NetdClient(socket).rest())


def stop_netd(root: Path) -> bool:
    """End it and wait; whether it ran. The host's own network stays. The control plane must have ended before."""
    found = running_with("steelyard.netd.main", root / "netd")
    if not found:
        return False
    asyncio.run(_stop(root, found))
    return True


async def _stop(root: Path, pids: list[int]) -> None:
    # one that does not answer is ended all the same
    with contextlib.suppress(SteelyardError):
        await NetdClient(root / "run" / "netd.sock").rest()
    for pid in pids:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, TimeoutError):
                os.kill(pid, number)
                async with asyncio.timeout(5):
                    await ended(pid)
                break
