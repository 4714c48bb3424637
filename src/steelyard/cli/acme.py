"""`steelyard acme`: certificates that an authority issues by itself, and renews.

Secrets come from a file, the environment or the keyboard, never as a word of the command.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.table import Table

from steelyard.cli import acme_accounts, acme_dns, output, values
from steelyard.cli.failures import Refused
from steelyard.cli.session import Session, command
from steelyard.model.acme_certificate import AcmeCertificate

app = typer.Typer(no_args_is_help=True, help="Certificates by ACME (Let's Encrypt and others), renewed by themselves.")
app.add_typer(acme_accounts.app, name="account")
app.add_typer(acme_dns.app, name="dns")

#: a dry run waits until records are seen in the DNS, which may take its time
_PATIENCE_SECONDS = 1800.0
_POLL_SECONDS = 1.0

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the certificate.", show_default=False)]
Pairs = Annotated[
    list[str] | None,
    typer.Argument(metavar="SETTING=VALUE", help="See `steelyard settings acme-certificate`.", show_default=False),
]


@command(app, "list")
def list_certificates(session: Session) -> None:
    """Show every certificate that is ordered here, and how it stands."""
    found = session.api.get("/acme/certificates")
    session.show(found, lambda: _table(found))


def _table(found: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (
            one["name"],
            ", ".join(one["domains"]),
            one["account"],
            _proved_by(one),
            output.moment(one["not_after"]),
            "now" if one["under_way"] else output.moment(one["next"]),
            one["trouble"],
        )
        for one in found
    ]
    return output.table(("name", "names", "account", "proved by", "valid until", "next order", "trouble"), rows)


def _proved_by(one: Mapping[str, Any]) -> str:
    services = dict.fromkeys(one["challenge_services"] or [0])
    return ", ".join(f"vs {index}" if index else f"dns {one['dns_provider']}" for index in services)


@command(app, "show")
def show(session: Session, name: Name) -> None:
    """Show one: its settings, its next order, and all that the authority said at the last one that failed."""
    found = session.api.get(_path(name))
    session.show(found, lambda: _card(found))


def _card(found: Mapping[str, Any]) -> Table:
    hidden = {member for member in ("trouble", "remedy", "words", "output", "ordered") if not found[member]}
    shown = {member: value for member, value in found.items() if member not in hidden and value not in ("", [], None)}
    for member in ("not_after", "ordered", "next"):
        if shown.get(member):
            shown[member] = output.moment(shown[member])
    long = ("words", "output", "trouble")
    rows = [(key, str(value) if key in long else output.setting_value(value)) for key, value in shown.items()]
    return output.table(("setting", "value"), rows)


@command(app, "add", change=True)
def add(session: Session, name: Name, pairs: Pairs = None) -> None:
    """Order a certificate: steelyard acme add shop domains=example.com,www.example.com challenge_services=1."""
    body = {"name": name, **values.settings(AcmeCertificate, pairs or ())}
    change = session.write("POST", "/acme/certificates", body)
    session.report(change, f"ACME certificate {name} made")
    if body.get("automatic", True) is True and not change["dry_run"]:
        _order(session, name)


@command(app, "set", change=True)
def change_settings(session: Session, name: Name, pairs: Pairs = None) -> None:
    """Change what the next order asks for; other names are ordered at once."""
    change = session.write("PATCH", _path(name), values.settings(AcmeCertificate, pairs or ()))
    session.report(change, f"ACME certificate {name} changed")


@command(app, "renew")
def renew(session: Session, name: Name) -> None:
    """Order a certificate anew now, and wait until it is issued."""
    _order(session, name)


def _order(session: Session, name: str) -> None:
    found = session.api.request("POST", f"{_path(name)}/order")
    while found["under_way"]:
        time.sleep(_POLL_SECONDS)
        found = session.api.get(_path(name))
    if found["trouble"]:
        said = {"message": found["trouble"], "remedy": found["remedy"], "words": found["words"]}
        raise Refused({member: value for member, value in said.items() if value})
    session.show(found, lambda: f"Certificate {name} is issued, valid until {output.moment(found['not_after'])}")


@command(app, "test")
def test(
    session: Session,
    name: Name,
    directory: Annotated[
        str | None, typer.Option("--directory", help="Staging directory; for Let's Encrypt it is known.")
    ] = None,
) -> None:
    """Order a certificate from a staging directory and throw it away: shows that all names can be proved."""
    body = {} if directory is None else {"directory_url": directory}
    found = session.api.request("POST", f"{_path(name)}/rehearse", body=body, patience=_PATIENCE_SECONDS)
    session.show(found, lambda: f"All names of {name} were proved, and {found['directory_url']} issued a certificate")


@command(app, "remove", change=True)
def remove(
    session: Session,
    name: Name,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the certificate itself, renewed no more.")] = False,
) -> None:
    """Order a certificate no more, and remove it."""
    options = {"keep": True} if keep else {}
    session.report(session.write("DELETE", _path(name), **options), f"ACME certificate {name} removed")


def _path(name: str) -> str:
    return f"/acme/certificates/{quote(name, safe='')}"
