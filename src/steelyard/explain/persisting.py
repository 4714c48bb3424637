"""Persistence: the key of a request, the record HAProxy has for it, and whether that is followed.

The key is worked out as the rules of `compile.haproxy.persistence` do, and asked for in HAProxy's own tables. Asking
changes nothing there: the socket's `show table` restarts no timer (2.6 and 2.8, tried).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1
from ipaddress import ip_address

from steelyard.compile.haproxy.sharing import Tables, listening_address, tables_of
from steelyard.explain.place import Member, Place
from steelyard.explain.request import Request, masked
from steelyard.explain.situation import Asking, Record, Visit, ask_record
from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service.standard import PERSISTENCE_MODES

_OR_SOURCE = frozenset({"cookie-src", "active-cook-src", "cookie-hash-src", "rdp-src"})


@dataclass(frozen=True)
class Key:
    """The key of a request: `text` as tables have it, `says` where it comes from."""

    text: str
    says: str


def persisted(place: Place) -> Asking[Member | None]:
    """The member a record sends the request to; None when the scheduler decides."""
    visit, service = place.visit, place.visit.service
    if service.persistence == "none":
        return None
    mode = PERSISTENCE_MODES[service.persistence]
    if not service.is_http and service.persistence != "src":
        visit.note("persistence", f"{mode}: the key is in the bytes of the connection, which are not known here")
        return None
    key = key_of(service, visit.request, listening_address(service, visit.family))
    if key is None:
        then = "; a new cookie is issued" if service.persistence == "active-cookie" else ""
        visit.note("persistence", f"{mode}: the request has no key, so the scheduler decides{then}")
        return None
    tables = tables_of(service, visit.family, visit.situation.context, place.backend)
    details = [f"key: {key.says}"]
    found = yield from _look(place, tables, key, details)
    if found is None:
        visit.note("persistence", f"{mode}: no record is followed, so the scheduler decides", *details)
    else:
        visit.note("persistence", f"{mode}: a record leads to {place.title(found)}", *details)
    return found


def _look(place: Place, tables: Tables, key: Key, details: list[str]) -> Asking[Member | None]:
    """The tables in the order in which HAProxy's rules look at them."""
    own = yield from ask_record(tables.own, key.text)
    followed = tables.followed
    if followed is not None and (own is None or tables.is_shared):
        record = own if followed.table == tables.own else (yield from ask_record(followed.table, key.text))
        names = dict(followed.lookup.entries)
        if record is not None:
            found = place.member_named(names.get(str(record.server), ""))
            whose = "shared with sub-services" if tables.is_shared else f"of {_title(place.visit, followed.table)}"
            if _usable(place, found, record, f"table {whose}", details):
                return found
        elif not tables.is_shared:
            details.append(f"{_title(place.visit, followed.table)}, which is followed, has no record")
    for name in tables.all:
        record = own if name == tables.own else (yield from ask_record(name, key.text))
        if record is None:
            details.append(f"table {name} has no record")
        elif _usable(place, member := place.member(record.server), record, f"table {name}", details):
            return member
    return None


def _usable(place: Place, member: Member | None, record: Record, table: str, details: list[str]) -> bool:
    """Whether a record leads anywhere; says so."""
    told = f"{table} has a record for {record.seconds:.0f} s more"
    if member is None:
        details.append(f"{told}, of real server {record.server}, which is not among these")
        return False
    if not place.keeps(member):
        details.append(f"{told}, of {place.title(member)}, which is {place.state(member).status}: it is discarded")
        return False
    details.append(f"{told}, of {place.title(member)}, which is {place.state(member).status}")
    return True


def _title(visit: Visit, table: str) -> str:
    services = visit.situation.configuration.services.values()
    return next((service.title for service in services if service.engine_name == table), table)


def key_of(service: VirtualService, request: Request, listening: str) -> Key | None:
    """The key of a request; None when it has none."""
    source = _source(service, request, listening)
    if service.persistence == "src":
        return Key(source, f"the client's address{_mask(service)}, {source}")
    found = _in_request(service, request, source)
    if found is not None:
        text, says = found
        return Key(_digest(text.encode("utf-8", "surrogateescape")), says)
    if service.persistence in _OR_SOURCE:
        # HAProxy takes the digest of the address's bytes, not of its text
        says = f"the client's address{_mask(service)}, {source}, since there is no cookie"
        return Key(_digest(ip_address(source).packed), says)
    return None


def _digest(data: bytes) -> str:
    return sha1(data, usedforsecurity=False).hexdigest().upper()


def _source(service: VirtualService, request: Request, listening: str) -> str:
    """The client's address as the rules have it: an IPv6 service's mask counts its own bits."""
    if service.persistence_mask == 32:
        return request.client
    return masked(request.client, service.persistence_mask)


def _mask(service: VirtualService) -> str:
    return "" if service.persistence_mask == 32 else f" (first {service.persistence_mask} bits)"


def _in_request(service: VirtualService, request: Request, source: str) -> tuple[str, str] | None:
    """The text a key is the digest of, and where it comes from."""
    match service.persistence:
        case "cookie" | "cookie-src":
            return _named(request.cookie(service.cookie), f"cookie {service.cookie}")
        case "active-cookie" | "active-cook-src":
            return _named(request.cookie(service.active_cookie), f"cookie {service.active_cookie}")
        case "cookie-hash" | "cookie-hash-src":
            return _named(request.last_line("cookie"), "all cookies")
        case "url":
            return request.path_and_query, f"the URL {request.path_and_query}"
        case "query-hash":
            return _named(request.parameter(service.query_tag), f"query item {service.query_tag}")
        case "host":
            host = request.last_value("host")
            return None if host is None else (host.lower(), f"the host {host.lower()}")
        case "header":
            return _named(request.last_line(service.cookie), f"header {service.cookie}")
        case "super" | "super-src":
            return _fingerprint(service, request, source)
        case _:
            return None


def _named(value: str | None, what: str) -> tuple[str, str] | None:
    return None if value is None else (value, what)


def _fingerprint(service: VirtualService, request: Request, source: str) -> tuple[str, str] | None:
    agent = request.last_line("user-agent")
    if agent is None:
        return None
    text = f"{agent}|{request.last_line('authorization') or ''}"
    if service.persistence == "super":
        return text, "User-Agent and Authorization"
    return f"{source}|{text}", f"User-Agent, Authorization and the client's address {source}"
