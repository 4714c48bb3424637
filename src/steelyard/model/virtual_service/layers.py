"""What decides whether a service runs at layer 4 or 7 (`reference/behaviour.md`, section 2). Pure.

At layer 4 the kernel forwards packets, so whatever reads, ends or limits connections needs layer 7. A service that asks
for layer 4 and for such a thing is refused by the name of that thing; it is never quietly ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steelyard.model.virtual_service import VirtualService

#: persistence modes that look at addresses alone, and the one that IPVS finds in SIP
LAYER_4_PERSISTENCE = frozenset({"none", "src", "udpsip"})
#: schedules that need the number of open connections, which nftables does not know
COUNTING_SCHEDULES = frozenset({"lc", "wlc"})
#: schedules that read the request, or that only HAProxy has
_LAYER_7_SCHEDULES = frozenset({"uhash", "random"})
#: the idle time of a UDP service that ends an exchange with its answer
_ONE_ANSWER = 2
#: what a UDP service may be checked by
UDP_CHECKS = frozenset({"icmp", "dns", "none"})

#: settings that need layer 7 when they differ from these values
_LAYER_7_SETTINGS: Mapping[str, Any] = {
    "ssl_acceleration": False,
    "ssl_reverse": False,
    "starttls_mode": 0,
    "esp_enabled": False,
    "waf_enabled": False,
    "cache": False,
    "compress": False,
    "bandwidth": 0,
    "connections_per_second": 0,
    "requests_per_second": 0,
    "max_connections": 0,
    "transaction_limit": 0,
    "http_reschedule": False,
    "multi_connect": False,
    "refresh_persistence": False,
    "follow_vs": 0,
    "pre_rules": (),
    "request_rules": (),
    "response_rules": (),
    "body_rules": (),
    "add_via": 0,
    "copy_header_from": "",
    "extra_header_name": "",
    "error_code": 0,
    "error_url": "",
    "error_page": "",
    "intrusion_detection": 0,
    "local_bind_addresses": "",
}


def asked_for_layer4(service: VirtualService) -> str:
    """Why a service has to run at layer 4; empty when it need not."""
    if service.is_sub:
        return ""
    if service.protocol == "udp":
        return "UDP services run at layer 4"
    if service.wildcard:
        return "a service of the wildcard port runs at layer 4"
    return "ForceL4 is set" if service.force_l4 else ""


def needs_layer7(service: VirtualService) -> Iterator[tuple[str, str]]:
    """Everything of a service that needs layer 7: the field, and why."""
    for name, default in _LAYER_7_SETTINGS.items():
        value = getattr(service, name)
        if value != default and bool(value) != bool(default):
            yield name, f"{service.wire_name(name)} needs layer 7"
    if service.slots:
        yield "slots", "sub-services need layer 7"
    if service.switches_content:
        yield "servers", "content rules need layer 7"
    if service.persistence not in LAYER_4_PERSISTENCE:
        yield "persistence", f"persistence {service.persistence!r} reads what clients send, which needs layer 7"
    if service.schedule in _LAYER_7_SCHEDULES:
        yield "schedule", f"the schedule {service.schedule!r} needs layer 7"


def layer_refusals(service: VirtualService) -> Iterator[tuple[str, str]]:
    """Every rule about layers a service breaks: the field, and why it is refused."""
    if service.force_l4 and service.force_l7:
        yield "force_l4", "ForceL4 and ForceL7 exclude each other; set one of them"
    if service.is_sub and service.force_l4:
        yield "force_l4", "a sub-service runs at layer 7 like its parent"
    asked = asked_for_layer4(service)
    yield from _gateway_refusals(service)
    if not asked:
        if service.persistence == "udpsip":
            yield "persistence", "'udpsip' reads SIP over UDP; the protocol must be udp"
        if service.layer4_source_nat:
            yield "layer4_source_nat", "it is for services at layer 4; at layer 7 servers see this host already"
        if any(server.port == 0 for server in service.servers):
            yield "servers", "rsport 0, which is any port, is for services of the wildcard port"
        if any(server.forward == "route" for server in service.servers):
            yield "servers", "forwarding by route works at layer 4 alone; set ForceL4, or forward by nat"
        return
    if service.address in ("0.0.0.0", "::"):
        yield "address", f"{asked}, where a service has one address of its own"
    for name, why in needs_layer7(service):
        yield name, f"{why}, and {asked}; take one of the two away"
    if service.protocol == "udp":
        if service.service_type not in ("gen", "log"):
            yield "service_type", "a UDP service is of type gen"
        if service.check_type not in UDP_CHECKS:
            yield "check_type", f"a UDP service is checked by one of {', '.join(sorted(UDP_CHECKS))}"
    elif service.persistence == "udpsip":
        yield "persistence", "'udpsip' reads SIP over UDP; the protocol must be udp"
    # SIP persistence is at layer 7 in LoadMaster, so its clients ask for that together with the mode
    if service.force_l7 and service.persistence != "udpsip":
        yield "force_l7", f"{asked}; it cannot be forced to layer 7"
    if service.wildcard and service.extra_ports:
        yield "extra_ports", "a service of the wildcard port has every port already"
    yield from _server_refusals(service)
    if service.persistence == "udpsip" and service.cookie.lower() not in ("", "call-id"):
        yield "cookie", f"SIP persistence knows calls by their Call-ID, not by {service.cookie}; leave Cookie empty"
    beyond = beyond_ipvs(service) if needs_counting(service) and not falls_back(service) else None
    if beyond is not None:
        yield beyond


def _server_refusals(service: VirtualService) -> Iterator[tuple[str, str]]:
    for server in service.servers:
        if (":" in server.address) != (":" in service.address):
            yield (
                "servers",
                f"real server {server.address} is of another address family than {service.address}, which only layer 7"
                " can join",
            )
        if server.port == 0 and not service.wildcard:
            yield "servers", f"rsport 0 of {server.address}, which is any port, is for services of the wildcard port"
        checked = server.check_port or service.check_port or server.port
        if not checked and service.check_type not in ("icmp", "none"):
            yield "check_port", f"the check of real server {server.address} needs a port; give CheckPort"
        if server.forward == "route" and server.port not in (0, service.port):
            yield (
                "servers",
                f"real server {server.address} gets packets as they are, so its port must be the service's,"
                f" {service.port}",
            )
    if service.standby_address and (":" in service.standby_address) != (":" in service.address):
        yield "standby_address", "it is of another address family than the service, which only layer 7 can join"


def _gateway_refusals(service: VirtualService) -> Iterator[tuple[str, str]]:
    """Why a service cannot have that gateway of its own."""
    if not service.default_gateway:
        return
    if service.is_sub:
        yield "default_gateway", "a sub-service answers by way of its parent; give the gateway to that"
    elif (":" in service.default_gateway) != (":" in service.address):
        yield "default_gateway", f"it is of another address family than the service at {service.address}"
    elif service.address in ("0.0.0.0", "::"):
        yield "default_gateway", "a service on every address has no address that its answers could be known by"
    elif service.wildcard:
        yield "default_gateway", "a service of the wildcard port has no port that its answers could be known by"
    elif service.servers and all(server.forward == "route" for server in service.servers):
        yield "default_gateway", "with forwarding by route, answers go past this host; set the gateway on real servers"


def needs_counting(service: VirtualService) -> str:
    """What of a service at layer 4 nftables cannot do and IPVS can; empty when there is nothing."""
    if service.schedule in COUNTING_SCHEDULES:
        return f"the schedule {service.schedule!r}"
    if service.persistence == "udpsip":
        return "persistence by SIP's Call-ID"
    if any(server.forward == "route" for server in service.servers):
        return "forwarding by route"
    if any(server.limit for server in service.servers):
        return "a connection limit of a real server"
    return ""


def beyond_ipvs(service: VirtualService) -> tuple[str, str] | None:
    """What of a service for IPVS it cannot do: the field, and why; None when there is nothing."""
    ports_differ = any(server.port not in (0, service.port) for server in service.servers if server.forward == "nat")
    several = bool(service.extra_ports) or service.wildcard
    keeps = service.persistence != "none" and service.persistence_timeout > 0
    if keeps and several and service.persistence == "udpsip":
        return "extra_ports", "IPVS finds SIP's Call-ID on one port only; make a service of each port"
    if keeps and several and (ports_differ or service.standby_port not in (0, service.port)):
        return "persistence", (
            "IPVS cannot keep clients of several ports at their server and send them to another port of it; give real"
            " servers the port of the service, or take persistence away"
        )
    if keeps and service.schedule == "fixed":
        return "persistence", "IPVS keeps no client at a server that fixed weighting passes over; take persistence away"
    if service.layer4_source_nat and any(server.forward == "route" for server in service.servers):
        return "layer4_source_nat", "forwarding by route leaves packets as they are, so it gives no source address"
    if service.protocol == "udp" and service.idle_time == _ONE_ANSWER:
        return "idle_time", f"IPVS cannot forget a client after one answer, as {_ONE_ANSWER} asks; give another time"
    return None


def falls_back(service: VirtualService) -> bool:
    """Whether HAProxy can do the same for its clients as layer 4 would."""
    return (
        service.protocol == "tcp"
        and not service.wildcard
        and not service.layer4_source_nat
        and all(server.forward == "nat" for server in service.servers)
    )
