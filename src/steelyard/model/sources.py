"""Which address real servers see as their client's (`reference/behaviour.md`, sections 4.1 to 4.4). Pure.

Checks always come from this host's address on the real server's network; this is about clients' connections.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, OperatorError
from steelyard.model.network import interface_of, networks_said
from steelyard.model.virtual_service import VirtualService

#: "client" the client's own, "service" the service's, "host" this host's on the way to the real server, "alternate" one
#: of several in turn
Kind = Literal["client", "service", "host", "alternate"]


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """The global part: L7 Transparency, Subnet Originating Requests, connection scaling over 64K connections."""

    transparent: bool = True
    subnet_originating: bool = True
    alternate: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What a real server sees, and why: one of `addresses`, where it is the service's or alternate ones."""

    kind: Kind
    why: str
    addresses: tuple[str, ...] = ()


def source_settings(configuration: Configuration) -> SourceSettings:
    """The global part of a configuration."""
    return SourceSettings(
        configuration.layer7.transparent,
        configuration.network.subnet_originating,
        configuration.layer7.alternate_sources,
    )


def seen_by_servers(service: VirtualService, parent: VirtualService | None, settings: SourceSettings) -> Seen:
    """What the real servers of a service at layer 7 see. A sub-service has its parent's address and TLS."""
    outer = service if parent is None else parent
    why_not = _not_transparent(service, outer, settings)
    if not why_not:
        return Seen("client", "Transparency is on")
    if settings.alternate and service.local_bind_addresses:
        return Seen("alternate", f"{why_not}, and there are alternate source addresses", service.local_bind_addresses)
    return _of_this_host(service, outer, settings, why_not)


def seen_by_server(
    service: VirtualService, parent: VirtualService | None, settings: SourceSettings, server: str
) -> Seen:
    """What one of the real servers sees.

    The kernel sends nothing with an address of the other family, and nothing with a loopback address to another host.
    A real server on the loopback network would answer a client past HAProxy.
    """
    outer = service if parent is None else parent
    seen = seen_by_servers(service, parent, settings)
    local = ip_address(server).is_loopback
    if seen.kind == "alternate":
        own = tuple(one for one in seen.addresses if (":" in one) == (":" in server))
        # connections to it begin with clients' addresses
        if own and not local and (":" in outer.address) == (":" in server):
            return Seen("alternate", seen.why, own)
        seen = _of_this_host(service, outer, settings, "alternate source addresses are not for this real server")
    if seen.kind == "host":
        return seen
    if (":" in outer.address) != (":" in server):
        return Seen("host", "it is of another address family than the service")
    if seen.kind == "client" and local:
        return Seen("host", "the real server is on this host itself")
    if seen.kind == "service" and ip_address(outer.address).is_loopback and not local:
        return Seen("host", "the service's address is of the loopback network, and the real server is not")
    return seen


def _of_this_host(service: VirtualService, outer: VirtualService, settings: SourceSettings, why_not: str) -> Seen:
    if settings.subnet_originating:
        return Seen("host", f"{why_not}, and Subnet Originating Requests is on for all services")
    if service.subnet_originating:
        return Seen("host", f"{why_not}, and Subnet Originating Requests is on")
    if outer.address in ("", "0.0.0.0", "::"):
        return Seen("host", f"{why_not}, and a service on every address has no address of its own")
    return Seen("service", f"{why_not}, and Subnet Originating Requests is off", (outer.address,))


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
    """Raise `OperatorError` or `ConflictError` for what this change brings that cannot be."""
    if old.services is not new.services:
        for index, service in new.services.items():
            before = old.services.get(index)
            if before is not service:
                refuse_without_switch(service, before, new)
    if (old.services, old.layer7) != (new.services, new.layer7):
        _shared_servers(new)


def refuse_without_switch(service: VirtualService, before: VirtualService | None, new: Configuration) -> None:
    """Raise `OperatorError` for a setting that is new and needs a global switch which is off."""
    if service.use_for_snat and not new.network.server_nat and (before is None or not before.use_for_snat):
        raise OperatorError(
            f"UseforSnat of {service.title} needs server NAT, which is off for all services",
            field="use_for_snat",
            value=True,
            allowed="only while Enable Server NAT (snat) is on",
            remedy="Set the network option snat to 1 first (System Configuration > Miscellaneous Options >"
            " Network Options > Enable Server NAT)",
        )
    addresses = service.local_bind_addresses
    if not addresses or (before is not None and before.local_bind_addresses == addresses):
        return
    if not new.layer7.alternate_sources:
        raise OperatorError(
            f"LocalBindAddrs of {service.title} needs connection scaling, which is off",
            field="local_bind_addresses",
            value=" ".join(addresses),
            allowed="only while Allow connection scaling over 64K Connections (localbind) is on",
            remedy="Set the layer-7 parameter localbind to 1 first",
        )
    for address in addresses:
        if new.host.managed and interface_of(new.interfaces, address) is None:
            raise OperatorError(
                f"LocalBindAddrs {address} is on no local network; there are: {networks_said(new.interfaces)}",
                field="local_bind_addresses",
                value=address,
                allowed=f"addresses in one of these networks: {networks_said(new.interfaces)}",
                remedy="Give an interface an address of that network first",
            )


def _shared_servers(new: Configuration) -> None:
    """Connections with clients' addresses are told apart by the real server and its port alone."""
    settings = source_settings(new)
    known: dict[tuple[str, int], tuple[Seen, VirtualService]] = {}
    for service in new.services.values():
        if not service.transparent and not (settings.alternate and service.local_bind_addresses):
            continue
        parent = new.services[service.parent] if service.is_sub else None
        for server in service.servers:
            seen = seen_by_server(service, parent, settings, server.address)
            if seen.kind not in ("client", "alternate"):
                continue
            other, owner = known.setdefault((server.address, server.port), (seen, service))
            if (other.kind, other.addresses) != (seen.kind, seen.addresses):
                raise ConflictError(
                    f"{owner.title} and {service.title} share real server {server.address}:{server.port}, so it has to"
                    " see the same addresses from both: the clients', or the same alternate ones",
                    field="transparent",
                    with_what=owner.title,
                )
