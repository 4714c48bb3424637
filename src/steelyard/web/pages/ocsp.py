"""OCSP: whom clients' certificates are asked about, stapling and how it stands; revocation lists."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from steelyard.api.native.revocation_lists import content_of
from steelyard.appliance.stapling import Stapling
from steelyard.model.commands import PutRevocationList, RemoveRevocationList
from steelyard.model.errors import SteelyardError
from steelyard.model.revocation_list import RevocationList
from steelyard.web.confirming import Question, confirmed
from steelyard.web.editing import Drawn, Part, edited
from steelyard.web.frame import Visit, page
from steelyard.web.pages.parameters import OCSP_TABS, parameter_editor
from steelyard.web.pages.service import BOTH, scrolled
from steelyard.web.uploads import name_from, uploaded
from steelyard.web.wording import duration

_PARTS = (
    Part("stapling", "OCSP Stapling", ("stapling", "stapling_interval"), hint="For the certificates of services."),
    Part(
        "responder",
        "OCSP Server",
        ("ocsp_server", "ocsp_port", "ocsp_path", "ocsp_use_ssl", "ocsp_allow_on_failure"),
        hint="For the certificates of clients, at services with OCSP Verify.",
    ),
)


def tabs(visit: Visit, here: str) -> list[tuple[str, str, bool]]:
    """The pages that stand beside one another."""
    return [(title, visit.url(name), name == here) for title, name in OCSP_TABS]


def stapled(state: Stapling) -> dict[str, Any]:
    """How stapling stands with a certificate, in words."""
    now = datetime.now(UTC)
    holds = state.answer_until is not None and state.answer_until > now
    if state.never:
        look, word, text = "off", "Not asked", state.never
    elif state.trouble:
        look, word, text = "drain" if holds else "down", "Failing", state.trouble
    elif holds:
        look, word, text = "up", "Stapled", ""
    else:
        look, word, text = "unchecked", "Waiting", "no answer yet"
    return {
        "certificate": state.certificate,
        "responder": state.responder,
        "look": look,
        "word": word,
        "text": text,
        "holds": f"{duration((state.answer_until - now).total_seconds())} more" if holds and state.answer_until else "",
        "next": f"in {duration((state.next - now).total_seconds())}" if state.next and state.next > now else "",
    }


async def ocsp(visit: Visit) -> Response:
    """OCSP parameters, and how stapling stands."""
    here = visit.url("ocsp")
    context = {
        "title": "OCSP Configuration",
        "sub": "Whether certificates still hold: those of services, and those that clients show",
        "back": here,
        "above": None,
        "tabs": tabs(visit, "ocsp"),
        "rows": [stapled(one) for one in visit.appliance.stapling()],
        "on": visit.snapshot.configuration.tls.stapling,
    }

    def draw(drawn: Drawn) -> Response:
        return scrolled(visit, drawn, visit.render("pages/ocsp.html", context, drawn=drawn))

    return await edited(visit, parameter_editor(visit, "tls", _PARTS, here), draw)


# ----------------------------------------------------------------------------------------------------- revocation lists


def _shown(one: RevocationList) -> dict[str, Any]:
    until, now = one.next_update, datetime.now(UTC)
    ended = until is not None and until <= now
    look, word = ("up", "Counts") if not ended else ("down", "Ended")
    if until is not None and not ended and (until - now).days < 1:
        look, word = "drain", "Ends soon"
    common = one.parsed.issuer.rfc4514_string()
    return {
        "name": one.name,
        "issuer": common,
        "made": one.parsed.last_update_utc,
        "until": until,
        "revoked": len(one.parsed),
        "look": look,
        "word": word,
    }


async def revocation_lists(visit: Visit) -> Response:
    """The lists of certificates that hold no more; importing one, also in the place of an older one."""
    failure: SteelyardError | None = None
    if visit.request.method == "POST":
        try:
            content, file = await uploaded(visit)
            name = visit.field("name").strip() or name_from(file)
            pem = content_of({"data": base64.b64encode(content).decode()})
            before = name in visit.snapshot.configuration.revocation_lists
            await visit.execute(PutRevocationList(name, pem, replace=before))
        except SteelyardError as refused:
            failure = refused
        else:
            visit.session.say(f"Revocation list {name} was {'replaced' if before else 'imported'}.")
            return visit.go("revocation-lists")
    configuration = visit.snapshot.configuration
    rows = [
        (_shown(one), [each.name for each in configuration.intermediates.values() if one.is_of(each.parsed)])
        for one in configuration.revocation_lists.values()
    ]
    return visit.render(
        "pages/revocation_lists.html",
        rows=rows,
        tabs=tabs(visit, "revocation-lists"),
        failure=failure,
        given_name=visit.field("name"),
        may=visit.may("cert3"),
        status=200 if failure is None else 422,
    )


async def remove_revocation_list(visit: Visit) -> Response:
    """Ask, and remove a list: the certificates it names are accepted again."""
    name = visit.request.path_params["name"]
    visit.snapshot.configuration.revocation_list(name)
    back = visit.url("revocation-lists")
    question = Question(
        f"Delete revocation list {name}?",
        "Delete",
        back,
        back,
        f"Revocation list {name} was deleted",
        text="Clients whose certificates it names are let in again.",
    )
    return await confirmed(visit, RemoveRevocationList(name), question)


ROUTES = [
    page("/ocsp", ocsp, name="ocsp", methods=BOTH),
    page("/revocation-lists", revocation_lists, name="revocation-lists", belongs="ocsp", methods=BOTH),
    page(
        "/revocation-lists/{name}/remove",
        remove_revocation_list,
        name="remove-revocation-list",
        belongs="ocsp",
        methods=BOTH,
    ),
]
