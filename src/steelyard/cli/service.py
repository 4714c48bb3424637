"""The running control plane: the appliance behind its APIs, on TLS for the network and on a Unix socket for this host.

Peers of the socket are the user it belongs to (its directory has mode 0700), so they need no password.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from steelyard.api.cross_site import RefuseCrossSite
from steelyard.api.loadmaster import build_loadmaster_routes
from steelyard.api.native.app import PREFIX, build_native_app
from steelyard.appliance.startup import Started, admin_certificate, start_appliance

log = logging.getLogger("steelyard")


class _Server(uvicorn.Server):
    """A server whose end is decided by us: two of them cannot both own the process's signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def network_application(started: Started) -> Starlette:
    """LoadMaster's API and the native one, for the network."""
    native = Mount(PREFIX, app=build_native_app(started.appliance))
    return Starlette(
        routes=[*build_loadmaster_routes(started.appliance), native], middleware=[Middleware(RefuseCrossSite)]
    )


@contextlib.asynccontextmanager
async def running(
    state_dir: Path, address: str, port: int, *, haproxy: str | None = None, stop_engines: bool = False
) -> AsyncIterator[Started]:
    """Everything up while the context lasts. The engines go on after it unless `stop_engines`."""
    started = await start_appliance(state_dir, haproxy=haproxy)
    try:
        certificate = str(admin_certificate(started.layout, address))
        common = {"log_level": "warning", "lifespan": "off", "access_log": False, "server_header": False}
        network = _Server(
            uvicorn.Config(
                network_application(started),
                host=address,
                port=port,
                ssl_certfile=certificate,
                ssl_keyfile=certificate,
                timeout_graceful_shutdown=3,
                **common,  # type: ignore[arg-type]
            )
        )
        socket = started.layout.run / "api.sock"
        socket.unlink(missing_ok=True)
        local = _Server(
            uvicorn.Config(
                Starlette(routes=[Mount(PREFIX, app=build_native_app(started.appliance, trusted_local=True))]),
                uds=str(socket),
                timeout_graceful_shutdown=3,
                **common,  # type: ignore[arg-type]
            )
        )
        servers = (network, local)
        tasks = [asyncio.create_task(server.serve()) for server in servers]
        try:
            while not all(server.started for server in servers):
                for task in tasks:
                    if task.done():
                        task.result()
                        raise SystemExit(1)
                await asyncio.sleep(0.01)
            socket.chmod(0o600)
            yield started
        finally:
            for server in servers:
                server.should_exit = True
            await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        await started.appliance.close(stop_engines=stop_engines)


async def until_told_to_stop() -> None:
    """Return at SIGINT or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
