"""The address HAProxy connects to real servers with."""

from __future__ import annotations

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.model.sources import seen_by_server
from steelyard.model.virtual_service import VirtualService


def source_words(
    service: VirtualService, parent: VirtualService | None, context: ServiceContext, server: str
) -> tuple[str, ...]:
    """The words of a server line that say so; none leave it to the kernel, which takes that of the interface.

    `usesrc clientip` works for both families whatever family stands before it (2.6 and 2.8). Alternate addresses are
    given by the kernel, in place of clients': those never run out of ports, as a single address would.
    """
    seen = seen_by_server(service, parent, context.sources, server)
    match seen.kind:
        case "client" | "alternate":
            return ("source", "0.0.0.0", "usesrc", "clientip")
        case "service":
            (address,) = seen.addresses
            return ("source", f"[{address}]" if ":" in address else address)
        case "host":
            return ()
