"""Commands on ACME (`reference/loadmaster-api/05`, 5.4), under the names of 2022 and of 7.2.61.

`acmetype` 1 is Let's Encrypt, which is meant without it, 2 is DigiCert; the name of another account of this Steelyard
is taken too. Directory URL and renew period are answered under two spellings each, since clients differ. The HMAC key
goes in and comes out as asterisks.
"""

from __future__ import annotations

import asyncio
import secrets

from steelyard.api.loadmaster.answers import Answer, Data, Message, Record, Value
from steelyard.api.loadmaster.call import Call, Entry
from steelyard.api.loadmaster.failures import Refusal, missing
from steelyard.api.loadmaster.values import MASK, decoded
from steelyard.model.acme_account import DIGICERT, LETS_ENCRYPT, AcmeAccount
from steelyard.model.acme_certificate import AcmeCertificate
from steelyard.model.acme_renewal import AcmeParameters
from steelyard.model.commands import (
    AcmeSecret,
    AddAcmeCertificate,
    ChangeAcmeAccount,
    RemoveAcmeAccount,
    RemoveAcmeCertificate,
    SetParameters,
)
from steelyard.model.commands.acme import account_named
from steelyard.model.errors import OperatorError, SteelyardError

_TYPES = {"1": LETS_ENCRYPT, "2": DIGICERT}
_NUMBERS = {name: number for number, name in _TYPES.items()}
_UNKNOWN = "Unknown ACME cert"
#: how long a request waits for its order; clients give up after half a minute, and the order goes on without them
_WAIT_SECONDS = 25.0
_SUBJECT = ("country", "state", "city", "company", "organization", "email")
_MOST_SANS = 10


def _account(call: Call) -> str:
    given = (call.parameters.text("acmetype") or "1").strip()
    if given in _TYPES:
        return _TYPES[given]
    if given in call.configuration.acme_accounts:
        return given
    allowed = ", ".join(("1 (Let's Encrypt)", "2 (DigiCert)", *call.configuration.acme_accounts))
    raise OperatorError(f"acmetype {given[:40]!r} is unknown; allowed: {allowed}", field="acmetype", allowed=allowed)


def _found(call: Call) -> AcmeCertificate:
    """The certificate of the call, of its account if it names one."""
    certificate = call.configuration.acme_certificates.get(call.parameters.required("cert"))
    if certificate is None or ("acmetype" in call.parameters and certificate.account != _account(call)):
        raise Refusal(422, _UNKNOWN)
    return certificate


def _nested(call: Call, record: Record) -> Answer:
    """A record: the answer's members in v1, one level deeper in v2 (13, quirk 52)."""
    return Data({"Data": record} if call.version == 2 else record)


# --- accounts


async def registeracmeaccount(call: Call) -> Answer:
    """Register with the authority; its terms of service are agreed to by that, as with LoadMaster."""
    email = (call.parameters.text("email") or "").strip()
    await call.appliance.acme.register(_account(call), call.actor, email=email or None, agree=True)
    return Message()


async def fetchacmeaccount(call: Call) -> Answer:
    """Take over an account by its key."""
    password = call.parameters.text("password") or None
    await call.appliance.acme.fetch(_account(call), call.upload, password, call.actor)
    return Message()


async def acmeaccountinfo(call: Call) -> Answer:
    """The registered account."""
    account = call.configuration.acme_accounts.get(_account(call))
    if account is None or not account.registered:
        raise Refusal(422, "No ACME account is registered; register one first")
    return _nested(
        call,
        {
            "AccountType": _NUMBERS.get(account.name, account.name),
            "AccountID": account.uri,
            "AccountDirectory": account.directory_url,
            "AccountEmail": account.email,
        },
    )


async def delacmeconfig(call: Call) -> Answer:
    """Forget an account that no certificate uses."""
    name = _account(call)
    if name in call.configuration.acme_accounts:
        await call.execute(RemoveAcmeAccount(name))
    return Message()


def _setting(call: Call, wire: str) -> str:
    declared = AcmeAccount.by_wire()[wire]
    raw = call.parameters.raw(wire)
    if raw is None:
        raise missing(wire)
    return str(decoded(declared, raw))


