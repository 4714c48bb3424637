"""Where a request arrives: its virtual service, and whether the client may connect at all."""

from __future__ import annotations

from collections.abc import Iterable

from steelyard.explain.greeting import greet
from steelyard.explain.report import Result
from steelyard.explain.request import Request
from steelyard.explain.situation import Visit
from steelyard.model.access_list import decision
from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError
from steelyard.model.virtual_service import VirtualService

_ANY = {"0.0.0.0": 4, "::": 6}


def find_service(configuration: Configuration, request: Request, host: str = "") -> VirtualService:
    """The service a request arrives at. `host` is a name where no address is known. Raises `OperatorError`."""
    if request.service:
        service = configuration.service(request.service)
        if service.is_sub:
            raise OperatorError(
                f"{service.title} has no address: requests reach it through virtual service {service.parent}",
                field="service",
                value=request.service,
                remedy=f"Ask about virtual service {service.parent}",
            )
        return service
    listening = [service for service in configuration.services.values() if _has_port(service, request.port)]
    # a service of the wildcard port has what no other has
    listening += [
        one
        for one in configuration.services.values()
        if one.wildcard and one.protocol == "tcp" and all(other.address != one.address for other in listening)
    ]
    if request.address:
        family = 6 if ":" in request.address else 4
        exact = [service for service in listening if service.address == request.address]
        found = exact or [service for service in listening if _ANY.get(service.address) == family]
        where = f"{request.address} port {request.port}"
    else:
        found, where = listening, f"port {request.port}"
    if len(found) == 1:
        return found[0]
    if not found:
        raise OperatorError(
            f"No virtual service listens on {where}",
            field="url",
            value=host or request.address,
            allowed=_listed(configuration.services.values()),
            remedy="Give the address and port of a virtual service, or its index in `service`",
        )
    raise OperatorError(
        f"Several virtual services listen on {where}, and which of them {host!r} leads to is a matter of DNS:"
        f" {_listed(found)}",
        field="service",
        value=host,
        allowed=_listed(found),
        remedy="Give the index of one in `service`",
    )


def _has_port(service: VirtualService, port: int) -> bool:
    return service.protocol == "tcp" and any(first <= port <= last for first, last in service.port_ranges)


def _listed(services: Iterable[VirtualService]) -> str:
    return ", ".join(f"{service.index} {service.title}" for service in services if not service.is_sub) or "none"


def arrive(visit: Visit) -> Result | None:
    """The listener and the access lists; a result when the request gets no further."""
    service, request = visit.service, visit.request
    if not service.enabled:
        visit.note("virtual service", f"{service.title} is switched off", "an administrator disabled it")
        return Result("closed", "nobody listens: the virtual service is switched off")
    reads = "reads requests" if service.is_http else "passes bytes"
    visit.note("virtual service", f"{service.title} (index {service.index}) takes the connection and {reads}")
    said = decision(visit.situation.configuration, service, request.client)
    visit.note("access lists", f"{request.client} {'may' if said.allowed else 'may not'} connect", said.why)
    if not said.allowed:
        action = visit.situation.context.refusal
        how = "dropped without a word" if action == "silent-drop" else "reset"
        return Result("closed", f"the access lists refuse {request.client}: the connection is {how}")
    return greet(visit)
