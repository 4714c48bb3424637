"""ACME: certificates that are ordered and renewed by themselves, how their orders stand, ordering now, a dry run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from starlette.responses import Response

from steelyard.appliance.acme_state import AcmeState
from steelyard.model.acme_account import DIRECTORIES
from steelyard.model.acme_certificate import AcmeCertificate
from steelyard.model.commands import AddAcmeCertificate, ChangeAcmeCertificate, RemoveAcmeCertificate
from steelyard.model.commands.acme import account_named
from steelyard.model.configuration import Configuration
from steelyard.model.errors import SteelyardError
from steelyard.model.setting import Setting
from steelyard.web.certificate_words import Shown, said
from steelyard.web.confirming import Question, confirmed
from steelyard.web.editing import Changes, Drawn, Editor, Outlook, Part, edited
from steelyard.web.forms.field import Offer
from steelyard.web.frame import Site, Visit, page
from steelyard.web.live import Topic, Values
from steelyard.web.pages.service import BOTH, scrolled
from steelyard.web.wording import ago, duration

#: how long a page waits for an order that may be over at once
_PATIENCE_SECONDS = 1.0
_BY_DNS = "0"


class OrderForm(AcmeCertificate):
    """An order whose names are proved in one way, which is what nearly all are; lists of ways are kept as they are."""

    proof: Annotated[
        str,
        Setting(
            None,
            "acme certificate",
            "Proved by",
            "How the authority is shown that the names are yours. HTTP-01: the service answers on port 80 of the names."
            " DNS-01: a record in their zone, which wildcards need.",
        ),
    ] = ""


_PARTS = (
    Part("order", "Order", ("name", "domains", "account", "proof", "dns_provider", "key_type", "automatic")),
    Part(
        "subject",
        "Subject",
        ("country", "state", "city", "company", "organization", "email"),
        open=False,
        state="left out by most authorities",
    ),
)


@dataclass(frozen=True)
class Standing:
    """How one certificate that is ordered stands, in words."""

    look: str
    word: str
    busy: bool
    text: str
    remedy: str = ""
    words: str = ""
    output: str = ""
    due: str = ""
    ordered: str = ""
    certificate: Shown | None = None


def standing(one: AcmeCertificate, state: AcmeState, configuration: Configuration) -> Standing:
    """An order in words."""
    kept = configuration.certificates.get(one.name)
    certificate = None if kept is None else said(kept.leaf(), kept.name, key=kept.key_type)
    ordered = "" if state.ordered is None else ago(state.ordered.timestamp())
    due = "" if state.due is None or not one.automatic else _in(state.due)
    details: dict[str, Any] = {
        "words": state.words,
        "output": state.output,
        "ordered": ordered,
        "certificate": certificate,
    }
    if state.under_way:
        text = "The names are proved to the authority, then it issues the certificate"
        return Standing("drain", "Ordering", True, text, **details)
    if state.trouble:
        look = "down" if certificate is None or certificate.look != "up" else "drain"
        text = state.trouble[:1].upper() + state.trouble[1:]
        return Standing(look, "Failed", False, text, state.remedy, due=due, **details)
    if certificate is None:
        text = "Ordered within a second or so" if one.automatic else "Ordered when somebody asks for it"
        return Standing("off", "Not ordered yet", False, text, due=due, **details)
    text = "Renewed by itself" if one.automatic else "Renewed when somebody asks for it"
    return Standing(certificate.look, certificate.state, False, text, due=due, **details)


def _in(at: datetime) -> str:
    left = (at - datetime.now(UTC)).total_seconds()
    return f"in {duration(left)}" if left >= 1 else "now"


# ------------------------------------------------------------------------------------------------------------ the list


async def acme(visit: Visit) -> Response:
    """What is ordered, under which accounts, and by which DNS providers names are proved."""
    configuration = visit.snapshot.configuration
    states = visit.appliance.acme.states()
    rows = [
        (one, standing(one, states.get(one.name) or AcmeState(one.name), configuration))
        for one in configuration.acme_certificates.values()
    ]
    names = dict.fromkeys((*DIRECTORIES, *configuration.acme_accounts))
    moment = await visit.site.live.now("acme")
    return visit.render(
        "pages/acme.html",
        rows=rows,
        accounts=[account_named(configuration, name) for name in names],
        known=configuration.acme_accounts,
        providers=list(configuration.dns_providers.values()),
        orders=list(configuration.acme_certificates.values()),
        ready=any(one.registered for one in configuration.acme_accounts.values()),
        may=visit.may("certs"),
        live="acme",
        live_since=moment.mark,
    )


async def _values(site: Site) -> Values:
    """The state of every order, as its cell in the list and as the card of its page."""
    snapshot, states = site.appliance.snapshot(), site.appliance.acme.states()
    found: dict[str, Any] = {"revision": str(snapshot.revision)}
    cell, card = (site.templates.get_template(f"pages/acme_{name}.html") for name in ("cell", "state"))
    for one in snapshot.configuration.acme_certificates.values():
        shown = standing(one, states.get(one.name) or AcmeState(one.name), snapshot.configuration)
        found[f"acme.{one.name}.cell"] = {"html": cell.render(stands=shown)}
        found[f"acme.{one.name}.state"] = {"html": card.render(stands=shown)}
    return found


LIVE = (Topic("acme", _values),)


# ----------------------------------------------------------------------------------------------------------- one order


def _proof(services: tuple[int, ...]) -> str:
    return " ".join(map(str, services if len(set(services)) > 1 else services[:1])) or _BY_DNS


def _settings(changes: Changes) -> dict[str, Any]:
    """What the form says, as settings of an order."""
    settings = {name: value for name, value in changes.items() if name != "proof"}
    if "proof" in changes:
        services = str(changes["proof"]).split()
        settings["challenge_services"] = () if services in ([], [_BY_DNS]) else tuple(services)
    return settings


def _offers(configuration: Configuration) -> dict[str, Offer]:
    accounts = [name for name, one in configuration.acme_accounts.items() if one.registered]
    services = [
        (str(one.index), f"HTTP-01 by {one.name or one.title}")
        for one in configuration.services.values()
        if one.is_http and not one.is_sub and one.enabled
    ]
    return {
        "account": Offer(tuple((name, name) for name in accounts)),
        "dns_provider": Offer((("", "none"), *((name, name) for name in configuration.dns_providers))),
        "proof": Offer(((_BY_DNS, "DNS-01 by a DNS provider"), *services)),
    }


def _editor(visit: Visit, one: AcmeCertificate | None) -> Editor:
    configuration = visit.snapshot.configuration
    declared = OrderForm.declared()
    offers = _offers(configuration)
    if one is None:
        registered = [name for name, _ in offers["account"].choices]
        values: dict[str, Any] = {name: each.default for name, each in declared.items()}
        values |= {"name": "", "domains": (), "account": registered[0] if registered else values["account"]}
        first = next((value for value, _ in offers["proof"].choices if value != _BY_DNS), _BY_DNS)
        values["proof"] = first
    else:
        values = {name: getattr(one, name, "") for name in declared} | {"proof": _proof(one.challenge_services)}

    def outlook(changes: Changes) -> Outlook:
        proof = str(changes.get("proof", values["proof"]))
        idle = {} if _BY_DNS in proof.split() else {"dns_provider": "every name is proved by HTTP-01"}
        return Outlook(idle=idle)

    return Editor(
        model=OrderForm,
        values=values,
        parts=_PARTS,
        command=lambda changes: (
            AddAcmeCertificate(_settings(changes))
            if one is None
            else ChangeAcmeCertificate(one.name, _settings(changes))
        ),
        done=lambda key: visit.url("acme-certificate", name=one.name if one is not None else str(key)),
        offers=offers,
        outlook=outlook,
        permission="certs",
        fresh=one is None,
        noun="order",
        apply_label="Order Certificate" if one is None else "Apply",
        always=("name", "domains", "account", "proof") if one is None else (),
        fixed={} if one is None else {"name": "The identifier of a certificate cannot be changed."},
    )


async def order_new(visit: Visit) -> Response:
    """Have a certificate ordered, and renewed from then on."""
    context = {
        "title": "Order a certificate",
        "sub": "It is ordered at once, renewed before its end, and services that use it present the new one by then",
        "back": visit.url("acme"),
        "above": ("ACME Certificates", visit.url("acme")),
    }

    def draw(drawn: Drawn) -> Response:
        return scrolled(visit, drawn, visit.render("editor.html", context, drawn=drawn))

    return await edited(visit, _editor(visit, None), draw)


async def certificate(visit: Visit) -> Response:
    """One certificate that is ordered: how it stands, and what the next order asks for."""
    configuration = visit.snapshot.configuration
    one = configuration.acme_certificate(visit.request.path_params["name"])
    state = visit.appliance.acme.states().get(one.name) or AcmeState(one.name)
    moment = await visit.site.live.now("acme")
    context = {
        "title": one.name,
        "sub": "Certificate ordered by ACME",
        "back": visit.url("acme-certificate", name=one.name),
        "above": ("ACME Certificates", visit.url("acme")),
        "one": one,
        "stands": standing(one, state, configuration),
        "used_by": [each for each in configuration.services.values() if one.name in each.certificates],
        "may": visit.may("certs"),
        "live": "acme",
        "live_since": moment.mark,
    }

    def draw(drawn: Drawn) -> Response:
        return scrolled(visit, drawn, visit.render("pages/acme_certificate.html", context, drawn=drawn))

    return await edited(visit, _editor(visit, one), draw)


async def order_now(visit: Visit) -> Response:
    """Order a certificate now. The page shows how the order goes on."""
    name = visit.request.path_params["name"]
    visit.snapshot.configuration.acme_certificate(name)
    try:
        # the order goes on when nobody waits for it any more
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await visit.appliance.acme.order(name, visit.actor)
        visit.session.say(f"Certificate {name} was issued.")
    except TimeoutError:
        visit.session.say(f"Certificate {name} is being ordered; this page shows how it goes.", "info")
    except SteelyardError as failure:
        _tell(visit, f"Certificate {name} was not issued: {failure.message}", failure)
    return visit.go("acme-certificate", name=name)


async def rehearse(visit: Visit) -> Response:
    """Order a certificate from the authority's staging directory and throw it away."""
    name = visit.request.path_params["name"]
    visit.snapshot.configuration.acme_certificate(name)
    try:
        where = await visit.appliance.acme.rehearse(name, visit.actor, visit.field("directory_url").strip())
        visit.session.say(f"The dry run was good: every name was proved to {where}. Nothing was changed.")
    except SteelyardError as failure:
        _tell(visit, f"The dry run failed: {failure.message}", failure)
    return visit.go("acme-certificate", name=name)


