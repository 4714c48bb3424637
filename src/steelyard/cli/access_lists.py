"""`steelyard access`: access lists, for all services or one. Lists in files have an address or network a line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from steelyard.cli import find, output
from steelyard.cli.failures import Misuse
from steelyard.cli.session import Session, command

app = typer.Typer(no_args_is_help=True, help="Access lists: who may connect.")

_ALL = "all"
_LISTS = ("block", "allow")

Which = Annotated[str, typer.Argument(metavar="LIST", help="block or allow.", show_default=False)]
Addresses = Annotated[
    list[str], typer.Argument(metavar="ADDRESS...", help="Addresses or networks.", show_default=False)
]
File = Annotated[
    Path, typer.Argument(metavar="FILE", help="One address a line, comments after #; - is standard input.")
]
Of = Annotated[
    str | None, typer.Option("--vs", metavar="SERVICE", help="The list of this virtual service, not that for all.")
]
Comment = Annotated[str, typer.Option("--comment", help="Why it is in the list.")]
Client = Annotated[str, typer.Argument(metavar="ADDRESS", help="The client's address.", show_default=False)]
Service = Annotated[str, typer.Argument(metavar="SERVICE", help="Index, name or ADDRESS:PORT.", show_default=False)]


def _path(session: Session, of: str | None, which: str) -> str:
    if which not in _LISTS:
        raise Misuse(f"{which!r} is no access list", "Give block or allow")
    return f"/access-lists/{_ALL if of is None else find.service(session, of)}/{which}"


def _title(of: str | None, which: str) -> str:
    return f"{which} list for all services" if of is None else f"{which} list of virtual service {of}"


def _counted(addresses: list[str]) -> str:
    return addresses[0] if len(addresses) == 1 else f"{len(addresses)} entries"


@command(app, "list")
def list_access(session: Session) -> None:
    """Show which access lists there are, and how long they are."""
    found = session.api.get("/access-lists")
    rows = [(each["scope"], str(each["block"]), str(each["allow"]), each["otherwise"]) for each in found]
    columns = ("virtual service", "block", "allow", "all others")
    session.show(found, lambda: output.table(columns, rows, right=("block", "allow")))


@command(app, "show")
def show(session: Session, which: Which, of: Of = None) -> None:
    """Show the entries of a list."""
    found = session.api.get(_path(session, of, which))
    rows = [(each["address"], each["comment"]) for each in found]
    session.show(found, lambda: output.table(("address", "comment"), rows))


@command(app, "add", change=True)
def add(session: Session, which: Which, addresses: Addresses, of: Of = None, comment: Comment = "") -> None:
    """Put addresses or networks into a list."""
    entries = [{"address": address, "comment": comment} for address in addresses]
    change = session.write("POST", _path(session, of, which), {"entries": entries})
    session.report(change, f"{_counted(addresses)} added to the {_title(of, which)}")


@command(app, "remove", change=True)
def remove(session: Session, which: Which, addresses: Addresses, of: Of = None) -> None:
    """Take addresses or networks out of a list."""
    entries = [{"address": address} for address in addresses]
    change = session.write("POST", f"{_path(session, of, which)}/remove", {"entries": entries})
    session.report(change, f"{_counted(addresses)} removed from the {_title(of, which)}")


@command(app, "import", change=True)
def import_list(
    session: Session,
    which: Which,
    file: File,
    of: Of = None,
    add_to: Annotated[bool, typer.Option("--add", help="Keep the entries the list has.")] = False,
) -> None:
    """Put the entries of a file in place of those of a list, or add them to it."""
    change = session.write("POST" if add_to else "PUT", _path(session, of, which), {"text": _read(file)})
    session.report(change, f"{_title(of, which).capitalize()} imported from {file}")


@command(app, "export")
def export(session: Session, which: Which, of: Of = None) -> None:
    """Print a list as a file that `import` takes."""
    found: list[dict[str, Any]] = session.api.get(_path(session, of, which))
    if session.json:
        output.print_json(found)
        return
    for each in found:
        typer.echo(f"{each['address']} # {each['comment']}" if each["comment"] else each["address"])


@command(app, "decide")
def decide(session: Session, service: Service, address: Client) -> None:
    """Say whether a client may connect to a virtual service, and why."""
    found = session.api.get(f"/access-lists/{find.service(session, service)}/decision", address=address)
    session.show(found, lambda: f"{'let in' if found['allowed'] else 'refused'}: {found['why']}")


def _read(file: Path) -> str:
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return content.decode("utf-8")
    except OSError as failure:
        raise Misuse(f"{file} cannot be read: {failure.strerror or failure}") from None
    except UnicodeDecodeError:
        raise Misuse(f"{file} is no text in UTF-8", "Save it as UTF-8") from None
