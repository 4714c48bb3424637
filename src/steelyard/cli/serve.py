"""`steelyard serve`: run the appliance. `steelyard stop`: end it with the engines that go on without it."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import typer

from steelyard.appliance.startup import default_state_dir
from steelyard.cli.service import running, told_to_stop
from steelyard.engines.stopping import stop_engines
from steelyard.model.errors import SteelyardError
from steelyard.model.user import ADMINISTRATOR
from steelyard.netd.stopping import stop_netd

StateDir = Annotated[
    Path | None, typer.Option("--state-dir", help="Where everything is kept.", envvar="STEELYARD_STATE_DIR")
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
    netd_socket: Annotated[
        Path | None,
        typer.Option(
            help="Socket of a steelyard-netd that somebody else runs; without it one is started when needed.",
            envvar="STEELYARD_NETD_SOCKET",
        ),
    ] = None,
) -> None:
    """Run the appliance. Traffic and checks go on when this process ends; `steelyard stop` ends them too."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(
            _serve((state_dir or default_state_dir()).resolve(), admin_address, admin_port, haproxy, netd_socket)
        )
    except SteelyardError as failure:
        raise fail(failure) from failure


async def _serve(state_dir: Path, address: str, port: int, haproxy: str | None, netd_socket: Path | None) -> None:
    stop = told_to_stop()
    async with running(
        state_dir, address, port, haproxy=haproxy, announce=_announce, netd_socket=netd_socket
    ) as started:
        if started.first_start and started.password is None:
            typer.echo(f"First start. The administrator is {ADMINISTRATOR!r}, with the password given.")
        typer.echo(f"Serving on https://{address}:{port}, state in {started.layout.root}")
        await stop.wait()
        typer.echo("The control plane ends; traffic and health checks go on. `steelyard stop` ends them too.")


def _announce(password: str) -> None:
    typer.echo(f"First start. The administrator is {ADMINISTRATOR!r}.")
    typer.echo(f"One-time password, shown only now: {password}")


def stop(state_dir: StateDir = None) -> None:
    """End the control plane, and HAProxy and the health checks that would go on without it."""
    root = (state_dir or default_state_dir()).resolve()
    ended = stop_engines(root)
    if stop_netd(root):
        ended.append("steelyard-netd")
    typer.echo("Ended: " + ", ".join(ended) if ended else "Nothing was running.")
