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

Which tables a backend has, and whose records it follows besides, stands in `sharing`.
"""

from __future__ import annotations

from dataclasses import dataclass

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.part import Family
from steelyard.compile.haproxy.sharing import Tables, listening_address, persistence_table, tables_of
from steelyard.model.errors import InternalError
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import SYNC_KEY, SYNC_TABLE, Directive, Lookup, Table, directive, table_name

_OR_SOURCE = frozenset({"cookie-src", "active-cook-src", "cookie-hash-src", "rdp-src"})


@dataclass(frozen=True)
class Persistence:
    """What a backend needs for one persistence mode. `table` is its own, unless it is one its parent keeps."""

    table: Table | None = None
    directives: tuple[Directive, ...] = ()
    lookups: tuple[Lookup, ...] = ()


@dataclass(frozen=True)
class _Place:
    """The backend that rules are written for."""

    service: VirtualService
    family: Family
    context: ServiceContext
    backend: str
    tables: Tables

    @property
    def memory(self) -> str:
        """The session variable that holds the server of a client connection."""
        return memory_of(self.backend)

    @property
    def source(self) -> str:
        """The sample expression of the client's address, masked."""
        bits = self.service.persistence_mask
        if ":" in listening_address(self.service, self.family):
            return "src" if bits == 32 else f"src,ipmask(32,{bits * 4})"
        return "src" if bits == 32 else f"src,ipmask({bits})"

    def stick(self, what: str, key: str, *condition: str) -> list[Directive]:
        """A stick rule for each table."""
        return [directive("stick", what, key, "table", table_name(name), *condition) for name in self.tables.all]

    def follow(self, keyword: str, key: str, *condition: str) -> list[Directive]:
        """The rules that follow records of others, for a key that has no record here.

        The name stands in a variable first: `use-server` of 2.6 and 2.8 works its expression out in buffers that
        converters of texts use too, and finds nothing (tried).
        """
        followed = self.tables.followed
        if followed is None:
            return []
        unknown = () if self.tables.is_shared else ("!{", f"{key},in_table({table_name(self.tables.own)})", "}")
        return [
            directive(*keyword.split(), "set-var(txn.follow)", followed.server(key), *_condition(*unknown, *condition)),
        ]

    def go_there(self) -> list[Directive]:
        """The rule that sends a client to the server that `follow` found."""
        if self.tables.followed is None:
            return []
        return [directive("use-server", "%[var(txn.follow)]", "if", *_set("var(txn.follow) -m found"))]

    def wait(self, keyword: str, *first: str) -> list[Directive]:
        """The rule that waits until all records are there."""
        if not self.context.lua:
            return []
        ready = f"str({SYNC_KEY}),in_table({SYNC_TABLE})"
        content = ("content",) if keyword == "tcp-request" else ()
        return [directive(keyword, *content, "lua.await_persistence", "if", *first, "!{", ready, "}")]


def memory_of(backend: str) -> str:
    """The session variable that holds the server of a client connection: names of variables know no dash."""
    return f"sess.{backend.replace('-', '_')}"


def compile_persistence(service: VirtualService, family: Family, context: ServiceContext, backend: str) -> Persistence:
    """Table and rules of one backend of a service."""
    table = persistence_table(service, family)
    if table is None:
        return Persistence()
    tables = tables_of(service, family, context, backend)
    place = _Place(service, family, context, backend, tables)
    directives = _http(place) if service.is_http else _tcp(place)
    lookups = (tables.followed.lookup,) if tables.followed is not None else ()
    return Persistence(table if tables.own == backend else None, tuple(directives), lookups)


def _digest(expression: str) -> str:
    return f"{expression},sha1,hex"


def _condition(*terms: str) -> tuple[str, ...]:
    return ("if", *terms) if terms else ()


def _set(text: str) -> tuple[str, ...]:
    return ("{", *text.split(), "}")


def _unset(text: str) -> tuple[str, ...]:
    return ("!{", *text.split(), "}")


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


def _key(place: _Place, first: tuple[str, ...]) -> list[Directive]:
    """Rules that put the key of a request into `txn.key`; it stays unset when the request has none."""
    service, rules = place.service, list[Directive]()
    if service.persistence in ("active-cookie", "active-cook-src"):
        name = service.active_cookie
        absent = _unset("var(txn.cookie) -m found")
        missing = absent if place.context.always_check_persistence else (*first, *absent)
        rules.append(directive("http-request", "set-var(txn.cookie)", f"req.cook({name})"))
        issued = "uuid()"
        if place.context.add_cookie_port:
            rules.append(directive("http-request", "set-var(txn.port)", "src_port"))
            issued = "uuid(),concat(-,txn.port)"
        rules.append(directive("http-request", "set-var(txn.issued)", issued, *_condition(*missing)))
    if service.persistence in ("super", "super-src"):
        start = "var(txn.agent)" if service.persistence == "super" else f"{place.source},concat(|,txn.agent)"
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
        instead = place.source
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


