"""A Lync pool whose web services alone are balanced: one arm, the servers' gateway is the router.

    outside 203.0.113.0/24     cli-ext .10; the router's .1, and .45 which it sends on to 192.168.1.45 (443 to 4443)
    pool 192.168.1.0/24        router .1, which answers DNS too; lb .43; fe1 .41, fe2 .42; cli-int .200 to .215

Services: 192.168.1.44, the pool's web services inside; 192.168.1.45, the external ones, which the router publishes.
The Front Ends are those of `steelyard.lab`. Steelyard has an /etc and a host name of its own: it writes both.
"""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from tests.scenarios.bed import Bed
from tests.support.certificates import authority, leaf
from tests.support.clients import Reply

from steelyard.lab.certificates import ServerCertificate
from steelyard.lab.client import Client
from steelyard.lab.laboratory import Laboratory, Server
from steelyard.lab.names import Names
from steelyard.lab.organisation import Organisation
from steelyard.lab.roles import FrontEnd

_Result = TypeVar("_Result")
_CLONE_NEWNS, _CLONE_NEWUTS = 0x00020000, 0x04000000

LB, GATEWAY = "192.168.1.43", "192.168.1.1"
WEB, EXTERNAL = "192.168.1.44", "192.168.1.45"
PUBLISHED = "203.0.113.45"
FRONT_ENDS = {"fe1": "192.168.1.41", "fe2": "192.168.1.42"}
USERS = [f"192.168.1.{last}" for last in range(200, 216)]
SERVERS = tuple(FRONT_ENDS.values())

ROOT = authority("Lync Test Root")
#: names of the pool; poolweb is the name the web services get, so that the pool's own can stay with its servers
HOSTS = ("pool", "poolweb", "lyncwebint", "lyncweb", "lyncdiscover", "meet", "dialin", "scheduler")
ORGANISATION = Organisation(root_certificate=ROOT.der)


def named(host: str) -> str:
    return ORGANISATION.name(host)


#: what the servers present, every name of the pool, and what the balancer is given: the web services' names alone
INSIDE = leaf(*map(named, (*HOSTS, "lyncdiscoverinternal")), issuer=ROOT, kind="ec")
POOL = leaf(*map(named, ("poolweb", "lyncwebint", "meet", "dialin", "scheduler")), issuer=ROOT)
PUBLIC = leaf(*map(named, ("lyncweb", "lyncdiscover", "meet", "dialin")), issuer=ROOT, kind="ec")


