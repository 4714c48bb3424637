"""The plan as HAProxy configuration text.

Sections come in a fixed order, so equal plans give equal bytes. Persistence tables are declared in the peers section:
those of backends are emptied as soon as a process stops (2.6, `manage_proxy`), and a client that had connected to it
before, but spoke after, would lose its server. Peers teach such tables in the order of declaration (seen on 2.6 and
2.8), so the mark that is to arrive after all records is declared last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from steelyard.emit.haproxy.server import server_words
from steelyard.emit.haproxy.words import quote
from steelyard.plan.haproxy import (
    PEERS,
    SYNC_TABLE,
    TAUGHT,
    Backend,
    Bind,
    BindTls,
    Frontend,
    Globals,
    HaproxyPlan,
    Section,
    ServicePlan,
    Table,
    inner_socket,
    tls_listener,
)
from steelyard.plan.trust import ClientVerification, trust_path

#: a table with one entry that says something is done
_MARK = ("type", "string", "len", "16", "size", "16", "store", "gpc0")


@dataclass(frozen=True)
class EnginePaths:
    """Where the engine's files and sockets are, as absolute paths.

    Lookups and pages are below `base` and are called by paths relative to it, in rules and in runtime commands alike.
    """

    base: str
    run: str
    certificates: str
    lists: str
    lua: tuple[str, ...]
    state: str
    socket: str
    peers: str
    #: scripts of which all threads share one
    shared_lua: tuple[str, ...] = ()

    @property
    def ticket_keys(self) -> str:
        """The file of the keys that session tickets are encrypted with."""
        return f"{self.run}/tickets.keys"

    def certificate(self, name: str) -> str:
        """The file of a certificate."""
        return f"{self.certificates}/{name}.pem"

    def certificate_list(self, frontend: str) -> str:
        """The file that lists the certificates of a listener."""
        return f"{self.lists}/{frontend}.list"


def _line(words: Iterable[str]) -> str:
    return "  " + " ".join(quote(word) for word in words) + "\n"


def _section(*words: str) -> str:
    return " ".join(quote(word) for word in words) + "\n"


def certificate_list(certificates: tuple[str, ...], paths: EnginePaths) -> str:
    """A certificate list: one file a line, the first answers hellos without a known name."""
    return "".join(quote_path(paths.certificate(name)) + "\n" for name in certificates)


def quote_path(path: str) -> str:
    """A path on a line of its own (certificate lists know no quotes): blanks and control characters are refused."""
    if quote(path) != path:
        raise ValueError(f"{path!r} cannot stand in a certificate list")
    return path


def _globals(settings: Globals, paths: EnginePaths) -> Iterator[str]:
    yield _section("global")
    yield _line(["default-path", "origin", paths.base])
    yield _line(["maxconn", str(settings.max_connections)])
    yield _line(["nbthread", str(settings.threads)])
    yield _line(["stats", "socket", paths.socket, "mode", "600", "level", "admin", "expose-fd", "listeners"])
    yield _line(["stats", "timeout", "60s"])
    yield _line(["server-state-file", paths.state])
    yield _line(["localpeer", PEERS])
    yield _line(["tune.ssl.default-dh-param", "2048"])
    # HAProxy's own HTTP client (for Lua, unused here) reads all the system's authorities at start: 20 ms with 2.6
    yield _line(["httpclient.ssl.verify", "none"])
    for script in paths.lua:
        yield _line(["lua-load-per-thread", script])
    for script in paths.shared_lua:
        yield _line(["lua-load", script])
    for item in settings.directives:
        yield _line(item.words)
    yield _section("backend", SYNC_TABLE)
    yield _line(["stick-table", *_MARK])
    yield _section("defaults", "steelyard")
    yield _line(["timeout", "connect", f"{settings.connect_seconds}s"])
    yield _line(["timeout", "queue", f"{settings.queue_seconds}s"])
    yield _line(["retries", "3"])
    yield _line(["option", "redispatch", "1"])
    yield _line(["load-server-state-from-file", "global"])


def _bind(bind: Bind, frontend: Frontend, paths: EnginePaths) -> str:
    ports = str(bind.first_port) if bind.first_port == bind.last_port else f"{bind.first_port}-{bind.last_port}"
    words = ["bind", f"{_host(bind.address)}:{ports}"]
    if bind.address == "::":
        words.append("v6only")
    if frontend.tls is not None and not frontend.plain_first:
        words += _tls_words(frontend, frontend.tls, paths)
    return _line(words)


def _tls_words(frontend: Frontend, tls: BindTls, paths: EnginePaths) -> list[str]:
    words = ["ssl", "crt-list", paths.certificate_list(frontend.name)]
    if tls.require_name:
        words.append("strict-sni")
    if tls.alpn:
        words += ["alpn", ",".join(tls.alpn)]
    words += ["ssl-min-ver", tls.lowest]
    if tls.highest is not None:
        words += ["ssl-max-ver", tls.highest]
    if tls.ciphers is not None:
        words += ["ciphers", tls.ciphers]
    if tls.suites is not None:
        words += ["ciphersuites", tls.suites]
    if tls.clients is not None:
        words += client_words(tls.clients)
    words += ["tls-ticket-keys", paths.ticket_keys] if tls.tickets else ["no-tls-tickets"]
    return words


def client_words(clients: ClientVerification) -> list[str]:
    """How a listener verifies clients.

    Errors that are let pass, by OpenSSL's numbers: 2, an authority that is believed without the one above it; 3, an
    authority that has no revocation list. HAProxy wants one of every authority as soon as there is a single one.
    """
    words = ["verify", "optional" if clients.optional else "required", "ca-file", trust_path(clients.authorities.name)]
    if clients.revocations is None:
        return [*words, "ca-ignore-err", "2"]
    return [*words, "crl-file", trust_path(clients.revocations.name), "ca-ignore-err", "2,3", "crt-ignore-err", "3"]


def _host(address: str) -> str:
    # a plain IPv6 literal would be read as address:port, and an unmarked wildcard as both families
    return f"ipv6@[{address}]" if ":" in address else f"ipv4@{address}"


def _frontend(frontend: Frontend, backend: str, paths: EnginePaths) -> Iterator[str]:
    yield _section("frontend", frontend.name, "from", "steelyard")
    yield _line(["mode", frontend.mode])
    yield _line(["timeout", "client", f"{frontend.idle_seconds}s"])
    if frontend.mode == "http":
        # without it a reload closes idle client connections under a client that is just sending its next request
        yield _line(["option", "idle-close-on-response"])
        # browsers connect ahead of need; a 408 on such a connection would answer a request they have not made
        yield _line(["option", "http-ignore-probes"])
    if frontend.inner:
        yield _line(["bind", f"unix@{paths.run}/{inner_socket(frontend.name)}", "mode", "600", "accept-proxy"])
    for bind in frontend.binds:
        yield _bind(bind, frontend, paths)
    for item in frontend.directives:
        yield _line(item.words)
    yield _line(["default_backend", tls_listener(frontend.name) if frontend.plain_first else backend])
    if frontend.plain_first and frontend.tls is not None:
        yield from _tls_listener(frontend, frontend.tls, backend, paths)


def _tls_listener(frontend: Frontend, tls: BindTls, backend: str, paths: EnginePaths) -> Iterator[str]:
    """What ends the TLS that clients begin in the middle of a connection, and the way there."""
    name = tls_listener(frontend.name)
    socket = f"unix@{paths.run}/{inner_socket(name)}"
    idle = f"{frontend.idle_seconds}s"
    yield _section("backend", name, "from", "steelyard")
    yield _line(["mode", "tcp"])
    yield _line(["timeout", "server", idle])
    yield _line(["timeout", "tunnel", idle])
    yield _line(["server", "tls", socket, "send-proxy-v2"])
    yield _section("frontend", name, "from", "steelyard")
    yield _line(["mode", "tcp"])
    yield _line(["timeout", "client", idle])
    yield _line(["bind", socket, "mode", "600", "accept-proxy", *_tls_words(frontend, tls, paths)])
    yield _line(["default_backend", backend])


def _table(name: str, table: Table) -> str:
    kind = {"ip": ["ip"], "ipv6": ["ipv6"], "digest": ["string", "len", "40"]}[table.kind]
    return _line(["table", name, "type", *kind, "size", str(table.entries), "expire", f"{table.expire_seconds}s"])


def _peers(services: Iterable[ServicePlan], paths: EnginePaths) -> Iterator[str]:
    yield _section("peers", PEERS)
    yield _line(["peer", PEERS, f"unix@{paths.peers}"])
    for service in services:
        for backend in service.backends:
            if backend.table is not None:
                yield _table(backend.name, backend.table)
        for name, table in service.tables:
            yield _table(name, table)
    yield _line(["table", TAUGHT, *_MARK])


def _own_section(section: Section) -> Iterator[str]:
    yield _section(*section.words)
    for item in section.directives:
        yield _line(item.words)


def _backend(backend: Backend, paths: EnginePaths) -> Iterator[str]:
    yield _section("backend", backend.name, "from", "steelyard")
    yield _line(["mode", backend.mode])
    yield _line(["timeout", "server", f"{backend.idle_seconds}s"])
    yield _line(["timeout", "tunnel", f"{backend.idle_seconds}s"])
    yield _line(["balance", *backend.balance])
    for item in backend.directives:
        yield _line(item.words)
    for server in backend.servers:
        yield _line(["server", server.name, *server_words(server, run=paths.run)])


def service_text(service: ServicePlan, paths: EnginePaths) -> str:
    """One service's sections."""
    parts: list[str] = []
    if service.frontend is not None:
        parts.extend(_frontend(service.frontend, service.backend.name, paths))
    for backend in service.backends:
        parts.extend(_backend(backend, paths))
    for section in service.sections:
        parts.extend(_own_section(section))
    return "".join(parts)


def globals_text(settings: Globals, paths: EnginePaths) -> str:
    """The sections every configuration begins with."""
    return "".join(_globals(settings, paths))


class ConfigurationEmitter:
    """Prints whole plans and keeps the text of services that did not change."""

    def __init__(self, paths: EnginePaths) -> None:
        self.paths = paths
        self._texts: dict[str, tuple[ServicePlan, str]] = {}

    def text(self, plan: HaproxyPlan) -> str:
        """The whole configuration."""
        parts = [globals_text(plan.settings, self.paths), *_peers(plan.services.values(), self.paths)]
        for section in plan.sections:
            parts.extend(_own_section(section))
        for key, service in plan.services.items():
            cached = self._texts.get(key)
            if cached is None or cached[0] is not service:
                cached = self._texts[key] = (service, service_text(service, self.paths))
            parts.append(cached[1])
        if len(self._texts) > len(plan.services):
            self._texts = {key: text for key, text in self._texts.items() if key in plan.services}
        return "".join(parts)
