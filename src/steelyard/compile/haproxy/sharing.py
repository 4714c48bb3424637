"""Which tables hold the persistence of a backend, and which tables of others it follows.

- A backend has a table of its own. A group of a service, which has some of its real servers, looks into the service's
  table too: a client known to another group stays with a server both have, and goes back to each group's own server.
- A service that follows another looks into that one's table, for a client it does not know itself.
- Sub-services that share persistence have one table, which their parent keeps.

A record holds the number of a real server, and numbers differ from service to service. What a number means here is a
lookup from the number to the name of this service's server of the same address; its entries change at run time, so a
real server that comes or goes needs no reload. HAProxy (2.6 and 2.8) passes over a name it does not have, and a server
that is down.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha1

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.part import Family
from steelyard.model.real_server import RealServer
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import Lookup, Table, lookup_path, table_name

ENTRIES = 1_000_000

_ADDRESS_KEYS = frozenset({"src"})


@dataclass(frozen=True)
class Followed:
    """A table of records with servers of others, and the lookup that says what they are here."""

    table: str
    lookup: Lookup

    def server(self, key: str) -> str:
        """The sample expression of the name of this service's server, from that of the key."""
        return f"{key},table_server_id({table_name(self.table)}),map({lookup_path(self.lookup.name)})"


@dataclass(frozen=True)
class Tables:
    """Names of the tables of one backend: `own` is looked at first, `further` too, all are written."""

    own: str
    further: tuple[str, ...] = ()
    followed: Followed | None = None

    @property
    def all(self) -> tuple[str, ...]:
        return (self.own, *self.further)

    @property
    def is_shared(self) -> bool:
        """Whether its own table has records of others too."""
        return self.followed is not None and self.followed.table in self.all


def listening_address(service: VirtualService, family: Family) -> str:
    """The address clients connect to: a sub-service has none of its own."""
    return service.address if family.parent is None else family.parent.address


def persistence_table(service: VirtualService, family: Family) -> Table | None:
    """The table a persistence mode needs."""
    if service.persistence == "none":
        return None
    if service.persistence not in _ADDRESS_KEYS:
        return Table("digest", ENTRIES, service.persistence_timeout)
    kind = "ipv6" if ":" in listening_address(service, family) else "ip"
    return Table(kind, ENTRIES, service.persistence_timeout)  # type: ignore[arg-type]  # both are kinds


def tables_of(service: VirtualService, family: Family, context: ServiceContext, backend: str) -> Tables:
    """The tables of one backend of a service that has persistence."""
    shared = _shared_by(service, family, context)
    if shared is not None and family.parent is not None:
        name = _shared_name(family.parent, service)
        members = [server for sibling in shared for server in sibling.servers]
        followed = Followed(name, _same_addresses(f"{service.engine_name}-shared", members, service))
        own = name if backend == service.engine_name else backend
        return Tables(own, () if own == name else (name,), followed)
    leader = family.leader
    followed_leader = None
    if leader is not None:
        lookup = _same_addresses(f"{service.engine_name}-follow", leader.servers, service)
        followed_leader = Followed(leader.engine_name, lookup)
    if backend == service.engine_name:
        return Tables(backend, (), followed_leader)
    return Tables(backend, (service.engine_name,), followed_leader)


def shared_tables(service: VirtualService, family: Family, context: ServiceContext) -> tuple[tuple[str, Table], ...]:
    """The tables a parent keeps for its sub-services, by name."""
    if not context.share_persistence:
        return ()
    found: dict[str, Table] = {}
    for sub in family.subs:
        below = Family(parent=service, siblings=family.subs)
        table = persistence_table(sub, below)
        if table is not None and _shared_by(sub, below, context) is not None:
            found[_shared_name(service, sub)] = table
    return tuple(found.items())


def _options(service: VirtualService) -> tuple[str, ...]:
    """What sub-services must have in common for a record of one to mean the same to the other."""
    return (*map(str, service.persistence_options()), str(service.persistence_timeout))


def _shared_by(service: VirtualService, family: Family, context: ServiceContext) -> tuple[VirtualService, ...] | None:
    """The sub-services that share records, this one among them; None when it has nobody to share with."""
    if not (context.share_persistence and service.is_sub and service.is_http) or service.persistence == "none":
        return None
    mine = _options(service)
    found = tuple(other for other in family.siblings if other.is_http and _options(other) == mine)
    return found if len(found) > 1 else None


def _shared_name(parent: VirtualService, service: VirtualService) -> str:
    digest = sha1("\0".join(_options(service)).encode(), usedforsecurity=False).hexdigest()
    return f"{parent.engine_name}-shared-{digest[:12]}"


def _same_addresses(name: str, others: Iterable[RealServer], service: VirtualService) -> Lookup:
    """What the numbers of other services' servers are here: the server of the address, of the same port if there is."""
    exact: dict[tuple[str, int], str] = {}
    by_address: dict[str, str] = {}
    for server in service.servers:
        exact[server.address, server.port] = server.engine_name
        by_address.setdefault(server.address, server.engine_name)
    entries: dict[str, str] = {}
    for other in others:
        here = exact.get((other.address, other.port)) or by_address.get(other.address)
        if here is not None:
            entries[str(other.index)] = here
    return Lookup(name, tuple(entries.items()))
