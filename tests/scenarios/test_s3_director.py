"""A Director pool in front of Front End pools: its own services, names published to it, pools told apart by host."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from tests.scenarios.bed import Bed, wait_until
from tests.scenarios.publishing import (
    CLIENTS,
    DIRECTOR_POOL,
    DIRECTORS,
    FRONT_ENDS,
    PUBLISHED,
    ROOT,
    SIP,
    SIP_INSIDE,
    WEB,
    WEB_INSIDE,
    PoolServer,
    add_together,
    browse,
    publishing,
    trusting,
    use_template,
)
from tests.support.certificates import leaf
from tests.support.clients import Reply
from tests.support.tls_client import tls_hello_fetch

pytestmark = [pytest.mark.network, pytest.mark.needs("ip", "nft", "net_admin", "haproxy")]

#: more SIP domains than one, of two other regions; each region's web services are a pool of its own
REGIONS = {"contoso.de": "fe1", "fabrikam.us": "fe2"}
SIMPLE = ("meet", "dialin", "lyncdiscover")
DOMAINS = ("example.com", *REGIONS)
#: addresses that the pools of the regions have to themselves
OWN = {"fe1": "192.168.1.46", "fe2": "192.168.1.47"}

TO_POOL = {
    "fe": {"fe1", "fe2"},
    "dir": {"dir1", "dir2"},
}


def every_name() -> dict[str, set[str]]:
    """Each published name with the servers it is for."""
    found = {name: TO_POOL[pool] for name, pool in PUBLISHED.items()}
    found |= {f"{name}.{domain}": TO_POOL["dir"] for domain in REGIONS for name in SIMPLE}
    found |= {f"lyncweb.{domain}": {server} for domain, server in REGIONS.items()}
    return found


class Published:
    """One published address; content rules by host tell the Director pool and the Front End pools apart."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        self.servers = publishing(bed)
        use_template(bed, "Lync Director 2013 HLB", DIRECTORS, servers=DIRECTOR_POOL.values())
        names = ["public"]
        for domain in REGIONS:
            certified = leaf(*(f"{name}.{domain}" for name in (*SIMPLE, "lyncweb")), issuer=ROOT, kind="ec")
            names.append(domain)
            bed.native("POST", "/certificates", {"name": domain, "pem": certified.bundle().decode()})
        for name in every_name():
            escaped = name.replace(".", r"\.")
            bed.native("POST", "/rules", {"name": f"for-{name}", "header": "Host", "pattern": f"^{escaped}$"})
        esp = {
            "name": "ESPforLYNC",
            "address": WEB_INSIDE,
            "port": 443,
            "service_type": "http",
            "ssl_acceleration": True,
            "ssl_reencrypt": True,
            "certificates": names,
            "schedule": "lc",
            "idle_time": 1800,
            "check_type": "https",
            "check_url": "/abs/handler",
            "esp_enabled": True,
            "allowed_hosts": " ".join(every_name()),
            "allowed_directories": "/*",
            "servers": [
                {"address": server.address, "port": 4443, "rules": self._rules(server)}
                for server in self.servers.values()
            ],
        }
        least = {"address": SIP_INSIDE, "server": FRONT_ENDS["fe1"], "check_type": "tcp"}
        self.made = add_together(
            bed,
            esp,
            {"name": "Access Edge", "port": 5061, **least},
            {"name": "Proxy", "port": 443, "server_port": 4443, **least},
            *({"name": one, "address": OWN[one], "port": 443, "server": FRONT_ENDS[one]} for one in OWN),
        )
        self.index = self.made["ESPforLYNC"]
        # Lync services without checks are Unchecked
        wait_until(lambda: set(bed.statuses().values()) <= {"Up", "Unchecked"}, 15)

    def _rules(self, server: PoolServer) -> list[str]:
        return [f"for-{name}" for name, pool in every_name().items() if server.name in pool]

    def ask(self, name: str, path: str = "/", **more: Any) -> Reply:
        return browse(self.bed, "client", f"https://{name}{path}", at=WEB, strict=True, **more)

    def clear(self) -> None:
        for server in self.servers.values():
            server.clear()

    def requests(self, names: Mapping[str, str]) -> int:
        return sum(self.servers[name].web_requests for name in names)


@pytest.fixture(scope="module")
def published() -> Iterator[Published]:
    with Bed() as bed:
        yield Published(bed)


@pytest.mark.requirement("S3-19")
def test_s3_19_the_director_pool_has_services_of_its_own(published: Published) -> None:
    bed = published.bed
    rows = {
        one["name"]: (one["port"], one["extra_ports"])
        for one in bed.native("GET", "/virtual-services")
        if one["address"] == DIRECTORS
    }
    assert rows == {
        "Lync Director SIP": (5061, []),
        "Lync Director WebSvc HTTPS": (443, ["444"]),
        "Lync Director WebSvc HTTP": (80, ["8080"]),
    }
    # simple URLs that are published through Directors, and their reverse proxy, want 4443 too
    bed.change(bed.named("Lync Director WebSvc HTTPS"), extra_ports=["444", "4443"])
    for scheme, port in (("http", 80), ("https", 443), ("https", 444), ("https", 4443), ("http", 8080)):
        reply = browse(bed, "user", f"{scheme}://dirpool.example.com/", at=DIRECTORS, port=port)
        assert reply.name in DIRECTOR_POOL and reply.json["local"][1] == port


