"""Requests that an authority is to sign."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from steelyard.appliance.signing import DEFAULT_KEY, KEY_TYPES, SUBJECT, signing_request
from steelyard.model.commands import RemoveSigningRequest
from steelyard.model.errors import SteelyardError
from steelyard.web.confirming import Question, confirmed
from steelyard.web.frame import Visit, page

_BOTH = ("GET", "POST")


async def generate_csr(visit: Visit) -> Response:
    """Make a key and a request for an authority to sign."""
    failure: SteelyardError | None = None
    if visit.request.method == "POST":
        name = visit.field("name").strip()
        subject = {part: visit.field(part).strip() for part in SUBJECT if visit.field(part).strip()}
        names = visit.field("names").replace(",", " ").split()
        try:
            command = await run_in_threadpool(
                signing_request, name, subject, names, visit.field("key_type", DEFAULT_KEY)
            )
            await visit.execute(command)
        except SteelyardError as refused:
            failure = refused
        else:
            visit.session.say(f"Signing request {name} was made. Its key stays here until the certificate comes.")
            return visit.go("signing-request", name=name)
    given = {part: visit.field(part) for part in ("name", "names", "key_type", *SUBJECT)}
    return visit.render(
        "pages/generate_csr.html",
        given=given,
        subject=tuple(SUBJECT),
        key_types=KEY_TYPES,
        failure=failure,
        status=200 if failure is None else 422,
    )


async def show_signing_request(visit: Visit) -> Response:
    """A request to copy, and what to do with it."""
    name = visit.request.path_params["name"]
    found = visit.snapshot.configuration.signing_request(name)
    subject = found.parsed.subject.rfc4514_string()
    return visit.render("pages/signing_request.html", one=found, subject=subject, may=visit.may("certs"))


async def remove_signing_request(visit: Visit) -> Response:
    """Ask, and give a request up."""
    name = visit.request.path_params["name"]
    question = Question(
        f"Give signing request {name} up?",
        "Give it up",
        visit.url("signing-request", name=name),
        visit.url("certificates"),
        f"Signing request {name} was given up",
        text="A certificate that answers it cannot be imported without its key then.",
    )
    return await confirmed(visit, RemoveSigningRequest(name), question)


ROUTES = [
    page("/generate-csr", generate_csr, name="generate-csr", methods=_BOTH),
    page("/certificates/requests/{name}", show_signing_request, name="signing-request", belongs="certificates"),
    page(
        "/certificates/requests/{name}/remove",
        remove_signing_request,
        name="remove-signing-request",
        belongs="certificates",
        methods=_BOTH,
    ),
]
