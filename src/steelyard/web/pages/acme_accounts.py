"""ACME accounts and DNS providers: who orders, and by what names are proved by DNS-01."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

from starlette.responses import Response

from steelyard.model.acme_account import DIRECTORIES, AcmeAccount
from steelyard.model.acme_dns import HOOK, UPDATE, DnsProvider
from steelyard.model.commands import (
    AcmeSecret,
    ChangeAcmeAccount,
    PutDnsProvider,
    RemoveAcmeAccount,
    RemoveDnsProvider,
)
from steelyard.model.commands.acme import account_named
from steelyard.model.errors import NotFound, OperatorError, SteelyardError
from steelyard.model.setting import Setting
from steelyard.web.confirming import Question, confirmed
from steelyard.web.editing import Changes, Drawn, Editor, Outlook, Part, edited
from steelyard.web.frame import Visit, page
from steelyard.web.pages.service import BOTH, scrolled
from steelyard.web.uploads import uploaded


class AccountForm(AcmeAccount):
    """An account with what it only names the place of, and the authority that its directory's TLS is verified with."""

    hmac: Annotated[
        str,
        Setting(
            "hmackey",
            "acme account",
            "HMAC key",
            "External account binding: the key that the authority gave you. It is never shown; left empty, the one"
            " there is stays.",
            secret=True,
        ),
    ] = ""
    authority: Annotated[
        str,
        Setting(
            None,
            "acme account",
            "Authority of the directory",
            "Certificates in PEM that the directory's own TLS certificate is verified with. Empty: those of this host.",
            max_length=100_000,
        ),
    ] = ""


_ACCOUNT_PARTS = (
    Part("account", "Account", ("name", "directory_url", "email")),
    Part("binding", "External Account Binding", ("kid", "hmac"), open=False, state="for authorities that ask for it"),
    Part("trust", "Trust", ("authority",), open=False, state="for an authority of your own"),
)


def _secret(changes: Changes, name: str) -> AcmeSecret | None:
    text = changes.get(name)
    return None if text is None else AcmeSecret(secrets.token_hex(16), str(text).strip().encode())


def _account_command(name: str, changes: Changes) -> ChangeAcmeAccount:
    settings = {key: value for key, value in changes.items() if key not in ("name", "hmac", "authority")}
    if "authority" in changes:
        settings["authority_pem"] = changes["authority"]
    return ChangeAcmeAccount(name, settings, _secret(changes, "hmac"))


def _known(visit: Visit) -> AcmeAccount:
    name = visit.request.path_params["name"]
    configuration = visit.snapshot.configuration
    if name not in configuration.acme_accounts and name not in DIRECTORIES:
        raise NotFound("ACME account", name)
    return account_named(configuration, name)


async def account(visit: Visit) -> Response:
    """One account: whether the authority knows it, and its settings."""
    found = _known(visit)
    values = {name: getattr(found, name, "") for name in AccountForm.declared()} | {"authority": found.authority_pem}
    here = visit.url("acme-account", name=found.name)
    editor = Editor(
        model=AccountForm,
        values=values,
        parts=_ACCOUNT_PARTS,
        command=lambda changes: _account_command(found.name, changes),
        done=lambda key: here,
        permission="certs",
        noun="account",
        fixed={"name": "The name of an account cannot be changed."},
    )
    configuration = visit.snapshot.configuration
    context = {
        "title": found.name,
        "sub": "ACME account",
        "back": here,
        "above": ("ACME Certificates", visit.url("acme")),
        "one": found,
        "there": found.name in configuration.acme_accounts,
        "used_by": [each.name for each in configuration.acme_certificates.values() if each.account == found.name],
        "terms": visit.query("terms"),
        "may": visit.may("certs"),
    }

    def draw(drawn: Drawn) -> Response:
        return scrolled(visit, drawn, visit.render("pages/acme_account.html", context, drawn=drawn))

    return await edited(visit, editor, draw)


async def add_account(visit: Visit) -> Response:
    """Name another authority."""
    taken = visit.field("name").strip()
    configuration = visit.snapshot.configuration
    if taken and visit.field("_step") == "apply" and (taken in configuration.acme_accounts or taken in DIRECTORIES):
        visit.session.say(f"Account {taken} is there already: this is it.", "info")
        return visit.go("acme-account", name=taken)
    editor = Editor(
        model=AccountForm,
        values={name: one.default for name, one in AccountForm.declared().items()} | {"name": ""},
        parts=_ACCOUNT_PARTS,
        command=lambda changes: _account_command(str(changes.get("name", "")), changes),
        done=lambda key: visit.url("acme-account", name=str(key)),
        permission="certs",
        fresh=True,
        noun="account",
        apply_label="Add Account",
        always=("name", "directory_url"),
    )
    context = {
        "title": "Add an ACME account",
        "sub": "An account at another authority. It is registered as the next step.",
        "back": visit.url("acme"),
        "above": ("ACME Certificates", visit.url("acme")),
    }

    def draw(drawn: Drawn) -> Response:
        return scrolled(visit, drawn, visit.render("editor.html", context, drawn=drawn))

    return await edited(visit, editor, draw)


async def register(visit: Visit) -> Response:
    """Register an account with its authority, or take over one by its key."""
    found = _known(visit)
    here = visit.url("acme-account", name=found.name)
    try:
        if visit.field("do") == "fetch":
            content, _ = await uploaded(visit)
            await visit.appliance.acme.fetch(found.name, content, visit.field("password") or None, visit.actor)
        else:
            email = visit.field("email").strip()
            await visit.appliance.acme.register(
                found.name, visit.actor, email=email or None, agree=bool(visit.field("agree_terms"))
            )
    except SteelyardError as failure:
        if isinstance(failure, OperatorError) and failure.field == "permission":
            raise
        remedy = str(failure.details().get("remedy") or "")
        visit.session.say(failure.message, "down", f"{remedy}." if remedy else "")
        return visit.go_to(f"{here}#registration")
    visit.session.say(f"Account {found.name} is registered: certificates can be ordered under it.")
    return visit.go_to(here)