@pytest.mark.requirement("S3-23")
def test_s3_23_the_next_hop_of_the_edge_is_the_director_pool(published: Published) -> None:
    bed = published.bed
    edge = bed.host("edge1", perimeter="203.0.113.11/24", gateway="203.0.113.1")
    with edge.inside():
        shown = tls_hello_fetch(DIRECTORS, 5061, context=None)
    assert shown.fingerprint in {published.servers[name].certified.fingerprint for name in DIRECTOR_POOL}


@pytest.mark.requirement("S3-20", "S3-57")
def test_s3_20_57_every_published_name_reaches_its_pool_by_one_listener(published: Published) -> None:
    for name, pool in PUBLISHED.items():
        # paths are published as a whole, the chain and the name of the certificate are right
        for path in ("/", "/any/path/at/all?x=1"):
            reply = published.ask(name, path)
            assert (reply.status, reply.name in TO_POOL[pool]) == (200, True), name
            assert (reply.header("x-site"), reply.json["url"]) == ("external", path)
            assert reply.seen_headers["host"] == [name]


@pytest.mark.requirement("S3-21")
def test_s3_21_front_end_web_services_never_go_through_a_director(published: Published) -> None:
    published.clear()
    for number in range(20):
        host = ("lyncweb.example.com", "LYNCWEB.example.com:443")[number % 2]
        browse(published.bed, "client", "https://lyncweb.example.com/", at=WEB, headers={"Host": host})
    assert published.requests(DIRECTOR_POOL) == 0
    assert published.requests(FRONT_ENDS) == 20


@pytest.mark.requirement("S3-31")
def test_s3_31_pools_of_several_regions_are_told_apart_by_host(published: Published) -> None:
    for domain, server in REGIONS.items():
        assert {published.ask(f"lyncweb.{domain}").name for _ in range(4)} == {server}
    # and each pool may have an address of its own as well
    bed = published.bed
    assert {server: browse(bed, "user", "https://pool/", at=OWN[server]).name for server in OWN} == {
        "fe1": "fe1",
        "fe2": "fe2",
    }


@pytest.mark.requirement("S3-33")
def test_s3_33_several_sip_domains_have_their_names_and_certificates(published: Published) -> None:
    for domain in DOMAINS:
        for name in SIMPLE:
            # `ask` verifies the chain and the name
            reply = published.ask(f"{name}.{domain}")
            assert (reply.status, reply.name in TO_POOL["dir"]) == (200, True)
    assert published.bed.native("GET", f"/virtual-services/{published.index}")["certificates"] == ["public", *REGIONS]


@pytest.mark.requirement("S3-32")
def test_s3_32_one_real_server_is_enough(published: Published) -> None:
    bed = published.bed
    for name in ("Access Edge", "Proxy"):
        assert bed.statuses()[name] == "Up"
        assert len(bed.servers(published.made[name])) == 1
    assert browse(bed, "client", "https://lyncweb.example.com/", at=SIP).name == "fe1"
    with bed.lab.hosts["client"].inside():
        assert tls_hello_fetch(SIP, 5061).fingerprint == published.servers["fe1"].certified.fingerprint


@pytest.mark.requirement("S3-58")
def test_s3_58_the_table_of_names_listeners_and_pools_can_be_had(published: Published) -> None:
    bed = published.bed
    exported = bed.native("GET", "/configuration")
    patterns = {rule["name"]: rule["pattern"] for rule in exported["rules"]}
    (service,) = (one for one in exported["services"] if one["name"] == "ESPforLYNC")
    assert (service["address"], service["port"]) == (WEB_INSIDE, 443)
    names = {address: name for name, address in (FRONT_ENDS | DIRECTOR_POOL).items()}
    table: dict[str, set[str]] = {}
    for server in service["servers"]:
        for rule in server["rules"]:
            host = patterns[rule].strip("^$").replace("\\", "")
            table.setdefault(host, set()).add(names[server["address"]])
    assert table == every_name()
    # and for one name, in words, the way of a request
    asked = {"url": "https://lyncweb.contoso.de/", "service": published.index, "client": CLIENTS[0]}
    said = str(bed.native("POST", "/explain", asked))
    assert "for-lyncweb.contoso.de" in said and FRONT_ENDS["fe1"] in said and DIRECTOR_POOL["dir1"] not in said


@pytest.mark.requirement("S3-22")
def test_s3_22_a_flood_ends_at_the_balancer_and_never_reaches_the_front_ends(published: Published) -> None:
    bed = published.bed
    bed.change(published.index, connections_per_second=20)
    published.clear()
    context = trusting()
    context.check_hostname = False
    ends: Counter[str] = Counter()
    with bed.lab.hosts["client"].inside():
        for number in range(120):
            try:
                with (
                    socket.create_connection((WEB, 443), 5, source_address=(CLIENTS[number % 10], 0)) as plain,
                    context.wrap_socket(plain, server_hostname="meet.example.com") as secure,
                ):
                    # half of them invalid, half for a meeting that does not exist
                    line = b"\x00garbage / \r\n" if number % 2 else b"GET /meet/none HTTP/1.1\r\nHost: meet."
                    secure.sendall(line + (b"\r\n" if number % 2 else b"example.com\r\n\r\n"))
                    ends[secure.recv(100)[9:12].decode() or "closed"] += 1
            except OSError:
                ends["refused"] += 1
    assert ends["refused"] + ends["closed"] > 20 and ends["400"] > 0
    assert published.requests(FRONT_ENDS) == 0
    assert published.requests(DIRECTOR_POOL) == ends["200"]
