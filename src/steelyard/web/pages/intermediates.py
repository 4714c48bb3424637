"""Intermediate certificates: what completes chains."""

from __future__ import annotations

from starlette.responses import Response

from steelyard.model.certificate import read_certificates
from steelyard.model.certificate_chain import Authorities, complete_chain, is_root
from steelyard.model.certificate_diagnosis import weaknesses
from steelyard.model.commands import AddIntermediates, RemoveIntermediate
from steelyard.model.errors import SteelyardError
from steelyard.web.certificate_words import said
from steelyard.web.confirming import Question, confirmed
from steelyard.web.frame import Visit, page
from steelyard.web.uploads import name_from, uploaded

_BOTH = ("GET", "POST")


async def intermediates(visit: Visit) -> Response:
    """The certificates of authorities that complete chains; importing more."""
    failure: SteelyardError | None = None
    if visit.request.method == "POST":
        try:
            content, file = await uploaded(visit)
            name = visit.field("name").strip() or name_from(file)
            await visit.execute(AddIntermediates(name, read_certificates(content)))
        except SteelyardError as refused:
            failure = refused
        else:
            visit.session.say(f"Intermediate certificate {name} was imported.")
            return visit.go("intermediates")
    configuration = visit.snapshot.configuration
    authorities = Authorities.of(configuration.intermediates)
    chains = {
        one.name: complete_chain(one.chain[0], one.chain[1:], authorities)
        for one in configuration.certificates.values()
    }
    rows = [
        (
            said(one.parsed, one.name, note="root" if is_root(one.parsed) else ""),
            [name for name, chain in chains.items() if one.parsed in chain[1:]],
            tuple(weaknesses(one.parsed, "The certificate")),
        )
        for one in configuration.intermediates.values()
    ]
    return visit.render(
        "pages/intermediates.html",
        rows=rows,
        failure=failure,
        given_name=visit.field("name"),
        may=visit.may("cert3"),
        status=200 if failure is None else 422,
    )


async def remove_intermediate(visit: Visit) -> Response:
    """Ask, and remove an authority's certificate."""
    name = visit.request.path_params["name"]
    back = visit.url("intermediates")
    question = Question(
        f"Delete intermediate certificate {name}?", "Delete", back, back, f"Intermediate certificate {name} was deleted"
    )
    return await confirmed(visit, RemoveIntermediate(name), question)


ROUTES = [
    page("/intermediates", intermediates, name="intermediates", methods=_BOTH),
    page(
        "/intermediates/{name}/remove",
        remove_intermediate,
        name="remove-intermediate",
        belongs="intermediates",
        methods=_BOTH,
    ),
]
