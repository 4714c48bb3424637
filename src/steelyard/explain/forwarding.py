"""A connection at layer 4: the kernel forwards packets, so there is nothing to read and little to decide."""

from __future__ import annotations

from ipaddress import ip_network

from steelyard.compile.layer4.service import compile_layer4
from steelyard.explain.report import Chosen, Result
from steelyard.explain.situation import Asking, Visit, ask_kernel_record
from steelyard.model.access_list import decision
from steelyard.model.layer import Layer
from steelyard.model.real_server import RealServer
from steelyard.model.virtual_service.standard import SCHEDULES

_LIVE = ("Up", "Unchecked")


def forwarded(visit: Visit, layer: Layer) -> Asking[Result]:
    """What comes of a new connection, or of a client's first datagram."""
    service, request = visit.service, visit.request
    if not service.enabled:
        visit.note("virtual service", f"{service.title} is switched off", "an administrator disabled it")
        return Result("closed", "the virtual service is switched off")
    visit.note(
        "virtual service",
        f"{service.title} (index {service.index}) takes the connection at layer 4: {layer.carried_by} forwards its"
        " packets, and nothing in them is read",
        layer.reason,
    )
    said = decision(visit.situation.configuration, service, request.client)
    visit.note("access lists", f"{request.client} {'may' if said.allowed else 'may not'} connect", said.why)
    if not said.allowed:
        silent = visit.situation.configuration.access.drop
        how = "dropped without a word" if silent else "refused"
        return Result("closed", f"the access lists refuse {request.client}: its packets are {how}")
    states = visit.situation.states[service.index].servers
    live = [one for one in service.servers if one.enabled and states[one.index].status in _LIVE]
    kept = yield from _recorded(visit, live)
    if kept is not None:
        return Result("server", "a persistence record leads there", (_chosen(visit, kept),))
    return _scheduled(visit, live)


def _recorded(visit: Visit, live: list[RealServer]) -> Asking[RealServer | None]:
    service, client = visit.service, visit.request.client
    persistence = compile_layer4(service, visit.situation.states[service.index].layer).persistence
    if persistence is None:
        return None
    if persistence.kind == "sip":
        visit.note("persistence", "by the Call-ID of SIP, which is in the datagram and not known here")
        return None
    prefix = persistence.prefix6 if ":" in client else persistence.prefix4
    key = str(ip_network((client, prefix), strict=False).network_address)
    record = yield from ask_kernel_record(service.engine_name, key)
    if record is None:
        visit.note("persistence", f"there is no record of {key}")
        return None
    found = next((one for one in live if one.index == record.server), None)
    if found is None:
        visit.note("persistence", f"the record of {key} names a real server that takes no clients, and is discarded")
        return None
    visit.note("persistence", f"the record of {key} leads to real server {found.index} for {record.seconds:.0f} s more")
    return found


def _scheduled(visit: Visit, live: list[RealServer]) -> Result:
    service = visit.service
    states = visit.situation.states[service.index].servers
    told = tuple(
        f"{one.address} (real server {one.index}): {states[one.index].reason or states[one.index].status}"
        for one in service.servers
        if one not in live
    )
    if not live:
        if not service.standby_address:
            visit.note("no real server", "none is available: the connection is refused", *told)
            return Result("closed", "no real server is available")
        port = service.standby_port or visit.request.port or service.port
        sorry = Chosen(service.index, 0, service.standby_address, port)
        visit.note("no real server", f"none is available: {sorry} takes the client", *told)
        return Result("server", "no real server is available, and there is a sorry server", (sorry,))
    name = SCHEDULES[service.schedule]
    if service.schedule == "fixed":
        best = max(one.weight for one in live)
        live = [one for one in live if one.weight == best]
    if len(live) == 1:
        visit.note("scheduling", f"{name}: real server {live[0].index} is the only one that comes into question", *told)
        return Result("server", "the scheduler chooses it", (_chosen(visit, live[0]),))
    says = "of a client's address" if service.schedule == "sh" else "whose turn it is"
    visit.note("scheduling", f"{name} among {len(live)}: {says} is known to the kernel alone", *told)
    return Result("candidates", "the kernel chooses one of them", tuple(_chosen(visit, one) for one in live))


def _chosen(visit: Visit, server: RealServer) -> Chosen:
    service = visit.service
    asked = visit.request.port or service.port
    follows = server.port == 0 or (server.port == service.port and bool(service.extra_ports))
    return Chosen(service.index, server.index, server.address, asked if follows else server.port)
