"""A browser sent here by another site changes nothing; everybody else is served."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from steelyard.api.cross_site import RefuseCrossSite


async def _answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse("done")


@pytest.mark.parametrize(
    ("site", "status"), [(None, 200), ("none", 200), ("same-origin", 200), ("cross-site", 403), ("same-site", 403)]
)
async def test_only_foreign_sites_are_refused(site: str | None, status: int) -> None:
    app = Starlette(routes=[Route("/access/delvs", _answer)], middleware=[Middleware(RefuseCrossSite)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="https://adc") as client:
        answer = await client.get("/access/delvs", headers={} if site is None else {"Sec-Fetch-Site": site})
    assert answer.status_code == status
