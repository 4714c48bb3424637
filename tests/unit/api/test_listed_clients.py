"""The access lists for all services hold for administration where the operator wants it."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from steelyard.api.listed_clients import RefuseListed
from steelyard.model.access_list import EVERY_SERVICE, Entries
from steelyard.model.commands import AddEntries, AddServer, AddService, Command, SetParameters
from steelyard.model.configuration import Configuration


async def _answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse("done")


def _configured(*commands: Command) -> Configuration:
    configuration = Configuration()
    for command in commands:
        configuration = command.apply(configuration).configuration
    return configuration


def _listed(which: str, *addresses: str) -> Command:
    return AddEntries(EVERY_SERVICE, which, Entries.of([(one, "") for one in addresses]))  # type: ignore[arg-type]


ON = SetParameters("access", {"include_wui": True})
SERVICE = AddService({"address": "192.0.2.1", "port": 80, "service_type": "http"})


@pytest.mark.parametrize(
    ("commands", "client", "status"),
    [
        ((_listed("block", "198.51.100.0/24"),), "198.51.100.7", 200),
        ((ON,), "198.51.100.7", 200),
        ((ON, _listed("block", "198.51.100.0/24")), "198.51.100.7", 403),
        ((ON, _listed("block", "198.51.100.0/24")), "203.0.113.7", 200),
        ((ON, _listed("block", "198.51.100.0/24"), _listed("allow", "198.51.100.7")), "198.51.100.7", 200),
        ((ON, _listed("allow", "2001:db8::/32")), "198.51.100.7", 403),
        ((ON, _listed("allow", "2001:db8::/32")), "2001:db8::7", 200),
        ((ON, _listed("block", "0.0.0.0/0"), SetParameters("access", {"enabled": False})), "198.51.100.7", 200),
        (
            (ON, _listed("block", "0.0.0.0/0"), SERVICE, AddServer(1, {"address": "198.51.100.7", "port": 80})),
            "198.51.100.7",
            200,
        ),
    ],
)
async def test_listed_clients_are_refused(commands: tuple[Command, ...], client: str, status: int) -> None:
    configuration = _configured(*commands)
    app = Starlette(
        routes=[Route("/access/listvs", _answer)],
        middleware=[Middleware(RefuseListed, configuration=lambda: configuration)],
    )
    transport = httpx.ASGITransport(app=app, client=(client, 4711))
    async with httpx.AsyncClient(transport=transport, base_url="https://adc") as asking:
        assert (await asking.get("/access/listvs")).status_code == status