def _shown(call: Call) -> AcmeAccount:
    return account_named(call.configuration, _account(call))


async def getacmedirectoryurl(call: Call) -> Answer:
    """Where the authority's directory is."""
    url = _shown(call).directory_url
    return Data({"acmedirectoryurl": url, "directoryurl": url})


async def setacmedirectoryurl(call: Call) -> Answer:
    """Another authority; the account there has to be registered anew."""
    await call.execute(ChangeAcmeAccount(_account(call), {"directory_url": _setting(call, "directoryurl")}))
    return Message()


async def getacmekid(call: Call) -> Answer:
    """The key ID of the external account binding."""
    return Data({"acmekid": _shown(call).kid})


async def setacmekid(call: Call) -> Answer:
    """Set it."""
    await call.execute(ChangeAcmeAccount(_account(call), {"kid": _setting(call, "kid")}))
    return Message()


async def getacmehmac(call: Call) -> Answer:
    """Whether there is an HMAC key: asterisks, or nothing."""
    return Data({"acmehmac": MASK if _shown(call).hmac_place else ""})


async def setacmehmac(call: Call) -> Answer:
    """Set it. Asterisks, as they were read, change nothing."""
    given = call.parameters.text("hmac")
    if given is None:
        raise missing("hmac")
    if not given or set(given) != {"*"}:
        secret = AcmeSecret(secrets.token_hex(16), given.strip().encode())
        await call.execute(ChangeAcmeAccount(_account(call), {}, secret))
    return Message()


async def getacmerenewperiod(call: Call) -> Answer:
    """Days before their end at which certificates are renewed."""
    days = call.configuration.acme.renew_days
    return Data({"acmerenewperiod": days, "renewperiod": days})


async def setacmerenewperiod(call: Call) -> Answer:
    """Set it; it is one for all accounts."""
    declared = AcmeParameters.by_wire()["renewperiod"]
    raw = call.parameters.raw("renewperiod")
    if raw is None:
        raise missing("renewperiod")
    await call.execute(SetParameters("acme", {declared.name: decoded(declared, raw)}))
    return Message()


# --- certificates


def _service(call: Call, name: str) -> int | None:
    given = (call.parameters.text(name) or "").strip()
    if not given:
        return None
    if not given.isascii() or not given.isdigit() or len(given) > 6:
        raise OperatorError(f"{name} {given[:40]!r} is no index of a virtual service", field=name)
    return int(given)


def _key_type(call: Call) -> str:
    size = (call.parameters.text("key_size") or call.parameters.text("keysize") or "").strip()
    if call.parameters.flag("ec"):
        curves = {"": "ec-p256", "256": "ec-p256", "384": "ec-p384"}
        if size not in (*curves, "2048", "4096"):
            raise OperatorError(f"key_size {size[:20]!r} is no size of an EC key; allowed: 256, 384", field="key_size")
        # clients send the size of RSA keys along
        return curves.get(size, "ec-p256")
    if size not in ("", "0", "2048", "4096"):
        raise OperatorError(f"key_size {size[:20]!r} is unknown; allowed: 2048, 4096", field="key_size")
    return "rsa-4096" if size == "4096" else "rsa-2048"


