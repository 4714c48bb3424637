"""`steelyard explain`: what would happen to a request, without sending it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from steelyard.cli import find, output
from steelyard.cli.failures import Misuse
from steelyard.cli.session import Session, command

_SIGNS: Mapping[str, tuple[str, str]] = {
    "server": ("goes to", "bold green"),
    "candidates": ("goes to one of", "bold yellow"),
    "answered": ("is answered", "bold red"),
    "closed": ("gets no answer", "bold red"),
}
#: least width of the steps' names
_NARROWEST = 18


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(app, "explain")(explain_request)


def explain_request(
    session: Session,
    target: Annotated[
        str, typer.Argument(metavar="URL", help="What a client would open; with --service a path is enough.")
    ],
    service: Annotated[
        str | None, typer.Option("--service", "-s", help="Index, name or address:port of the virtual service.")
    ] = None,
    client: Annotated[str, typer.Option("--client", "-c", help="Address of the client.")] = "127.0.0.1",
    method: Annotated[str, typer.Option("--method", "-X", help="Method of the request.")] = "GET",
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", help="A header as 'Name: value'; may be repeated.")
    ] = None,
    body: Annotated[str, typer.Option("--data", "-d", help="Body of the request.")] = "",
    server_name: Annotated[str, typer.Option("--server-name", help="Name in the TLS hello, if not the URL's.")] = "",
) -> None:
    """Say which virtual service, rules, sub-service, persistence record and real server a request would meet, and why.

    Nothing is sent to a real server, and nothing changes.
    """
    asked: dict[str, Any] = {"url": target, "client": client, "method": method, "headers": _headers(header or [])}
    if service is not None:
        asked["service"] = find.service(session, service)
    if body:
        asked["body"] = body
    if server_name:
        asked["server_name"] = server_name
    found = session.api.request("POST", "/explain", body=asked)
    session.show(found, lambda: _page(found))


def _headers(given: list[str]) -> list[list[str]]:
    pairs = []
    for line in given:
        name, colon, value = line.partition(":")
        if not colon or not name:
            raise Misuse(f"{line!r} is no header", "Write it as 'Name: value'")
        pairs.append([name.strip(), value.strip()])
    return pairs


def _page(found: Mapping[str, Any]) -> Group:
    lines: list[Text] = []
    several = len({step["service"] for step in found["steps"]}) > 1
    names = [f"{step['step']} ({step['service']})" if several else str(step["step"]) for step in found["steps"]]
    width = max(_NARROWEST, *(len(name) for name in names)) if names else _NARROWEST
    for name, step in zip(names, found["steps"], strict=True):
        said = Text(f"{name:<{width}}  ", style="bold")
        said.append(step["says"], style="not bold")
        lines.append(said)
        lines += [Text(f"{'':<{width + 2}}{line}", style="bright_black") for line in step["details"]]
    return Group(*lines, "", _result(found["result"]))


def _result(result: Mapping[str, Any]) -> Text:
    says, style = _SIGNS[result["kind"]]
    if result["others"] and not result["servers"]:
        says = "is refused in one way or another"
    said = Text("The request ", style="not bold").append(says, style=style)
    if result["kind"] == "answered":
        said.append(f" with {result['status']}", style=style)
        if result["location"]:
            said.append(f" and sent to {result['location']}", style="not bold")
    if result["servers"]:
        said.append(" " + ", ".join(map(_server, result["servers"])), style="bold")
    return said.append(f": {result['why']}", style="not bold")


def _server(server: Mapping[str, Any]) -> str:
    where = output.endpoint(server)
    if server["index"] is None:
        return f"the sorry server {where}"
    return f"{where} (real server {server['index']} of service {server['service']})"
