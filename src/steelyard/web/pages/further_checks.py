"""Further checks of a service: what is asked of each real server besides the check of the service itself."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from steelyard.model.commands import AddFurtherCheck, ChangeFurtherCheck, RemoveFurtherCheck
from steelyard.model.commands.further_checks import further_check
from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service.effect import without_effect
from steelyard.model.virtual_service.further import FurtherCheck
from steelyard.web.confirming import Question, confirmed
from steelyard.web.editing import Changes, Editor, Outlook, Part, edited
from steelyard.web.frame import Visit, page
from steelyard.web.pages.service import BOTH, scrolled
from steelyard.web.service_form import values_of

#: the endpoint is the service's, and `none` asks nothing
_NAMES = tuple(name for name in FurtherCheck.declared() if name not in ("name", "ldap_endpoint"))
_PARTS = (Part("check", "Check", ("name", *_NAMES)),)


def _outlook(service: VirtualService, values: dict[str, Any], changes: Changes) -> Outlook:
    return Outlook(idle=without_effect({**values_of(service), **values, **changes}))


async def add(visit: Visit) -> Response:
    """Ask one thing more."""
    service = visit.snapshot.configuration.service(visit.request.path_params["index"])
    return await _edit(visit, service, None)


async def modify(visit: Visit) -> Response:
    """What one further check asks."""
    service = visit.snapshot.configuration.service(visit.request.path_params["index"])
    return await _edit(visit, service, further_check(service, visit.request.path_params["name"]))


async def _edit(visit: Visit, service: VirtualService, check: FurtherCheck | None) -> Response:
    declared = FurtherCheck.declared()
    values: dict[str, Any] = {name: getattr(check, name, one.default) for name, one in declared.items()}
    if check is None:
        values["name"] = ""
    back = visit.url("service", index=service.index)

    def command(changes: Changes) -> AddFurtherCheck | ChangeFurtherCheck:
        if check is None:
            return AddFurtherCheck(service.index, changes)
        return ChangeFurtherCheck(service.index, check.name, changes)

    editor = Editor(
        model=FurtherCheck,
        values=values,
        parts=_PARTS,
        command=command,
        done=lambda key: f"{back}#further-checks",
        outlook=lambda changes: _outlook(service, values, changes),
        fresh=check is None,
        noun="check",
        apply_label="Add Check" if check is None else "Apply",
        always=("name",) if check is None else (),
    )
    context = {
        "title": check.name if check is not None else "Add a check",
        "sub": f"asked of each real server of {service.title}, besides the service's own check",
        "back": back,
        "above": (service.title, back),
    }
    return await edited(
        visit, editor, lambda drawn: scrolled(visit, drawn, visit.render("editor.html", context, drawn=drawn))
    )


async def remove(visit: Visit) -> Response:
    """Ask, and remove a further check."""
    service = visit.snapshot.configuration.service(visit.request.path_params["index"])
    name: str = visit.request.path_params["name"]
    back = visit.url("service", index=service.index)
    question = Question(f"Delete check {name}?", "Delete", back, f"{back}#further-checks", f"Check {name} was deleted")
    return await confirmed(visit, RemoveFurtherCheck(service.index, name), question)


_OF = "/virtual-services/{index:int}/checks"
ROUTES = [
    page("/virtual-services/{index:int}/add-check", add, name="add-further-check", belongs="services", methods=BOTH),
    page(f"{_OF}/{{name}}", modify, name="further-check", belongs="services", methods=BOTH),
    page(f"{_OF}/{{name}}/remove", remove, name="remove-further-check", belongs="services", methods=BOTH),
]
