"""What HAProxy must have.

Frozen, comparable values; `emit.haproxy` prints them and `diff` compares them. Names are stable for the life of what
they name (`vs<index>`, `rs<index>`), because persistence records carry them across reloads. Times are in seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from steelyard.plan.trust import ClientVerification, TrustFile, TrustNeed

Mode = Literal["http", "tcp"]

#: the peers section: it holds the persistence tables, which an old process teaches to the next
PEERS = "steelyard"
#: the table whose one entry is taught last
TAUGHT = "taught"
#: the table of a process's own whose one entry says that it has all persistence records of the one before it
SYNC_TABLE = "steelyard_sync"
SYNC_KEY = "ready"


def table_name(name: str) -> str:
    """How rules and commands call a table of the peers section; a service's table has the name of the service."""
    return f"{PEERS}/{name}"


def lookup_path(name: str) -> str:
    """How directives and runtime commands call a lookup's file: a path below the engine's directory."""
    return f"lookups/{name}"


def page_path(name: str) -> str:
    """How directives call a page's file."""
    return f"pages/{name}"


def service_key(backend: str) -> str:
    """The key of the service a backend belongs to: a group is named after it, with a dash."""
    return backend.partition("-")[0]


def tls_listener(name: str) -> str:
    """The name of the inner listener that ends TLS for a frontend that is spoken to in plain text first."""
    return f"starttls-{name}"


def inner_socket(name: str) -> str:
    """How a bind or a server calls an inner listener's socket: a path below the run directory."""
    return f"inner-{name}.sock"


@dataclass(frozen=True, slots=True)
class Directive:
    """One line of a section, as separate words. The emitter quotes each word; none may hold a control character."""

    words: tuple[str, ...]


def directive(*words: str) -> Directive:
    """A directive from its words."""
    return Directive(words)


@dataclass(frozen=True, slots=True)
class BindTls:
    """TLS on a listener. `certificates` are certificate names, the first one answers hellos without a known name.

    Protocols are offered from `lowest` ("TLSv1.2") to `highest`, None for the newest that HAProxy has. `ciphers` is an
    OpenSSL cipher list for protocols up to TLS 1.2, `suites` one for TLS 1.3, None for OpenSSL's own. `tickets`:
    clients get session tickets, under keys that every process has.
    """

    certificates: tuple[str, ...]
    alpn: tuple[str, ...]
    lowest: str
    highest: str | None = None
    ciphers: str | None = None
    suites: str | None = None
    tickets: bool = True
    clients: ClientVerification | None = None
    #: whether hellos without a name, or with one no certificate is for, are refused
    require_name: bool = False


@dataclass(frozen=True, slots=True)
class Bind:
    """One listening address with a port or a range of ports."""

    address: str
    first_port: int
    last_port: int

    @property
    def ports(self) -> range:
        return range(self.first_port, self.last_port + 1)