def remembered_server(backend: str) -> list[Directive]:
    """Rules that keep a client connection on its server while that is up."""
    memory = memory_of(backend)
    return [
        directive("use-server", f"%[var({memory})]", *_condition(*_set(f"var({memory}) -m found"))),
        directive("http-response", f"set-var({memory})", "srv_name"),
    ]


def _http(place: _Place) -> list[Directive]:
    service, memory, always = place.service, place.memory, place.context.always_check_persistence
    known = _set(f"var({memory}) -m found")
    first = _unset(f"var({memory}) -m found")
    looked_up = first if always == 0 else ()
    plain = service.persistence == "src"
    key = place.source if plain else "var(txn.key)"
    remembered = known
    if always:
        remembered += ("!{", f"{key},in_table({table_name(place.tables.own)})", "}")
    rules = place.wait("http-request", *first)
    if not plain:
        rules += _key(place, first)
    rules += place.follow("http-request", key, *looked_up)
    rules += place.go_there()
    rules.append(directive("use-server", f"%[var({memory})]", "if", *remembered))
    if always and place.tables.is_shared:
        # the record is there, but of a server that only another sub-service has
        rules.append(directive("use-server", f"%[var({memory})]", "if", *known))
    # on a request that has its server already, a match only restarts the record's timer (2.6, `process_sticking_rules`)
    rules += place.stick("match", key, *(() if service.refresh_persistence else _condition(*looked_up)))
    if always == 2:
        rules += place.stick("store-request", key)
    else:
        # a cookie that is issued without a record would bring its client to any server
        issued = ("or", *_set("var(txn.issued) -m found")) if always and service.persistence == "active-cookie" else ()
        moved = (*known, *_unset(f"srv_name,strcmp({memory}) eq 0"))
        rules += place.stick("store-request", key, *_condition(*first, *issued))
        # store rules see the memory as it was before this response (2.6, order of the response's analysers)
        rules += place.stick("store-response", key, *_condition(*moved))
    if service.persistence in ("cookie", "cookie-src"):
        rules += place.stick("store-response", _digest(f"res.cook({service.cookie})"))
    rules += _issue_cookie(place)
    rules.append(directive("http-response", f"set-var({memory})", "srv_name"))
    return rules


def _issue_cookie(place: _Place) -> list[Directive]:
    service = place.service
    if service.persistence not in ("active-cookie", "active-cook-src"):
        return []
    name = service.active_cookie
    issued = _condition(*_set("var(txn.issued) -m found"))
    rules = [directive("http-response", "add-header", "Set-Cookie", f"{name}=%[var(txn.issued)]; path=/", *issued)]
    if service.persistence == "active-cook-src":
        rules += place.stick("store-response", _digest("var(txn.issued)"))
    return rules


def _tcp(place: _Place) -> list[Directive]:
    service, rules = place.service, place.wait("tcp-request")
    if service.persistence == "src":
        # a content rule may wait only while an inspection delay runs (2.6, `tcp_inspect_request`)
        rules.insert(0, directive("tcp-request", "inspect-delay", "1s"))
        rules += place.follow("tcp-request content", place.source)
        rules += place.go_there()
        rules += place.stick("on", place.source)
        return rules
    if service.persistence == "ssl":
        hello, answer = _set("req.ssl_hello_type 1"), _set("res.ssl_hello_type 2")
        asked = _digest("req.payload_lv(43,1)")
        rules += [
            directive("tcp-request", "inspect-delay", "5s"),
            *place.follow("tcp-request content", asked, *hello),
            directive("tcp-request", "content", "accept", "if", *hello),
            directive("tcp-response", "inspect-delay", "5s"),
            directive("tcp-response", "content", "accept", "if", *answer),
            *place.go_there(),
            *place.stick("on", asked, "if", *hello),
            *place.stick("store-response", _digest("res.payload_lv(43,1)"), "if", *answer),
        ]
        return rules
    user = "req.rdp_cookie(mstshash)"
    rules += [
        directive("tcp-request", "inspect-delay", "1s"),
        *place.follow("tcp-request content", _digest(user), *_set(f"{user} -m found")),
        directive("tcp-request", "content", "accept", "if", *_set(f"{user} -m found")),
        *place.go_there(),
        *place.stick("on", _digest(user)),
    ]
    if service.persistence == "rdp-src":
        absent = _unset(f"{user} -m found")
        rules += place.follow("tcp-request content", _digest(place.source), *absent)
        rules += place.stick("on", _digest(place.source), "if", *absent)
    return rules
