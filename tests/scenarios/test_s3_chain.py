"""Two balancers in series: the outer one publishes, the inner one in the next zone has the pools.

    "client" 203.0.113.10 ...  --  outer 203.0.113.1 | 10.1.0.1  --  inner 10.1.0.2 | 192.168.1.43  --  "farm"

The outer service, 203.0.113.41:443, has one real server: the inner service, 10.1.0.44:4443. That has two Front Ends.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.scenarios.bed import Bed, wait_until
from tests.scenarios.publishing import FRONT_ENDS, ROOT, PoolServer, add_together, browse
from tests.support.certificates import leaf
from tests.support.clients import Connection, Reply

pytestmark = [pytest.mark.network, pytest.mark.needs("ip", "nft", "net_admin", "haproxy")]

OUTER, INNER, INSIDE = "203.0.113.41", "10.1.0.44", "192.168.1.50"
CLIENTS = [f"203.0.113.{number}" for number in range(10, 20)]
CERTIFICATES = {
    domain: leaf(f"lyncweb.{domain}", f"meet.{domain}", issuer=ROOT, kind="ec")
    for domain in ("example.com", "contoso.de")
}
PROXIED = {
    "service_type": "http",
    "ssl_acceleration": True,
    "ssl_reencrypt": True,
    "certificates": list(CERTIFICATES),
    "check_type": "https",
    "check_url": "/abs/handler",
    "add_via": 1,
}


class Chain:
    """Both balancers and the Front Ends behind the second."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.outer = stack.enter_context(Bed())
        self.outer.side("outside", "203.0.113.1/24")
        self.outer.side("between", "10.1.0.1/24")
        self.inner = stack.enter_context(Bed(beside=self.outer, role="inner"))
        self.inner.plug(self.inner.lb, "between", "10.1.0.2/24")
        self.inner.side("farm", "192.168.1.43/24")
        self.outer.host("client", outside=[f"{one}/24" for one in CLIENTS], gateway="203.0.113.1")
        self.outer.host("partner", between="10.1.0.200/24")
        farm = self.inner.host("farm", farm=[f"{one}/24" for one in FRONT_ENDS.values()], gateway="192.168.1.43")
        self.inner.host("user", farm="192.168.1.200/24", gateway="192.168.1.43")
        self.servers = [PoolServer(self.inner, farm, name, address) for name, address in FRONT_ENDS.items()]
        with ThreadPoolExecutor() as both:
            list(both.map(Bed.start, (self.outer, self.inner)))
        for bed in (self.outer, self.inner):
            for domain, certified in CERTIFICATES.items():
                bed.native("POST", "/certificates", {"name": domain, "pem": certified.bundle().decode()})
        #: names the certificate to the Front Ends that it showed to the outer balancer
        told = {"pass_cipher": True, "require_sni": True}
        proxied = {"name": "second", "address": INNER, "port": 4443, **PROXIED, **told}
        plain = {"name": "inside", "address": INSIDE, "port": 443}
        made = add_together(self.inner, *(one | {"server": FRONT_ENDS.values()} for one in (proxied, plain)))
        self.second = made["second"]
        self.inner.wait_for(self.second, "Up")
        # the check has to name what the second hop has a certificate for
        named = {"pass_sni": True, "check_host": "lyncweb.example.com"}
        self.first = self.outer.add(OUTER, 443, name="first", server=INNER, server_port=4443, **PROXIED, **named)
        self.outer.wait_for(self.first, "Up")

    def ask(self, name: str = "lyncweb.example.com", path: str = "/", **more: Any) -> Reply:
        return browse(self.outer, "client", f"https://{name}{path}", at=OUTER, strict=True, **more)


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with contextlib.ExitStack() as stack:
        yield Chain(stack)


@pytest.mark.requirement("S3-24", "S3-25")
def test_s3_24_25_two_proxies_in_series_pass_requests_and_the_clients_address(chain: Chain) -> None:
    reply = chain.ask(path="/Scheduler?a=%2F", source=CLIENTS[3])
    assert (reply.status, reply.json["tls"], reply.json["local"][1]) == (200, True, 4443)
    assert (reply.json["url"], reply.seen_headers["host"]) == ("/Scheduler?a=%2F", ["lyncweb.example.com"])
    assert reply.seen_headers["x-forwarded-for"] == [f"{CLIENTS[3]}, 10.1.0.1"]