class OwnHost:
    """A thread in a mount and a UTS namespace of its own; what it starts has its own /etc and host name."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._etc = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="sy-etc-")))
        self._thread = self._stack.enter_context(ThreadPoolExecutor(1))
        self(self._step_in)

    def __enter__(self) -> OwnHost:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _step_in(self) -> None:
        if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS | _CLONE_NEWUTS) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        subprocess.run(["cp", "-a", "/etc/.", str(self._etc)], check=True, timeout=60)
        (self._etc / "resolv.conf").unlink(missing_ok=True)
        (self._etc / "resolv.conf").write_text("")
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        subprocess.run(["mount", "--bind", str(self._etc), "/etc"], check=True)

    def __call__(self, work: Callable[[], _Result]) -> _Result:
        """Do something there."""
        return self._thread.submit(work).result(120)

    def file(self, name: str) -> str:
        """A file of its /etc."""
        return (self._etc / name).read_text()


class WebServices(Bed):
    """The network, the Front Ends, and Steelyard with nothing configured but its network."""

    def __init__(self, *, address: str = f"{LB}/24", manage: bool = True) -> None:
        super().__init__(manage=manage)
        #: services that are there belong to a test that has ended
        self.stale = False
        self.side("pool", address)
        self.side("outside")
        self.router = self.host(
            "router", forwards=True, pool=f"{GATEWAY}/24", outside=["203.0.113.1/24", f"{PUBLISHED}/32"]
        )
        self.router.run(
            "nft",
            "add table ip nat;"
            "add chain ip nat before { type nat hook prerouting priority -100; };"
            f"add rule ip nat before ip daddr {PUBLISHED} tcp dport 443 dnat to {EXTERNAL}:4443;"
            f"add rule ip nat before ip daddr {PUBLISHED} tcp dport 80 dnat to {EXTERNAL}:8080;"
            # what comes from inside and goes inside again has to come back this way
            "add chain ip nat after { type nat hook postrouting priority 100; };"
            f"add rule ip nat after ip saddr 192.168.1.0/24 ip daddr {EXTERNAL} masquerade;",
        )
        self.outside = self.host("cli-ext", outside="203.0.113.10/24", gateway="203.0.113.1")
        self.inside = self.host("cli-int", pool=[f"{one}/24" for one in USERS], gateway=GATEWAY)
        laboratory = self.keep(Laboratory())
        self.front_ends: dict[str, Server] = {}
        for name, server in FRONT_ENDS.items():
            host = self.host(name, pool=f"{server}/24", gateway=GATEWAY)
            role = FrontEnd(name, server, ORGANISATION, ServerCertificate(INSIDE.bundle()))
            self.front_ends[name] = laboratory.start(role, inside=host.inside)
        self.own_host = self.keep(OwnHost())

    def begin(self, **options: Any) -> None:
        """Start Steelyard on its own host."""
        self.own_host(lambda: self.start(**options))

    def begin_again(self) -> None:
        self.own_host(self.restart)

    # --- who asks ----------------------------------------------------------------------------------------------------

    def names(self, *, web: str = WEB, discover: bool = True, **more: str) -> Names:
        """What names stand for inside: the pool's own for its servers, those of web services for the balancer."""
        found = {named(host): web for host in ("poolweb", "lyncwebint", "meet", "dialin", "scheduler")}
        found |= {named("pool"): FRONT_ENDS["fe1"], named("lyncweb"): PUBLISHED, named("lyncdiscover"): PUBLISHED}
        if discover:
            found[named("lyncdiscoverinternal")] = web
        return Names(found | {named(host): address for host, address in more.items()})

    def user(self, **more: Any) -> Client:
        """A user inside, with a computer."""
        settings: dict[str, Any] = {"source": USERS[0], "leave_out": frozenset({"presentation"})} | more
        names = settings.pop("names", None) or self.names()
        account = ORGANISATION.accounts[0]
        client = Client(ORGANISATION, names, account, inside=True, trust=ROOT.pem, host=self.inside.inside)
        return replace(client, **settings)

    def user_outside(self, **more: Any) -> Client:
        """A user outside with a phone in the pocket; SIP is no matter of web services."""
        found = {named(host): PUBLISHED for host in ("lyncweb", "lyncdiscover", "meet", "dialin")}
        leave_out = frozenset({"presentation", "SIP register"})
        account = ORGANISATION.accounts[1]
        client = Client(ORGANISATION, Names(found), account, trust=ROOT.pem, host=self.outside.inside)
        return replace(client, leave_out=leave_out, **more)

    def web(self, url: str, *, source: str = USERS[0], at: str = WEB, **more: Any) -> Reply:
        """One request of a user inside to a service; the name in the URL is the Host and the server name."""
        port = int(url.split("/")[2].partition(":")[2] or (443 if url.startswith("https") else 80))
        return self.fetch(self.inside, url, connect_to=(at, port), source=source, **more)

    # --- what is configured ------------------------------------------------------------------------------------------

    def service(self, name: str, address: str, port: int, **settings: Any) -> int:  # type: ignore[override]
        """A service of the Front Ends; its index."""
        return self.services({"name": name, "address": address, "port": port, **settings})[name]

    def services(self, *wanted: dict[str, Any]) -> dict[str, int]:
        """Services of the Front Ends by one change, which removes those of the test before; the indices by name."""
        gone = [one["index"] for one in self.native("GET", "/virtual-services")] if self.stale else []
        self.stale = False
        commands: list[dict[str, Any]] = [{"op": "remove-service", "index": index} for index in gone]
        commands += [{"op": "add-service", "settings": _settings(one)} for one in wanted]
        self.native("POST", "/batch?wait=true", {"commands": commands})
        return {one["name"]: self.named(one["name"]) for one in wanted}

    def web_pool(self) -> dict[str, int]:
        """The two services of the deployment, without TLS ending here."""
        common = {"address": WEB, "persistence": "src"}
        https = {"name": "FE Pool HTTPS", "port": 443, "check_type": "https", "check_url": "/abs/handler"}
        plain = {"name": "FE Pool HTTP", "port": 80, "check_type": "http", "check_url": "/meet/blank.html"}
        return self.services(common | https, common | plain)


def _settings(wanted: dict[str, Any]) -> dict[str, Any]:
    given = dict(wanted)
    port = given.pop("server_port", given["port"])
    servers = [{"address": one, "port": port} for one in SERVERS]
    return {"service_type": "gen", "check_type": "none", "servers": servers} | given


def spread(replies: list[Reply]) -> set[str]:
    """Which Front Ends answered."""
    return {str(reply.header("x-lab-server")) for reply in replies}
