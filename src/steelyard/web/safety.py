"""What every answer of the web interface says to browsers, and what it refuses of other sites.

The cookie is sent only with requests that this site's own pages make (SameSite=Strict). A link on another site that
leads here would therefore find nobody signed in; such a visit is answered by a page that loads itself again, and is
then this site's own.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: nothing inline, nothing from outside, no frames
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self';"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
#: bytes that somebody may send who has not signed in, and who has
_SIGN_IN_BYTES, _MOST_BYTES = 64 * 1024, 64 * 1024 * 1024
_OWN = frozenset({"same-origin", "none"})
_AGAIN = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="0">'
    "<title>Steelyard</title></head><body><p>Opening Steelyard.</p></body></html>\n"
)


class Safety:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        headers = Headers(scope=scope)
        most = _SIGN_IN_BYTES if scope["path"] == "/sign-in" else _MOST_BYTES
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > most:
                raise HTTPException(413, f"More than {most} bytes were sent")
            return message

        answer: ASGIApp = self._app
        if headers.get("sec-fetch-site", "none") not in _OWN or _is_foreign(scope["method"], headers):
            visiting = headers.get("sec-fetch-mode") == "navigate" and scope["method"] == "GET"
            framed = headers.get("sec-fetch-dest") not in ("document", None)
            if visiting and not framed:
                answer = HTMLResponse(_AGAIN)
            else:
                answer = PlainTextResponse("This request was made by another site; open the address itself.\n", 403)
        await answer(scope, bounded, safe)


def _is_foreign(method: str, headers: Headers) -> bool:
    """Whether a write comes from another origin. Browsers from before 2023 say only that."""
    origin = headers.get("origin")
    return method not in ("GET", "HEAD") and origin is not None and urlsplit(origin).netloc != headers.get("host", "")
