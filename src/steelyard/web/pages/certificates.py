"""Certificates: what there is, where it is used, its chain, what is wrong with it; import and replacement."""

from __future__ import annotations

from cryptography import x509
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from steelyard.model.certificate import Certificate, read_upload
from steelyard.model.certificate_chain import Authorities, complete_chain, is_root
from steelyard.model.commands import ChangeService, PutCertificate, RemoveCertificate
from steelyard.model.configuration import Configuration
from steelyard.model.errors import SteelyardError
from steelyard.model.virtual_service import VirtualService
from steelyard.web.certificate_words import Shown, said
from steelyard.web.confirming import Question, confirmed
from steelyard.web.frame import Visit, page
from steelyard.web.uploads import name_from, uploaded

_BOTH = ("GET", "POST")


def _users(configuration: Configuration, name: str) -> list[VirtualService]:
    return [one for one in configuration.services.values() if name in one.certificates]


def _addable(configuration: Configuration, name: str) -> list[VirtualService]:
    """Services that end TLS and do not present it yet."""
    return [one for one in configuration.services.values() if one.ssl_acceleration and name not in one.certificates]


def _shown(configuration: Configuration, certificate: Certificate) -> Shown:
    return said(
        certificate.leaf(),
        certificate.name,
        key=certificate.key_type,
        services=_users(configuration, certificate.name),
        note="temporary"
        if certificate.temporary
        else "ACME"
        if certificate.name in configuration.acme_certificates
        else "",
    )


async def certificates(visit: Visit) -> Response:
    """Every certificate with what it is for, how long it lasts and who uses it; and requests that wait."""
    configuration = visit.snapshot.configuration
    rows = sorted(
        (_shown(configuration, one) for one in configuration.certificates.values()),
        key=lambda one: (one.note == "temporary", one.ends),
    )
    return visit.render(
        "pages/certificates.html",
        rows=rows,
        requests=list(configuration.signing_requests.values()),
        may=visit.may("certs"),
    )


async def certificate(visit: Visit) -> Response:
    """One certificate: its chain drawn, what is wrong with it and the remedy, and where it is assigned."""
    name = visit.request.path_params["name"]
    configuration = visit.snapshot.configuration
    found = configuration.certificate(name)
    authorities = Authorities.of(configuration.intermediates)
    chain = complete_chain(found.chain[0], found.chain[1:], authorities)
    links = [said(one, note=_source(number, one, found, configuration)) for number, one in enumerate(chain)]
    return visit.render(
        "pages/certificate.html",
        one=_shown(configuration, found),
        chain=links,
        root="" if is_root(chain[-1]) else links[-1].issuer,
        findings=await visit.appliance.diagnose(name),
        addable=_addable(configuration, name) if visit.may("vs") else [],
        may=visit.may("certs") and not found.temporary,
    )


def _source(number: int, one: x509.Certificate, found: Certificate, configuration: Configuration) -> str:
    if number == 0:
        return "the server's own"
    if one in found.chain:
        return "imported with it"
    name = next((each.name for each in configuration.intermediates.values() if each.parsed == one), "")
    return f"from intermediate certificate {name}"


# --- import


async def add_certificate(visit: Visit) -> Response:
    """Import by file or by pasted text."""
    return await _import(visit, None)


async def replace_certificate(visit: Visit) -> Response:
    """Put other content in the place of a certificate; services keep using it, without a reload."""
    name = visit.request.path_params["name"]
    return await _import(visit, visit.snapshot.configuration.certificate(name))


async def _import(visit: Visit, before: Certificate | None) -> Response:
    given = {"name": visit.field("name").strip(), "pasted": "", "password": ""}
    failure: SteelyardError | None = None
    if visit.request.method == "POST":
        try:
            content, file = await uploaded(visit)
            material = await run_in_threadpool(read_upload, content, visit.field("password") or None)
            name = before.name if before is not None else given["name"] or name_from(file)
            await visit.execute(PutCertificate(name, material, replace=before is not None))
        except SteelyardError as refused:
            failure = refused
        else:
            visit.session.say(f"Certificate {name} was {'replaced' if before else 'imported'}.")
            for note in material.notes:
                visit.session.say(note, "info")
            return visit.go("certificate", name=name)
    return visit.render(
        "pages/certificate_import.html",
        given=given,
        before=before.name if before is not None else "",
        failure=failure,
        status=200 if failure is None else 422,
    )


async def assign_certificate(visit: Visit) -> Response:
    """Let a service present it, beside the certificates it has."""
    name = visit.request.path_params["name"]
    configuration = visit.snapshot.configuration
    configuration.certificate(name)
    asked = visit.field("service")
    service = configuration.service(int(asked) if asked.isdecimal() and len(asked) < 10 else 0)
    await visit.execute(ChangeService(service.index, {"certificates": [*service.certificates, name]}))
    visit.session.say(f"{service.name or service.title} presents certificate {name}.")
    return visit.go("certificate", name=name)


async def remove_certificate(visit: Visit) -> Response:
    """Ask, and remove a certificate that nobody uses."""
    name = visit.request.path_params["name"]
    visit.snapshot.configuration.certificate(name)
    question = Question(
        f"Delete certificate {name}?",
        "Delete",
        visit.url("certificate", name=name),
        visit.url("certificates"),
        f"Certificate {name} was deleted",
    )
    return await confirmed(visit, RemoveCertificate(name), question)


ROUTES = [
    page("/certificates", certificates, name="certificates"),
    page("/certificates/add", add_certificate, name="add-certificate", belongs="certificates", methods=_BOTH),
    page("/certificates/of/{name}", certificate, name="certificate", belongs="certificates"),
    page(
        "/certificates/of/{name}/replace",
        replace_certificate,
        name="replace-certificate",
        belongs="certificates",
        methods=_BOTH,
    ),
    page(
        "/certificates/of/{name}/assign",
        assign_certificate,
        name="assign-certificate",
        belongs="certificates",
        methods=("POST",),
    ),
    page(
        "/certificates/of/{name}/remove",
        remove_certificate,
        name="remove-certificate",
        belongs="certificates",
        methods=_BOTH,
    ),
]
