"""`steelyard vs redirector` and `steelyard vs error-page`: what stands in for real servers."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from steelyard.cli import find
from steelyard.cli.certificate_files import read_file
from steelyard.cli.session import Session, command
from steelyard.cli.virtual_services import Service

pages = typer.Typer(no_args_is_help=True, help="The page clients get when no real server is available.")
PageFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="HTML, JSON or text; - is standard input.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add these commands to those on virtual services."""
    command(app, "redirector", change=True)(redirector)
    app.add_typer(pages, name="error-page")


def redirector(
    session: Session,
    service: Service,
    port: Annotated[int, typer.Option(help="Where it listens, on the same address.")] = 80,
) -> None:
    """Make a service that redirects HTTP to a virtual service's HTTPS."""
    index = find.service(session, service)
    change = session.write("POST", f"/virtual-services/{index}/redirector", {"port": port})
    made = change["object"] or {}
    session.report(change, f"Virtual service {made.get('index')} redirects to {index}")


def _path(session: Session, service: str) -> str:
    return f"/virtual-services/{find.service(session, service)}/error-page"


@command(pages, "show")
def show(session: Session, service: Service) -> None:
    """Print the page."""
    found: dict[str, Any] = session.api.get(_path(session, service))
    if session.json:
        session.show(found, str)
        return
    sys.stdout.buffer.write(base64.b64decode(found["data"]))
    sys.stdout.flush()


@command(pages, "set", change=True)
def set_page(session: Session, service: Service, file: PageFile) -> None:
    """Set the page from a file; it is sent with the status in error_code, 503 unless set."""
    content = base64.b64encode(read_file(file)).decode("ascii")
    session.report(session.write("PUT", _path(session, service), {"data": content}), f"Error page of {service} set")


@command(pages, "remove", change=True)
def remove(session: Session, service: Service) -> None:
    """Remove the page."""
    session.report(session.write("DELETE", _path(session, service)), f"Error page of {service} removed")
