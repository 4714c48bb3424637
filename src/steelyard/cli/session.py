"""What every command shares: options of the connection and of writes, the client, and how a failure is shown.

A command is a function whose first parameter is the `Session`. `command` adds the shared options to its own.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, cast

import httpx
import typer

from steelyard.cli import output
from steelyard.cli.connection import ApiClient, Connection, open_client
from steelyard.cli.failures import Failure

_CONNECTION = "Connection"
_CHANGE = "Change"

_CONNECTION_OPTIONS: Mapping[str, tuple[Any, Any]] = {
    "url": (
        Annotated[
            str | None,
            typer.Option(
                "--url", envvar="STEELYARD_URL", metavar="URL", rich_help_panel=_CONNECTION, help="Another host's API."
            ),
        ],
        None,
    ),
    "user": (
        Annotated[
            str, typer.Option("--user", envvar="STEELYARD_USER", rich_help_panel=_CONNECTION, help="With --url: who.")
        ],
        "bal",
    ),
    "password_file": (
        Annotated[
            Path | None,
            typer.Option(
                "--password-file", rich_help_panel=_CONNECTION, help="Holds the password; or set STEELYARD_PASSWORD."
            ),
        ],
        None,
    ),
    "api_key": (
        Annotated[
            str | None,
            typer.Option(
                "--api-key",
                envvar="STEELYARD_API_KEY",
                rich_help_panel=_CONNECTION,
                help="Instead of user and password; safer in the environment.",
            ),
        ],
        None,
    ),
    "insecure": (
        Annotated[
            bool, typer.Option("--insecure", rich_help_panel=_CONNECTION, help="Trust any certificate of --url.")
        ],
        False,
    ),
    "ca_file": (
        Annotated[
            Path | None,
            typer.Option(
                "--ca-file", envvar="STEELYARD_CA_FILE", rich_help_panel=_CONNECTION, help="Certificates to trust."
            ),
        ],
        None,
    ),
    "state_dir": (
        Annotated[
            Path | None,
            typer.Option(
                "--state-dir",
                envvar="STEELYARD_STATE_DIR",
                rich_help_panel=_CONNECTION,
                help="State directory of the Steelyard on this host.",
            ),
        ],
        None,
    ),
}
_CHANGE_OPTIONS: Mapping[str, tuple[Any, Any]] = {
    "dry_run": (
        Annotated[bool, typer.Option("--dry-run", rich_help_panel=_CHANGE, help="Only show what would be done.")],
        False,
    ),
    "reason": (
        Annotated[str, typer.Option("--reason", rich_help_panel=_CHANGE, help="Why, for the history.")],
        "",
    ),
    "wait": (
        Annotated[
            bool | None,
            typer.Option("--wait/--no-wait", rich_help_panel=_CHANGE, help="Wait for a reload that is put off."),
        ],
        None,
    ),
}
_JSON_OPTION = (Annotated[bool, typer.Option("--json", help="Print JSON for programs.")], False)


@dataclass(frozen=True)
class Surroundings:
    """What tests replace, given as typer's `obj`: the network, and whether somebody can be asked."""

    transport: httpx.BaseTransport | None = None
    interactive: bool | None = None


@dataclass(frozen=True)
class Session:
    """One run of one command."""

    api: ApiClient
    json: bool
    interactive: bool
    dry_run: bool = False
    reason: str = ""
    wait: bool | None = None

    def show(self, value: Any, people: Callable[[], Any]) -> None:
        """Print JSON for programs, or what `people` gives."""
        if self.json:
            output.print_json(value)
        else:
            output.console().print(people())

    def write(
        self, method: str, path: str, body: Any = None, *, based_on: int | None = None, dry_run: bool | None = None
    ) -> dict[str, Any]:
        """A change under the options given; `dry_run` True or False overrules."""
        query: dict[str, Any] = {"reason": self.reason or None, "wait": self.wait}
        if self.dry_run if dry_run is None else dry_run:
            query = {"dry_run": True}
        found: dict[str, Any] = self.api.request(method, path, body=body, query=query, based_on=based_on)
        return found

    def report(self, change: Mapping[str, Any], done: str) -> None:
        """Say what a change did; after a dry run, what it would do."""
        if self.json:
            output.print_json(change)
        elif change["dry_run"]:
            output.console().print(output.plan(change) if change["differences"] else "Nothing to do", end="")
        else:
            output.console().print(f"{done}: {_effect(change)}")

    def confirm(self, question: str, yes: bool) -> None:
        """Go on if `yes`, if nobody can be asked, or if the answer is yes. Raises `typer.Abort`."""
        if self.interactive and not yes:
            typer.confirm(question, abort=True, err=True)


def _effect(change: Mapping[str, Any]) -> str:
    if change["applied"] == "unchanged":
        return f"nothing to do, revision {change['revision']} has it already"
    how = {
        "queued": "the reload follows, joined with others",
        "now": "with one hitless reload" if change["reload"] else "without a reload",
    }
    return f"revision {change['revision']}, {how.get(str(change['applied']), str(change['applied']))}"


def command(
    app: typer.Typer, name: str, *, change: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function as a command of `app`. `change` adds the options of a change."""
    shared = {**(_CHANGE_OPTIONS if change else {}), "as_json": _JSON_OPTION, **_CONNECTION_OPTIONS}

    def register(function: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]

        def run(context: typer.Context, **given: Any) -> None:
            _run(context.obj, given, lambda session: function(session, **{p.name: given[p.name] for p in own}))

        kind = inspect.Parameter.KEYWORD_ONLY
        parameters = [inspect.Parameter("context", kind, annotation=typer.Context)]
        parameters += [parameter.replace(kind=kind) for parameter in own]
        for option, (annotation, default) in shared.items():
            parameters.append(inspect.Parameter(option, kind, default=default, annotation=annotation))
        shaped = cast(Any, run)
        shaped.__signature__ = inspect.Signature(parameters)
        shaped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        shaped.__doc__ = function.__doc__
        app.command(name)(run)
        return function

    return register


def _run(surroundings: object, given: Mapping[str, Any], function: Callable[[Session], None]) -> None:
    found = surroundings if isinstance(surroundings, Surroundings) else Surroundings()
    interactive = sys.stdin.isatty() if found.interactive is None else found.interactive
    connection = Connection(**{part.name: given[part.name] for part in fields(Connection)})
    changes = {name: given[name] for name in _CHANGE_OPTIONS if name in given}
    try:
        api = open_client(connection, found.transport, interactive=interactive)
        try:
            function(Session(api, given["as_json"], interactive, **changes))
        finally:
            api.close()
    except Failure as failure:
        raise typer.Exit(show_failure(failure, as_json=given["as_json"])) from None


def show_failure(failure: Failure, *, as_json: bool = False) -> int:
    """Print the failure on standard error; returns the exit code."""
    if as_json:
        typer.echo(output.as_json({"error": failure.error}), err=True)
    else:
        output.console(stderr=True).print(output.error_line(failure.error), soft_wrap=True)
    return failure.code
