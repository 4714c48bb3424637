"""Further checks of a virtual service: `/virtual-services/{index}/checks`.

Its own check is among its settings; these are asked besides, of every real server. `check_mode` says whether all must
be good or one is enough.
"""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse

from steelyard.api.native.access import Appliance
from steelyard.api.native.bodies import JsonObject, objects, only
from steelyard.api.native.objects import settings_json
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schema_words import list_of
from steelyard.api.native.schemas import CHANGED, MADE, answers, body
from steelyard.api.native.writing import Render, Writing, read, settings_given
from steelyard.model.commands import AddFurtherCheck, ChangeFurtherCheck, RemoveFurtherCheck, ReplaceFurtherChecks
from steelyard.model.commands.further_checks import further_check
from steelyard.model.configuration import Configuration
from steelyard.model.errors import located
from steelyard.model.virtual_service.further import FurtherCheck

router = NativeRouter(prefix="/virtual-services/{index}/checks", tags=["further checks"])


def _all(service: int) -> Render:
    def render(configuration: Configuration, key: int | str | None) -> Any:
        return [settings_json(check) for check in configuration.service(service).further_checks]

    return render


def _one(service: int, name: str) -> Render:
    def render(configuration: Configuration, key: int | str | None) -> Any:
        return settings_json(further_check(configuration.service(service), name))

    return render


def checks_given(data: dict[str, Any]) -> list[dict[str, Any]]:
    """The further checks of a document, names checked."""
    found = []
    for number, check in enumerate(objects(data, "further_checks")):
        with located(f"further_checks[{number}]"):
            found.append(settings_given(FurtherCheck, check))
    return found


@router.get("", responses=answers(list_of("FurtherCheck")))
async def list_further_checks(appliance: Appliance, index: int) -> JSONResponse:
    """What is asked of each real server besides the service's own check."""
    snapshot = appliance.snapshot()
    return read(snapshot.revision, _all(index)(snapshot.configuration, None))


@router.put("", responses=CHANGED, openapi_extra=body("FurtherChecks"))
async def replace_further_checks(write: Writing, index: int, data: JsonObject) -> JSONResponse:
    """Replace all further checks."""
    only(data, ("further_checks",), "the further checks")
    return await write.carry_out(ReplaceFurtherChecks(index, checks_given(data)), _all(index))


@router.post("", status_code=201, responses=MADE, openapi_extra=body("FurtherCheck"))
async def add_further_check(write: Writing, index: int, data: JsonObject) -> JSONResponse:
    """Ask one thing more."""
    command = AddFurtherCheck(index, settings_given(FurtherCheck, data))
    return await write.carry_out(command, _all(index), made="virtual-services")


@router.patch("/{name}", responses=CHANGED, openapi_extra=body("FurtherCheckChanges"))
async def change_further_check(write: Writing, index: int, name: str, data: JsonObject) -> JSONResponse:
    """Change a further check.

    What is not named keeps its value.
    """
    changes = settings_given(FurtherCheck, data)
    return await write.carry_out(ChangeFurtherCheck(index, name, changes), _one(index, str(changes.get("name", name))))


@router.delete("/{name}", responses=CHANGED)
async def remove_further_check(write: Writing, index: int, name: str) -> JSONResponse:
    """Ask one thing less."""
    return await write.carry_out(RemoveFurtherCheck(index, name), _all(index))
