"""A Front End pool with the balancer between it and its clients, for full balancing and for web services alone.

clients 203.0.113.0/24: cli-ext .10 to .19, lb .1 (services .41 to .60), firewall .20
behind the firewall, which hides them, 10.50.0.0/24: cli-nat .11 to .18
farm 192.168.1.0/24: lb .43 (the Front Ends' gateway), fe1 .41, fe2 .42, archive .45, cli-int .200, another router .254
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from collections.abc import Iterator
from typing import Any

from tests.scenarios.bed import Bed, wait_until
from tests.support.clients import Reply, fetch
from tests.support.namespaces import Namespace

from steelyard.lab.certificates import Authority
from steelyard.lab.client import Client
from steelyard.lab.laboratory import Laboratory, Server
from steelyard.lab.names import Names
from steelyard.lab.organisation import Organisation
from steelyard.lab.roles import FrontEnd

FRONT_ENDS = {"fe1": "192.168.1.41", "fe2": "192.168.1.42"}
NAMES = ("pool", "lyncwebint", "lyncweb", "lyncdiscoverinternal", "lyncdiscover", "meet", "dialin")
#: ports on which a Front End of the lab speaks over TLS from the first byte
TLS_PORTS = frozenset({443, 444, 4443, 5061})


class Pool:
    """The bed, the lab's Front Ends and who asks them."""

    def __init__(self, bed: Bed, *, unused: frozenset[int] = frozenset()) -> None:
        self.bed = bed
        authority = Authority()
        self.root = authority.pem
        self.organisation = Organisation(root_certificate=authority.der)
        self.certificate = authority.issue(*(self.organisation.name(name) for name in NAMES))
        bed.side("outside", "203.0.113.1/24")
        bed.side("farm", "192.168.1.43/24")
        bed.side("behind")
        sources = [f"203.0.113.{last}/24" for last in range(10, 20)]
        self.client = bed.host("cli-ext", outside=sources, gateway="203.0.113.1")
        self.firewall = bed.host("firewall", forwards=True, outside="203.0.113.20/24", behind="10.50.0.1/24")
        hidden = [f"10.50.0.{last}/24" for last in range(11, 19)]
        self.hidden = bed.host("cli-nat", behind=hidden, gateway="10.50.0.1")
        self.firewall.run("nft", "add table ip nat; add chain ip nat out { type nat hook postrouting priority 100; };")
        self.firewall.run("nft", 'add rule ip nat out oifname "eth0" masquerade')
        self.archive = bed.host("archive", farm="192.168.1.45/24", gateway="192.168.1.43")
        self.archived = bed.serve(self.archive, "192.168.1.45", 443, 5061)
        self.inside = bed.host("cli-int", farm="192.168.1.200/24", gateway="192.168.1.43")
        bed.host("other", farm="192.168.1.254/24")
        self.laboratory = bed.keep(Laboratory())
        self.hosts: dict[str, Namespace] = {}
        self.servers: dict[str, Server] = {}
        for name, address in FRONT_ENDS.items():
            host = self.hosts[name] = bed.host(name, farm=f"{address}/24", gateway="192.168.1.43")
            role = FrontEnd(name, address, self.organisation, self.certificate, unused)
            self.servers[name] = self.laboratory.start(role, inside=host.inside)
        bed.start()

    # --- who asks ----------------------------------------------------------------------------------------------------

    def user(self, address: str, *, account: int = 0, pool: str | None = None, host: Namespace | None = None) -> Client:
        """A user inside the organisation whose names lead to one address; the pool's to another, where it is given."""
        names = {self.organisation.name(name): address for name in NAMES}
        names[self.organisation.pool] = pool or address
        leave_out = frozenset({"mobility", "presentation"})
        who = self.organisation.accounts[account]
        return Client(
            self.organisation,
            Names(names),
            who,
            inside=True,
            trust=self.root,
            host=(host or self.client).inside,
            leave_out=leave_out,
        )

    def web(
        self, address: str, port: int, path: str = "/lab/seen", *, host: Namespace | None = None, **more: Any
    ) -> Reply:
        """One web request to a service; TLS by the port."""
        scheme = "https" if port in TLS_PORTS else "http"
        if scheme == "https":
            more.setdefault("sni", self.organisation.pool)
        with (host or self.client).inside():
            return fetch(f"{scheme}://{address}:{port}{path}", **more)

    @contextlib.contextmanager
    def connected(self, address: str, port: int, *, source: str | None = None) -> Iterator[socket.socket]:
        """A connection of a client; TLS by the port, any certificate."""
        made = self.client.connect(address, port, source=source)
        if port in TLS_PORTS:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            made = context.wrap_socket(made, server_hostname=self.organisation.pool)
        with made:
            yield made

    def said(self, address: str, port: int, *, source: str | None = None) -> dict[str, Any]:
        """What a server that echoes says: who it is ("server"), whom it sees ("peer"), where ("local")."""
        with self.connected(address, port, source=source) as connection:
            connection.sendall(b"?")
            answer: dict[str, Any] = json.loads(connection.recv(4000))
        return answer

    # --- what becomes of servers -------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def stopped(self, *names: str) -> Iterator[None]:
        """Within, these servers have no power."""
        for name in names:
            self.servers[name].stop()
        try:
            yield
        finally:
            for name in names:
                self.servers[name].start()

    @contextlib.contextmanager
    def unplugged(self, *names: str) -> Iterator[None]:
        """Within, nothing comes from or to these servers."""
        for name in names:
            self.hosts[name].ip("link set eth0 down")
        try:
            yield
        finally:
            for name in names:
                self.plug_in(name)

    def plug_in(self, name: str) -> None:
        self.hosts[name].ip("link set eth0 up", "route replace default via 192.168.1.43")

    # --- what is seen of it ------------------------------------------------------------------------------------------

    def members(self, address: str) -> dict[str, dict[str, str]]:
        """The status of each real server, by its address, of every service of an address, by its name."""
        return {
            one["name"]: {server["address"]: server["status"] for server in one["servers"]}
            for one in self.bed.native("GET", "/status")["services"]
            if one["address"] == address
        }

    def wait_for_members(self, address: str, server: str, status: str, *, but: tuple[str, ...] = ()) -> None:
        """Wait until a server has that status in every service of an address, but for some."""

        def there() -> bool:
            found = self.members(address)
            return all(one[FRONT_ENDS[server]] == status for name, one in found.items() if name not in but)

        wait_until(there, 15)


def server_of(reply: Reply) -> str:
    """Which Front End answered."""
    found = reply.header("x-lab-server")
    assert found, f"{reply.status} {reply.text[:200]}"
    return found
