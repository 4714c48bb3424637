"""What every command shares: options of the connection and of writes, the client, and how a failure is shown.

A command is a function whose first parameter is the `Session`. `command` adds the shared options to its own.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import httpx
import typer

from steelyard.cli import output
from steelyard.cli.connection import PATIENCE_SECONDS, ApiClient, Connection, open_client
from steelyard.cli.failures import Failure
from steelyard.cli.session_options import CHANGE_OPTIONS, CONNECTION_OPTIONS, JSON_OPTION


@dataclass(frozen=True)
class Surroundings:
    """What holds for every command, as typer's `obj`: options of the connection that stand before the command, and what
    tests replace, which is the network and whether somebody can be asked.
    """

    transport: httpx.BaseTransport | None = None
    interactive: bool | None = None
    connection: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Session:
    """One run of one command."""

    api: ApiClient
    json: bool
    interactive: bool
    dry_run: bool = False
    reason: str = ""
    wait: bool | None = None
    connection: Connection = field(default_factory=Connection)

    def show(self, value: Any, people: Callable[[], Any]) -> None:
        """Print JSON for programs, or what `people` gives."""
        if self.json:
            output.print_json(value)
        else:
            output.console().print(people())

    def write(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        based_on: int | None = None,
        dry_run: bool | None = None,
        patience: float = PATIENCE_SECONDS,
        **options: Any,
    ) -> dict[str, Any]:
        """A change under the options given; `dry_run` True or False overrules. `options` are those of the request.

        `patience` is how many seconds the answer may take.
        """
        query: dict[str, Any] = {"reason": self.reason or None, "wait": self.wait}
        if self.dry_run if dry_run is None else dry_run:
            query = {"dry_run": True}
        query |= options
        found: dict[str, Any] = self.api.request(
            method, path, body=body, query=query, based_on=based_on, patience=patience
        )
        return found

    def report(self, change: Mapping[str, Any], done: str) -> None:
        """Say what a change did; after a dry run, what it would do."""
        if self.json:
            output.print_json(change)
        elif change["dry_run"]:
            output.console().print(output.plan(change) if change["differences"] else "Nothing to do")
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
    app: typer.Typer, name: str, *, change: bool = False, without: Iterable[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function as a command of `app`. `change` adds the options of a change, but those in `without`."""
    changing = {option: CHANGE_OPTIONS[option] for option in CHANGE_OPTIONS if change and option not in without}
    shared = {**changing, "as_json": JSON_OPTION, **CONNECTION_OPTIONS}

    def register(function: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]

        def run(context: typer.Context, **given: Any) -> None:
            arguments = {parameter.name: given[parameter.name] for parameter in own}
            _run(context, given, lambda session: function(session, **arguments))

        run.__doc__ = function.__doc__
        app.command(name)(_shaped(run, own, shared))
        return function

    return register


def connection_callback(app: typer.Typer) -> None:
    """Let the options of the connection stand before the command, too."""

    def remember(context: typer.Context, **given: Any) -> None:
        """Run and change the Steelyard of this host, or of another by --url."""
        said = {name: value for name, value in given.items() if _from_command_line(context, name)}
        context.obj = replace(_surroundings(context), connection=said)

    app.callback()(_shaped(remember, [], CONNECTION_OPTIONS))


def _shaped(
    function: Callable[..., None], own: list[inspect.Parameter], shared: Mapping[str, tuple[Any, Any]]
) -> Callable[..., None]:
    """The function with the signature typer is to see: context, its own parameters, the shared options."""
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter("context", kind, annotation=typer.Context)]
    parameters += [parameter.replace(kind=kind) for parameter in own]
    for name, (annotation, default) in shared.items():
        parameters.append(inspect.Parameter(name, kind, default=default, annotation=annotation))
    found = cast(Any, function)
    found.__signature__ = inspect.Signature(parameters)
    found.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return function


def _surroundings(context: typer.Context) -> Surroundings:
    return context.obj if isinstance(context.obj, Surroundings) else Surroundings()


def _from_command_line(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _run(context: typer.Context, given: Mapping[str, Any], function: Callable[[Session], None]) -> None:
    found = _surroundings(context)
    interactive = sys.stdin.isatty() if found.interactive is None else found.interactive
    earlier = {name: value for name, value in found.connection.items() if not _from_command_line(context, name)}
    connection = Connection(**{**{name: given[name] for name in CONNECTION_OPTIONS}, **earlier})
    changes = {name: given[name] for name in CHANGE_OPTIONS if name in given}
    try:
        api = open_client(connection, found.transport, interactive=interactive)
        try:
            function(Session(api, given["as_json"], interactive, **changes, connection=connection))
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
