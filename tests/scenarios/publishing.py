"""The network in which a pool's web services are published to the Internet, and the pools behind it.

    Internet 198.51.100.0/24       "client" .10 to .19; the firewall's .1, and .41 .42 which it sends on
        |
    "fw": its DNAT makes 198.51.100.41 the address 203.0.113.41 in the perimeter, and .42 likewise
        |
    Perimeter 203.0.113.0/24       Steelyard's eth0 .1, its services .41 and .42; the firewall's .254
        |
    Steelyard
        |
    Farm 192.168.1.0/24            Steelyard's eth1 .43, its services .44 and more; host "farm": Front Ends .41 .42,
                                   Directors .61 .62; "user" .200 to .209, who goes out through the firewall's .254,
                                   where all of them look like one client

A pool's server has two web sites, as IIS has on a Front End and on a Director: the internal one on 80 and 443, the
external one on 8080 and 4443. An answer says which one gave it, in the header X-Site.
"""

from __future__ import annotations

import asyncio
import ctypes
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import h11
from tests.scenarios.bed import Bed
from tests.support.certificates import authority, leaf
from tests.support.clients import Reply
from tests.support.listener import Listener
from tests.support.namespaces import Namespace
from tests.support.origin import Origin, Seen

ROOT = authority()
#: the names of the white paper's table of published names, and whose they are
PUBLISHED = {
    "lyncweb.example.com": "fe",
    "dirweb.example.com": "dir",
    "lyncdiscover.example.com": "dir",
    "meet.example.com": "dir",
    "dialin.example.com": "dir",
    "scheduler.example.com": "dir",
}
PUBLIC = leaf(*PUBLISHED, issuer=ROOT, kind="ec")

WEB, SIP = "198.51.100.41", "198.51.100.42"
#: what the firewall makes of them
WEB_INSIDE, SIP_INSIDE = "203.0.113.41", "203.0.113.42"
INTERNAL, DIRECTORS = "192.168.1.44", "192.168.1.45"
FRONT_ENDS = {"fe1": "192.168.1.41", "fe2": "192.168.1.42"}
DIRECTOR_POOL = {"dir1": "192.168.1.61", "dir2": "192.168.1.62"}
CLIENTS = [f"198.51.100.{number}" for number in range(10, 20)]
USERS = [f"192.168.1.{number}" for number in range(200, 210)]

_CLONE_NEWNS = 0x00020000
_SITES = {80: "internal", 443: "internal", 444: "internal", 8080: "external", 4443: "external"}

_WITH_TLS = (443, 444, 4443)


