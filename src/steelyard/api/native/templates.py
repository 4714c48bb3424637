"""Application templates: `/templates`."""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from steelyard.api.native.access import Appliance
from steelyard.api.native.bodies import JsonObject, mapping, only, optional_number, optional_text, text, texts
from steelyard.api.native.objects import Json, service_json
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schema_words import list_of
from steelyard.api.native.schemas import CHANGED, MADE, answers, body
from steelyard.api.native.writing import Writing, read
from steelyard.appliance.shipped_templates import every_template, shipped_templates, template_named
from steelyard.model.commands import AddTemplates, MeetPrerequisites, RemoveTemplate, UseTemplate
from steelyard.model.commands.templates import is_met, unmet, warning
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, OperatorError
from steelyard.model.template import Template, read_templates

router = NativeRouter(tags=["templates"])

_USE = ("address", "port", "name", "addresses", "servers", "certificates")


def template_json(template: Template, configuration: Configuration) -> Json:
    """What a template makes, asks for and counts on. `warnings` are prerequisites that are not met here."""
    content = template.content
    return {
        "name": template.name,
        "comment": template.comment,
        "shipped": template.name in shipped_templates() and template.name not in configuration.templates,
        "services": [
            {
                "name": one.name,
                "port": one.settings["port"],
                "protocol": one.settings.get("protocol", "tcp"),
                "place": one.place,
                "real_servers": one.real_servers,
            }
            for one in content.services
        ],
        "places": [place for place in content.places if place],
        "next": list(content.next_steps),
        "prerequisites": [
            {
                "setting": f"{one.section}.{one.name}",
                "is": one.value,
                "path": one.path,
                "why": one.why,
                "met": is_met(one, configuration),
            }
            for one in content.prerequisites
        ],
        "warnings": [warning(one) for one in unmet(template, configuration)],
    }


@router.get("/templates", responses=answers(list_of("Template")))
async def list_templates(appliance: Appliance) -> JSONResponse:
    """Every template: those that come with Steelyard, and those that were imported."""
    snapshot = appliance.snapshot()
    found = await run_in_threadpool(every_template, snapshot.configuration)
    return read(snapshot.revision, [template_json(one, snapshot.configuration) for one in found.values()])


@router.post("/templates", status_code=201, responses=MADE, openapi_extra=body("TemplateFile"))
async def import_templates(write: Writing, data: JsonObject) -> JSONResponse:
    """Import the templates of a file. Each is tried; one that could not be used is refused."""
    only(data, ("text",), "a file of templates")
    templates = await run_in_threadpool(read_templates, text(data, "text"))

    def shown(configuration: Configuration, _: int | str | None) -> Any:
        return [template_json(one, configuration) for one in templates]

    shipped = frozenset(await run_in_threadpool(shipped_templates))
    return await write.carry_out(AddTemplates(templates, shipped), shown, made="templates")


@router.get("/templates/{name}", responses=answers("Template"))
async def show_template(appliance: Appliance, name: str) -> JSONResponse:
    """One template, with its file."""
    snapshot = appliance.snapshot()
    found = await run_in_threadpool(template_named, snapshot.configuration, name)
    return read(snapshot.revision, {**template_json(found, snapshot.configuration), "text": found.file()})


@router.delete("/templates/{name}", responses=CHANGED)
async def remove_template(write: Writing, name: str) -> JSONResponse:
    """Forget an imported template. Services that were made from it stay as they are."""
    if name in shipped_templates():
        raise ConflictError(f"Template {name} comes with Steelyard and cannot be removed", field="name", with_what=name)
    return await write.carry_out(RemoveTemplate(name))


@router.post("/templates/{name}/prerequisites", responses=CHANGED)
async def meet_prerequisites(write: Writing, name: str) -> JSONResponse:
    """Set every global setting the template counts on, in one change. Those that are so already stay."""
    template = await run_in_threadpool(template_named, write.appliance.snapshot().configuration, name)

    def shown(configuration: Configuration, _: int | str | None) -> Any:
        return template_json(template, configuration)

    return await write.carry_out(MeetPrerequisites(template), shown)


@router.post("/templates/{name}/services", status_code=201, responses=MADE, openapi_extra=body("TemplateUse"))
async def use_template(write: Writing, name: str, data: JsonObject) -> JSONResponse:
    """Make the services of a template, all or none.

    `address` is for all services but those whose template names a place, which have theirs in `addresses`. `servers`
    are addresses of real servers, which each service gets on its own port.
    """
    only(data, _USE, "the use of a template")
    before = write.appliance.snapshot().configuration
    template = await run_in_threadpool(template_named, before, name)
    addresses = mapping(data, "addresses") if "addresses" in data else {}
    if not all(isinstance(one, str) for one in addresses.values()):
        raise OperatorError("'addresses' holds addresses by place", field="addresses", remedy='Give {"sip": "ADDRESS"}')
    if "address" not in data and not addresses:
        raise OperatorError("The services need an address", field="address", remedy="Give 'address'")
    command = UseTemplate(
        template,
        optional_text(data, "address") or next(iter(addresses.values())),
        port=optional_number(data, "port"),
        name=optional_text(data, "name") or "",
        addresses=addresses,
        servers=texts(data, "servers") if "servers" in data else (),
        certificates=texts(data, "certificates") if "certificates" in data else (),
    )

    def shown(configuration: Configuration, _: int | str | None) -> Any:
        made = [one for index, one in configuration.services.items() if index not in before.services and not one.is_sub]
        return {
            "services": [service_json(one) for one in made],
            "next": list(template.content.next_steps),
            "warnings": [warning(one) for one in unmet(template, configuration)],
        }

    return await write.carry_out(command, shown, made="virtual-services")


@router.get("/virtual-services/{index}/template", responses=answers("TemplateFile"))
async def export_template(appliance: Appliance, index: int) -> JSONResponse:
    """A service as a template: without addresses, real servers and certificates."""
    # that module needs this package, which is not complete while this one is imported
    from steelyard.api.exported_template import exported_template

    snapshot = appliance.snapshot()
    found = exported_template(snapshot.configuration.service(index), snapshot.configuration)
    return read(snapshot.revision, {"name": found.name, "text": found.file()})
