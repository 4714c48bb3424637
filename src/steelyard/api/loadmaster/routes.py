"""The two interfaces as routes: v1 below `/access`, v2 at `/accessv2` (`reference/loadmaster-api/01`).

Every answer carries the same status as its body. Credentials that are missing or wrong are answered by an HTML page
in both versions, as are those that are locked; nothing a client sent is ever part of it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from steelyard.api.loadmaster import json_encoding, xml_encoding
from steelyard.api.loadmaster.answers import Answer, Data, Download, Message, MessageWithData
from steelyard.api.loadmaster.authentication import CHALLENGE, CREDENTIALS, address_of, signed_in
from steelyard.api.loadmaster.bodies import (
    MAX_FORM_BYTES,
    MAX_JSON_BYTES,
    form_parameters,
    json_parameters,
    query_parameters,
    read_body,
    uploaded,
)
from steelyard.api.loadmaster.call import READ, Call, Entry, Parameters
from steelyard.api.loadmaster.failures import NotSignedIn, Refusal, explained, missing
from steelyard.api.loadmaster.first_start import refuse_before_first_start
from steelyard.api.loadmaster.registry import find
from steelyard.appliance.admission import LockedOut
from steelyard.appliance.contract import Actor, ApplianceApi
from steelyard.model.first_start import CLOSED
from steelyard.model.user import ADMINISTRATOR
from steelyard.observe.host_figures import HostFigureReader, HostFigureSource

_log = logging.getLogger(__name__)

ORIGIN = "loadmaster-api"
_PAGE = "<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>\n"
_Endpoint = Callable[[Request], Awaitable[Response]]


def build_loadmaster_routes(appliance: ApplianceApi, host: HostFigureSource | None = None) -> list[BaseRoute]:
    """Everything LoadMaster's clients call. `host` gives the figures of `stats`; None reads this host's own."""
    interface = _Interface(appliance, host if host is not None else HostFigureReader())
    both = ["GET", "POST"]
    return [
        Route("/access/{command:path}", interface.v1, methods=both),
        # "Anything after /accessv2 is ignored" (01, 1.1).
        Route("/accessv2{ignored:path}", interface.v2, methods=both),
        # Old clients switch the interface on this way (13, quirk 57).
        Route("/progs/doconfig/enableapi/set/yes", interface.enable, methods=["GET"]),
        Route("/progs/status/logout", _done, methods=["GET"]),
    ]


async def _done(_: Request) -> Response:
    return HTMLResponse(_PAGE.format("200 OK"))


def _unauthorized() -> Response:
    return HTMLResponse(_PAGE.format("401 Unauthorized"), 401, headers={"WWW-Authenticate": CHALLENGE})


def _locked(locked: LockedOut) -> Response:
    return HTMLResponse(_PAGE.format("429 Too Many Requests"), 429, headers={"Retry-After": str(locked.seconds)})


def _gone(request: Request) -> Response:
    """The client went away while it sent its request: nothing was changed, and nobody reads the answer."""
    _log.info("a client went away while it sent its request to %s", request.url.path)
    return Response(status_code=400)


@dataclass(frozen=True)
class _Encoding:
    """How a version writes its answers."""

    success: Callable[[Data | Message | MessageWithData], bytes]
    failure: Callable[[int, str], bytes]
    media_type: str


_XML = _Encoding(xml_encoding.success, xml_encoding.failure, xml_encoding.MEDIA_TYPE)
_JSON = _Encoding(json_encoding.success, json_encoding.failure, json_encoding.MEDIA_TYPE)


async def _answered(request: Request, answering: Awaitable[Answer], encoding: _Encoding) -> Response:
    """What comes of a call, in the words of its version; credentials that do not do are a page in both."""
    try:
        answer = await answering
    except NotSignedIn:
        return _unauthorized()
    except LockedOut as locked:
        return _locked(locked)
    except ClientDisconnect:
        return _gone(request)
    except Exception as error:
        status, text = explained(error)
        return _response(encoding.failure(status, text), status, encoding.media_type)
    if isinstance(answer, Download):
        return _response(answer.content, 200, answer.media_type)
    return _response(encoding.success(answer), 200, encoding.media_type)


class _Interface:
    """Both versions over one appliance."""

    def __init__(self, appliance: ApplianceApi, host: HostFigureSource) -> None:
        self._appliance, self._host = appliance, host

    async def v1(self, request: Request) -> Response:
        """`/access/COMMAND`: parameters in the query, in a form, or beside an upload."""
        return await _answered(request, self._v1(request), _XML)

    async def v2(self, request: Request) -> Response:
        """`/accessv2`: one JSON object, or parameters of a GET."""
        return await _answered(request, self._v2(request), _JSON)

    async def enable(self, request: Request) -> Response:
        """The interface is on; what is left to do is to look at the credentials."""
        try:
            await signed_in(self._appliance, request, Parameters({}), 1)
        except NotSignedIn:
            return _unauthorized()
        except LockedOut as locked:
            return _locked(locked)
        return await _done(request)

    async def _v1(self, request: Request) -> Answer:
        given = query_parameters(request)
        name: str = request.path_params["command"]
        entry, unknown = _look_up(name)
        upload = b""
        if request.method == "POST" and entry is None:
            # A command that is not built may be an upload: then its body is no form, and must not be complained about.
            with contextlib.suppress(Refusal):
                given |= form_parameters(await read_body(request, MAX_FORM_BYTES))
        elif request.method == "POST" and entry is not None and entry.upload:
            # an upload is long and its credentials are not in it: who has none need not send it
            await signed_in(self._appliance, request, Parameters(given), 1)
            upload = await read_body(request, entry.most_bytes)
        elif request.method == "POST":
            given |= form_parameters(await read_body(request, MAX_FORM_BYTES))
        return await self._carry_out(request, entry, unknown, given, 1, upload)

    async def _v2(self, request: Request) -> Answer:
        if request.method == "POST":
            given = json_parameters(await read_body(request, MAX_JSON_BYTES))
        else:
            given = query_parameters(request)
        name = Parameters(given).text("cmd")
        entry, unknown = _look_up(name) if name else (None, missing("cmd"))
        return await self._carry_out(request, entry, unknown, given, 2, None)

    async def _carry_out(
        self,
        request: Request,
        entry: Entry | None,
        unknown: Refusal | None,
        given: dict[str, Any],
        version: Literal[1, 2],
        upload: bytes | None,
    ) -> Answer:
        """Credentials first: who has none learns nothing about commands."""
        parameters = Parameters(given)
        configuration = self._appliance.snapshot().configuration
        step = configuration.first_step
        anybody = entry is not None and entry.first == "open" and step in CLOSED
        if anybody:
            # nobody else is there yet, and a password is not asked for
            user = configuration.user(ADMINISTRATOR)
        else:
            user = await signed_in(self._appliance, request, parameters, version)
        if entry is None:
            raise unknown if unknown is not None else Refusal(405, "Unknown command")
        refuse_before_first_start(step, entry)
        if entry.permission != READ and not user.may(entry.permission):
            raise Refusal(403, f"User {user.name} lacks the permission {entry.permission!r}")
        if upload is None:
            upload = uploaded(given) if entry.upload else b""
        call = Call(
            name=entry.name,
            parameters=parameters.without(*CREDENTIALS, "cmd"),
            version=version,
            actor=Actor(user, ORIGIN),
            appliance=self._appliance,
            host=self._host,
            upload=upload,
            address=address_of(request),
        )
        if not anybody and user.may("root") and self._appliance.network_waiting() is not None:
            # LoadMaster has no word for it. Who still reaches this host after the change was not cut off by it.
            await self._appliance.confirm_network(call.actor)
        _log.debug("%s by %s, parameters %s", entry.name, user.name, sorted(call.parameters))
        return await entry.handler(call)


def _look_up(name: str) -> tuple[Entry | None, Refusal | None]:
    try:
        return find(name), None
    except Refusal as refusal:
        return None, refusal


def _response(body: bytes, status: int, media_type: str) -> Response:
    """Without a charset parameter, which Starlette adds to every text type it is told by `media_type`."""
    return Response(body, status, headers={"content-type": media_type})
