"""Commands that run things on this host: each is a program of its own, with all the rest of the command line.

They need nothing of the commands that ask the API, which take a quarter of a second to import, so a start of the
appliance passes them by.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from steelyard.cli.memory import uncollected

if TYPE_CHECKING:
    import typer


@dataclass(frozen=True)
class LocalCommand:
    """Where its function is, whether it has --state-dir, and what it does."""

    module: str
    has_state_dir: bool
    says: str


LOCAL: dict[str, LocalCommand] = {
    "serve": LocalCommand("steelyard.cli.serve", True, "Run the appliance."),
    "stop": LocalCommand("steelyard.cli.serve", True, "End the engines that go on without the control plane."),
    "demo": LocalCommand("steelyard.cli.demo", False, "Start a throw-away appliance with sample real servers."),
    "lab": LocalCommand("steelyard.cli.lab", False, "Start a deployment of simulated servers, to try things on."),
    "doctor": LocalCommand("steelyard.cli.doctor", False, "Say what this host can and cannot do."),
}


def local_app(name: str) -> typer.Typer:
    """The program of a local command: one function of its module, or several commands."""
    import typer

    module = importlib.import_module(LOCAL[name].module)
    if isinstance(several := getattr(module, "app", None), typer.Typer):
        return several
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    single.command(name)(getattr(module, name))
    return single


def run_local(name: str, arguments: Sequence[str]) -> None:
    """Run a local command to its end, which is that of the process."""
    with uncollected():
        program = local_app(name)
    program(args=list(arguments), prog_name=f"steelyard {name}")