def _names(call: Call, *, by_dns: bool) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The names and their challenge services; a further name without one has that of the first."""
    first = _service(call, "vid")
    if first is None and not by_dns:
        raise missing("vid")
    domains, services = [call.parameters.required("cn")], [first or 0]
    for number in range(1, _MOST_SANS + 1):
        name = (call.parameters.text(f"san{number}") or "").strip()
        own = _service(call, f"vid{number}")
        if name:
            domains.append(name)
            services.append(services[0] if own is None else own)
        elif own is not None:
            raise missing(f"san{number}")
    if by_dns:
        # a wildcard has no other way; where a service was named too, the provider was meant all the same
        services = [0] * len(domains)
    return tuple(domains), tuple(services)


async def addacmecert(call: Call) -> Answer:
    """Order a certificate.

    A refusal within half a minute is told and leaves nothing behind; later ones are told by the status and in the log.
    """
    name = call.parameters.required("cert")
    if (call.parameters.text("dnsapiparams") or "").strip():
        raise OperatorError(
            "dnsapiparams is not taken: a DNS provider keeps its own parameters and secrets",
            field="dnsapiparams",
            remedy="Make the provider (steelyard acme dns add) and give its name as dnsapi",
        )
    provider = (call.parameters.text("dnsapi") or "").strip()
    domains, services = _names(call, by_dns=bool(provider))
    settings = {
        "name": name,
        "account": _account(call),
        "domains": domains,
        "challenge_services": services,
        "dns_provider": provider,
        "key_type": _key_type(call),
    }
    settings |= {part: (call.parameters.text(part) or "").strip() for part in _SUBJECT}
    await call.execute(AddAcmeCertificate(settings))
    try:
        await _ordered(call, name)
    except SteelyardError:
        await call.execute(RemoveAcmeCertificate(name))
        raise
    return Message()


async def _ordered(call: Call, name: str) -> None:
    try:
        async with asyncio.timeout(_WAIT_SECONDS):
            await call.appliance.acme.order(name, call.actor)
    except TimeoutError:
        # the order goes on by itself
        return


async def renewacmecert(call: Call) -> Answer:
    """Order it anew."""
    await _ordered(call, _found(call).name)
    return Message()


async def delacmecert(call: Call) -> Answer:
    """Remove a certificate no service uses, and order it no more."""
    await call.execute(RemoveAcmeCertificate(_found(call).name))
    return Message()


def _record(call: Call, one: AcmeCertificate) -> Record:
    certificate = call.configuration.certificates.get(one.name)
    kind, size = one.key_type.split("-")
    used = [str(s.index) for s in call.configuration.services.values() if one.name in s.certificates]
    expiry = ""
    if certificate is not None:
        # as OpenSSL writes it
        expiry = f"{certificate.leaf().not_valid_after_utc:%b %e %H:%M:%S %Y GMT}"
    challenge = dict.fromkeys(str(index) for index in one.challenge_services if index)
    found: dict[str, Value] = {
        "Identifier": one.name,
        "DomainName": one.domains[0],
        "ExpiryDate": expiry,
        "SubjectAlternateNames": " ".join(one.domains[1:]),
        "Type": kind.upper(),
        "KeySize": size.removeprefix("p"),
        "HTTPChallengeVS": " ".join(challenge),
        "VirtualServices": " ".join(used),
    }
    return found


async def getacmecert(call: Call) -> Answer:
    """One certificate."""
    return _nested(call, _record(call, _found(call)))


async def listacmecert(call: Call) -> Answer:
    """Every certificate, of one account if it is named."""
    account = _account(call) if "acmetype" in call.parameters else None
    found = call.configuration.acme_certificates.values()
    records = tuple(_record(call, one) for one in found if account is None or one.account == account)
    return _nested(call, {"Certificate": records})


COMMANDS = (
    Entry("registeracmeaccount", registeracmeaccount, "certs", aliases=("registerleaccount",)),
    Entry("fetchacmeaccount", fetchacmeaccount, "certs", upload=True, aliases=("fetchleaccount",)),
    Entry("acmeaccountinfo", acmeaccountinfo, aliases=("leaccountinfo",)),
    Entry("addacmecert", addacmecert, "certs", aliases=("addlecert",)),
    Entry("renewacmecert", renewacmecert, "certs", aliases=("renewlecert",)),
    Entry("delacmecert", delacmecert, "certs", aliases=("dellecert",)),
    Entry("listacmecert", listacmecert, aliases=("listlecert",)),
    Entry("getacmecert", getacmecert, aliases=("getlecert",)),
    Entry("getacmerenewperiod", getacmerenewperiod),
    Entry("setacmerenewperiod", setacmerenewperiod, "root"),
    Entry("getacmedirectoryurl", getacmedirectoryurl),
    Entry("setacmedirectoryurl", setacmedirectoryurl, "certs"),
    Entry("getacmekid", getacmekid),
    Entry("setacmekid", setacmekid, "certs"),
    Entry("getacmehmac", getacmehmac),
    Entry("setacmehmac", setacmehmac, "certs"),
    Entry("delacmeconfig", delacmeconfig, "certs"),
)
