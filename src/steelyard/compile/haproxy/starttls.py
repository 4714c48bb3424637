"""Services whose clients begin TLS by STARTTLS (`reference/behaviour.md`, sections 3 and 10).

Clients connect to a listener without TLS, where a Lua action speaks for the real server until they ask for TLS. All
bytes after that go to a listener of this host, which ends the TLS and leads to the real servers; it knows the client by
the PROXY protocol. A client that has not asked for TLS in its time is never let through.
"""

from __future__ import annotations

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.part import Family, Part
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import directive

#: how long a client may take to ask for TLS, and a real server to greet: as long as mail servers wait for a command
GREETING_SECONDS = 300


def starttls_part(service: VirtualService, family: Family, context: ServiceContext) -> Part:
    """The rules that greet clients, and those that take out the real server's greeting."""
    protocol = service.starttls_protocol
    if not protocol:
        return Part()
    delay = ("inspect-delay", f"{GREETING_SECONDS}s")
    # an address instead of a name, as RFC 5321, 4.1.3 has it
    host = f"[IPv6:{service.address}]" if ":" in service.address else f"[{service.address}]"
    nobody = ("{", f"nbsrv({service.engine_name})", "eq", "0", "}")
    return Part(
        frontend=(
            directive("tcp-request", *delay),
            # a client without a real server is better off with the next address than with a greeting
            directive("tcp-request", "content", "reject", "if", *nobody),
            directive("tcp-request", "content", "lua.steelyard_starttls", protocol, host),
            directive("tcp-request", "content", "reject", "unless", "{", "var(txn.starttls)", "-m", "bool", "}"),
        ),
        backend=(
            directive("tcp-response", *delay),
            directive("tcp-response", "content", "lua.steelyard_greeting", protocol),
        ),
    )
