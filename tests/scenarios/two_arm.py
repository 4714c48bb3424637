"""A Front End pool and an Office Web Apps farm behind a balancer with two arms, made of templates.

    Internet 198.51.100.0/24       "cli-ext" .10; the firewall's .1, .41 and .42, which it sends on
        |
    "fw": its DNAT makes 198.51.100.41:443 the perimeter's 203.0.113.41:4443, and .41:80 and .42 likewise;
        |    packets for the offices are lost there and counted
    Perimeter 203.0.113.0/24       Steelyard's eth0 .1, its services .41 (web) and .42 (Office Web Apps); the firewall's
        |                          .254, which is its only default gateway
    Steelyard
        |
    Farm 192.168.1.0/24            Steelyard's eth1 .43, its service .44 (pool); Front Ends .41 .42 .40, Office Web Apps
        |                          .46 .47, "cli-int" .200
    "router" .254
        |
    Offices 10.20.0.0/24           "cli-corp" .50

A Front End has two web sites: the internal one on 80 and 443, the external one on 8080 and 4443.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Mapping
from typing import Any

from tests.scenarios.bed import Bed, wait_until
from tests.support.certificates import authority, leaf
from tests.support.clients import Reply
from tests.support.namespaces import Namespace
from tests.support.origin import Origin, Seen
from tests.support.tcp_origin import TcpOrigin

ROOT = authority("Two Arm Root")
MIDDLE = authority("Two Arm Issuing", issuer=ROOT)
#: one certificate for every name that is published; its file holds the key, the intermediate comes by itself
PUBLIC = leaf(
    "lyncweb.example.com",
    "meet.example.com",
    "dialin.example.com",
    "lyncdiscover.example.com",
    "wac.example.com",
    issuer=MIDDLE,
    kind="ec",
)
INSIDE = leaf("pool.example.com", "lyncwebint.example.com", issuer=ROOT, kind="ec")

#: what the Internet knows, and what the firewall makes of it
WEB_PUBLIC, OFFICE_PUBLIC = "198.51.100.41", "198.51.100.42"
WEB, OFFICE, POOL = "203.0.113.41", "203.0.113.42", "192.168.1.44"
#: where clients outside reach which name
NAMES = {
    "lyncweb.example.com": WEB_PUBLIC,
    "meet.example.com": WEB_PUBLIC,
    "dialin.example.com": WEB_PUBLIC,
    "lyncdiscover.example.com": WEB_PUBLIC,
    "wac.example.com": OFFICE_PUBLIC,
    "lyncwebint.example.com": POOL,
}
FRONT_ENDS = {"fe1": "192.168.1.41", "fe2": "192.168.1.42", "fe3": "192.168.1.40"}
OFFICE_SERVERS = {"owa1": "192.168.1.46", "owa2": "192.168.1.47"}
ROUTER, OFFICES = "192.168.1.254", "10.20.0.0/24"
INTERNAL_SERVICES = (
    "Lync Internal WebSvc HTTP",
    "Lync Internal WebSvc HTTPS HLB Only",
    "Lync Internal Front-End DCOM",
    "Lync Internal Front-End SIP",
)
SERVICES = (*INTERNAL_SERVICES, "Lync Reverse Proxy HTTPS", "Office Web App Servers")

_DISCOVERY = b'<?xml version="1.0" encoding="utf-8"?><wopi-discovery/>'
_AUTODISCOVER = b'{"_links": {"user": {"href": "https://lyncweb.example.com/Autodiscover"}}}'


class WebSite(Origin):
    """A web site of a Front End, or Office Web Apps: two documents of their own, and a check that asks who one is.

    Requests for /hold are answered when it is `released`.
    """

    def __init__(self, name: str, address: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.held = 0
        self.released = False
        super().__init__(name, address=address, port=port, tls=tls)
        # plain text is refused there, which is why checks of port 80 ask for another page
        self.statuses = {"/abs/handler": 403 if tls is None else 401}

    async def _pause(self, seen: Seen) -> None:
        if seen.path != "/hold":
            return await super()._pause(seen)
        self.held += 1
        while not self.released:  # noqa: ASYNC110 - it is released by another thread
            await asyncio.sleep(0.02)
        self.held -= 1

    def _body(self, seen: Seen) -> tuple[str, bytes]:
        if seen.path.rstrip("/") == "/hosting/discovery":
            return "text/xml", _DISCOVERY
        if (seen.header("host") or "").startswith("lyncdiscover."):
            return "application/json", _AUTODISCOVER
        return super()._body(seen)


class TwoArm(Bed):
    """The network with its servers; `build` makes the configuration and counts what it takes."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.sites: dict[tuple[str, int], WebSite] = {}
        self.signalling: dict[tuple[str, int], TcpOrigin] = {}
        self._network()
        self._servers()

    def _network(self) -> None:
        self.side("perimeter", "203.0.113.1/24")
        self.side("farm", "192.168.1.43/24")
        self.side("internet")
        self.side("offices")
        self.firewall = self.host(
            "fw",
            internet=("198.51.100.1/24", f"{WEB_PUBLIC}/32", f"{OFFICE_PUBLIC}/32"),
            perimeter="203.0.113.254/24",
            forwards=True,
        )
        self._firewall_rules()
        self.router = self.host("router", farm=f"{ROUTER}/24", offices="10.20.0.1/24", forwards=True)
        self.outside = self.host("cli-ext", internet="198.51.100.10/24", gateway="198.51.100.1")
        self.outside.ip("addr add 198.51.100.11/24 dev eth0")
        self.near = self.host("cli-int", farm="192.168.1.200/24", gateway=ROUTER)
        self.office = self.host("cli-corp", offices="10.20.0.50/24", gateway="10.20.0.1")
        self.lb.ip("route add default via 203.0.113.254")

    def _firewall_rules(self) -> None:
        rules = (
            "add table ip fw",
            "add counter ip fw strayed",
            "add chain ip fw arriving { type nat hook prerouting priority -100 ; }",
            f"add rule ip fw arriving ip daddr {WEB_PUBLIC} tcp dport 443 dnat to {WEB}:4443",
            f"add rule ip fw arriving ip daddr {WEB_PUBLIC} tcp dport 80 dnat to {WEB}",
            f"add rule ip fw arriving ip daddr {OFFICE_PUBLIC} dnat to {OFFICE}",
            "add chain ip fw straying { type filter hook prerouting priority -300 ; }",
            f"add rule ip fw straying ip daddr {OFFICES} counter name strayed drop",
        )
        for rule in rules:
            self.firewall.run("nft", rule)

    def strayed(self) -> int:
        """How many packets for the offices came to the firewall, where they are lost."""
        listed = self.firewall.run("nft", "list", "counter", "ip", "fw", "strayed").stdout
        return int(listed.split("packets")[1].split()[0])

    def _servers(self) -> None:
        tls = INSIDE.server_context()
        for role, address in FRONT_ENDS.items():
            host = self.host(role, farm=f"{address}/24", gateway=ROUTER)
            for port, site, context in (
                (80, "internal", None),
                (443, "internal", tls),
                (8080, "external", None),
                (4443, "external", tls),
            ):
                self.sites[role, port] = self.listen(host, WebSite, f"{role} {site}", address, port, context)
            for port in (135, 5061):
                self.signalling[role, port] = self.listen(host, TcpOrigin, role, address=address, port=port)
        for role, address in OFFICE_SERVERS.items():
            host = self.host(role, farm=f"{address}/24", gateway=ROUTER)
            self.sites[role, 443] = self.listen(host, WebSite, role, address, 443, tls)

    def held(self) -> int:
        """How many requests for /hold wait."""
        return sum(site.held for site in self.sites.values())

    def release(self) -> None:
        """Answer those that wait."""
        for site in self.sites.values():
            site.released = True
        wait_until(lambda: self.held() == 0)
        for site in self.sites.values():
            site.released = False

    # --- the configuration -------------------------------------------------------------------------------------------

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One counted request that has to succeed."""
        self.calls += 1
        return self.native(method, path, None if body is None else dict(body))

    def build(self) -> None:
        """Everything from nothing: global settings, certificate, three templates, gateways of services."""
        templates = "/templates/{}/services?wait=true"
        self.call("POST", "/templates/Lync Internal 2013 HLB Only/prerequisites")
        self.call("POST", "/intermediates", {"name": "issuing", "pem": MIDDLE.pem.decode()})
        data = base64.b64encode(PUBLIC.pkcs12(b"password", chain=False)).decode()
        self.call("POST", "/certificates", {"name": "public", "data": data, "password": "password"})
        front_ends = list(FRONT_ENDS.values())
        web = {"address": WEB, "port": 4443, "servers": front_ends, "certificates": ["public"]}
        self.call("POST", templates.format("Lync Reverse Proxy 2013"), web)
        pool = {"address": POOL, "servers": front_ends}
        made = self.call("POST", templates.format("Lync Internal 2013 HLB Only"), pool)
        apps = {"address": OFFICE, "servers": list(OFFICE_SERVERS.values()), "certificates": ["public"]}
        self.call("POST", templates.format("Lync Office Web Apps Server 2013"), apps)
        internal = [one["index"] for one in made["object"]["services"]]
        self.call("POST", "/batch?wait=true", gateways(internal, ROUTER))

    def browse(self, host: Namespace, url: str, **more: Any) -> Reply:
        """A request by name, as a client whose DNS knows the public names; certificates are verified."""
        name = url.split("/")[2]
        ca = more.pop("ca", ROOT)
        port = 443 if url.startswith("https") else 80
        return self.fetch(host, url, connect_to=(NAMES[name], port), ca=ca, **more)


def gateways(services: list[int], gateway: str) -> dict[str, Any]:
    """A batch that gives services a default gateway of their own."""
    changes = {"default_gateway": gateway}
    return {"commands": [{"op": "change-service", "index": index, "changes": changes} for index in services]}
