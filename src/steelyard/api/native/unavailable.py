"""What stands in for real servers: `/virtual-services/{index}/error-page` and `.../redirector`.

A page travels in base64 inside JSON and is never served as itself: it is an operator's HTML, and would run as a page of
this API's origin.
"""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse

from steelyard.api.native.access import Appliance
from steelyard.api.native.bodies import JsonObject, OptionalObject, only, optional_number, text
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schemas import CHANGED, MADE, answers, body
from steelyard.api.native.services import rendered
from steelyard.api.native.writing import Writing, read
from steelyard.model.commands import AddRedirector, ChangeService
from steelyard.model.configuration import Configuration
from steelyard.model.error_page import decoded_page, encoded_page, media_type
from steelyard.model.errors import NotFound, OperatorError

router = NativeRouter(prefix="/virtual-services/{index}", tags=["virtual services"])


def _page(configuration: Configuration, key: int | str | None) -> Any:
    page = configuration.service(int(key)).error_page if key is not None else ""
    return {"data": page, "media_type": media_type(decoded_page(page))} if page else None


@router.get("/error-page", responses=answers("ErrorPage"))
async def show_error_page(appliance: Appliance, index: int) -> JSONResponse:
    """The page clients get when no real server is available."""
    snapshot = appliance.snapshot()
    found = _page(snapshot.configuration, index)
    if found is None:
        raise NotFound("error page", index)
    return read(snapshot.revision, found)


@router.put("/error-page", responses=CHANGED, openapi_extra=body("NewErrorPage"))
async def put_error_page(write: Writing, index: int, data: JsonObject) -> JSONResponse:
    """Set the page clients get when no real server is available: as text, or in base64."""
    only(data, ("text", "data"), "an error page")
    if ("text" in data) == ("data" in data):
        raise OperatorError(
            "An error page comes either as text in 'text' or as base64 in 'data'",
            field="data",
            allowed="one of text, data",
            remedy="Give one of the two",
        )
    page = encoded_page(text(data, "text").encode()) if "text" in data else text(data, "data")
    if not page:
        raise OperatorError("The page is empty", field="data", allowed="a page", remedy="Delete the page instead")
    return await write.carry_out(ChangeService(index, {"error_page": page}), _page)


@router.delete("/error-page", responses=CHANGED)
async def remove_error_page(write: Writing, index: int) -> JSONResponse:
    """Remove the page; a plain one takes its place while there is an error code."""
    return await write.carry_out(ChangeService(index, {"error_page": ""}), _page)


@router.post("/redirector", status_code=201, responses=MADE, openapi_extra=body("NewRedirector", required=False))
async def add_redirector(write: Writing, index: int, data: OptionalObject) -> JSONResponse:
    """Make a service on another port of the same address, 80 unless told, that redirects every request to this one."""
    only(data, ("port",), "a redirector")
    port = optional_number(data, "port")
    command = AddRedirector(index) if port is None else AddRedirector(index, port)
    return await write.carry_out(command, rendered, made="virtual-services")
