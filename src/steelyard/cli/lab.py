"""`steelyard lab`: a deployment of simulated servers with a throw-away Steelyard in front, to try things on.

steelyard lab lync            run it; Ctrl-C ends all of it
steelyard lab lync --try      sign in, inside and outside, and end; exit code 1 when a step failed
steelyard lab lync --wrong affinity --try     the same with a mistake built in
steelyard lab sign-in         from another terminal, through a lab that runs
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from ssl import DER_cert_to_PEM_cert
from typing import Annotated

import typer

from steelyard.appliance.appliance import Appliance
from steelyard.appliance.contract import Actor
from steelyard.cli.lab_lync import deployed, unready
from steelyard.cli.serve import fail
from steelyard.cli.service import running, told_to_stop
from steelyard.lab.client import SignIn
from steelyard.lab.fetching import Browser
from steelyard.lab.laboratory import Laboratory
from steelyard.lab.lync import Lync
from steelyard.lab.ports import MOVED, Ports
from steelyard.lab.web_site import PHONE_PATH
from steelyard.model.commands import Command
from steelyard.model.errors import OperatorError, SteelyardError
from steelyard.model.user import ADMINISTRATOR

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Simulated deployments, to try things on.")

#: seconds until the checks have found every real server
_READY_SECONDS = 60.0


class Wrong(StrEnum):
    """A mistake to build in."""

    NONE = "none"
    AFFINITY = "affinity"
    PORT = "port"


class Place(StrEnum):
    """Where a user is."""

    INSIDE = "inside"
    OUTSIDE = "outside"


AdminPort = Annotated[int, typer.Option(min=1, max=65535, help="Port of the administration interface.")]
Net = Annotated[str, typer.Option(help="First two numbers of the addresses; several labs need several.")]
MovePorts = Annotated[
    int | None, typer.Option(min=0, max=50000, help="Added to every port; 20000 where low ports are refused.")
]
HaProxy = Annotated[str | None, typer.Option(help="HAProxy binary to use.", envvar="STEELYARD_HAPROXY")]


@app.command("lync")
def lync(
    admin_port: AdminPort = 8443,
    net: Net = "127.0",
    move_ports: MovePorts = None,
    wrong: Annotated[Wrong, typer.Option(help="Build a mistake in, to see what it looks like.")] = Wrong.NONE,
    try_it: Annotated[
        bool, typer.Option("--try", help="Sign in inside and outside, say how it went, and end.")
    ] = False,
    haproxy: HaProxy = None,
) -> None:
    """Lync 2013: two Front Ends, Directors, Edges and Office Web Apps, set up from the shipped templates."""
    logging.basicConfig(level=logging.WARNING)
    found = Lync(_ports(move_ports), net)
    with tempfile.TemporaryDirectory(prefix="steelyard-lab-") as directory, Laboratory() as laboratory:
        try:
            _start(laboratory, found)
            ok = asyncio.run(_lync(Path(directory), admin_port, found, wrong, try_it, haproxy))
        except SteelyardError as failure:
            raise fail(failure) from failure
    if not ok:
        raise typer.Exit(1)


def _ports(moved: int | None) -> Ports:
    if moved is not None:
        return Ports(moved)
    from steelyard.engines.host import LocalHost

    return Ports(0 if LocalHost().survey().kernel.lowest_port == 1 else MOVED)


def _start(laboratory: Laboratory, found: Lync) -> None:
    for role in found.roles():
        try:
            laboratory.start(role)
        except OSError as failure:
            raise OperatorError(
                f"The simulated server {role.name} cannot start: {failure.strerror or failure}",
                field="net",
                value=found.net,
                remedy="Give other addresses with --net 127.1, or other ports with --move-ports",
            ) from failure


async def _lync(state_dir: Path, admin_port: int, found: Lync, wrong: Wrong, try_it: bool, haproxy: str | None) -> bool:
    stop = told_to_stop()
    async with running(state_dir, "127.0.0.1", admin_port, haproxy=haproxy, stop_engines=True) as started:
        await _apply(
            started.appliance, deployed(found, affinity=wrong is not Wrong.AFFINITY, ports=wrong is not Wrong.PORT)
        )
        if try_it:
            await _ready(lambda: unready(started.appliance))
            return await asyncio.to_thread(_try, found)
        _tell(found, admin_port, state_dir, started.password)
        await stop.wait()
        typer.echo("\nEnding the lab.")
    return True


async def _apply(appliance: Appliance, command: Command) -> None:
    actor = Actor(appliance.snapshot().configuration.user(ADMINISTRATOR), "lab")
    await appliance.execute(command, actor, reason="lab", wait=True)


async def _ready(waits_for: Callable[[], list[str]]) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + _READY_SECONDS
    while absent := waits_for():
        if loop.time() > until:
            typer.echo(f"still without a real server that is up: {', '.join(absent)}", err=True)
            return
        await asyncio.sleep(0.1)


def _try(found: Lync) -> bool:
    good = True
    for place in Place:
        done = found.client(inside=place is Place.INSIDE).sign_in()
        _show(place, done)
        good = good and done.ok
    phone = found.client(inside=True).phone()
    _show("telephone", phone)
    return good and phone.ok


def _show(where: str, done: SignIn) -> None:
    typer.secho(f"\n{where}: {'signed in' if done.ok else 'sign-in failed'}", bold=True)
    for step in done.steps:
        typer.secho(f"  {'ok    ' if step.ok else 'FAILED'} ", fg="green" if step.ok else "red", nl=False)
        typer.echo(f" {step.name:17} {step.server:6} {step.says}".rstrip())


@app.command("sign-in")
def sign_in(
    where: Annotated[Place, typer.Argument(help="Where the user is.")] = Place.OUTSIDE,
    user: Annotated[str, typer.Option(help="Who signs in.")] = "alice",
    net: Net = "127.0",
    move_ports: MovePorts = None,
) -> None:
    """Sign in through the Lync lab that runs: discovery, web ticket, SIP, mobility and more, each step told."""
    found = Lync(_ports(move_ports), net)
    try:
        client = found.client(inside=where is Place.INSIDE, user=user)
    except KeyError:
        raise fail(
            OperatorError(
                f"Nobody is called {user}",
                field="user",
                value=user,
                remedy=f"There are: {', '.join(one.user for one in found.base.accounts)}",
            )
        ) from None
    done = replace(client, trust=_root(found)).sign_in()
    _show(where, done)
    if not done.ok:
        raise typer.Exit(1)


def _root(found: Lync) -> bytes:
    """The root certificate, as telephones get it: over plain HTTP from the pool. The lab is not of this process."""
    url = found.ports.url(found.base.internal_web, PHONE_PATH, scheme="http")
    try:
        reply = Browser(found.names(inside=True)).get(url)
        return DER_cert_to_PEM_cert(reply.body).encode()
    except OSError as failure:
        raise fail(
            OperatorError(
                f"No Lync lab answers on {found.virtual('pool')}: {failure}",
                field="net",
                value=found.net,
                remedy="Start one: steelyard lab lync",
            )
        ) from failure


def _tell(found: Lync, admin_port: int, state_dir: Path, password: str | None) -> None:
    shown = password or "the one in STEELYARD_ADMIN_PASSWORD"
    https, sip = found.ports.of(443), found.ports.of(5061)
    pool, proxy = found.virtual("pool"), found.virtual("reverse-proxy")
    names, root = found.base, state_dir / "lab-root.pem"
    root.write_bytes(found.authority.pem)
    outside, inside = names.external_web, names.internal_web
    typer.echo(f"""
A Lync 2013 deployment is running, and Steelyard in front of it.

  web interface    https://127.0.0.1:{admin_port}   user {ADMINISTRATOR}, password {shown}
  users            {", ".join(f"{one.user} / {one.password}" for one in names.accounts)}

                   virtual address          real servers
  Front End pool   {pool:24} {", ".join(found.front_ends)}
  Directors        {found.virtual("director"):24} {", ".join(found.directors)}
  Office Web Apps  {found.virtual("office-web-apps"):24} {", ".join(found.office_web_apps)}
  reverse proxy    {proxy:24} {", ".join(found.front_ends)}
  access edge      {found.virtual("access"):24} {", ".join(found.edges_outside("access"))}

Try (in another terminal):

  steelyard lab sign-in outside
  steelyard lab sign-in inside --user bob
  curl --cacert {root} --resolve {outside}:{https}:{proxy} https://{outside}:{https}/lab/seen
  curl --cacert {root} --resolve {inside}:{https}:{pool} https://{inside}:{https}/abs/handler
  openssl s_client -connect {pool}:{sip} -servername {names.pool} </dev/null

Set the persistence of a service to none, or the port of its real servers to another, and sign in again.

Ctrl-C ends everything.
""")
