"""Persistence: stick tables with LoadMaster's rules (`reference/behaviour.md`, section 5).

A record is looked up on the first request of a client connection only, and its timer restarts there; HAProxy would do
both on every request. So the server of a connection is kept in a session variable: later requests follow it by
`use-server`, which HAProxy ignores when that server is down, and the stick rules run only while the variable is unset.
"Always Check Persist" drops that condition. A record of a server that is down is passed over by HAProxy and
overwritten by `store-request`.

Keys other than addresses are stored as SHA-1 in hexadecimal: of fixed length however long the cookie is, unreadable in
dumps, and a type that HAProxy 2.6 can also set through its runtime socket (binary keys it cannot).

A new process has no records until the old one has taught it (HAProxy's local peer), some milliseconds after it takes
its first connection. `lua.await_persistence` holds a client's first request for just that time.
"""

from __future__ import annotations

from dataclasses import dataclass

from steelyard.model.errors import InternalError
from steelyard.model.virtual_service import DEFAULT_ACTIVE_COOKIE, VirtualService
from steelyard.plan.haproxy import SYNC_KEY, SYNC_TABLE, Directive, Table, directive, table_name

ENTRIES = 1_000_000

_OR_SOURCE = frozenset({"cookie-src", "active-cook-src", "cookie-hash-src", "rdp-src"})


@dataclass(frozen=True)
class Persistence:
    """What a backend needs for one persistence mode."""

    table: Table | None
    directives: tuple[Directive, ...]


def compile_persistence(service: VirtualService, *, always: int, can_wait: bool) -> Persistence:
    """Table and rules of a service. `always` is Always Check Persist (0, 1, 2); `can_wait` that HAProxy has Lua."""
    if service.persistence == "none":
        return Persistence(None, ())
    if service.is_http:
        return _http(service, always, can_wait)
    return _tcp(service, can_wait)


def _table(service: VirtualService, kind: str) -> Table:
    expire = service.persistence_timeout
    if kind == "digest":
        return Table("digest", ENTRIES, expire)
    return Table("ipv6" if ":" in service.address else "ip", ENTRIES, expire)


def _source(service: VirtualService) -> str:
    bits = service.persistence_mask
    if ":" in service.address:
        return "src" if bits == 32 else f"src,ipmask(32,{bits * 4})"
    return "src" if bits == 32 else f"src,ipmask({bits})"


def _digest(expression: str) -> str:
    return f"{expression},sha1,hex"


def _condition(*terms: str) -> tuple[str, ...]:
    return ("if", *terms) if terms else ()


def _set(text: str) -> tuple[str, ...]:
    return ("{", *text.split(), "}")


def _unset(text: str) -> tuple[str, ...]:
    return ("!{", *text.split(), "}")


def _stick(service: VirtualService, what: str, key: str, *condition: str) -> Directive:
    return directive("stick", what, key, "table", table_name(service.engine_name), *condition)


def _wait(service: VirtualService, keyword: str, first: tuple[str, ...], can_wait: bool) -> list[Directive]:
    if not can_wait:
        return []
    ready = f"str({SYNC_KEY}),in_table({SYNC_TABLE})"
    content = ("content",) if keyword == "tcp-request" else ()
    return [directive(keyword, *content, "lua.await_persistence", "if", *first, "!{", ready, "}")]


def key_as_received(service: VirtualService) -> tuple[Directive, ...]:
    """Rules that keep the key before the service's own headers are written: they may continue the selected header."""
    if service.persistence != "header":
        return ()
    return (directive("http-request", "set-var(txn.header)", f"req.fhdr({service.cookie})"),)


def _request_key(service: VirtualService) -> str:
    """The sample expression of the key, without the digest."""
    match service.persistence:
        case "cookie" | "cookie-src":
            return f"req.cook({service.cookie})"
        case "active-cookie" | "active-cook-src":
            return "var(txn.cookie)"
        case "cookie-hash" | "cookie-hash-src":
            return "req.fhdr(cookie)"
        case "url":
            return "pathq"
        case "query-hash":
            return f"urlp({service.query_tag})"
        case "host":
            return "req.hdr(host),lower"
        case "header":
            return "var(txn.header)"
        case "super" | "super-src":
            return "var(txn.fingerprint)"
        case other:
            raise InternalError(f"Persistence {other} has no key in a request")


