"""`steelyard acme dns`: how the records of DNS-01 challenges are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from steelyard.cli import output
from steelyard.cli.secret_holders import SecretHolders
from steelyard.cli.session import Session, command
from steelyard.model.acme_dns import HOOK, DnsProvider

app = typer.Typer(no_args_is_help=True, help="DNS providers: programs of yours (hooks), or DNS UPDATE.")

KEY_VARIABLE = "STEELYARD_TSIG_KEY"
_PROVIDERS = SecretHolders("/acme/dns-providers", DnsProvider, "key", "Secret of the TSIG key", KEY_VARIABLE)

Name = Annotated[str, typer.Argument(metavar="NAME", help="What it is referred to by.", show_default=False)]
Pairs = Annotated[
    list[str] | None,
    typer.Argument(metavar="SETTING=VALUE", help="See `steelyard settings dns-provider`.", show_default=False),
]
KeyFile = Annotated[
    Path | None, typer.Option("--key-file", help=f"Secret of the TSIG key in base64; or set {KEY_VARIABLE}.")
]
AskKey = Annotated[bool, typer.Option("--ask-key", help="Ask for the secret of the TSIG key.")]


@command(app, "list")
def list_providers(session: Session) -> None:
    """Show every DNS provider."""
    found = session.api.get(_PROVIDERS.path)
    session.show(found, lambda: _table(found))


def _table(found: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (
            one["name"],
            f"program {one['program']}" if one["kind"] == HOOK else f"update {one['server']} port {one['port']}",
            one["zone"],
            f"{one['key_name']} ({one['algorithm']})" if one["has_key"] else "",
            ", ".join(one["used_by"]) or "none",
        )
        for one in found
    ]
    return output.table(("name", "how", "zone", "key", "used by"), rows)


@command(app, "show")
def show(session: Session, name: Name) -> None:
    """Show one DNS provider."""
    found = session.api.get(_PROVIDERS.place(name))
    rows = [(key, output.setting_value(value)) for key, value in found.items()]
    session.show(found, lambda: output.table(("setting", "value"), rows))


@command(app, "add", change=True)
def add(session: Session, name: Name, pairs: Pairs = None, key: KeyFile = None, ask: AskKey = False) -> None:
    """Make one: steelyard acme dns add ns kind=rfc2136 server=192.0.2.53 key_name=steelyard --key-file tsig."""
    _PROVIDERS.add(session, name, pairs, key, ask=ask)


@command(app, "set", change=True)
def change_settings(
    session: Session, name: Name, pairs: Pairs = None, key: KeyFile = None, ask: AskKey = False
) -> None:
    """Change one: steelyard acme dns set ns check_seconds=300."""
    _PROVIDERS.change(session, name, pairs, key, ask=ask)


@command(app, "remove", change=True)
def remove(session: Session, name: Name) -> None:
    """Remove a DNS provider that no certificate uses."""
    _PROVIDERS.remove(session, name)
