"""The options every command shares, as the annotations typer reads, by the name of the parameter that gets them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

_CONNECTION = "Connection"
_CHANGE = "Change"


def _connection(flag: str, says: str, variable: str | None = None) -> Any:
    return typer.Option(flag, envvar=variable, rich_help_panel=_CONNECTION, help=says)


#: parameter -> (annotation, default)
CONNECTION_OPTIONS: Mapping[str, tuple[Any, Any]] = {
    "url": (Annotated[str | None, _connection("--url", "API of another host.", "STEELYARD_URL")], None),
    "user": (Annotated[str, _connection("--user", "With --url: who.", "STEELYARD_USER")], "bal"),
    "password_file": (
        Annotated[Path | None, _connection("--password-file", "Holds the password; or set STEELYARD_PASSWORD.")],
        None,
    ),
    "api_key": (
        Annotated[
            str | None,
            _connection("--api-key", "Instead of a password; safer in the environment.", "STEELYARD_API_KEY"),
        ],
        None,
    ),
    "insecure": (Annotated[bool, _connection("--insecure", "Trust any certificate of --url.")], False),
    "ca_file": (Annotated[Path | None, _connection("--ca-file", "Certificates to trust.", "STEELYARD_CA_FILE")], None),
    "state_dir": (
        Annotated[
            Path | None,
            _connection("--state-dir", "State directory of the Steelyard on this host.", "STEELYARD_STATE_DIR"),
        ],
        None,
    ),
}

CHANGE_OPTIONS: Mapping[str, tuple[Any, Any]] = {
    "dry_run": (
        Annotated[bool, typer.Option("--dry-run", rich_help_panel=_CHANGE, help="Only show what would be done.")],
        False,
    ),
    "reason": (Annotated[str, typer.Option("--reason", rich_help_panel=_CHANGE, help="Why, for the history.")], ""),
    "wait": (
        Annotated[
            bool | None,
            typer.Option("--wait/--no-wait", rich_help_panel=_CHANGE, help="Wait for a reload that is put off."),
        ],
        None,
    ),
}

JSON_OPTION: tuple[Any, Any] = (Annotated[bool, typer.Option("--json", help="Print JSON for programs.")], False)
