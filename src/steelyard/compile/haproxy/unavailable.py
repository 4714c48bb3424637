"""What clients get when no real server is available (`reference/behaviour.md`, section 7.6).

HAProxy itself decides whether one is: after persistence, so that a disabled server still serves its recorded clients.

- A sorry server is a server of every backend that gets clients when no other is up (`backup`), and no record
  (`non-stick`). Full servers count as up for that, so a rule sends clients to it while no server has a place left:
  `be_conn_free` is then 0, and not while the sorry server is the only one left. A client connection is not kept on it.
- A redirect or a page takes the place of the 503 that HAProxy makes when it found no server, or none with a place
  within the time of the queue, or none that could be connected to. Rules for answers see such an answer only after it
  was made (`http-after-response`); it is told from a real server's own 503 by a variable that `http-response`, which
  only answers of real servers meet, takes away. The page stands in for the body of the 503 (`http-error`).
- A connection of a service that passes bytes is reset: a farewell (FIN) would look like an empty answer. Only rules of
  connections reset, and they come before the record is known, so none does while a disabled server may still have
  recorded clients; nor where the name in a TLS hello, or for a sub-service its parent, chooses the servers. Those are
  closed.

What a redirect repeats of the request is restricted to characters that can end neither the header nor the host name.
"""

from __future__ import annotations

import hashlib
import re

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.part import Family, Part
from steelyard.compile.haproxy.sources import source_words
from steelyard.compile.haproxy.switching import switches
from steelyard.compile.haproxy.tls import server_tls
from steelyard.model.error_page import decoded_page, default_page, media_type, phrase
from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service.instead import answers_itself, handles_itself
from steelyard.model.virtual_service.refusals import REDIRECTS, placeholders
from steelyard.plan.haproxy import Directive, Lookup, Page, Server, directive, lookup_path, page_path

SORRY = "sorry"
#: the highest that HAProxy takes; numbers of real servers come from a counter that begins at 1
_SORRY_ID = 2**31 - 1
_PLACEHOLDER = re.compile(r"%([hs])")
_VARIABLES = {"h": "txn.asked_host", "s": "txn.asked_target"}
#: a host name or address as the Host header has it; what else is there is not repeated
_HOST = r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?)(:[0-9]*)?$"


def handler(service: VirtualService, family: Family) -> VirtualService:
    """Whose settings say what clients get: the service's, or its parent's when it has none of its own."""
    parent = family.parent
    return service if parent is None or handles_itself(service) else parent


def sorry_server(service: VirtualService, family: Family, context: ServiceContext) -> Server | None:
    """The sorry server of a service's backends. It is reached as the real servers are, with TLS or without."""
    source = handler(service, family)
    if not source.standby_address:
        return None
    return Server(
        name=SORRY,
        id=_SORRY_ID,
        address=source.standby_address,
        port=source.standby_port or None,
        weight=1,
        limit=0,
        enabled=True,
        tls=server_tls(family.parent if family.parent is not None else service, None, context),
        standby=True,
        options=("non-stick", *source_words(service, family.parent, context, source.standby_address)),
    )


def go_to_sorry(memory: str | None) -> tuple[Directive, ...]:
    """The rule that sends clients to the sorry server while the others are full; `memory` is the variable that holds
    the server of a client connection, which keeps its place there.
    """
    held = ("!{", f"var({memory})", "-m", "found", "}") if memory is not None else ()
    return (directive("use-server", SORRY, "if", "{", "be_conn_free", "eq", "0", "}", *held),)


def leave_sorry(memory: str) -> tuple[Directive, ...]:
    """The rule that forgets that a client connection was there: its next request goes to a real server again."""
    return (directive("http-response", f"unset-var({memory})", "if", "{", "srv_name", SORRY, "}"),)


def resets(service: VirtualService) -> bool:
    """Whether clients of a service without an available server are reset."""
    return not (service.is_http or service.is_sub or switches(service))


