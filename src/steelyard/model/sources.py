"""Which address real servers see as their client's (`reference/behaviour.md`, sections 4.1 to 4.4). Pure.

Checks always come from this host's address on the real server's network; this is about clients' connections.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError
from steelyard.model.virtual_service import VirtualService

#: "client" the client's own, "service" the service's, "host" this host's on the way to the real server
Kind = Literal["client", "service", "host"]


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """The global part: L7 Transparency, Subnet Originating Requests."""

    transparent: bool = True
    subnet_originating: bool = True


@dataclass(frozen=True, slots=True)
class Seen:
    """What real servers see, and why. `address` is that of the service, where that is what they see."""

    kind: Kind
    why: str
    address: str = ""


def source_settings(configuration: Configuration) -> SourceSettings:
    """The global part of a configuration."""
    return SourceSettings(configuration.layer7.transparent, configuration.network.subnet_originating)


def seen_by_servers(service: VirtualService, parent: VirtualService | None, settings: SourceSettings) -> Seen:
    """What the real servers of a service at layer 7 see. A sub-service has its parent's address and TLS."""
    outer = service if parent is None else parent
    why_not = _not_transparent(service, outer, settings)
    if not why_not:
        return Seen("client", "Transparency is on")
    if settings.subnet_originating:
        return Seen("host", f"{why_not}, and Subnet Originating Requests is on for all services")
    if service.subnet_originating:
        return Seen("host", f"{why_not}, and Subnet Originating Requests is on")
    if outer.address in ("", "0.0.0.0", "::"):
        return Seen("host", f"{why_not}, and a service on every address has no address of its own")
    return Seen("service", f"{why_not}, and Subnet Originating Requests is off", outer.address)


def seen_by_server(seen: Seen, service_address: str, server: str) -> Seen:
    """What one of the real servers sees: the kernel sends nothing with an address of the other family, and nothing
    with a loopback address to another host.
    """
    if seen.kind == "host":
        return seen
    if (":" in service_address) != (":" in server):
        return Seen("host", "it is of another address family than the service")
    if seen.kind == "service" and ip_address(service_address).is_loopback and not ip_address(server).is_loopback:
        return Seen("host", "the service's address is of the loopback network, and the real server is not")
    return seen


def _not_transparent(service: VirtualService, outer: VirtualService, settings: SourceSettings) -> str:
    """Why clients' addresses are not shown; empty when they are."""
    if not service.transparent:
        return "Transparency is off"
    if not settings.transparent:
        return "L7 Transparency is off for all services"
    if outer.reencrypts:
        return "Transparency has no effect while Reencrypt is on"
    if outer.esp_enabled or service.esp_enabled:
        return "Transparency has no effect beside the edge filter"
    return ""


def refuse_source_faults(old: Configuration, new: Configuration) -> None:
    """Raise `OperatorError` for what this change brings that cannot be."""
    if new.network.server_nat or old.services is new.services:
        return
    for index, service in new.services.items():
        before = old.services.get(index)
        if service.use_for_snat and (before is None or not before.use_for_snat):
            raise OperatorError(
                f"UseforSnat of {service.title} needs server NAT, which is off for all services",
                field="use_for_snat",
                value=True,
                allowed="only while Enable Server NAT (snat) is on",
                remedy="Set the network option snat to 1 first",
            )
