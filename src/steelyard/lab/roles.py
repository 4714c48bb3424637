"""The roles of a deployment, as values: what listens where, on which certificate.

A role makes its services anew for each start, on an empty memory. Ports are the well-known ones, moved by the
organisation's `Ports`; `unused` are well-known ports of roles that are not installed, on which nothing listens.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from steelyard.lab import stun
from steelyard.lab.certificates import ServerCertificate
from steelyard.lab.connection import Connection, Place, Service, Talk, echo
from steelyard.lab.http import Handler, HttpService
from steelyard.lab.memory import Memory
from steelyard.lab.office_web_apps import OfficeWebAppsSite
from steelyard.lab.organisation import Organisation
from steelyard.lab.sip import SipServer
from steelyard.lab.sip_proxy import Opener, SipProxy
from steelyard.lab.web_site import Site, WebSite

#: well-known port, what talks there, whether over TLS
_Spoken = tuple[int, Talk, bool]


class Watched(Protocol):
    """Puts itself before a handler, to note what was asked and to answer otherwise where a test wants it."""

    def __call__(self, handler: Handler, /) -> Handler: ...


class Role(Protocol):
    """A server of a deployment."""

    @property
    def name(self) -> str: ...

    @property
    def certificate(self) -> ServerCertificate | None: ...

    def services(self, memory: Memory, watched: Watched, opener: Opener) -> Sequence[Service]:
        """Its ports, each with what talks there. `opener` makes the connections of its own."""


@dataclass(frozen=True)
class FrontEnd:
    """A Front End server: both web sites, SIP, and the ports of the roles beside them."""

    name: str
    address: str
    organisation: Organisation
    certificate: ServerCertificate | None
    unused: frozenset[int] = frozenset()

    #: DCOM, call admission, application sharing, mediation, QoE, response groups, attendants, park, audio test
    _OTHERS = (135, 448, 5065, 5067, 5068, 5069, 5070, 5071, 5072, 5073, 5075, 5076, 5080)

    def services(self, memory: Memory, watched: Watched, opener: Opener) -> Sequence[Service]:
        """Its ports."""
        organisation = self.organisation
        web = _web_services(self.name, "front-end", self.address, organisation, memory, watched, home=True)
        sip = SipServer(organisation, memory)
        talks: list[_Spoken] = [(5060, sip, False), (5061, sip, True)]
        talks += [(port, echo, False) for port in self._OTHERS]
        return _used((*web, *_tcp(self.address, organisation, talks)), self.unused, organisation)


@dataclass(frozen=True)
class Director:
    """A Director: asks who one is and sends on to the home pool; web pages of the simple URLs, no mobility.

    `home` is where the pool's SIP is, to which it passes on what came through an edge.
    """

    name: str
    address: str
    organisation: Organisation
    certificate: ServerCertificate | None
    home: Place | None = None
    unused: frozenset[int] = frozenset()

    def services(self, memory: Memory, watched: Watched, opener: Opener) -> Sequence[Service]:
        """Its ports."""
        organisation = self.organisation
        web = _web_services(self.name, "director", self.address, organisation, memory, watched, home=False)
        home = f"sip:{organisation.pool}:{organisation.ports.of(5061)};transport=tls"
        beyond = None if self.home is None else SipProxy(self.name, self.home, opener).carry
        sip = SipServer(organisation, memory, home, beyond)
        return _used(
            (*web, *_tcp(self.address, organisation, [(5060, sip, False), (5061, sip, True)])),
            self.unused,
            organisation,
        )


@dataclass(frozen=True)
class Edge:
    """An Edge server: an address inside and three outside (access, web conferencing, A/V).

    `next_hop` is where the access edge passes SIP on to, a Director or a Front End pool; without one it answers
    itself. An address that is empty is not there.
    """

    name: str
    internal: str
    access: str
    conferencing: str
    audio_video: str
    organisation: Organisation
    certificate: ServerCertificate | None
    next_hop: Place | None = None
    unused: frozenset[int] = frozenset()

    def services(self, memory: Memory, watched: Watched, opener: Opener) -> Sequence[Service]:
        """Its ports."""
        organisation = self.organisation
        own = SipServer(organisation, memory)
        sip: Talk = own if self.next_hop is None else SipProxy(self.name, self.next_hop, opener)
        found: list[Service] = []
        if self.internal:
            talks: list[_Spoken] = [(5061, own, True), (5062, own, True), (443, stun.over_tcp, False)]
            found += _tcp(self.internal, organisation, [*talks, (8057, echo, True), (4443, echo, True)])
            found.append(self._stun(self.internal))
        if self.access:
            found += _tcp(self.access, organisation, [(443, sip, True), (5061, sip, True), (5269, echo, False)])
        if self.conferencing:
            found += _tcp(self.conferencing, organisation, [(443, echo, True)])
        if self.audio_video:
            found += _tcp(self.audio_video, organisation, [(443, stun.over_tcp, False)])
            found.append(self._stun(self.audio_video))
        return _used(found, self.unused, organisation)

    def _stun(self, address: str) -> Service:
        return Service(address, self.organisation.ports.of(3478), datagram=self._datagram)

    def _datagram(self, asked: bytes, peer: Place, local: Place) -> bytes:
        """STUN where it is that; otherwise a line of JSON like `connection.echo`."""
        facts = {"server": self.name, "peer": list(peer), "local": list(local), "received": asked.decode("latin-1")}
        return stun.respond(asked, self.name, peer) or json.dumps(facts).encode() + b"\n"


@dataclass(frozen=True)
class OfficeWebApps:
    """A server of an Office Web Apps farm."""

    name: str
    address: str
    organisation: Organisation
    certificate: ServerCertificate | None
    unused: frozenset[int] = frozenset()

    def services(self, memory: Memory, watched: Watched, opener: Opener) -> Sequence[Service]:
        """Its ports."""
        site = HttpService(watched(OfficeWebAppsSite(self.name, self.organisation, memory)))
        found = _tcp(self.address, self.organisation, [(80, site, False), (443, site, True)])
        return _used(found, self.unused, self.organisation)


async def _focus(connection: Connection) -> None:
    """Conferencing's focus (444): HTTPS between servers, which a balancer passes on."""
    await echo(connection)


def _web_services(
    name: str, role: str, address: str, organisation: Organisation, memory: Memory, watched: Watched, *, home: bool
) -> Iterator[Service]:
    sites: tuple[tuple[Site, int, int], ...] = (("internal", 80, 443), ("external", 8080, 4443))
    for site, plain, secure in sites:
        pages = HttpService(watched(WebSite(name, role, site, organisation, memory, home)))
        yield from _tcp(address, organisation, [(plain, pages, False), (secure, pages, True)])
    yield from _tcp(address, organisation, [(444, _focus, True)])


def _tcp(address: str, organisation: Organisation, talks: Sequence[_Spoken]) -> list[Service]:
    return [Service(address, organisation.ports.of(port), talk, tls=tls) for port, talk, tls in talks]


def _used(services: Sequence[Service], unused: frozenset[int], organisation: Organisation) -> list[Service]:
    absent = {organisation.ports.of(port) for port in unused}
    return [one for one in services if one.port not in absent]
