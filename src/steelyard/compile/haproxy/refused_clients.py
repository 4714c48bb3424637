"""What HAProxy remembers of clients it refused in the handshake of a service that asks for certificates.

Each service has a ring buffer in HAProxy's memory, which is read at its runtime socket (`show events`) and costs
nothing else. Only failures go there. `observe.refused_clients` reads the lines. A service whose requests the edge
filter logs has its failures there. With STARTTLS the listener that clients reach sees no handshake: there is no ring.
"""

from __future__ import annotations

from steelyard.compile.haproxy.part import Part
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import Section, directive

#: first word of a line about a handshake
MARK = "refused"
_BYTES = 32_768
_LONGEST_LINE = 512


def ring_name(key: str) -> str:
    """The ring of the service with that key."""
    return f"refused-{key}"


def refused_clients_part(service: VirtualService, *, logged: bool) -> Part:
    """The rules of one service; `logged` says that its frontend has a log of its own."""
    if not service.verifies_clients or service.is_sub or logged or service.starttls_protocol:
        return Part()
    name = ring_name(service.engine_name)
    # what is wrong with the certificate, with one above it, with the handshake; the subject is last, it may have blanks
    words = (MARK, "%Ts", "%ci", "%[ssl_c_err]", "%[ssl_c_ca_err]", "%[ssl_fc_err]", "%[ssl_c_s_dn(,0,rfc2253)]")
    sizes = (directive("format", "raw"), directive("maxlen", str(_LONGEST_LINE)), directive("size", str(_BYTES)))
    return Part(
        frontend=(
            directive("log", f"ring@{name}", "format", "raw", "local0"),
            directive("option", "dontlog-normal"),
            # requests that are answered with an error are no handshakes
            directive("log-format", "-"),
            directive("error-log-format", " ".join(words)),
        ),
        sections=(Section(("ring", name), sizes),),
    )
