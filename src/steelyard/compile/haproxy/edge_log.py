"""The line HAProxy sends for each request to a service with the edge filter; `observe.edge_events` reads it.

It goes to HAProxy's standard output, which is a pipe that Steelyard reads. Such a write of up to 4096 bytes is whole,
or dropped, and never waits (HAProxy 2.6 manual, `log` with `fd@`; pipe(7)), and the kernel keeps what nobody has read
yet. A Unix datagram socket would hold ten messages (`net.unix.max_dgram_qlen`), and none while its reader is away. What
clients sent is in base64, so that it can neither end a line nor look like another field.
"""

from __future__ import annotations

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.part import Family, Part
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import directive

CONNECTION, SECURITY, USER = 4, 2, 1

#: first words of the line of a request, and of a connection that failed or brought no request that can be read
REQUEST_MARK, FAILURE_MARK = "steelyard-edge-request", "steelyard-edge-failure"

_LONGEST_LINE = 4000
#: cut so that the longest line fits: base64 makes 4 bytes of 3
_URL_BYTES, _HOST_BYTES, _AGENT_BYTES = 1500, 255, 300

#: set where a service with the filter is entered: its index and what it logs
SERVICE_VARIABLE = "txn.edge_service"
REFUSED_VARIABLE = "txn.edge_refused"
HOST_VARIABLE = "txn.edge_host"
URL_VARIABLE = "txn.edge_url"
AGENT_VARIABLE = "txn.edge_agent"
FIRST_VARIABLE = "txn.edge_first"


def _text(variable: str, longest: int) -> str:
    return f"%[var({variable}),bytes(0,{longest}),base64]"


def _seen(service: VirtualService) -> str:
    """The variable of a client connection that says that the service has had a request on it."""
    return f"sess.edge_{service.engine_name}"


def filters(service: VirtualService) -> bool:
    """Whether the edge filter of a service is on."""
    return service.esp_enabled and service.is_http


def edge_log_part(service: VirtualService, family: Family, context: ServiceContext) -> Part:
    """What makes the frontend of a service send lines: its own or those of sub-services reached through it."""
    own = service.esp_logs if filters(service) else 0
    if not own and not any(filters(sub) and sub.esp_logs for sub in family.subs):
        return Part()
    request = (
        *(REQUEST_MARK, str(service.index), str(own), f"%[var({SERVICE_VARIABLE})]", f"%[var({REFUSED_VARIABLE})]"),
        *("%Ts", "%ms", "%Th", "%Ti", "%Ta", "%ci", "%cp", "%fi", "%fp", f"%[var({FIRST_VARIABLE})]", "%HM", "%ST"),
        *("%s", "%si", "%sp", "%U", "%B", f"%[var({URL_VARIABLE}),length]"),
        *(_text(HOST_VARIABLE, _HOST_BYTES), _text(URL_VARIABLE, _URL_BYTES), _text(AGENT_VARIABLE, _AGENT_BYTES)),
    )
    failure = (
        *(FAILURE_MARK, str(service.index), str(own), "%Ts", "%ms", "%ci", "%cp", "%fi", "%fp"),
        *("%ST", f"%[var({_seen(service)})]", "%[fc_err]", "%[fc_err_str,base64]"),
    )
    rules = [
        directive("log", "stdout", "len", str(_LONGEST_LINE), "format", "raw", "local0", "info"),
        directive("log-format", " ".join(request)),
        directive("error-log-format", " ".join(failure)),
    ]
    if not own:
        rules.append(directive("http-request", "set-log-level", "silent"))
    return Part(tuple(rules))


def edge_log_rules(service: VirtualService, context: ServiceContext) -> Part:
    """What a service notes of a request for the line, before it judges it."""
    if not service.esp_logs:
        return Part()

    def note(variable: str, *value: str) -> None:
        rules.append(directive("http-request", f"set-var({variable})", *value))

    rules = [directive("http-request", "set-log-level", "info")] if service.is_sub else []
    note(SERVICE_VARIABLE, f"str({service.index}.{service.esp_logs})")
    note(HOST_VARIABLE, "req.fhdr(host)")
    note(URL_VARIABLE, "url")
    if context.log_user_agent:
        note(AGENT_VARIABLE, "req.fhdr(user-agent)")
    if service.esp_logs & CONNECTION:
        seen = _seen(service)
        note(FIRST_VARIABLE, "bool(true)", "unless", "{", f"var({seen})", "-m", "found", "}")
        note(seen, "bool(true)")
    return Part(tuple(rules))
