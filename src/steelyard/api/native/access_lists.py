"""Access lists: `/access-lists/{scope}/{list}`, where the scope is `all` or the index of a virtual service.

Entries come one by one as JSON, or many as text with one a line. A list of 100,000 is changed without sending it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.concurrency import run_in_threadpool

from steelyard.api.native.access import Appliance
from steelyard.api.native.bodies import JsonObject, objects, only, optional_text, text
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schemas import CHANGED, answers, body
from steelyard.api.native.writing import Writing, etag, read
from steelyard.model.access_list import (
    EVERY_SERVICE,
    LISTS,
    AccessLists,
    Entries,
    ListName,
    decision,
    line_of,
)
from steelyard.model.commands import AddEntries, RemoveEntries, ReplaceList
from steelyard.model.commands.access_lists import check_scope
from steelyard.model.configuration import Configuration
from steelyard.model.errors import NotFound, OperatorError

router = NativeRouter(prefix="/access-lists", tags=["access lists"])

ALL = "all"
#: a request says its entries by one of these
FORMS = ("address", "entries", "text")

_NONE = AccessLists()


def scope_named(word: str) -> int:
    """The scope of a path or of a batch. Raises `NotFound`."""
    if word == ALL:
        return EVERY_SERVICE
    if not (word.isascii() and word.isdigit() and 0 < len(word) < 10) or int(word) == EVERY_SERVICE:
        raise NotFound("VS", word[:40])
    return int(word)


def list_named(word: str) -> ListName:
    """The list of a path or of a batch. Raises `OperatorError`."""
    for which in LISTS:
        if which == word:
            return which
    raise OperatorError(
        f"{word[:40]!r} is no access list", field="list", value=word[:40], allowed=", ".join(LISTS), remedy="Choose one"
    )


def entries_of(data: Mapping[str, Any]) -> Entries:
    """The entries a request says: one, a list of them, or text. Slow with very many. Raises `OperatorError`."""
    said = [form for form in FORMS if form in data]
    if len(said) != 1:
        raise OperatorError(
            "Entries come as one address, as a list or as text",
            field="entries",
            allowed="one of address, entries, text",
            remedy="Give one of them",
        )
    if said == ["text"]:
        return Entries.read(text(data, "text"))
    items = objects(data, "entries") if said == ["entries"] else [data]
    if said == ["entries"]:
        for item in items:
            only(item, ("address", "comment"), "an entry")
    pairs = [(text(item, "address"), optional_text(item, "comment") or "") for item in items]
    if said == ["entries"]:
        return Entries.of(pairs)
    try:
        return Entries.of(pairs)
    except OperatorError as failure:
        # there is only this one
        failure.position = None
        raise


def counts_json(configuration: Configuration, scope: int) -> dict[str, Any]:
    """How many entries a scope has."""
    lists = configuration.access_lists.get(scope, _NONE)
    return {
        "scope": ALL if scope == EVERY_SERVICE else str(scope),
        **{which: lists.count(which) for which in LISTS},
        "otherwise": lists.otherwise,
    }


def _rendered(configuration: Configuration, key: int | str | None) -> Any:
    return counts_json(configuration, int(key)) if key is not None else None


@router.get("", responses=answers({"type": "array", "items": {"$ref": "#/components/schemas/AccessListCounts"}}))
async def list_access_lists(appliance: Appliance) -> JSONResponse:
    """How many entries there are: for all services, and for each service that has its own."""
    snapshot = appliance.snapshot()
    scopes = sorted({EVERY_SERVICE, *snapshot.configuration.access_lists})
    return read(snapshot.revision, [counts_json(snapshot.configuration, scope) for scope in scopes])


@router.get("/{scope}/decision", responses=answers("AccessDecision"))
async def decide_access(
    appliance: Appliance,
    scope: str,
    address: Annotated[str, Query(description="The client's address.")],
) -> JSONResponse:
    """Whether a client may connect to a virtual service, and why."""
    snapshot = appliance.snapshot()
    index = scope_named(scope)
    if index == EVERY_SERVICE:
        raise OperatorError(
            "A client connects to one virtual service", field="scope", value=scope, remedy="Give the service's index"
        )
    found = decision(snapshot.configuration, snapshot.configuration.service(index), address)
    return read(snapshot.revision, {"allowed": found.allowed, "why": found.why})


@router.get("/{scope}/{which}", responses=answers({"type": "array", "items": {"$ref": "#/components/schemas/Entry"}}))
async def show_access_list(appliance: Appliance, scope: str, which: str) -> JSONResponse:
    """The entries of a list, in the order of addresses."""
    revision, found = await _entries(appliance, scope, which)
    return read(revision, [{"address": address, "comment": comment} for address, comment in found])


@router.get(
    "/{scope}/{which}/text",
    response_class=PlainTextResponse,
    responses={200: {"description": "One entry a line.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def export_access_list(appliance: Appliance, scope: str, which: str) -> PlainTextResponse:
    """The entries of a list as text that PUT takes: one a line, comments after `#`."""
    revision, found = await _entries(appliance, scope, which)
    content = "".join(f"{line_of(address, comment)}\n" for address, comment in found)
    return PlainTextResponse(content, headers={"ETag": etag(revision)})


async def _entries(appliance: Appliance, scope: str, which: str) -> tuple[int, list[tuple[str, str]]]:
    snapshot = appliance.snapshot()
    index = scope_named(scope)
    check_scope(snapshot.configuration, index)
    lists = snapshot.configuration.access_lists.get(index, _NONE)
    return snapshot.revision, await run_in_threadpool(lists.entries, list_named(which))


@router.post("/{scope}/{which}", responses=CHANGED, openapi_extra=body("NewEntries"))
async def add_entries(write: Writing, scope: str, which: str, data: JsonObject) -> JSONResponse:
    """Add entries to a list; those that are there stay."""
    command = AddEntries(scope_named(scope), list_named(which), await _given(data))
    return await write.carry_out(command, _rendered)


@router.put("/{scope}/{which}", responses=CHANGED, openapi_extra=body("NewEntries"))
async def replace_access_list(write: Writing, scope: str, which: str, data: JsonObject) -> JSONResponse:
    """Put other entries in place of all a list has."""
    command = ReplaceList(scope_named(scope), list_named(which), await _given(data))
    return await write.carry_out(command, _rendered)


@router.post("/{scope}/{which}/remove", responses=CHANGED, openapi_extra=body("NewEntries"))
async def remove_entries(write: Writing, scope: str, which: str, data: JsonObject) -> JSONResponse:
    """Remove entries from a list; each must be there."""
    command = RemoveEntries(scope_named(scope), list_named(which), await _given(data))
    return await write.carry_out(command, _rendered)


async def _given(data: Mapping[str, Any]) -> Entries:
    only(data, ("address", "comment", "entries", "text"), "entries of an access list")
    return await run_in_threadpool(entries_of, data)
