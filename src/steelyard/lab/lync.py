"""A Lync deployment on loopback addresses: who is where, and what names lead to.

    127.0.1.41 .42   Front Ends fe1, fe2          127.0.1.44  their pool
    127.0.1.61 .62   Directors dir1, dir2         127.0.1.64  theirs
    127.0.1.71 .72   Office Web Apps wac1, wac2   127.0.1.74  theirs
    127.0.2.11 .12   Edges, inside                127.0.2.14  theirs
    127.0.3.11 .12, .21 .22, .31 .32   Edges, outside: access, web conferencing, A/V
    127.0.3.41 access, .42 web conferencing, .43 A/V, .44 reverse proxy: what the world sees

`net` takes the place of 127.0, so that several can run on one host.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from steelyard.lab.certificates import Authority
from steelyard.lab.client import Client
from steelyard.lab.names import Names
from steelyard.lab.organisation import Organisation
from steelyard.lab.ports import Ports
from steelyard.lab.roles import Director, Edge, FrontEnd, OfficeWebApps, Role

PAIR = (1, 2)
#: hosts of the simple URLs
SIMPLE = ("meet", "dialin", "scheduler")


@dataclass(frozen=True)
class Lync:
    """The deployment. Its virtual addresses are for a balancer to have; nothing of the lab listens there."""

    ports: Ports
    net: str = "127.0"
    authority: Authority = field(default_factory=Authority)
    base: Organisation = field(default_factory=Organisation)

    @property
    def organisation(self) -> Organisation:
        return replace(self.base, ports=self.ports, root_certificate=self.authority.der)

    def _servers(self, third: int, tens: int) -> list[str]:
        return [f"{self.net}.{third}.{tens + number}" for number in PAIR]

    @property
    def front_ends(self) -> list[str]:
        return self._servers(1, 40)

    @property
    def directors(self) -> list[str]:
        return self._servers(1, 60)

    @property
    def office_web_apps(self) -> list[str]:
        return self._servers(1, 70)

    @property
    def edges_inside(self) -> list[str]:
        return self._servers(2, 10)

    def edges_outside(self, place: str) -> list[str]:
        """Of a place of the template of an edge's outside: access, conf or av."""
        return self._servers(3, {"access": 10, "conf": 20, "av": 30}[place])

    def virtual(self, what: str) -> str:
        """A virtual address: pool, director, office-web-apps, edge, access, conf, av or reverse-proxy."""
        last = {
            "pool": "1.44",
            "director": "1.64",
            "office-web-apps": "1.74",
            "edge": "2.14",
            "access": "3.41",
            "conf": "3.42",
            "av": "3.43",
            "reverse-proxy": "3.44",
        }
        return f"{self.net}.{last[what]}"

    def names(self, *, inside: bool) -> Names:
        """The hosts file of clients inside or outside."""
        name, pool, proxy = self.base.name, self.virtual("pool"), self.virtual("reverse-proxy")
        common = {
            self.base.external_web: proxy,
            self.base.access_edge: self.virtual("access"),
            name("wc"): self.virtual("conf"),
            name("av"): self.virtual("av"),
            self.base.office_web_apps: self.virtual("office-web-apps"),
            name("lyncdiscover"): proxy,
        }
        simple = {name(host): pool if inside else proxy for host in SIMPLE}
        within = {
            self.base.pool: pool,
            self.base.internal_web: pool,
            name("lyncdiscoverinternal"): pool,
            name("director"): self.virtual("director"),
        }
        return Names(common | simple | (within if inside else {}))

    @property
    def certified(self) -> list[str]:
        """Every name of it, for one certificate with all of them."""
        return sorted(self.names(inside=True).addresses)

    def roles(self) -> list[Role]:
        """Its servers. Edges pass SIP on to the Directors' address, those to the pool's."""
        organisation, certificate = self.organisation, self.authority.issue(*self.certified)
        hop, home = ((self.virtual(what), self.ports.of(5061)) for what in ("director", "pool"))
        found: list[Role] = []
        for number, address in zip(PAIR, self.front_ends, strict=True):
            found.append(FrontEnd(f"fe{number}", address, organisation, certificate))
        for number, address in zip(PAIR, self.directors, strict=True):
            found.append(Director(f"dir{number}", address, organisation, certificate, home))
        for number, address in zip(PAIR, self.office_web_apps, strict=True):
            found.append(OfficeWebApps(f"wac{number}", address, organisation, certificate))
        for number in PAIR:
            access, conf, av = (self.edges_outside(place)[number - 1] for place in ("access", "conf", "av"))
            inside = self.edges_inside[number - 1]
            found.append(Edge(f"edge{number}", inside, access, conf, av, organisation, certificate, hop))
        return found

    def client(self, *, inside: bool, user: str = "alice") -> Client:
        """A user. Raises `KeyError` for nobody's name."""
        account = self.base.known(user)
        if account is None:
            raise KeyError(user)
        return Client(self.organisation, self.names(inside=inside), account, inside=inside, trust=self.authority.pem)
