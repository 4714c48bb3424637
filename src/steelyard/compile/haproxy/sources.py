"""The address HAProxy connects to real servers with."""

from __future__ import annotations

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.model.sources import seen_by_server, seen_by_servers
from steelyard.model.virtual_service import VirtualService


def source_words(
    service: VirtualService, parent: VirtualService | None, context: ServiceContext, server: str
) -> tuple[str, ...]:
    """The words of a server line that say so; none leave it to the kernel, which takes that of the interface.

    `usesrc clientip` works for both families whatever family stands before it (2.6 and 2.8).
    """
    outer = service if parent is None else parent
    seen = seen_by_servers(service, parent, context.sources)
    match seen_by_server(seen, outer.address, server).kind:
        case "client":
            return ("source", "0.0.0.0", "usesrc", "clientip")
        case "service":
            return ("source", f"[{outer.address}]" if ":" in outer.address else outer.address)
        case "host":
            return ()
