"""Application templates (`reference/loadmaster-api/06`, 6.1)."""

from __future__ import annotations

import base64

from steelyard.api.exported_template import exported_template
from steelyard.api.loadmaster.answers import Answer, Data, Download, Message
from steelyard.api.loadmaster.call import Call, Entry
from steelyard.api.loadmaster.failures import missing
from steelyard.api.loadmaster.references import service_of
from steelyard.appliance.shipped_templates import every_template, shipped_templates, template_named
from steelyard.model.commands import AddTemplates, RemoveTemplate, UseTemplate
from steelyard.model.errors import OperatorError
from steelyard.model.template import read_templates


async def listtemplates(call: Call) -> Answer:
    """Those that come with Steelyard, which are `certified`, and those that were uploaded."""
    shipped = shipped_templates()
    found = every_template(call.configuration).values()
    return Data(
        {
            "template": tuple(
                {"name": one.name, "comment": one.comment, "certified": "yes" if one.name in shipped else "no"}
                for one in found
            )
        }
    )


async def uploadtemplate(call: Call) -> Answer:
    """Keep the templates of a file."""
    try:
        text = call.upload.decode()
    except UnicodeDecodeError:
        raise OperatorError("The file is no text", field="data", remedy="Send a template of Steelyard's") from None
    templates = read_templates(text)
    await call.execute(AddTemplates(templates, frozenset(shipped_templates())))
    return Message(f"Installed {len(templates)} new template{'' if len(templates) == 1 else 's'}.")


async def deltemplate(call: Call) -> Answer:
    """Forget a template that was uploaded; services made from it stay."""
    name = call.parameters.required("name")
    if name in shipped_templates():
        raise OperatorError(f"Template {name} comes with Steelyard and cannot be removed", field="name", value=name)
    await call.execute(RemoveTemplate(name))
    return Message()


async def exportvstmplt(call: Call) -> Answer:
    """A service as a template: the file itself in v1, base64 in v2."""
    configuration = call.configuration
    file = exported_template(service_of(configuration, call.parameters), configuration).file().encode()
    return Download(file) if call.version == 1 else Data({"data": base64.b64encode(file).decode()})


def template_asked_for(call: Call) -> str:
    """The template that `addvs` names; the official Python client sends it as `name`."""
    given = (call.parameters.text("template") or "").strip()
    name = (call.parameters.text("name") or "").strip()
    return given or (name if name and name in every_template(call.configuration) else "")


async def add_from_template(call: Call, name: str) -> Answer:
    """Make the services of a template; its ports and protocols win over those that were sent."""
    parameters = call.parameters
    address = (parameters.text("vs") or parameters.text("vsaddress") or "").strip()
    if not address:
        raise missing("vs", "Address")
    template = template_named(call.configuration, name)
    await call.execute(UseTemplate(template, address, name=(parameters.text("nickname") or "").strip()))
    return Message("Template VS added")


COMMANDS = (
    Entry("listtemplates", listtemplates),
    Entry("uploadtemplate", uploadtemplate, "vs", upload=True),
    Entry("deltemplate", deltemplate, "vs"),
    Entry("exportvstmplt", exportvstmplt),
)
