"""Clients whose certificates an OCSP responder is asked about, once the handshake is over (OCSP Verify).

HAProxy cannot ask anybody. A Lua action asks the checking process, which asks the responder and judges its answer
(`health/client_ocsp.py`); HAProxy remembers answers for some minutes. What was said stands in a variable of
the connection, which anything but a good answer closes. Without the checking process nobody answers, and that is a
failure like that of a responder.
"""

from __future__ import annotations

from steelyard.compile.haproxy.ocsp_plan import OcspPlan
from steelyard.compile.haproxy.part import Part
from steelyard.compile.haproxy.trust import client_authorities
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import directive

#: longer than the Lua action waits
_SECONDS = 10
_SAID = "sess.ocsp"
#: answers, as the Lua action has them: `none` is a client without a certificate, which the handshake has let in
_GOOD = ("good", "none")
_FAILURE = "failed"
_NAMED_IN_CERTIFICATE = "-"


def client_ocsp_part(service: VirtualService, plan: OcspPlan) -> Part:
    """The rules of a service whose clients' certificates are asked about."""
    if not service.verifies_clients or not service.ocsp_verify or service.is_sub:
        return Part()
    words = (client_authorities(service).name, plan.responder or _NAMED_IN_CERTIFICATE)
    enough = (*_GOOD, _FAILURE) if plan.allow_on_failure else _GOOD
    return Part(
        frontend=(
            directive("tcp-request", "inspect-delay", f"{_SECONDS}s"),
            # requests of one connection share the answer
            directive(
                *("tcp-request", "content", "lua.steelyard_ocsp", *words),
                *("unless", "{", f"var({_SAID})", "-m", "found", "}"),
            ),
            directive("tcp-request", "content", "reject", "unless", "{", f"var({_SAID})", "-m", "str", *enough, "}"),
        )
    )
