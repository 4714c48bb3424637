"""The native API over ASGI, mounted where it is in production, against an appliance in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.support.fake_appliance import PASSWORD
from tests.unit.api.native.memory_appliance import MemoryAppliance

from steelyard.api.native import build_native_app
from steelyard.appliance.contract import ApplianceApi


def application(appliance: ApplianceApi, *, trusted_local: bool = False) -> Starlette:
    return Starlette(routes=[Mount("/api/v1", app=build_native_app(appliance, trusted_local=trusted_local))])


def client_of(app: Starlette, auth: tuple[str, str] | None) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="https://adc.test/api/v1", auth=auth)


@pytest.fixture
def appliance() -> MemoryAppliance:
    return MemoryAppliance()


@pytest.fixture
async def api(appliance: MemoryAppliance) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(application(appliance), ("bal", PASSWORD)) as client:
        yield client


@pytest.fixture
async def web(api: httpx.AsyncClient) -> int:
    """The index of a service on 127.0.0.1:8080 with two real servers, 1 and 2."""
    servers = [{"address": "127.0.0.1", "port": port} for port in (9001, 9002)]
    answer = await api.post(
        "/virtual-services",
        json={"address": "127.0.0.1", "port": 8080, "name": "web", "service_type": "http", "servers": servers},
    )
    assert answer.status_code == 201, answer.text
    index: int = answer.json()["object"]["index"]
    return index
