"""No route of the native API answers anybody before it knows who asks."""

from __future__ import annotations

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from tests.unit.api.native.memory_appliance import MemoryAppliance

from steelyard.api.native import app
from steelyard.api.native.access import identified


def test_every_route_finds_out_who_asks_before_anything_else() -> None:
    routes = [route for route in app.build_native_app(MemoryAppliance()).routes if isinstance(route, APIRoute)]
    assert len(routes) > 100
    assert all(route.dependant.dependencies[0].call is identified for route in routes)


def test_routes_that_let_anybody_in_are_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "_ROUTERS", (APIRouter(),))
    app._routes.cache_clear()
    try:
        with pytest.raises(TypeError, match="would let anybody in"):
            app.build_native_app(MemoryAppliance())
    finally:
        app._routes.cache_clear()
