"""The running control plane: the appliance behind its APIs, on TLS for the network and on a Unix socket for this host.

Peers of the socket are the user it belongs to (its directory has mode 0700), so they need no password.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from steelyard.api.cross_site import RefuseCrossSite
from steelyard.api.listed_clients import RefuseListed
from steelyard.api.loadmaster import build_loadmaster_routes
from steelyard.api.native import metrics
from steelyard.api.native.app import PREFIX, build_native_app
from steelyard.appliance.startup import Started, admin_certificate, start_appliance
from steelyard.cli.admin_tls import follow
from steelyard.cli.memory import settle_memory
from steelyard.engines.haproxy.layout import Layout
from steelyard.engines.listening import listen
from steelyard.engines.sole_use import take
from steelyard.model.errors import HostLacks
from steelyard.web.app import build_web_app
from steelyard.web.mounting import by_path
from steelyard.web.session_file import SessionFile
from steelyard.web.sessions import Sessions

log = logging.getLogger("steelyard")


class _Server(uvicorn.Server):
    """A server whose end is decided by us: two of them cannot both own the process's signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def network_application(started: Started, served_at: tuple[str, int] | None = None) -> ASGIApp:
    """LoadMaster's API, the native one and the web interface. The last sees to requests of other sites itself."""
    appliance = started.appliance
    native = build_native_app(appliance, served_at=served_at)
    programs = Starlette(
        routes=[*build_loadmaster_routes(appliance), Route(metrics.PATH, native), Mount(PREFIX, app=native)],
        middleware=[Middleware(RefuseCrossSite)],
    )
    sessions = Sessions(SessionFile(started.layout.root / "sessions.db"))
    every = by_path(programs, build_web_app(appliance, sessions))
    return RefuseListed(every, configuration=lambda: appliance.snapshot().configuration)


@contextlib.asynccontextmanager
async def running(
    state_dir: Path,
    address: str,
    port: int,
    *,
    haproxy: str | None = None,
    stop_engines: bool = False,
    announce: Callable[[str], None] = lambda _: None,
    netd_socket: Path | None = None,
    accept_licence: bool = False,
) -> AsyncIterator[Started]:
    """Everything up while the context lasts. The engines go on after it unless `stop_engines`.

    The state directory and the port are taken first: a second Steelyard is refused before it has touched anything.
    `announce` is told the administrator's new password at the first start. `accept_licence` is for that start, too: the
    web interface then asks for no licence and no addresses.
    """
    # For everything that is written here, and by the processes that are started: logs and pid files too.
    os.umask(0o077)
    layout = Layout(state_dir)
    layout.make()
    lock = take(layout.root)
    try:
        listening = listen(address, port)
    except BaseException:
        os.close(lock)
        raise
    try:
        started = await start_appliance(
            state_dir, haproxy=haproxy, announce=announce, netd_socket=netd_socket, accept_licence=accept_licence
        )
    except BaseException:
        listening.close()
        os.close(lock)
        raise
    try:
        application = network_application(started, (address, port))
        network = _Server(_configured(application, **_certificate(admin_certificate(layout, address))))
        socket = layout.run / "api.sock"
        socket.unlink(missing_ok=True)
        own = build_native_app(started.appliance, trusted_local=True, served_at=(address, port))
        local = _Server(_configured(Starlette(routes=[Mount(PREFIX, app=own)]), uds=str(socket)))
        servers = (network, local)
        tasks = [asyncio.create_task(network.serve([listening])), asyncio.create_task(local.serve())]
        following: asyncio.Task[None] | None = None
        try:
            while not all(server.started for server in servers):
                for task in tasks:
                    if task.done():
                        task.result()
                        raise SystemExit(1)
                await asyncio.sleep(0.01)
            socket.chmod(0o600)
            settle_memory()
            if network.config.ssl is not None:
                following = asyncio.create_task(follow(started.appliance, network.config.ssl))
            yield started
        finally:
            if following is not None:
                following.cancel()
            # a stream of events has no end of its own
            started.appliance.events().hang_up()
            for server in servers:
                server.should_exit = True
                # whoever still keeps a connection open need not be waited for where everything ends
                server.force_exit = started.appliance.reset_asked.is_set()
            await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        listening.close()
        await started.appliance.close(stop_engines=stop_engines or started.appliance.reset_asked.is_set())
        os.close(lock)


async def until_told(started: Started, stop: asyncio.Event) -> bool:
    """Wait for the end; True when it is to be started again at once, for a factory reset."""
    waiting = [asyncio.create_task(each.wait()) for each in (stop, started.appliance.reset_asked)]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
    return started.appliance.reset_asked.is_set() and not stop.is_set()


def _configured(application: Any, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        log_level="warning",
        lifespan="off",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
        **more,
    )


def _certificate(path: Path) -> dict[str, str]:
    """The settings for the administration certificate. Raises `HostLacks` when it cannot be used."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)
    except OSError as failure:
        raise HostLacks(
            f"The administration certificate {path} cannot be used: {failure.strerror or failure}",
            lacks="a certificate",
            remedy="Put a PEM file with key and certificate there, or remove it: the next start makes a new one",
        ) from failure
    return {"ssl_certfile": str(path), "ssl_keyfile": str(path)}


def told_to_stop() -> asyncio.Event:
    """Set at SIGINT or SIGTERM from now on. Ask for it first: a start that is told to stop ends cleanly too."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop
