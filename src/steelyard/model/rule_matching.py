"""What a content rule does to a request, evaluated here: for people who try a rule out, and for explanations.

The meaning is the one the engine gives a rule (`compile/haproxy/matching.py` and `rules.py`), on bytes:

- The URL is the path as it came, with the query and the host put around it where the rule says so. The host is the one
  sent, in lower case and without a port.
- A header matches when one of its lines does. One that is not there matches nothing, so a negated rule matches then.
- A name in the TLS hello has no case either. What the handshake agrees on is not known here, and matches nothing.
- An address or network as a pattern for `src-ip` means those clients; other patterns are compared with its text.
- A replacement takes the place of the first match: in each line of a header, in path and query, and of every match in
  a body.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import ip_address

from steelyard.model.content_rule import (
    ADD_HEADER,
    DELETE_HEADER,
    MATCH,
    MODIFY_URL,
    REPLACE_BODY,
    REPLACE_HEADER,
    TLS_FIELDS,
    ContentRule,
    replacement_parts,
)
from steelyard.model.regular_expression import as_python

#: of a body are looked at
BODY_BYTES = 16 * 1024

_HOST = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*)(:[0-9]*)?")

Headers = tuple[tuple[str, str], ...]
Flags = frozenset[int]


@dataclass(frozen=True)
class Request:
    """A request as it came. `target` is path and query; texts may hold bytes that are no UTF-8 as surrogates."""

    method: str = "GET"
    target: str = "/"
    headers: Headers = ()
    client: str = "127.0.0.1"
    body: bytes = b""
    #: the name in the TLS hello, empty without one
    server_name: str = ""

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def host(self) -> str:
        """The host of the first Host header, in lower case and without a port."""
        found = _HOST.match(next(iter(self.lines("host")), ""))
        return found["host"].lower() if found is not None else ""

    def lines(self, name: str) -> tuple[str, ...]:
        """The values of a header, one for each line of that name."""
        return tuple(value for one, value in self.headers if one.lower() == name.lower())


def is_performed(rule: ContentRule, flags: Flags) -> bool:
    """Whether the flags let a rule be performed at all."""
    if rule.only_on_flag and rule.only_on_flag not in flags:
        return False
    return not rule.only_on_no_flag or rule.only_on_no_flag not in flags


def matches(rule: ContentRule, request: Request, flags: Flags = frozenset()) -> bool:
    """Whether a matching rule matches a request. False for rules of other types."""
    if rule.rule_type != MATCH or not is_performed(rule, flags):
        return False
    if rule.network is not None:
        found = ip_address(request.client) in rule.network
    else:
        found = any(_fits(rule, text) for text in subjects(rule, request))
    return found != rule.negate


def subjects(rule: ContentRule, request: Request) -> tuple[bytes, ...]:
    """What a matching rule looks at in a request; nothing when the header is not there."""
    match rule.header:
        case "":
            rest = request.target if rule.include_query else request.path
            return (_raw(request.host + rest if rule.include_host else rest),)
        case "body":
            return (request.body[:BODY_BYTES],)
        case "src-ip":
            return (_raw(str(ip_address(request.client))),)
        case "method":
            return (_raw(request.method),)
        case "ssl-sni":
            return (_raw(request.server_name.lower()),) if request.server_name else ()
        case name if name in TLS_FIELDS:
            # known only when the handshake is over
            return ()
        case name if name.lower() == "host":
            return (_raw(request.host),) if request.lines("host") else ()
        case name:
            return tuple(_raw(line) for line in request.lines(name))


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _fits(rule: ContentRule, text: bytes) -> bool:
    # a host name has no case
    any_case = rule.ignore_case or rule.header.lower() in ("host", "ssl-sni")
    if rule.match_type == "regex":
        return as_python(rule.pattern, ignore_case=any_case).search(text) is not None
    wanted = _raw(rule.pattern)
    if any_case:
        text, wanted = text.lower(), wanted.lower()
    if rule.match_type == "prefix":
        return text.startswith(wanted)
    return text.endswith(wanted) if rule.match_type == "postfix" else text == wanted


def is_refused(rule: ContentRule, request: Request, flags: Flags = frozenset()) -> bool:
    """Whether a rule refuses a request."""
    return rule.must_fail and matches(rule, request, flags)


def flags_after(rule: ContentRule, request: Request, flags: Flags) -> Flags:
    """The flags once a rule has been looked at."""
    if rule.set_on_match and not rule.must_fail and matches(rule, request, flags):
        return flags | {rule.set_on_match}
    return flags


def changed_request(rule: ContentRule, request: Request, flags: Flags = frozenset()) -> Request:
    """The request as a rule leaves it."""
    if rule.rule_type == MODIFY_URL and is_performed(rule, flags):
        return replace(request, target=_replaced_first(rule, request.target))
    return replace(request, headers=changed_headers(rule, request.headers, flags))


def changed_headers(rule: ContentRule, headers: Headers, flags: Flags = frozenset()) -> Headers:
    """The headers of a request or an answer as a rule leaves them."""
    if not is_performed(rule, flags):
        return headers
    if rule.rule_type == ADD_HEADER:
        return (*headers, (rule.header, rule.replacement))
    if rule.rule_type == DELETE_HEADER:
        return tuple((name, value) for name, value in headers if not _is_deleted(rule, name))
    if rule.rule_type == REPLACE_HEADER:
        return tuple(
            (name, _replaced_first(rule, value) if name.lower() == rule.header.lower() else value)
            for name, value in headers
        )
    return headers


def _is_deleted(rule: ContentRule, name: str) -> bool:
    if rule.uses_expression:
        return as_python(rule.pattern, ignore_case=True).search(_raw(name)) is not None
    return name.lower() == rule.pattern.lower()


def changed_body(rule: ContentRule, body: bytes, flags: Flags = frozenset()) -> bytes:
    """The body of an answer as a rule leaves it."""
    if rule.rule_type != REPLACE_BODY or not is_performed(rule, flags):
        return body
    found = as_python(rule.pattern, ignore_case=rule.ignore_case)
    return found.sub(lambda match: _replacement(rule, match) if match.group() else b"", body)


def _replaced_first(rule: ContentRule, text: str) -> str:
    found = as_python(rule.pattern, ignore_case=rule.ignore_case)
    changed = found.sub(lambda match: _replacement(rule, match), _raw(text), count=1)
    return changed.decode("utf-8", "surrogateescape")


def _replacement(rule: ContentRule, match: re.Match[bytes]) -> bytes:
    """The text that is put in; a group that took no part is empty."""
    return b"".join(
        (match.group(part) or b"") if isinstance(part, int) else _raw(part)
        for part in replacement_parts(rule.replacement)
    )


__all__ = [
    "BODY_BYTES",
    "Flags",
    "Headers",
    "Request",
    "changed_body",
    "changed_headers",
    "changed_request",
    "flags_after",
    "is_performed",
    "is_refused",
    "matches",
    "subjects",
]
