"""Whether a service runs at layer 4 or 7, why, and what carries it (`reference/behaviour.md`, section 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service.layers import (
    asked_for_layer4,
    beyond_ipvs,
    falls_back,
    needs_counting,
    needs_layer7,
)

Carrier = Literal["haproxy", "nft", "ipvs"]
_CARRIERS = {"haproxy": "HAProxy", "nft": "nftables", "ipvs": "IPVS"}


@dataclass(frozen=True, slots=True)
class Layer:
    """The layer of a service. `lacks` is what its kernel would have to have, where nothing here can carry it."""

    number: Literal[4, 7]
    reason: str
    carrier: Carrier
    lacks: str = ""

    @property
    def title(self) -> str:
        """As LoadMaster says it."""
        return f"Operating at Layer {self.number}"

    @property
    def carried_by(self) -> str:
        """The name of what carries it."""
        return _CARRIERS[self.carrier]


def layer_of(service: VirtualService, *, ipvs: bool) -> Layer:
    """The layer of a service on a host whose kernel has IPVS or has not."""
    asked = asked_for_layer4(service)
    if not asked:
        needed = next((why for _, why in needs_layer7(service)), "")
        return Layer(7, needed or "TCP services do, unless ForceL4 is set", "haproxy")
    counting = needs_counting(service)
    if not counting:
        return Layer(4, asked, "nft")
    beyond = beyond_ipvs(service)
    if ipvs and beyond is None:
        return Layer(4, f"{asked}; {counting} is done by IPVS", "ipvs")
    lacks = beyond[1] if beyond else f"{counting} needs IPVS at layer 4, which this host's kernel does not have"
    if falls_back(service):
        return Layer(7, f"{asked}, but {lacks}; HAProxy carries it, and real servers see this host", "haproxy")
    return Layer(4, asked, "ipvs", lacks)