@dataclass(frozen=True, slots=True)
class Frontend:
    """What clients connect to. An `inner` one listens on a socket of this host, for services that lead to it.

    With `plain_first` TLS begins in the middle of a connection: the rules let clients through when it is to begin.
    """

    name: str
    mode: Mode
    binds: tuple[Bind, ...]
    tls: BindTls | None
    idle_seconds: int
    directives: tuple[Directive, ...] = ()
    inner: bool = False
    plain_first: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A persistence table. `kind` "ip" and "ipv6" are addresses, "digest" is a 40-digit hexadecimal SHA-1."""

    kind: Literal["ip", "ipv6", "digest"]
    entries: int
    expire_seconds: int


@dataclass(frozen=True, slots=True)
class ServerTls:
    """TLS towards a real server. `name` is a sample expression for the server name to ask for, or None.

    `authorities` may have signed its certificate, which has to be of that name; None: it may show any.
    """

    name: str | None
    authorities: TrustNeed | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """One real server. `weight` is 0-256; `port` None means the port the client connected to; `limit` 0 means none.

    `weight_by_health` leaves the weight to the checking process (fixed weighting): a difference in it is no operation.
    `inner` names the inner listener it leads to, in place of an address. `standby` takes clients only when no other
    server is up, and is never checked. `options` are further words of a server line.
    """

    name: str
    id: int
    address: str
    port: int | None
    weight: int
    limit: int
    enabled: bool
    tls: ServerTls | None = None
    weight_by_health: bool = False
    inner: str = ""
    standby: bool = False
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Backend:
    """Real servers with their balancing and persistence.

    `drains` says a disabled server keeps its recorded clients, `drop_at_once` that disabling cuts its connections,
    `checked` that a server is up only after its first good check, `critical` names members of the service, each
    with whether it is enabled, without which no server here is up, and `parent` the service whose critical members
    count, too. `minimum` is how many of `members`, each with whether it is enabled, must be up for the same; `resting`
    names servers that may stand by.
    """

    name: str
    mode: Mode
    balance: tuple[str, ...]
    servers: tuple[Server, ...]
    idle_seconds: int
    table: Table | None = None
    directives: tuple[Directive, ...] = ()
    drains: bool = False
    drop_at_once: bool = False
    checked: bool = True
    critical: tuple[tuple[str, bool], ...] = ()
    parent: str = ""
    minimum: int = 0
    members: tuple[tuple[str, bool], ...] = ()
    resting: tuple[str, ...] = ()

    def structure(self) -> tuple[object, ...]:
        """Everything but the servers and what only operations use: a difference here needs a reload."""
        return (self.name, self.mode, self.balance, self.idle_seconds, self.table, self.directives)


@dataclass(frozen=True, slots=True)
class Lookup:
    """A file of keys with values (a map) or of keys alone (a list, values empty), changed at run time.

    `name` is unique among all lookups of a plan. `entries` have unique keys; `ordered` says that their order matters,
    as for regular expressions. Neither key nor value holds a blank or control character, and no key begins with `#`.
    """

    name: str
    entries: tuple[tuple[str, str], ...]
    is_map: bool = True
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """The content of an answer HAProxy gives itself. Its name tells its content, so other content has another name."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Section:
    """A section of its own: a table of counters, a cache. `words` are its heading, of which the second is its name."""

    words: tuple[str, ...]
    directives: tuple[Directive, ...]


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """One virtual service in HAProxy. A disabled service has no frontend but keeps its backend and its records.

    `backend` has its real servers; `groups` are further backends, each with those of them a content rule selects.
    `tables` are persistence tables by name that several services use; `needs` are keys of services whose tables or
    backends its rules name.
    """

    key: str
    frontend: Frontend | None
    backend: Backend
    groups: tuple[Backend, ...] = ()
    lookups: tuple[Lookup, ...] = ()
    pages: tuple[Page, ...] = ()
    sections: tuple[Section, ...] = ()
    tables: tuple[tuple[str, Table], ...] = ()
    needs: tuple[str, ...] = ()

    @property
    def backends(self) -> tuple[Backend, ...]:
        """All its backends, its own first."""
        return (self.backend, *self.groups)

    def certificates(self) -> tuple[str, ...]:
        """Names of the certificates its listener presents."""
        if self.frontend is None or self.frontend.tls is None:
            return ()
        return self.frontend.tls.certificates


_SENT_CHAIN_BYTES = 11_500


@dataclass(frozen=True, slots=True)
class CertificateFile:
    """A certificate as the engine needs it: the chain in PEM, leaf first, and the digest that finds its private key."""

    name: str
    chain_pem: str
    key_id: str

    @property
    def sendable(self) -> bool:
        """Whether it can be put into the running process.

        HAProxy (2.6, 2.8, tried) takes 16 KB at once, with the key, of which an RSA one of 4096 bits has 3.3.
        """
        return len(self.chain_pem) <= _SENT_CHAIN_BYTES


@dataclass(frozen=True, slots=True)
class Globals:
    """Process-wide settings of HAProxy."""

    max_connections: int
    threads: int
    connect_seconds: int = 5
    queue_seconds: int = 1
    #: whether answers of OCSP responders that lie beside certificates are handed to clients
    stapling: bool = False
    directives: tuple[Directive, ...] = ()


@dataclass(frozen=True, slots=True)
class HaproxyPlan:
    """Everything HAProxy must have. Keys: service key, certificate name, name of a file.

    `lookups` and `sections` are those no single service owns. `ticket_key_seconds`: how long a key of session tickets
    encrypts; it is replaced at run time.
    """

    settings: Globals
    services: Mapping[str, ServicePlan] = field(default_factory=dict)
    certificates: Mapping[str, CertificateFile] = field(default_factory=dict)
    lookups: tuple[Lookup, ...] = ()
    sections: tuple[Section, ...] = ()
    trust: Mapping[str, TrustFile] = field(default_factory=dict)
    ticket_key_seconds: int = 8 * 3600

    def all_lookups(self) -> Iterator[Lookup]:
        """Every lookup, those of services too."""
        yield from self.lookups
        for service in self.services.values():
            yield from service.lookups
