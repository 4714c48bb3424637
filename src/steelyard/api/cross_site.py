"""Requests that another site makes a browser send are refused.

LoadMaster's API changes things by GET and browsers remember Basic credentials, so a link on any page could change the
configuration. Browsers tell where a request comes from (`Sec-Fetch-Site`, W3C Fetch Metadata); programs do not send it.
"""

from __future__ import annotations

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_FOREIGN = frozenset({b"cross-site", b"same-site"})


class RefuseCrossSite:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and any(
            name == b"sec-fetch-site" and value in _FOREIGN for name, value in scope["headers"]
        ):
            answer = PlainTextResponse(
                "This request was made by another site; open the address itself.\n", status_code=403
            )
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)
