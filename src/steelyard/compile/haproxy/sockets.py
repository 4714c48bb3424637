"""Options of TCP connections that hold for every service: keep-alives, and how server connections end."""

from __future__ import annotations

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.part import Family, Part
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import directive


def sockets_part(service: VirtualService, family: Family, context: ServiceContext) -> Part:
    """The options of one service. A sub-service's clients come from its parent, which keeps theirs alive."""
    frontend, backend = [], []
    if context.keepalive:
        if not service.is_sub:
            frontend.append(directive("option", "clitcpka"))
        backend.append(directive("option", "srvtcpka"))
    if context.reset_on_close:
        # on the server's side alone: a client whose connection is reset may lose the end of an answer
        backend.append(directive("option", "nolinger"))
    return Part(frontend=tuple(frontend), backend=tuple(backend))
