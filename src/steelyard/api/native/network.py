"""The host's network as it is: `/network`. Steelyard reads it and does not change it."""

from __future__ import annotations

from dataclasses import asdict

from fastapi.responses import JSONResponse

from steelyard.api.native.access import Appliance
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schemas import answers
from steelyard.api.native.writing import read

router = NativeRouter(tags=["network"])


@router.get("/network", responses=answers("Network"))
async def show_network(appliance: Appliance) -> JSONResponse:
    """Interfaces with their addresses, routes of the main table, name servers, search domains and the hosts file."""
    return read(appliance.snapshot().revision, asdict(await appliance.network()))
