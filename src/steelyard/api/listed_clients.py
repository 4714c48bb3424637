"""Clients that the access lists for all services refuse get no answer but a refusal, where the operator wants that.

It is asked for by "Include WUI in IP Access Lists" (`aclcontrol?wuiblock=1`). LoadMaster drops such packets; here the
connection and its TLS are served by the control plane, which says 403 before it looks at anything else.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from steelyard.model.access_list import admits_administration
from steelyard.model.configuration import Configuration


class RefuseListed:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, configuration: Callable[[], Configuration]) -> None:
        self._app = app
        self._configuration = configuration

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if scope["type"] == "http" and client and not admits_administration(self._configuration(), client[0]):
            answer = PlainTextResponse("The access lists refuse this address.\n", status_code=403)
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)