def _key(service: VirtualService, first: tuple[str, ...], always: int) -> list[Directive]:
    """Rules that put the key of a request into `txn.key`; it stays unset when the request has none."""
    rules: list[Directive] = []
    if service.persistence in ("active-cookie", "active-cook-src"):
        name = service.cookie or DEFAULT_ACTIVE_COOKIE
        absent = _unset("var(txn.cookie) -m found")
        missing = (*first, *absent) if always == 0 else absent
        rules.append(directive("http-request", "set-var(txn.cookie)", f"req.cook({name})"))
        rules.append(directive("http-request", "set-var(txn.issued)", "uuid()", *_condition(*missing)))
    if service.persistence in ("super", "super-src"):
        start = "var(txn.agent)" if service.persistence == "super" else f"{_source(service)},concat(|,txn.agent)"
        rules += [
            directive("http-request", "set-var(txn.agent)", "req.fhdr(user-agent)"),
            directive("http-request", "set-var(txn.authorization)", "req.fhdr(authorization)"),
            directive(
                "http-request",
                "set-var(txn.fingerprint)",
                f"{start},concat(|,txn.authorization)",
                *_condition(*_set("var(txn.agent) -m found")),
            ),
        ]
    rules.append(directive("http-request", "set-var(txn.key)", _digest(_request_key(service))))
    instead = None
    if service.persistence in _OR_SOURCE:
        instead = _source(service)
    elif service.persistence == "active-cookie":
        instead = "var(txn.issued)"
    if instead is not None:
        rules.append(
            directive(
                "http-request",
                "set-var(txn.key)",
                _digest(instead),
                *_condition(*_unset("var(txn.key) -m found")),
            )
        )
    return rules


def _memory(service: VirtualService) -> str:
    """The session variable that holds the server of a client connection."""
    return f"sess.{service.engine_name}"


def remembered_server(service: VirtualService) -> list[Directive]:
    """Rules that keep a client connection on its server while that is up."""
    memory = _memory(service)
    return [
        directive("use-server", f"%[var({memory})]", *_condition(*_set(f"var({memory}) -m found"))),
        directive("http-response", f"set-var({memory})", "srv_name"),
    ]


def _http(service: VirtualService, always: int, can_wait: bool) -> Persistence:
    memory = _memory(service)
    first = _unset(f"var({memory}) -m found")
    looked_up = first if always == 0 else ()
    plain = service.persistence == "src"
    table = _table(service, "ip" if plain else "digest")
    key = _source(service) if plain else "var(txn.key)"
    follow = _set(f"var({memory}) -m found")
    if always:
        follow += ("!{", f"{key},in_table({table_name(service.engine_name)})", "}")
    rules = _wait(service, "http-request", first, can_wait)
    if not plain:
        rules += _key(service, first, always)
    rules.append(directive("use-server", f"%[var({memory})]", "if", *follow))
    rules.append(_stick(service, "match", key, *_condition(*looked_up)))
    if always == 2:
        rules.append(_stick(service, "store-request", key))
    else:
        # a cookie that is issued without a record would bring its client to any server
        issued = ("or", *_set("var(txn.issued) -m found")) if always and service.persistence == "active-cookie" else ()
        moved = (*_set(f"var({memory}) -m found"), *_unset(f"srv_name,strcmp({memory}) eq 0"))
        rules.append(_stick(service, "store-request", key, *_condition(*first, *issued)))
        # store rules see the memory as it was before this response (2.6, order of the response's analysers)
        rules.append(_stick(service, "store-response", key, *_condition(*moved)))
    if service.persistence in ("cookie", "cookie-src"):
        rules.append(_stick(service, "store-response", _digest(f"res.cook({service.cookie})")))
    rules += _issue_cookie(service)
    rules.append(directive("http-response", f"set-var({memory})", "srv_name"))
    return Persistence(table, tuple(rules))


def _issue_cookie(service: VirtualService) -> list[Directive]:
    if service.persistence not in ("active-cookie", "active-cook-src"):
        return []
    name = service.cookie or DEFAULT_ACTIVE_COOKIE
    issued = _condition(*_set("var(txn.issued) -m found"))
    rules = [directive("http-response", "add-header", "Set-Cookie", f"{name}=%[var(txn.issued)]; path=/", *issued)]
    if service.persistence == "active-cook-src":
        rules.append(_stick(service, "store-response", _digest("var(txn.issued)")))
    return rules


def _tcp(service: VirtualService, can_wait: bool) -> Persistence:
    rules = _wait(service, "tcp-request", (), can_wait)
    if service.persistence == "src":
        # a content rule may wait only while an inspection delay runs (2.6, `tcp_inspect_request`)
        rules.insert(0, directive("tcp-request", "inspect-delay", "1s"))
        rules.append(_stick(service, "on", _source(service)))
        return Persistence(_table(service, "ip"), tuple(rules))
    if service.persistence == "ssl":
        hello, answer = _set("req.ssl_hello_type 1"), _set("res.ssl_hello_type 2")
        rules += [
            directive("tcp-request", "inspect-delay", "5s"),
            directive("tcp-request", "content", "accept", "if", *hello),
            directive("tcp-response", "inspect-delay", "5s"),
            directive("tcp-response", "content", "accept", "if", *answer),
            _stick(service, "on", _digest("req.payload_lv(43,1)"), "if", *hello),
            _stick(service, "store-response", _digest("res.payload_lv(43,1)"), "if", *answer),
        ]
        return Persistence(_table(service, "digest"), tuple(rules))
    key = "req.rdp_cookie(mstshash)"
    rules += [
        directive("tcp-request", "inspect-delay", "1s"),
        directive("tcp-request", "content", "accept", "if", *_set(f"{key} -m found")),
        _stick(service, "on", _digest(key)),
    ]
    if service.persistence == "rdp-src":
        rules.append(_stick(service, "on", _digest(_source(service)), "if", *_unset(f"{key} -m found")))
    return Persistence(_table(service, "digest"), tuple(rules))
