"""Operations as HAProxy runtime commands (management guide of 2.6, section 9.3).

`add server` needs HAProxy 2.6 to be free of experimental mode. `del server` wants maintenance and no connection, so
`RemoveServer` prints three commands.
"""

from __future__ import annotations

from steelyard.emit.haproxy.server import server_words
from steelyard.emit.haproxy.words import quote_command
from steelyard.model.errors import InternalError
from steelyard.plan.operations import (
    AddServer,
    DropSessions,
    Operation,
    Release,
    RemoveServer,
    ReplaceCertificate,
    SetAddress,
    SetHealth,
    SetMaxConnections,
    SetState,
    SetWeight,
)


def _name(backend: str, server: str) -> str:
    return quote_command(f"{backend}/{server}")


def commands(operation: Operation) -> tuple[str, ...]:
    """The operation as commands, in order. `ReplaceCertificate` carries a payload and is not printed here."""
    match operation:
        case AddServer(backend, server, verify):
            words = " ".join(quote_command(word) for word in server_words(server, verify_tls=verify))
            return (f"add server {_name(backend, server.name)} {words}",)
        case RemoveServer(backend, server):
            name = _name(backend, server)
            return (
                f"set server {name} state maint",
                f"shutdown sessions server {name}",
                f"del server {name}",
            )
        case Release(backend, server):
            return (f"set server {_name(backend, server)} state ready",)
        case SetState(backend, server, state):
            return (f"set server {_name(backend, server)} state {state}",)
        case SetHealth(backend, server, up):
            return (f"set server {_name(backend, server)} health {'up' if up else 'down'}",)
        case SetWeight(backend, server, weight):
            return (f"set server {_name(backend, server)} weight {weight:d}",)
        case SetAddress(backend, server, address, port):
            suffix = "" if port is None else f" port {port:d}"
            return (f"set server {_name(backend, server)} addr {quote_command(address)}{suffix}",)
        case SetMaxConnections(backend, server, limit):
            return (f"set maxconn server {_name(backend, server)} {limit:d}",)
        case DropSessions(backend, server):
            return (f"shutdown sessions server {_name(backend, server)}",)
        case ReplaceCertificate():
            raise InternalError("A certificate is sent as a payload, not as a command line")