@pytest.mark.requirement("S3-26")
def test_s3_26_the_second_hop_is_asked_for_the_name_and_shows_its_certificate(chain: Chain) -> None:
    for domain, certified in CERTIFICATES.items():
        reply = chain.ask(f"meet.{domain}")
        assert reply.fingerprint == certified.fingerprint
        seen = reply.seen_headers
        assert seen["x-ssl-snihost"] == [f"meet.{domain}"]
        assert int(seen["x-ssl-serialid"][0], 16) == certified.serial


@pytest.mark.requirement("S3-27")
def test_s3_27_behind_a_proxy_a_cookie_spreads_clients_and_the_address_does_not(chain: Chain) -> None:
    chain.inner.change(chain.second, persistence="src", schedule="rr")
    assert len({chain.ask(source=source).name for source in CLIENTS}) == 1
    chain.inner.change(chain.second, persistence="active-cookie", cookie="MS-WSMAN")
    clients = {source: chain.ask(source=source) for source in CLIENTS}
    # the outer balancer's checks are requests too, and take their turns: it may need some more clients
    more = [reply.name for reply in clients.values()]
    while len(set(more)) < 2 and len(more) < 40:
        more.append(chain.ask().name)
    assert set(more) == set(FRONT_ENDS)
    for source, first in clients.items():
        again = [chain.ask(source=source, cookies=first.cookies).name for _ in range(3)]
        assert set(again) == {first.name}
    # the first proxy may send requests of several clients over one connection
    with contextlib.ExitStack() as stack, chain.outer.lab.hosts["client"].inside():
        open_ones = [
            (first, stack.enter_context(Connection(OUTER, 443, tls=True, sni="lyncweb.example.com", source=source)))
            for source, first in clients.items()
        ]
        for _ in range(5):
            for first, connection in open_ones:
                assert connection.request("/", cookies=first.cookies).name == first.name


@pytest.mark.requirement("S3-28")
def test_s3_28_the_inner_zone_is_reached_from_both_of_its_networks(chain: Chain) -> None:
    for host, at, port in (("user", INSIDE, 443), ("partner", INNER, 4443), ("client", OUTER, 443)):
        bed = chain.inner if host == "user" else chain.outer
        assert browse(bed, host, "https://lyncweb.example.com/", at=at, port=port).name in FRONT_ENDS


@pytest.mark.requirement("S3-30")
def test_s3_30_administrators_of_one_zone_have_no_say_in_another(chain: Chain) -> None:
    zones = {"outer": chain.outer, "inner": chain.inner}
    for zone, bed in zones.items():
        user = {"name": f"{zone}-admin", "password": f"secret of {zone} 1", "permissions": ["vs"]}
        bed.native("POST", "/users", user)
    for zone, bed in zones.items():
        assert bed.steelyard is not None
        service = f"{bed.steelyard.url}/api/v1/virtual-services/{chain.first if zone == 'outer' else chain.second}"
        for other in zones:
            with bed.lb.inside(), httpx.Client(verify=False, trust_env=False) as client:
                client.auth = (f"{other}-admin", f"secret of {other} 1")
                status = client.patch(service, json={"idle_time": 700}).status_code
                assert status == (200 if other == zone else 401)
                if other == zone:
                    # and at home only as far as the permissions go
                    refused = client.post(f"{bed.steelyard.url}/api/v1/users", json=user | {"name": "more"})
                    assert refused.status_code == 403
                    assert "permission" in refused.text


@pytest.mark.requirement("S3-29")
def test_s3_29_a_pool_that_fails_is_seen_by_both_balancers(chain: Chain) -> None:
    for server in chain.servers:
        server.fail()
    try:
        chain.inner.wait_for(chain.second, "Down")
        chain.outer.wait_for(chain.first, "Down")
        assert chain.outer.servers(chain.first) == {f"{INNER}:4443": "Down"}
        assert chain.ask().status == 503
    finally:
        for server in chain.servers:
            server.recover()
    chain.outer.wait_for(chain.first, "Up")
    wait_until(lambda: chain.ask().status == 200, 5)
