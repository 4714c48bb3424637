"""ACME: `/acme/accounts`, `/acme/dns-providers`, `/acme/certificates`. Keys and HMAC keys go in and never come out."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import JSONResponse

from steelyard.api.native.access import Appliance, Caller
from steelyard.api.native.bodies import JsonObject, OptionalObject, flag, only, optional_text, text
from steelyard.api.native.objects import Json, settings_json
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schema_words import list_of
from steelyard.api.native.schemas import CHANGED, MADE, answers, body
from steelyard.api.native.writing import Writing, read, settings_given
from steelyard.appliance.acme_state import AcmeState
from steelyard.model.acme_account import DIRECTORIES, AcmeAccount
from steelyard.model.acme_certificate import AcmeCertificate
from steelyard.model.acme_dns import DnsProvider
from steelyard.model.commands import (
    AcmeSecret,
    AddAcmeCertificate,
    ChangeAcmeAccount,
    ChangeAcmeCertificate,
    PutDnsProvider,
    RemoveAcmeAccount,
    RemoveAcmeCertificate,
    RemoveDnsProvider,
)
from steelyard.model.commands.acme import account_named
from steelyard.model.configuration import Configuration
from steelyard.model.errors import NotFound

router = NativeRouter(prefix="/acme", tags=["ACME"])

_WAIT_SECONDS = 30.0


def _secret(data: Mapping[str, Any], name: str) -> AcmeSecret | None:
    """A secret of a body; an empty one takes the kept one away."""
    given = optional_text(data, name, secret=True)
    return None if given is None else AcmeSecret(secrets.token_hex(16), given.strip().encode())


def _without(data: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in names}


# --- accounts


def account_json(account: AcmeAccount, configuration: Configuration) -> Json:
    """An account, whether it is registered, and the certificates that are ordered under it."""
    used = [one.name for one in configuration.acme_certificates.values() if one.account == account.name]
    return {
        **settings_json(account),
        "authority_pem": account.authority_pem,
        "has_hmac": bool(account.hmac_place),
        "registered": account.registered,
        "uri": account.uri,
        "used_by": used,
    }


def _account(configuration: Configuration, key: int | str | None) -> Any:
    name = str(key)
    if name not in configuration.acme_accounts and name not in DIRECTORIES:
        raise NotFound("ACME account", name)
    return account_json(account_named(configuration, name), configuration)


def _account_or_none(configuration: Configuration, key: int | str | None) -> Any:
    return _account(configuration, key) if key in configuration.acme_accounts else None


@router.get("/accounts", responses=answers(list_of("AcmeAccount")))
async def list_acme_accounts(appliance: Appliance) -> JSONResponse:
    """Every ACME account; those that need no directory to be named are there before they are registered."""
    snapshot = appliance.snapshot()
    names = dict.fromkeys((*DIRECTORIES, *snapshot.configuration.acme_accounts))
    return read(snapshot.revision, [_account(snapshot.configuration, name) for name in names])


@router.get("/accounts/{name}", responses=answers("AcmeAccount"))
async def show_acme_account(appliance: Appliance, name: str) -> JSONResponse:
    """One ACME account."""
    snapshot = appliance.snapshot()
    return read(snapshot.revision, _account(snapshot.configuration, name))


@router.patch("/accounts/{name}", responses=CHANGED, openapi_extra=body("AcmeAccountChanges"))
async def change_acme_account(write: Writing, name: str, data: JsonObject) -> JSONResponse:
    """Make an ACME account or change its settings; another directory makes it unregistered."""
    hmac = _secret(data, "hmac")
    changes = settings_given(AcmeAccount, _without(data, "hmac"), "authority_pem")
    optional_text(changes, "authority_pem")
    return await write.carry_out(ChangeAcmeAccount(name, changes, hmac), _account_or_none)


@router.delete("/accounts/{name}", responses=CHANGED)
async def remove_acme_account(write: Writing, name: str) -> JSONResponse:
    """Forget an ACME account that no certificate uses; the authority is not told."""
    return await write.carry_out(RemoveAcmeAccount(name))


@router.post("/accounts/{name}/register", responses=answers("AcmeAccount"), openapi_extra=body("AcmeRegistration"))
async def register_acme_account(appliance: Appliance, actor: Caller, name: str, data: OptionalObject) -> JSONResponse:
    """Register an account with its authority, or find the one that its key has."""
    only(data, ("email", "agree_terms"), "a registration")
    await appliance.acme.register(name, actor, email=optional_text(data, "email"), agree=flag(data, "agree_terms"))
    return await show_acme_account(appliance, name)


@router.post("/accounts/{name}/fetch", responses=answers("AcmeAccount"), openapi_extra=body("AcmeAccountKey"))
async def fetch_acme_account(appliance: Appliance, actor: Caller, name: str, data: JsonObject) -> JSONResponse:
    """Take over an account that exists, by its private key."""
    only(data, ("key", "password"), "an account key")
    key, password = text(data, "key", secret=True), optional_text(data, "password", secret=True)
    await appliance.acme.fetch(name, key.encode(), password, actor)
    return await show_acme_account(appliance, name)


# --- DNS providers


def provider_json(provider: DnsProvider, configuration: Configuration) -> Json:
    """A DNS provider, whether it has a key, and the certificates that are proved by it."""
    used = [one.name for one in configuration.acme_certificates.values() if one.dns_provider == provider.name]
    return {**settings_json(provider), "has_key": bool(provider.key_place), "used_by": used}


def _provider(configuration: Configuration, key: int | str | None) -> Any:
    found = configuration.dns_providers.get(str(key))
    if found is None:
        raise NotFound("DNS provider", str(key))
    return provider_json(found, configuration)


@router.get("/dns-providers", responses=answers(list_of("DnsProvider")))
async def list_dns_providers(appliance: Appliance) -> JSONResponse:
    """Every DNS provider."""
    snapshot = appliance.snapshot()
    found = snapshot.configuration.dns_providers.values()
    return read(snapshot.revision, [provider_json(one, snapshot.configuration) for one in found])


@router.post("/dns-providers", status_code=201, responses=MADE, openapi_extra=body("NewDnsProvider"))
async def add_dns_provider(write: Writing, data: JsonObject) -> JSONResponse:
    """Make a DNS provider."""
    name, key = text(data, "name"), _secret(data, "key")
    settings = settings_given(DnsProvider, _without(data, "name", "key"))
    return await write.carry_out(PutDnsProvider(name, settings, key, new=True), _provider, made="acme/dns-providers")


@router.get("/dns-providers/{name}", responses=answers("DnsProvider"))
async def show_dns_provider(appliance: Appliance, name: str) -> JSONResponse:
    """One DNS provider."""
    snapshot = appliance.snapshot()
    return read(snapshot.revision, _provider(snapshot.configuration, name))


@router.patch("/dns-providers/{name}", responses=CHANGED, openapi_extra=body("DnsProviderChanges"))
async def change_dns_provider(write: Writing, name: str, data: JsonObject) -> JSONResponse:
    """Change a DNS provider. What is not named keeps its value, the key too; an empty one takes it away."""
    key = _secret(data, "key")
    settings = settings_given(DnsProvider, _without(data, "key"))
    return await write.carry_out(PutDnsProvider(name, settings, key), _provider)


@router.delete("/dns-providers/{name}", responses=CHANGED)
async def remove_dns_provider(write: Writing, name: str) -> JSONResponse:
    """Remove a DNS provider that no certificate uses."""
    return await write.carry_out(RemoveDnsProvider(name))


# --- certificates


def certificate_json(one: AcmeCertificate, configuration: Configuration, state: AcmeState | None = None) -> Json:
    """What is ordered, when its certificate ends, and how it stands with the orders."""
    certificate = configuration.certificates.get(one.name)
    used = [service.index for service in configuration.services.values() if one.name in service.certificates]
    found = {
        **settings_json(one),
        "not_after": None if certificate is None else _moment(certificate.leaf().not_valid_after_utc),
        "used_by": used,
    }
    if state is None:
        return found
    return found | {
        "under_way": state.under_way,
        "failures": state.failures,
        "ordered": _moment(state.ordered),
        "next": None if state.under_way else _moment(_no_sooner_than_now(state.due)),
        "trouble": state.trouble,
        "remedy": state.remedy,
        "words": state.words,
        "output": state.output,
    }


def _no_sooner_than_now(at: datetime | None) -> datetime | None:
    return None if at is None else max(at, datetime.now(UTC))


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _certificate(configuration: Configuration, key: int | str | None) -> Any:
    return certificate_json(configuration.acme_certificate(str(key)), configuration)


def _certificate_now(appliance: Appliance, name: str) -> JSONResponse:
    snapshot = appliance.snapshot()
    found = snapshot.configuration.acme_certificate(name)
    return read(snapshot.revision, certificate_json(found, snapshot.configuration, appliance.acme.states().get(name)))


@router.get("/certificates", responses=answers(list_of("AcmeCertificate")))
async def list_acme_certificates(appliance: Appliance) -> JSONResponse:
    """Every certificate that is ordered and renewed here."""
    snapshot, states = appliance.snapshot(), appliance.acme.states()
    found = snapshot.configuration.acme_certificates.values()
    return read(
        snapshot.revision, [certificate_json(one, snapshot.configuration, states.get(one.name)) for one in found]
    )


@router.post("/certificates", status_code=201, responses=MADE, openapi_extra=body("NewAcmeCertificate"))
async def add_acme_certificate(write: Writing, data: JsonObject) -> JSONResponse:
    """Have a certificate ordered, and renewed from then on.

    The order follows by itself within a second or so; ask for the certificate to see what comes of it.
    """
    return await write.carry_out(
        AddAcmeCertificate(settings_given(AcmeCertificate, data)), _certificate, made="acme/certificates"
    )


@router.get("/certificates/{name}", responses=answers("AcmeCertificate"))
async def show_acme_certificate(appliance: Appliance, name: str) -> JSONResponse:
    """One certificate that is ordered here: when it is renewed, and what went wrong at the last order if it failed."""
    return _certificate_now(appliance, name)


@router.patch("/certificates/{name}", responses=CHANGED, openapi_extra=body("AcmeCertificateChanges"))
async def change_acme_certificate(write: Writing, name: str, data: JsonObject) -> JSONResponse:
    """Change what the next order asks for; other names are ordered at once."""
    return await write.carry_out(ChangeAcmeCertificate(name, settings_given(AcmeCertificate, data)), _certificate)


@router.delete("/certificates/{name}", responses=CHANGED)
async def remove_acme_certificate(
    write: Writing,
    name: str,
    keep: Annotated[bool, Query(description="Keep the certificate itself, renewed no more.")] = False,
) -> JSONResponse:
    """Order a certificate no more, and remove it."""
    return await write.carry_out(RemoveAcmeCertificate(name, keep))


@router.post("/certificates/{name}/order", responses=answers("AcmeCertificate"))
async def order_acme_certificate(appliance: Appliance, actor: Caller, name: str) -> JSONResponse:
    """Order a certificate now, or wait for the order under way.

    The answer comes when the certificate is issued, or after half a minute with `under_way` true: then ask for the
    certificate until it is false, and see in `trouble` whether the order failed.
    """
    # the order goes on when the answer does not wait for it any more
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_WAIT_SECONDS):
            await appliance.acme.order(name, actor)
    return _certificate_now(appliance, name)


@router.post("/certificates/{name}/rehearse", responses=answers("Data"), openapi_extra=body("AcmeRehearsal"))
async def rehearse_acme_certificate(
    appliance: Appliance, actor: Caller, name: str, data: OptionalObject
) -> JSONResponse:
    """Order a certificate from a staging directory and throw it away.

    Every name is proved as for a real order. For Let's Encrypt the directory is known.
    """
    only(data, ("directory_url",), "a dry run")
    url = await appliance.acme.rehearse(name, actor, optional_text(data, "directory_url") or "")
    return JSONResponse({"name": name, "directory_url": url, "issued": True})
