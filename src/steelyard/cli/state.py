"""`steelyard status`, `settings`, `version`: what is, and what may be set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from steelyard import __version__
from steelyard.cli import output
from steelyard.cli.failures import Misuse
from steelyard.cli.session import Session, command
from steelyard.model.parameters import SECTIONS

_KINDS = {
    "vs": "virtual-service",
    "rs": "real-server",
    "slot": "slot",
    "rule": "rule",
    "cert": "certificate",
    "check": "further-check",
}
_SAID = ", ".join((*_KINDS, *SECTIONS))


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    command(app, "status")(show_status)
    command(app, "settings")(show_settings)
    app.command("version")(show_version)


def show_status(session: Session) -> None:
    """Show how the appliance and its services are, and why."""
    found = session.api.get("/status")
    session.show(found, lambda: _page(found))


def _page(found: Mapping[str, Any]) -> Group:
    head = Text(f"Steelyard {found['version']}", style="bold")
    head.append(f"  since {output.moment(found['started_at'])}, revision {found['revision']}\n", style="not bold")
    head.append_text(_part(f"HAProxy {found['haproxy_version']}", found["haproxy_pid"]))
    head.append("  ")
    head.append_text(_part("Health checks", found["health_pid"]))
    if found["reload_pending"]:
        head.append("\nA reload is put off, joined with others", style="yellow not bold")
    for problem in found["problems"]:
        head.append(f"\n! {problem}", style="bold red")
    for warning in found["expiring"]:
        head.append(f"\n! {warning['text']}", style="bold red" if warning["days_left"] < 0 else "yellow not bold")
    columns = ("index", "status", "name", "address", "reason")
    return Group(head, "", output.table(columns, _rows(found["services"]), right=("index",)))


def _part(name: str, pid: int | None) -> Text:
    said = Text(f"{name} ", style="not bold")
    said.append_text(output.state("Up" if pid is not None else "Down"))
    return said.append(f" (pid {pid})" if pid is not None else "", style="not bold")


def _rows(services: list[Mapping[str, Any]]) -> Iterator[tuple[Text | str, ...]]:
    subs = {service["index"]: service for service in services if service["parent"]}
    for service in services:
        where = f"{service['protocol']}/{output.endpoint(service)}"
        if service["parent"]:
            where = f"in {service['parent']}"
        yield str(service["index"]), output.state(service["status"]), service["name"], where, service["reason"]
        for server in service["servers"]:
            status = Text("  ").append_text(output.state(server["status"]))
            yield "", status, f"  rs {server['index']}", f"  {output.endpoint(server)}", f"  {server['reason']}"
        for slot in service["slots"]:
            status = Text("  ").append_text(output.state(slot["status"]))
            sub = f"  sub-service {slot['service']} {subs[slot['service']]['name']}"
            yield "", status, f"  slot {slot['index']}", sub, f"  {slot['reason']}"


def show_settings(
    session: Session,
    kind: Annotated[str, typer.Argument(help=f"One of {_SAID}.")] = "vs",
    all_settings: Annotated[bool, typer.Option("--all", help="Also those that are not built yet.")] = False,
) -> None:
    """Show the settings there are: name, what is allowed, default and meaning."""
    catalogue = session.api.get("/settings")
    name = _KINDS.get(kind, kind)
    if name not in catalogue:
        raise Misuse(f"{kind!r} has no settings", f"Give one of {_SAID}")
    found = [setting for setting in catalogue[name] if all_settings or setting["built"]]
    columns = ("setting", "default", "allowed", "meaning")
    session.show(found, lambda: output.table(columns, [_setting_row(setting) for setting in found]))


def _setting_row(setting: Mapping[str, Any]) -> tuple[Text | str, ...]:
    default = setting["default"]
    if isinstance(default, list):
        default = ",".join(default)
    unbuilt = setting["unbuilt_choices"]
    allowed = setting["allowed"] if setting["type"] != "boolean" else "true, false"
    if unbuilt:
        allowed += f"; not built yet: {', '.join(map(str, unbuilt))}"
    meaning = f"{setting['label']}. {setting['help']}"
    return setting["name"], "required" if setting["required"] else str(default), allowed, meaning


def show_version(as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False) -> None:
    """Show the version of this program."""
    if as_json:
        output.print_json({"version": __version__})
    else:
        typer.echo(f"steelyard {__version__}")
