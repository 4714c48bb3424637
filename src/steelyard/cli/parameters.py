"""`steelyard parameters`: global parameters, by section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.table import Table

from steelyard.cli import output, values
from steelyard.cli.failures import Misuse
from steelyard.cli.session import Session, command
from steelyard.model.parameters import SECTIONS

app = typer.Typer(no_args_is_help=True, help="Global parameters: what holds for every service.")

Section = Annotated[str, typer.Argument(metavar="SECTION", help=", ".join(SECTIONS) + ".", show_default=False)]
Pairs = Annotated[
    list[str] | None,
    typer.Argument(metavar="SETTING=VALUE", help="See `steelyard settings SECTION`.", show_default=False),
]


def _known(section: str) -> str:
    if section not in SECTIONS:
        raise Misuse(f"{section!r} is no section of the parameters", f"Give one of {', '.join(SECTIONS)}")
    return section


@command(app, "show")
def show(session: Session, section: Section) -> None:
    """Show the parameters of a section."""
    found = session.api.get(f"/parameters/{_known(section)}")
    session.show(found, lambda: _table(found))


def _table(found: Mapping[str, Any]) -> Table:
    rows = [(name, output.setting_value(value)) for name, value in found.items()]
    return output.table(("parameter", "value"), rows)


@command(app, "set", change=True)
def change(session: Session, section: Section, pairs: Pairs = None) -> None:
    """Change parameters: steelyard parameters set layer7 drain_time=600."""
    model = SECTIONS[_known(section)]
    done = session.write("PATCH", f"/parameters/{section}", values.settings(model, pairs or ()))
    session.report(done, f"Parameters of {section} changed")
