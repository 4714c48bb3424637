"""Every kind of change the API offers, on services that carry traffic and on others beside them."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.api_clients import LoadMasterClient, NativeClient
from tests.support.certificates import Certified, leaf
from tests.support.ports import free_ports
from tests.support.steelyard_process import SteelyardProcess

from bench.origins import Origins

#: the name that clients of the TLS service ask for
NAME = "bench.example"


class Scene:
    """The services that carry the loads (`plain`, `tls`, and `parent` of sub-services) and ports for others."""

    def __init__(self, steelyard: SteelyardProcess, origins: Origins) -> None:
        self.api: LoadMasterClient = steelyard.loadmaster
        self.native: NativeClient = steelyard.native
        self.origins = origins
        self.plain, self.tls, self.parent, self.other, self.copy, *self.extra = free_ports(7)
        #: index and slot of each sub-service there is
        self._subs: list[tuple[str, str]] = []
        self._certificates = 0

    def build(self) -> None:
        """The services as they are before the changes."""
        self.put_certificate("bench")
        self.put_certificate("second")
        self.api.must("addvs", {**self.at(self.plain), "VStype": "http", "CheckType": "tcp"})
        self.api.must(
            "addvs",
            {
                **self.at(self.tls),
                "VStype": "http",
                "CheckType": "tcp",
                "SSLAcceleration": "Y",
                "AllowHTTP2": "Y",
                "CertFile": "bench",
            },
        )
        for port in (self.plain, self.tls):
            for server in self.origins.plain[:2]:
                self.api.must("addrs", {**self.at(port), **self.server(server)})
        self.api.must("addvs", {**self.at(self.parent), "VStype": "http"})
        for server in self.origins.plain[:2]:
            self.add_sub_service()
            self.api.must("addrs", {"vs": self.newest_sub[0], **self.server(server)})

    def at(self, port: int) -> dict[str, object]:
        """A service as calls name it."""
        return {"vs": "127.0.0.1", "port": port, "prot": "tcp"}

    def server(self, port: int) -> dict[str, object]:
        """A real server as calls name it."""
        return {"rs": "127.0.0.1", "rsport": port}

    def put_certificate(self, name: str) -> None:
        """Import a certificate, or new content for it; every one has a key of its own."""
        self._certificates += 1
        made: Certified = leaf(NAME, kind="ec", generation=self._certificates)
        replace = int(self._certificates > 2)
        answer = self.api.call("addcert", body=made.bundle(), cert=name, replace=replace)
        if not answer.ok:
            raise RuntimeError(f"the certificate was refused: {answer.message}")

    def change(self, port: int, **settings: object) -> None:
        """Change a service."""
        self.api.must("modvs", {**self.at(port), **settings})

    def change_server(self, port: int, server: int, **settings: object) -> None:
        """Change a real server of a service."""
        self.api.must("modrs", {**self.at(port), **self.server(server), **settings})

    def number(self, port: int) -> str:
        """The index of a service."""
        return self.api.must("showvs", self.at(port)).text("Index") or ""

    def add_sub_service(self) -> None:
        """One more sub-service, without real servers."""
        answer = self.api.must("modvs", {**self.at(self.parent), "createsubvs": ""})
        found = answer.data.findall("SubVS")
        self._subs = [(sub.findtext("VSIndex", ""), f"!{sub.findtext('RsIndex')}") for sub in found]

    @property
    def newest_sub(self) -> tuple[str, str]:
        """Index and slot of the sub-service made last."""
        return self._subs[-1]

    def change_slot(self, **settings: object) -> None:
        """Change the slot of the sub-service made last."""
        self.api.must("modrs", {**self.at(self.parent), "rs": self.newest_sub[1], **settings})

    def sub_rule(self, command: str, number: int, rule: str) -> None:
        """Attach a rule to the slot of a sub-service, or detach it."""
        self.api.must(command, {**self.at(self.parent), "rs": self._subs[number][1], "rule": rule})


#: one change, through the API
Step = Callable[[Scene], object]


#: kind -> a change, or a change with its opposite; each step counts as one change
KINDS: dict[str, tuple[Step, ...]] = {
    "weight of a real server": (
        lambda s: s.change_server(s.plain, s.origins.plain[0], Weight=500),
        lambda s: s.change_server(s.plain, s.origins.plain[0], Weight=1000),
    ),
    "real server disabled, enabled": (
        lambda s: s.change_server(s.plain, s.origins.plain[0], Enable="N"),
        lambda s: s.change_server(s.plain, s.origins.plain[0], Enable="Y"),
    ),
    "address disabled on TLS service, enabled": (
        lambda s: s.change_server(s.tls, s.origins.plain[1], Enable="N"),
        lambda s: s.change_server(s.tls, s.origins.plain[1], Enable="Y"),
    ),
    "real server added, removed": (
        lambda s: s.api.must("addrs", {**s.at(s.plain), **s.server(s.origins.plain[2])}),
        lambda s: s.api.must("delrs", {**s.at(s.plain), **s.server(s.origins.plain[2])}),
    ),
    "real server added to TLS service, removed": (
        lambda s: s.api.must("addrs", {**s.at(s.tls), **s.server(s.origins.plain[2])}),
        lambda s: s.api.must("delrs", {**s.at(s.tls), **s.server(s.origins.plain[2])}),
    ),
    "port of a real server": (
        lambda s: s.change_server(s.plain, s.origins.plain[1], newport=s.origins.plain[2]),
        lambda s: s.change_server(s.plain, s.origins.plain[2], newport=s.origins.plain[1]),
    ),
    "connection limit of a real server": (
        lambda s: s.change_server(s.plain, s.origins.plain[0], Limit=5000),
        lambda s: s.change_server(s.plain, s.origins.plain[0], Limit=0),
    ),
    "scheduling": (lambda s: s.change(s.plain, Schedule="lc"), lambda s: s.change(s.plain, Schedule="rr")),
    "weighted scheduling on TLS service": (
        lambda s: s.change(s.tls, Schedule="wlc"),
        lambda s: s.change(s.tls, Schedule="rr"),
    ),
    "source persistence": (
        lambda s: s.change(s.plain, Persist="src", PersistTimeout=360),
        lambda s: s.change(s.plain, Persist="none"),
    ),
    "cookie persistence on TLS service": (
        lambda s: s.change(s.tls, Persist="active-cookie"),
        lambda s: s.change(s.tls, Persist="none"),
    ),
    "idle time": (lambda s: s.change(s.plain, Idletime=300), lambda s: s.change(s.plain, Idletime=660)),
    "client headers": (lambda s: s.change(s.plain, AddVia=1), lambda s: s.change(s.plain, AddVia=0)),
    "name": (lambda s: s.change(s.plain, NickName="bench"), lambda s: s.change(s.plain, NickName="")),
    "extra ports": (
        lambda s: s.change(s.plain, ExtraPorts=str(s.extra[0])),
        lambda s: s.change(s.plain, ExtraPorts=""),
    ),
    "check": (
        lambda s: s.change(s.plain, CheckType="http", CheckUrl="/"),
        lambda s: s.change(s.plain, CheckType="tcp"),
    ),
    "certificate content": (lambda s: s.put_certificate("bench"),),
    "second certificate by SNI": (
        lambda s: s.change(s.tls, CertFile="bench second"),
        lambda s: s.change(s.tls, CertFile="bench"),
    ),
    "TLS versions": (lambda s: s.change(s.tls, TlsType=15), lambda s: s.change(s.tls, TlsType=7)),
    "another service added, removed": (
        lambda s: s.api.must("addvs", {**s.at(s.other), "VStype": "http", "CheckType": "none"}),
        lambda s: s.api.must("delvs", s.at(s.other)),
    ),
    "service duplicated, copy disabled, removed": (
        lambda s: s.api.must("dupvs", {**s.at(s.plain), "newport": s.copy}),
        lambda s: s.change(s.copy, Enable="N"),
        lambda s: s.api.must("delvs", s.at(s.copy)),
    ),
    "check interval of all services": (
        lambda s: s.api.must("modhealth", RetryInterval=11),
        lambda s: s.api.must("modhealth", RetryInterval=9),
    ),
}
