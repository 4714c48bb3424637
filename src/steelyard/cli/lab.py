"""`steelyard lab`: a deployment of simulated servers with a throw-away Steelyard in front, to try things on.

steelyard lab lync            run it; Ctrl-C ends all of it
steelyard lab lync --try      sign in, inside and outside, and end; exit code 1 when a step failed
steelyard lab lync --wrong affinity --try     the same with a mistake built in
steelyard lab sign-in         from another terminal, through a lab that runs
"""

from __future__ import annotations

import asyncio
import logging
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from ssl import DER_cert_to_PEM_cert
from typing import Annotated

import typer

from steelyard.appliance.appliance import Appliance
from steelyard.appliance.contract import Actor
from steelyard.cli.lab_exchange import exchange_deployed
from steelyard.cli.lab_lync import lync_deployed
from steelyard.cli.lab_templates import unchecked, unready
from steelyard.cli.serve import fail
from steelyard.cli.service import running, told_to_stop
from steelyard.lab.client import SignIn
from steelyard.lab.exchange import PROTOCOLS, ExchangePool
from steelyard.lab.fetching import Browser
from steelyard.lab.laboratory import Laboratory
from steelyard.lab.lync import Lync
from steelyard.lab.organisation import Organisation
from steelyard.lab.ports import MOVED, Ports
from steelyard.lab.roles import Role
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


def _loopback(net: str) -> str:
    if not re.fullmatch(r"127\.(25[0-5]|2[0-4]\d|1?\d?\d)", net):
        raise fail(
            OperatorError(
                f"{net!r} is no part of the loopback network",
                field="net",
                value=net,
                allowed="127.0 to 127.255",
                remedy="A lab stays on this host: give --net 127.1, for example",
            )
        )
    return net


Net = Annotated[
    str, typer.Option(help="First two numbers of the addresses; several labs need several.", callback=_loopback)
]
MovePorts = Annotated[
    int | None, typer.Option(min=0, max=50000, help="Added to every port; 20000 where low ports are refused.")
]
HaProxy = Annotated[str | None, typer.Option(help="HAProxy binary to use.", envvar="STEELYARD_HAPROXY")]


@dataclass(frozen=True)
class _Deployment:
    """What is started, how Steelyard is set up, when it is ready, how it is tried, and what is told of it."""

    net: str
    roles: list[Role]
    command: Command
    unready: Callable[[Appliance], list[str]]
    attempt: Callable[[], bool]
    tell: Callable[[_Running], None]


@dataclass(frozen=True)
class _Running:
    """The throw-away Steelyard."""

    admin_port: int
    state_dir: Path
    password: str


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
    found = Lync(_ports(move_ports), net)
    command = lync_deployed(found, affinity=wrong is not Wrong.AFFINITY, ports=wrong is not Wrong.PORT)
    _run(
        _Deployment(net, found.roles(), command, unready, lambda: _try(found), lambda one: _tell(found, one)),
        admin_port,
        try_it,
        haproxy,
    )


@app.command("exchange")
def exchange(
    admin_port: AdminPort = 8443,
    net: Net = "127.0",
    move_ports: MovePorts = None,
    unwell: Annotated[
        str, typer.Option(help=f"A protocol that fails at the first server: {', '.join(PROTOCOLS)}.")
    ] = "",
    try_it: Annotated[bool, typer.Option("--try", help="Use every protocol, say how it went, and end.")] = False,
    haproxy: HaProxy = None,
) -> None:
    """Exchange 2016: two Mailbox servers, a sub-service and a check for each web protocol, SMTP, IMAP and POP3."""
    if unwell and unwell not in PROTOCOLS:
        raise fail(OperatorError(f"{unwell!r} is no protocol", remedy=f"There are: {', '.join(PROTOCOLS)}"))
    found = ExchangePool(_ports(move_ports), net, frozenset({unwell} if unwell else ()))

    def attempt() -> bool:
        done = found.user().sign_in()
        _show("alice", done)
        return done.ok

    tell = partial(_tell_exchange, found)
    _run(
        _Deployment(net, found.roles(), exchange_deployed(found), unchecked, attempt, tell), admin_port, try_it, haproxy
    )


def _run(deployment: _Deployment, admin_port: int, try_it: bool, haproxy: str | None) -> None:
    logging.basicConfig(level=logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="steelyard-lab-") as directory, Laboratory() as laboratory:
        try:
            _start(laboratory, deployment)
            ok = asyncio.run(_carried(deployment, Path(directory), admin_port, try_it, haproxy))
        except SteelyardError as failure:
            raise fail(failure) from failure
    if not ok:
        raise typer.Exit(1)


def _ports(moved: int | None) -> Ports:
    if moved is not None:
        return Ports(moved)
    from steelyard.engines.host import LocalHost

    return Ports(0 if LocalHost().survey().kernel.lowest_port == 1 else MOVED)


def _start(laboratory: Laboratory, deployment: _Deployment) -> None:
    for role in deployment.roles:
        try:
            laboratory.start(role)
        except OSError as failure:
            raise OperatorError(
                f"The simulated server {role.name} cannot start: {failure.strerror or failure}",
                field="net",
                value=deployment.net,
                remedy="Give other addresses with --net 127.1, or other ports with --move-ports",
            ) from failure


async def _carried(
    deployment: _Deployment, state_dir: Path, admin_port: int, try_it: bool, haproxy: str | None
) -> bool:
    stop = told_to_stop()
    async with running(
        state_dir, "127.0.0.1", admin_port, haproxy=haproxy, stop_engines=True, accept_licence=True
    ) as started:
        await _apply(started.appliance, deployment.command)
        if try_it:
            await _ready(lambda: deployment.unready(started.appliance))
            return await asyncio.to_thread(deployment.attempt)
        shown = started.password or "the one in STEELYARD_ADMIN_PASSWORD"
        deployment.tell(_Running(admin_port, state_dir, shown))
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


def _tell(found: Lync, one: _Running) -> None:
    https, sip = found.ports.of(443), found.ports.of(5061)
    pool, proxy = found.virtual("pool"), found.virtual("reverse-proxy")
    names, root = found.base, one.state_dir / "lab-root.pem"
    root.write_bytes(found.authority.pem)
    outside, inside = names.external_web, names.internal_web
    typer.echo(f"""
A Lync 2013 deployment is running, and Steelyard in front of it.

  web interface    https://127.0.0.1:{one.admin_port}   user {ADMINISTRATOR}, password {one.password}
  users            {_users(names)}

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


def _tell_exchange(found: ExchangePool, one: _Running) -> None:
    https, mail = found.ports.of(443), found.base.name("mail")
    root = one.state_dir / "lab-root.pem"
    root.write_bytes(found.authority.pem)
    typer.echo(f"""
An Exchange 2016 deployment is running, and Steelyard in front of it.

  web interface    https://127.0.0.1:{one.admin_port}   user {ADMINISTRATOR}, password {one.password}
  users            {_users(found.base)}
  {mail}  {found.virtual}, real servers {", ".join(found.servers)}

Try (in another terminal):

  curl --cacert {root} --resolve {mail}:{https}:{found.virtual} -u alice:Wonderland1 https://{mail}:{https}/owa/
  curl --cacert {root} --resolve {mail}:{https}:{found.virtual} https://{mail}:{https}/ews/healthcheck.htm
  nc {found.virtual} {found.ports.of(25)}

Start it with --unwell owa: one server is red in the sub-service of OWA, and green in every other.

Ctrl-C ends everything.
""")


def _users(organisation: Organisation) -> str:
    return ", ".join(f"{one.user} / {one.password}" for one in organisation.accounts)
