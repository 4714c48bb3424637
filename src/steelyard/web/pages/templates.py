"""Application templates: what there is, your own, and making services from one after a look at what comes of it."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from steelyard.appliance.shipped_templates import every_template, shipped_templates, template_named
from steelyard.model.commands import AddTemplates, MeetPrerequisites, RemoveTemplate, UseTemplate
from steelyard.model.commands.templates import unmet, warning
from steelyard.model.errors import OperatorError, SteelyardError
from steelyard.model.template import Template, read_templates
from steelyard.web.confirming import Question, confirmed
from steelyard.web.editing import review_of
from steelyard.web.frame import Visit, page
from steelyard.web.uploads import uploaded

_BOTH = ("GET", "POST")


async def templates(visit: Visit) -> Response:
    """Every template; importing a file."""
    failure: SteelyardError | None = None
    if visit.request.method == "POST":
        try:
            content, _ = await uploaded(visit)
            found = await run_in_threadpool(read_templates, _text(content))
            await visit.execute(AddTemplates(found, frozenset(shipped_templates())))
        except SteelyardError as refused:
            failure = refused
        else:
            visit.session.say(f"Imported: {', '.join(one.name for one in found)}.")
            return visit.go("templates")
    words = visit.query("q").strip().lower()
    every = await run_in_threadpool(every_template, visit.snapshot.configuration)
    shown = [one for one in every.values() if words in f"{one.name} {one.comment}".lower()]
    return visit.render(
        "pages/templates.html",
        templates=shown,
        own=visit.snapshot.configuration.templates,
        words=visit.query("q"),
        failure=failure,
        may=visit.may("vs"),
        status=200 if failure is None else 422,
    )


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise OperatorError("The file is no text", field="file", remedy="Choose a template of Steelyard's") from None


async def template(visit: Visit) -> Response:
    """What a template makes, and the form to use it: reviewed first, then applied."""
    name = visit.request.path_params["name"]
    found = await run_in_threadpool(template_named, visit.snapshot.configuration, name)
    review, failure = None, None
    if visit.request.method == "POST":
        try:
            command = _use(visit, found)
            if visit.field("do") == "apply":
                given = visit.field("_revision")
                outcome = await visit.execute(command, based_on=int(given) if given.isdecimal() else None)
                visit.session.say(f"Template {name} was used: revision {outcome.revision} is in effect.")
                for step in found.content.next_steps:
                    visit.session.say(step, "info")
                return visit.go("services")
            preview = await visit.preview(command)
            review = await review_of(visit, preview)
        except SteelyardError as refused:
            if isinstance(refused, OperatorError) and refused.field == "permission":
                raise
            failure = refused
    configuration = visit.snapshot.configuration
    return visit.render(
        "pages/template.html",
        recipe=found,
        content=found.content,
        places=found.content.places,
        warnings=[warning(one) for one in unmet(found, configuration)],
        certificates=[one for one, each in configuration.certificates.items() if not each.temporary],
        with_tls=any(one.has_tls for one in found.content.services),
        own=name in configuration.templates,
        review=review,
        failure=failure,
        may=visit.may("vs"),
        may_set=visit.may("root"),
        status=200 if failure is None else 422,
    )


def _use(visit: Visit, found: Template) -> UseTemplate:
    places = found.content.places
    addresses = {place: visit.field(f"address-{place}").strip() for place in places}
    empty = next((place for place, address in addresses.items() if not address), None)
    if empty is not None:
        raise OperatorError("An address is missing", field=f"address-{empty}", remedy="Give one for every place")
    port = visit.field("port").strip()
    if port and not (port.isdecimal() and 1 <= int(port) <= 65535):
        raise OperatorError(f"{port[:20]!r} is no port", field="port", allowed="1 to 65535")
    return UseTemplate(
        found,
        addresses[places[0]],
        port=int(port) if port else None,
        name=visit.field("name").strip(),
        addresses=addresses,
        servers=visit.field("servers").replace(",", " ").split(),
        certificates=[one for one in visit.form.getlist("certificates") if isinstance(one, str) and one],
    )


async def remove_template(visit: Visit) -> Response:
    """Ask, and forget a template of one's own."""
    name = visit.request.path_params["name"]
    back = visit.url("templates")
    question = Question(
        f"Delete template {name}?",
        "Delete",
        visit.url("template", name=name),
        back,
        f"Template {name} was deleted",
        text="Services that were made from it stay as they are.",
    )
    return await confirmed(visit, RemoveTemplate(name), question)


async def meet_prerequisites(visit: Visit) -> Response:
    """Ask, and set the global settings a template counts on."""
    name = visit.request.path_params["name"]
    found = await run_in_threadpool(template_named, visit.snapshot.configuration, name)
    back = visit.url("template", name=name)
    question = Question(
        f"Set what template {name} counts on?",
        "Set them",
        back,
        back,
        f"What template {name} counts on is set",
        text="These are global settings: they hold for every service.",
        danger=False,
    )
    return await confirmed(visit, MeetPrerequisites(found), question)


async def choose(visit: Visit) -> Response:
    """From the list of names to the page of one."""
    name = visit.query("name")
    return visit.go("template", name=name) if name else visit.go("templates")


ROUTES = [
    page("/templates", templates, name="templates", methods=_BOTH),
    page("/templates/use", choose, name="use-template", belongs="templates"),
    page("/templates/of/{name}", template, name="template", belongs="templates", methods=_BOTH),
    page(
        "/templates/of/{name}/prerequisites",
        meet_prerequisites,
        name="meet-prerequisites",
        belongs="templates",
        methods=_BOTH,
    ),
    page("/templates/of/{name}/remove", remove_template, name="remove-template", belongs="templates", methods=_BOTH),
]