def _tell(visit: Visit, text: str, failure: SteelyardError) -> None:
    details: Mapping[str, Any] = failure.details()
    remedy = str(details.get("remedy") or "")
    visit.session.say(text, "down", f"{remedy}." if remedy else "")


async def remove(visit: Visit) -> Response:
    """Ask, and order a certificate no more; it goes too unless it is to be kept."""
    name = visit.request.path_params["name"]
    visit.snapshot.configuration.acme_certificate(name)
    keep = bool(visit.query("keep"))
    question = Question(
        f"Renew certificate {name} no more?" if keep else f"Delete certificate {name}?",
        "Renew it no more" if keep else "Delete",
        visit.url("acme-certificate", name=name),
        visit.url("acme"),
        f"Certificate {name} is renewed no more" if keep else f"Certificate {name} was deleted",
        text="The certificate stays, with its key, until its end." if keep else "",
        danger=not keep,
    )
    return await confirmed(visit, RemoveAcmeCertificate(name, keep), question)


_PATH = "/acme/certificates/of/{name}"
ROUTES = [
    page("/acme", acme, name="acme"),
    page("/acme/certificates/add", order_new, name="add-acme-certificate", belongs="acme", methods=BOTH),
    page(_PATH, certificate, name="acme-certificate", belongs="acme", methods=BOTH),
    page(f"{_PATH}/order", order_now, name="order-acme-certificate", belongs="acme", methods=("POST",)),
    page(f"{_PATH}/rehearse", rehearse, name="rehearse-acme-certificate", belongs="acme", methods=("POST",)),
    page(f"{_PATH}/remove", remove, name="remove-acme-certificate", belongs="acme", methods=BOTH),
]