async def remove_account(visit: Visit) -> Response:
    """Ask, and forget an account; the authority is not told."""
    name = visit.request.path_params["name"]
    question = Question(
        f"Forget ACME account {name}?",
        "Forget it",
        visit.url("acme-account", name=name),
        visit.url("acme"),
        f"ACME account {name} was forgotten",
        text="Its key is removed here. The authority is not told and keeps the account.",
    )
    return await confirmed(visit, RemoveAcmeAccount(name), question)


# ------------------------------------------------------------------------------------------------------- DNS providers


class ProviderForm(DnsProvider):
    """A provider with its key, which the provider itself only names the place of."""

    key: Annotated[
        str,
        Setting(
            "key",
            "dns provider",
            "TSIG key",
            "Secret of the key in base64. It is never shown; left empty, the one there is stays.",
            secret=True,
        ),
    ] = ""


_PROVIDER_PARTS = (
    Part(
        "provider",
        "DNS Provider",
        ("name", "kind", "program", "program_seconds", "server", "port", "zone", "key_name", "key", "algorithm", "ttl"),
    ),
    Part("seen", "Until the record is seen", ("check_servers", "check_seconds")),
)
_OF_HOOK = ("program", "program_seconds")
_OF_UPDATE = ("server", "port", "zone", "key_name", "key", "algorithm", "ttl")


def _provider_editor(visit: Visit, one: DnsProvider | None) -> Editor:
    declared = ProviderForm.declared()
    if one is None:
        values: dict[str, Any] = {name: each.default for name, each in declared.items()} | {"name": ""}
    else:
        values = {name: getattr(one, name, "") for name in declared}

    def outlook(changes: Changes) -> Outlook:
        kind = changes.get("kind", values["kind"])
        others = _OF_UPDATE if kind == HOOK else _OF_HOOK if kind == UPDATE else ()
        return Outlook(idle=dict.fromkeys(others, "this is of the other kind"))

    def command(changes: Changes) -> PutDnsProvider:
        settings = {name: value for name, value in changes.items() if name not in ("name", "key")}
        name = one.name if one is not None else str(changes.get("name", ""))
        return PutDnsProvider(name, settings, _secret(changes, "key"), new=one is None)

    done = visit.url("acme")
    return Editor(
        model=ProviderForm,
        values=values,
        parts=_PROVIDER_PARTS,
        command=command,
        done=lambda key: done,
        outlook=outlook,
        permission="certs",
        fresh=one is None,
        noun="DNS provider",
        apply_label="Add DNS Provider" if one is None else "Apply",
        always=("name", "kind") if one is None else (),
        fixed={} if one is None else {"name": "The name of a DNS provider cannot be changed."},
    )


async def add_provider(visit: Visit) -> Response:
    """Make a DNS provider."""
    return await _provider(visit, None)


async def provider(visit: Visit) -> Response:
    """Settings of a DNS provider."""
    name = visit.request.path_params["name"]
    found = visit.snapshot.configuration.dns_providers.get(name)
    if found is None:
        raise NotFound("DNS provider", name)
    return await _provider(visit, found)


async def _provider(visit: Visit, one: DnsProvider | None) -> Response:
    context: dict[str, Any] = {
        "title": one.name if one is not None else "Add a DNS provider",
        "sub": "How the records of DNS-01 challenges come into the zones of the names",
        "back": visit.url("acme") if one is None else visit.url("dns-provider", name=one.name),
        "above": ("ACME Certificates", visit.url("acme")),
        "actions": []
        if one is None or not visit.may("certs")
        else [("Delete", visit.url("remove-dns-provider", name=one.name))],
    }

    def draw(drawn: Drawn) -> Response:
        return scrolled(visit, drawn, visit.render("editor.html", context, drawn=drawn))

    return await edited(visit, _provider_editor(visit, one), draw)


async def remove_provider(visit: Visit) -> Response:
    """Ask, and remove a DNS provider that no certificate uses."""
    name = visit.request.path_params["name"]
    question = Question(
        f"Delete DNS provider {name}?",
        "Delete",
        visit.url("dns-provider", name=name),
        visit.url("acme"),
        f"DNS provider {name} was deleted",
    )
    return await confirmed(visit, RemoveDnsProvider(name), question)


_ACCOUNT = "/acme/accounts/of/{name}"
_PROVIDER = "/acme/dns-providers/of/{name}"
ROUTES = [
    page("/acme/accounts/add", add_account, name="add-acme-account", belongs="acme", methods=BOTH),
    page(_ACCOUNT, account, name="acme-account", belongs="acme", methods=BOTH),
    page(f"{_ACCOUNT}/register", register, name="register-acme-account", belongs="acme", methods=("POST",)),
    page(f"{_ACCOUNT}/remove", remove_account, name="remove-acme-account", belongs="acme", methods=BOTH),
    page("/acme/dns-providers/add", add_provider, name="add-dns-provider", belongs="acme", methods=BOTH),
    page(_PROVIDER, provider, name="dns-provider", belongs="acme", methods=BOTH),
    page(f"{_PROVIDER}/remove", remove_provider, name="remove-dns-provider", belongs="acme", methods=BOTH),
]