class WebSite(Origin):
    """One port of a web site. Lync's own answers: mobility is offered by the external site alone; the address book's
    handler asks over TLS who one is and refuses plain text; tickets are given to whom they are for.
    """

    def __init__(self, name: str, address: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(name, address=address, port=port, tls=tls)
        self.redirects: dict[str, str] = {}
        self.extra_headers = [("X-Site", _SITES[port])]
        self.statuses = {"/abs/handler": 403 if tls is None else 401}
        if _SITES[port] == "internal":
            self.statuses |= {"/Mcx": 404, "/mcx": 404}

    def _response(self, connection: h11.Connection, request: h11.Request, seen: Seen) -> bytes:
        who = seen.header("authorization")
        self.set_cookies = [] if who is None else [f"ticket={who.removeprefix('Bearer ')}; Secure; HttpOnly"]
        if seen.path in self.redirects:
            headers = [("X-Origin", self.name), ("Location", self.redirects[seen.path]), ("Content-Length", "0")]
            wire = connection.send(h11.Response(status_code=302, headers=headers)) or b""
            return wire + (connection.send(h11.EndOfMessage()) or b"")
        return super()._response(connection, request, seen)


class SipServer(Listener):
    """SIP over TLS: answers 200 with every header of the request, and remembers the bytes it got."""

    def __init__(self, name: str, address: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.got: list[bytes] = []
        super().__init__(name, address, port, tls)

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while message := await reader.readuntil(b"\r\n\r\n"):
            self.got.append(message)
            headers = message.split(b"\r\n", 1)[1]
            writer.write(b"SIP/2.0 200 OK\r\nServer: " + self.name.encode() + b"\r\n" + headers)
            await writer.drain()


class PoolServer:
    """A Front End or a Director: its web sites and its SIP server."""

    def __init__(self, bed: Bed, host: Namespace, name: str, address: str) -> None:
        self.name, self.address = name, address
        self.certified = leaf(f"{name}.example.com", issuer=ROOT, kind="ec")
        self.sites: dict[int, WebSite] = {
            port: bed.listen(
                host,
                WebSite,
                name,
                address,
                port,
                self.certified.server_context() if port % 1000 in (443, 444) else None,
            )
            for port in _SITES
        }
        self.sip: SipServer = bed.listen(host, SipServer, name, address, 5061, self.certified.server_context())

    @property
    def web_requests(self) -> int:
        """Requests of users that any of its web sites got."""
        return sum(
            1 for site in self.sites.values() for seen in site.requests if seen.path not in ("/abs/handler", CHECKED)
        )

    def clear(self) -> None:
        for site in self.sites.values():
            site.clear()

    def fail(self) -> None:
        """No web site and no SIP any more."""
        for one in (*self.sites.values(), self.sip):
            one.refuse(cut=True)

    def recover(self) -> None:
        for one in (*self.sites.values(), self.sip):
            one.resume()


#: what checks of the plain sites ask for
CHECKED = "/meet/blank.html"


def with_names_of_its_own(bed: Bed) -> None:
    """Start Steelyard with a hosts file of its own: it writes that file, and this machine's has to stay as it is.

    A thread of this process steps into a mount namespace of its own; what it starts stays there.
    """
    failures: list[BaseException] = []

    def start() -> None:
        try:
            if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS) != 0:
                raise OSError(ctypes.get_errno(), "unshare")
            with tempfile.TemporaryDirectory(prefix="sy-etc") as directory:
                subprocess.run(["mount", "--make-rprivate", "/"], check=True)
                # without a name server a name that nobody knows is refused at once
                for name, text in (("hosts", "127.0.0.1 localhost\n"), ("resolv.conf", "")):
                    file = Path(directory, name)
                    file.write_text(text)
                    subprocess.run(["mount", "--bind", str(file), f"/etc/{name}"], check=True)
            bed.start()
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def publishing(bed: Bed, start: Callable[[Bed], object] = Bed.start) -> dict[str, PoolServer]:
    """Make the network and the pools, start Steelyard, and import the public certificate as "public"."""
    bed.side("internet")
    bed.side("perimeter", "203.0.113.1/24")
    bed.side("farm", "192.168.1.43/24")
    bed.host("client", internet=[f"{one}/24" for one in CLIENTS], gateway="198.51.100.1")
    fw = bed.host(
        "fw",
        forwards=True,
        internet=["198.51.100.1/24", f"{WEB}/32", f"{SIP}/32"],
        perimeter="203.0.113.254/24",
        farm="192.168.1.254/24",
    )
    fw.run(
        "nft",
        "add table ip nat;"
        "add chain ip nat before { type nat hook prerouting priority -100; };"
        f"add rule ip nat before ip daddr {WEB} dnat to {WEB_INSIDE};"
        f"add rule ip nat before ip daddr {SIP} dnat to {SIP_INSIDE};"
        "add chain ip nat after { type nat hook postrouting priority 100; };"
        "add rule ip nat after ip saddr 192.168.1.0/24 oifname { eth0, eth1 } masquerade;",
    )
    farm = bed.host("farm", farm=[f"{one}/24" for one in (FRONT_ENDS | DIRECTOR_POOL).values()], gateway="192.168.1.43")
    bed.host("user", farm=[f"{one}/24" for one in USERS], gateway="192.168.1.254")
    bed.lb.ip("route add default via 203.0.113.254")
    pools = {name: PoolServer(bed, farm, name, address) for name, address in (FRONT_ENDS | DIRECTOR_POOL).items()}
    start(bed)
    bed.native("POST", "/certificates", {"name": "public", "pem": PUBLIC.bundle().decode()})
    return pools


def use_template(
    bed: Bed, name: str, address: str, *, servers: Iterable[str] = (), certificates: Iterable[str] = ()
) -> None:
    """Make the services of a template."""
    chosen = {"address": address, "servers": list(servers), "certificates": list(certificates)}
    bed.native("POST", f"/templates/{name}/services?wait=true", chosen)


def add_together(bed: Bed, *services: Mapping[str, Any]) -> dict[str, int]:
    """Make services by one change; the indices by name.

    Each has a "name", and either "servers" or "server", an address or several, with "server_port" where that is not
    the service's own.
    """

    def settings(one: Mapping[str, Any]) -> dict[str, Any]:
        given = {"service_type": "gen", "check_type": "none"} | dict(one)
        if "server" in given:
            wanted, port = given.pop("server"), given.pop("server_port", given["port"])
            addresses = [wanted] if isinstance(wanted, str) else list(wanted)
            given["servers"] = [{"address": address, "port": port} for address in addresses]
        return given

    adding = [{"op": "add-service", "settings": settings(one)} for one in services]
    bed.native("POST", "/batch?wait=true", {"commands": adding})
    return {one["name"]: bed.named(one["name"]) for one in services}


def trusting() -> ssl.SSLContext:
    """What a careful client has: the chain is verified, and the name."""
    context = ssl.create_default_context()
    context.load_verify_locations(cadata=ROOT.pem.decode())
    return context


def browse(
    bed: Bed,
    host: str,
    url: str,
    *,
    at: str | Mapping[str, str],
    port: int | None = None,
    strict: bool = False,
    **more: Any,
) -> Reply:
    """One request from a host of the bed. `at` is the address the name of the URL stands for, or a table of such."""
    parts = urlsplit(url)
    address = at if isinstance(at, str) else at[parts.hostname or ""]
    to = (address, port or (443 if parts.scheme == "https" else 80))
    if strict:
        more["context"] = trusting()
    return bed.fetch(bed.lab.hosts[host], url, connect_to=to, **more)