def reset_part(service: VirtualService, context: ServiceContext) -> Part:
    """The rule that resets connections no server is there for. It stands after all other rules of connections."""
    if not resets(service) or not service.enabled:
        return Part()
    # a process that is being replaced counts no servers any more, and still answers those it has accepted
    none = ("if", "!{", "stopping", "}", "{", f"nbsrv({service.engine_name})", "eq", "0", "}")
    if not remembers(service, context):
        return Part(frontend=(directive("tcp-request", "connection", "reject", *none),))
    lookup = Lookup(f"{service.engine_name}-draining", (("servers", str(draining(service))),))
    recorded = ("!{", f"str(servers),map_str_int({lookup_path(lookup.name)},0)", "gt", "0", "}")
    return Part(frontend=(directive("tcp-request", "connection", "reject", *none, *recorded),), lookups=(lookup,))


def remembers(service: VirtualService, context: ServiceContext) -> bool:
    """Whether a disabled server still serves clients that have a record."""
    return service.persistence != "none" and context.drain_seconds > 0


def draining(service: VirtualService) -> int:
    """How many servers are disabled."""
    return sum(not member.enabled for member in service.members)


def unavailable_part(service: VirtualService, family: Family, context: ServiceContext) -> Part:
    """The rules of one service, but for the sorry server's."""
    source = handler(service, family)
    if not service.is_http or not answers_itself(source):
        return Part()
    status = source.error_code or 503
    content = decoded_page(source.error_page) if source.error_page and status not in REDIRECTS else b""
    content = content or default_page(status)
    kind = media_type(content)
    page = Page(f"unavailable-{hashlib.sha256(content).hexdigest()[:16]}", content)
    unanswered = ("if", "{", "var(txn.unanswered)", "-m", "found", "}", "{", "status", "503", "}")
    rules = [directive("http-error", "status", "503", "content-type", kind, "file", page_path(page.name))]
    if status in REDIRECTS:
        rules += _asked(source.error_url, ipv6=":" in (family.parent or service).address)
    rules += [
        directive("http-request", "set-var(txn.unanswered)", "bool(true)"),
        directive("http-response", "unset-var(txn.unanswered)"),
    ]
    if status in REDIRECTS:
        rules.append(
            directive("http-after-response", "set-header", "Location", _location(source.error_url), *unanswered)
        )
    if status != 503:
        words = phrase(status)
        reason = ("reason", words) if words else ()
        rules.append(directive("http-after-response", "set-status", str(status), *reason, *unanswered))
    return Part(backend=tuple(rules), pages=(page,))


def _asked(url: str, *, ipv6: bool) -> list[Directive]:
    """Rules that keep what a redirect repeats of the request: in place of an unusable Host the address connected to."""
    used, rules = placeholders(url), list[Directive]()
    if "%h" in used:
        variable = f"set-var({_VARIABLES['h']})"
        rules.append(directive("http-request", variable, "dst"))
        if ipv6:
            rules.append(directive("http-request", variable, f"str([),concat(,{_VARIABLES['h']},])"))
        rules += [
            directive(
                "http-request",
                variable,
                "req.fhdr(host),host_only",
                "if",
                "{",
                "req.fhdr(host)",
                "-m",
                "reg",
                _HOST,
                "}",
            ),
        ]
    if "%s" in used:
        variable = f"set-var({_VARIABLES['s']})"
        rules += [
            directive("http-request", variable, "str(/)"),
            directive("http-request", variable, 'pathq,regsub("[^!-~]",,g)', "if", "{", "path", "-m", "beg", "/", "}"),
        ]
    return rules


def _location(url: str) -> str:
    """The redirect as a log-format text."""
    parts = _PLACEHOLDER.split(url)
    found = [part.replace("%", "%%") if at % 2 == 0 else f"%[var({_VARIABLES[part]})]" for at, part in enumerate(parts)]
    return "".join(found)
