"""`steelyard serve`: run the appliance. `steelyard stop`: end it with the engines that go on without it."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import typer

from steelyard.appliance.startup import default_state_dir
from steelyard.cli.service import running, told_to_stop, until_told
from steelyard.engines.netd_process import UNIT_SOCKET
from steelyard.engines.stopping import stop_engines
from steelyard.engines.supervisor import say_ready
from steelyard.model.errors import SteelyardError
from steelyard.model.user import ADMINISTRATOR
from steelyard.netd.stopping import stop_netd, stop_services

#: the state directory of `steelyard.service`
UNIT_STATE = Path("/var/lib/steelyard")

StateDir = Annotated[
    Path | None, typer.Option("--state-dir", help="Where everything is kept.", envvar="STEELYARD_STATE_DIR")
]

NetdSocket = Annotated[
    Path | None,
    typer.Option(
        "--netd-socket",
        help="Socket of a steelyard-netd that somebody else runs; without it one is started when needed.",
        envvar="STEELYARD_NETD_SOCKET",
    ),
]


def fail(failure: SteelyardError) -> typer.Exit:
    """Say what is wrong and how to mend it; exit code 1."""
    details = failure.details()
    typer.secho(f"steelyard: {failure.message}", err=True, fg="red")
    for name in ("remedy", "words"):
        if details.get(name):
            typer.echo(f"  {details[name]}", err=True)
    return typer.Exit(1)


def serve(
    state_dir: StateDir = None,
    admin_address: Annotated[str, typer.Option(help="Address of the administration interface.")] = "127.0.0.1",
    admin_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the administration interface.")] = 8443,
    haproxy: Annotated[str | None, typer.Option(help="HAProxy binary to use.", envvar="STEELYARD_HAPROXY")] = None,
    netd_socket: NetdSocket = None,
    accept_licence: Annotated[
        bool,
        typer.Option(
            "--accept-licence",
            help="Accept the licence now: the web interface of a new appliance asks for neither licence nor addresses.",
            envvar="STEELYARD_ACCEPT_LICENCE",
        ),
    ] = False,
) -> None:
    """Run the appliance. Traffic and checks go on when this process ends; `steelyard stop` ends them too."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(
            _serve(
                (state_dir or default_state_dir()).resolve(),
                admin_address,
                admin_port,
                haproxy=haproxy,
                netd_socket=netd_socket,
                accept_licence=accept_licence,
            )
        )
    except SteelyardError as failure:
        raise fail(failure) from failure


async def _serve(
    state_dir: Path, address: str, port: int, *, haproxy: str | None, netd_socket: Path | None, accept_licence: bool
) -> None:
    stop = told_to_stop()
    again = True
    while again:
        async with running(
            state_dir,
            address,
            port,
            haproxy=haproxy,
            announce=_announce,
            netd_socket=netd_socket,
            accept_licence=accept_licence,
        ) as started:
            if started.first_start and started.password is None:
                typer.echo(f"First start. The administrator is {ADMINISTRATOR!r}, with the password given.")
            typer.echo(f"Serving on https://{address}:{port}, state in {started.layout.root}")
            say_ready()
            again = await until_told(started, stop)
            if again:
                typer.echo("Factory reset: everything is cleared and starts anew.")
            else:
                typer.echo("The control plane ends; traffic and health checks go on. `steelyard stop` ends them too.")


def _announce(password: str) -> None:
    typer.echo(f"First start. The administrator is {ADMINISTRATOR!r}.")
    typer.echo(f"One-time password, shown only now: {password}")


def stop(state_dir: StateDir = None, netd_socket: NetdSocket = None) -> None:
    """End the control plane, and what would go on without it: HAProxy, health checks, services in the kernel."""
    root = (state_dir or default_state_dir()).resolve()
    ended = stop_engines(root)
    # that of the unit works for the control plane of the unit
    socket = netd_socket or (UNIT_SOCKET if root == UNIT_STATE and UNIT_SOCKET.exists() else None)
    if stop_netd(root):
        ended.append("steelyard-netd")
    elif socket is not None:
        try:
            stop_services(socket)
        except SteelyardError as failure:
            raise fail(failure) from failure
        ended.append("what services had in the kernel")
    typer.echo("Ended: " + ", ".join(ended) if ended else "Nothing was running.")
