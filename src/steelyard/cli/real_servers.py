"""`steelyard rs`: real servers of a virtual service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from steelyard.cli import find, output, values, weights
from steelyard.cli.failures import Misuse
from steelyard.cli.session import Session, command
from steelyard.model.real_server import RealServer

app = typer.Typer(no_args_is_help=True, help="Real servers: the members of a virtual service.")

Service = Annotated[str, typer.Argument(metavar="VS", help="Index, name or ADDRESS:PORT.", show_default=False)]
Server = Annotated[str, typer.Argument(metavar="RS", help="Index, ADDRESS:PORT or ADDRESS.", show_default=False)]
Pairs = Annotated[
    list[str] | None,
    typer.Argument(metavar="SETTING=VALUE", help="See `steelyard settings rs`.", show_default=False),
]


def server_table(servers: Sequence[Mapping[str, Any]]) -> Table:
    """Real servers with their states."""
    ruled = any(_rules(server) for server in servers)
    rows = [
        (
            str(server["index"]),
            output.state(server["status"]),
            output.endpoint(server),
            str(server["weight"]),
            str(server["limit"] or "none"),
            *([_rules(server)] if ruled else []),
            server["reason"],
        )
        for server in servers
    ]
    columns = ("rs", "status", "address", "weight", "limit", *(["rules"] if ruled else []), "reason")
    return output.table(columns, rows, right=("rs", "weight", "limit"))


def _rules(server: Mapping[str, Any]) -> str:
    """What decides of it besides its own check."""
    found = ["critical"] if server["critical"] else []
    if server["standby_below"]:
        found.append(f"standby below {server['standby_below']}")
    if server["follow"] not in (0, server["index"]):
        found.append(f"follows {server['follow']}")
    return ", ".join(found)


@command(app, "list")
def list_servers(session: Session, service: Service) -> None:
    """Show the real servers of a virtual service."""
    found = session.api.get(f"/virtual-services/{find.service(session, service)}/real-servers")
    session.show(found, lambda: server_table(found))


@command(app, "add", change=True)
def add(
    session: Session,
    service: Service,
    where: Annotated[str, typer.Argument(metavar="ADDRESS:PORT", help="The real server.", show_default=False)],
    pairs: Pairs = None,
) -> None:
    """Add a real server: steelyard rs add web 10.0.0.5:80 weight=500."""
    index = find.service(session, service)
    body = {**values.endpoint(where), **values.settings(RealServer, pairs or ())}
    change = session.write("POST", f"/virtual-services/{index}/real-servers", body)
    made = change["object"] or {}
    session.report(change, f"Real server {made.get('index')} added to virtual service {index}")


@command(app, "set", change=True)
def change_settings(session: Session, service: Service, server: Server, pairs: Pairs = None) -> None:
    """Change a real server: steelyard rs set web 10.0.0.5:80 weight=200."""
    path, said = _path(session, service, server)
    change = session.write("PATCH", path, values.settings(RealServer, pairs or ()))
    session.report(change, f"{said} changed")


@command(app, "remove", change=True)
def remove(session: Session, service: Service, server: Server) -> None:
    """Remove a real server; its connections are closed. Disable it first to let them end."""
    path, said = _path(session, service, server)
    session.report(session.write("DELETE", path), f"{said} removed")


@command(app, "enable", change=True)
def enable(session: Session, service: Service, server: Server) -> None:
    """Let a real server have new clients."""
    path, said = _path(session, service, server)
    session.report(session.write("POST", f"{path}/enable"), f"{said} enabled")


@command(app, "disable", change=True)
def disable(session: Session, service: Service, server: Server) -> None:
    """Give a real server no new clients; those with a record may come until the drain time ends."""
    path, said = _path(session, service, server)
    session.report(session.write("POST", f"{path}/disable"), f"{said} disabled")


@command(app, "weights")
def show_weights(session: Session, service: Service) -> None:
    """Show what the real servers or sub-services of a virtual service count as now, and why."""
    found = session.api.get(f"/virtual-services/{find.service(session, service)}/weights")
    session.show(found, lambda: weights.weight_table(found))


@command(app, "weight")
def set_weight(
    session: Session,
    service: Service,
    server: Annotated[
        str, typer.Argument(metavar="RS", help="Index, ADDRESS:PORT or ADDRESS; or a sub-service.", show_default=False)
    ],
    weight: Annotated[int, typer.Argument(metavar="WEIGHT", help="1 to 65535.", show_default=False)],
    external: Annotated[
        bool, typer.Option("--external", help="From outside and for a time, for services scheduled by sdn-adaptive.")
    ] = False,
    seconds: Annotated[int, typer.Option("--for", help="Seconds it holds; the configured weight follows.")] = 300,
) -> None:
    """Give a real server a weight from outside: steelyard rs weight web 10.0.0.5:80 200 --external --for 60."""
    if not external:
        raise Misuse("A weight without --external is a setting", "Use `steelyard rs set VS RS weight=WEIGHT`")
    index = find.service(session, service)
    number = find.member(session, index, server)
    body = {"weights": {str(number): weight}, "seconds": seconds}
    found = session.api.request("PATCH", f"/virtual-services/{index}/weights", body=body)
    session.show(found, lambda: f"{number} of virtual service {index} has the weight {weight} for {seconds} s")


@command(app, "end-weights")
def end_weights(session: Session, service: Service) -> None:
    """End all weights set from outside: the configured ones hold again."""
    index = find.service(session, service)
    found = session.api.request("DELETE", f"/virtual-services/{index}/weights")
    session.show(found, lambda: f"Virtual service {index} has its configured weights again")


@command(app, "checks")
def checks(session: Session, service: Service, server: Server) -> None:
    """Show the last health checks of a real server: what was asked, what came back, what was made of it."""
    path, _ = _path(session, service, server)
    found = session.api.get(f"{path}/checks")
    session.show(found, lambda: _check_table(found) if found else "No check has been made yet")


def _check_table(found: Sequence[Mapping[str, Any]]) -> Table:
    """A line an attempt; which check it was, where the service has several."""
    several = any(check.get("check") for check in found)
    rows: list[tuple[Text | str, ...]] = [
        (
            *([str(check.get("check", ""))] if several else []),
            output.moment(check.get("started")),
            _verdict(str(check.get("outcome", ""))),
            _milliseconds(check.get("duration_ms")),
            str(check.get("sent", "")),
            str(check.get("received", "")),
            str(check.get("reason", "")),
        )
        for check in found
    ]
    columns = ("when", "outcome", "took", "sent", "received", "reason")
    return output.table(("check", *columns) if several else columns, rows, right=("took",))


def _verdict(outcome: str) -> Text:
    return Text(outcome, style="green" if outcome == "good" else "yellow" if outcome == "unasked" else "red")


def _milliseconds(duration: Any) -> str:
    return f"{duration:.1f} ms" if isinstance(duration, (int, float)) else ""


def _path(session: Session, service: str, server: str) -> tuple[str, str]:
    index = find.service(session, service)
    number = find.server(session, index, server)
    return f"/virtual-services/{index}/real-servers/{number}", f"Real server {number} of virtual service {index}"
