"""Making a sub-service; what else it has is on the pages of services and slots."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from steelyard.model.commands import CreateSubService
from steelyard.model.virtual_service import VirtualService
from steelyard.web.editing import Changes, Editor, Part, edited
from steelyard.web.frame import Visit, page
from steelyard.web.pages.service import BOTH, scrolled

_PARTS = (Part("sub", "SubVS", ("name", "service_type")),)


async def add(visit: Visit) -> Response:
    """Add a sub-service; its page follows."""
    parent = visit.snapshot.configuration.service(visit.request.path_params["index"])
    values: dict[str, Any] = {name: one.default for name, one in VirtualService.declared().items()}
    values |= {"service_type": parent.service_type}

    def command(changes: Changes) -> CreateSubService:
        return CreateSubService(parent.index, changes)

    editor = Editor(
        model=VirtualService,
        values=values,
        parts=_PARTS,
        command=command,
        done=lambda key: visit.url("service", index=key),
        permission="real",
        fresh=True,
        noun="sub-service",
        apply_label="Add SubVS",
    )
    back = visit.url("service", index=parent.index)
    context = {
        "title": "Add SubVS",
        "sub": f"A sub-service of {parent.title}: it has real servers and rules of its own, and no address",
        "back": back,
        "above": (parent.title, back),
    }
    return await edited(
        visit, editor, lambda drawn: scrolled(visit, drawn, visit.render("editor.html", context, drawn=drawn))
    )


ROUTES = [
    page(
        "/virtual-services/{index:int}/sub-services/add",
        add,
        name="add-sub-service",
        belongs="services",
        methods=BOTH,
    )
]
