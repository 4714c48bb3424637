"""How web and SIP traffic of a pool flows: external and internal sites, tickets, mobility, affinity, SIP untouched."""

from __future__ import annotations

import contextlib
import datetime
import socket
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.scenarios.bed import Bed, wait_until
from tests.scenarios.publishing import (
    CLIENTS,
    FRONT_ENDS,
    INTERNAL,
    PUBLIC,
    ROOT,
    USERS,
    WEB,
    WEB_INSIDE,
    browse,
    publishing,
    trusting,
    use_template,
)
from tests.support.clients import Connection, Reply

pytestmark = [pytest.mark.network, pytest.mark.needs("ip", "nft", "net_admin", "haproxy")]

EXTERNAL_HTTPS, EXTERNAL_HTTP = "Lync Reverse Proxy HTTPS", "Lync Reverse Proxy HTTP"
INTERNAL_HTTP, INTERNAL_HTTPS = "Lync Internal WebSvc HTTP", "Lync Internal WebSvc HTTPS HLB Only"
INTERNAL_SIP = "Lync Internal Front-End SIP"

#: what the names stand for inside: mobility and the external web services are asked for outside, through the firewall
NAMES_INSIDE = {
    "lyncdiscoverinternal.example.com": INTERNAL,
    "lyncwebint.example.com": INTERNAL,
    "lyncdiscover.example.com": WEB,
    "lyncweb.example.com": WEB,
    "mobility.example.com": WEB,
}


class Pool:
    """The bed with a Front End pool that is published and balanced inside."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        self.servers = {name: one for name, one in publishing(bed).items() if name in FRONT_ENDS}
        addresses = FRONT_ENDS.values()
        use_template(bed, "Lync Reverse Proxy 2013", WEB_INSIDE, servers=addresses, certificates=["public"])
        use_template(bed, "Lync Internal 2013 HLB Only", INTERNAL, servers=addresses)
        wait_until(lambda: set(bed.statuses().values()) == {"Up"}, 15)

    def outside(self, url: str, **more: Any) -> Reply:
        """A client on the Internet, by the published address."""
        return browse(self.bed, "client", url, at=WEB, **more)

    def inside(self, url: str, **more: Any) -> Reply:
        """A user in the company, by what the name stands for there."""
        return browse(self.bed, "user", url, at=NAMES_INSIDE, **more)

    def set(self, name: str, **settings: Any) -> int:
        """Change a service, and leave it so: what a test counts on it sets. Its index."""
        index = self.bed.named(name)
        self.bed.change(index, **settings)
        return index


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Bed() as bed:
        yield Pool(bed)


# --- what is published --------------------------------------------------------------------------------------------


def _weak(name: str) -> str:
    """A certificate of 1,024 bits with its key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return (text + made.public_bytes(serialization.Encoding.PEM)).decode()


@pytest.mark.requirement("S3-01")
def test_s3_01_a_key_of_1024_bits_is_warned_of_and_2048_are_not(pool: Pool) -> None:
    bed = pool.bed
    bed.native("POST", "/certificates", {"name": "weak", "pem": _weak("meet.example.com")})
    try:
        found = bed.native("GET", "/certificates/weak")
        text = str(found)
        assert "1024 bits" in text and "2048" in text
        assert "weak-key" not in str(bed.native("GET", "/certificates/public"))
    finally:
        bed.native("DELETE", "/certificates/weak")


@pytest.mark.requirement("S3-02")
def test_s3_02_https_is_inspected_and_goes_encrypted_again_to_4443(pool: Pool) -> None:
    bed = pool.bed
    index = bed.named(EXTERNAL_HTTPS)
    bed.native("POST", "/rules", {"name": "seen", "rule_type": 1, "header": "X-Read", "replacement": "yes"})
    bed.native("POST", f"/virtual-services/{index}/rules/request?wait=true", {"rule": "seen"})
    try:
        reply = pool.outside("https://lyncweb.example.com/Scheduler", strict=True)
        assert reply.json["tls"] is True and reply.json["local"][1] == 4443
        # the rule engine read and changed what was encrypted on both sides
        assert reply.seen_headers["x-read"] == ["yes"]
        assert reply.fingerprint == PUBLIC.fingerprint
    finally:
        bed.native("DELETE", "/rules/seen?detach=true")


@pytest.mark.requirement("S3-03")
def test_s3_03_http_goes_to_8080_and_is_not_exposed_where_it_has_no_service(pool: Pool) -> None:
    bed = pool.bed
    assert pool.outside("http://lyncweb.example.com/").json["local"][1] == 8080
    index = bed.named(EXTERNAL_HTTP)
    bed.change(index, enabled=False)
    try:
        with pytest.raises(ConnectionRefusedError):
            pool.outside("http://lyncweb.example.com/")
        assert pool.outside("https://lyncweb.example.com/").status == 200
    finally:
        bed.change(index, enabled=True)
        bed.wait_for(index, "Up")


@pytest.mark.requirement("S3-04")
def test_s3_04_internal_and_external_sites_are_never_mixed(pool: Pool) -> None:
    for source, user in zip(CLIENTS, USERS, strict=True):
        for scheme in ("http", "https"):
            outside = pool.outside(f"{scheme}://lyncweb.example.com/", source=source)
            assert outside.header("x-site") == "external"
            inside = pool.inside(f"{scheme}://lyncwebint.example.com/", source=user)
            assert inside.header("x-site") == "internal"
    # the pool's own address has the external site on its own ports, and nowhere else
    for port in (8080, 4443):
        scheme = "https" if port == 4443 else "http"
        assert pool.inside(f"{scheme}://lyncwebint.example.com/", port=port).header("x-site") == "external"


@pytest.mark.requirement("S3-06")
def test_s3_06_phone_updates_and_revocation_lists_stay_plain_http_inside(pool: Pool) -> None:
    for path in ("/RequestHandler/ucdevice.upd", "/DeviceUpdateFiles_Int/x.cat", "/CertEnroll/root.crl"):
        reply = pool.inside(f"http://lyncwebint.example.com{path}")
        assert (reply.status, reply.header("location"), reply.json["tls"]) == (200, None, False)
        assert reply.json["url"] == path


# --- what passes --------------------------------------------------------------------------------------------------


@pytest.mark.requirement("S3-07")
def test_s3_07_web_tickets_never_reach_another_user(pool: Pool) -> None:
    users = [f"user{number}" for number in range(2)]
    with contextlib.ExitStack() as stack:
        stack.enter_context(pool.bed.lab.hosts["client"].inside())
        # one behind the other at one address, as behind a company's firewall
        open_ones = {
            user: stack.enter_context(
                Connection(WEB, 443, sni="lyncweb.example.com", ca=ROOT, tls=True, source=CLIENTS[0])
            )
            for user in users
        }
        for number in range(500):
            for user, connection in open_ones.items():
                reply = connection.request(
                    f"/WebTicket/WebTicketService.svc?{number}",
                    headers={"Authorization": f"Bearer {user}-{number}", "Cookie": f"ticket={user}"},
                )
                seen = reply.seen_headers
                assert seen["authorization"] == [f"Bearer {user}-{number}"]
                assert seen["cookie"] == [f"ticket={user}"]
                assert reply.header_all("set-cookie") == [f"ticket={user}-{number}; Secure; HttpOnly"]


@pytest.mark.requirement("S3-09")
def test_s3_09_the_three_pages_with_forms_come_as_the_server_sends_them(pool: Pool) -> None:
    pages = {
        "/dialin": (200, b"<html>numbers, and a form to sign in</html>"),
        "/meet/": (404, b"<html>this meeting is not known</html>"),
        "/scheduler": (200, b"<html><form action='/scheduler'>user, password</form></html>"),
    }
    for server in pool.servers.values():
        for path, (status, body) in pages.items():
            server.sites[4443].statuses[path] = status
            server.sites[4443].bodies[path] = body
    for path, (status, body) in pages.items():
        reply = pool.outside(f"https://lyncweb.example.com{path}")
        assert (reply.status, reply.body) == (status, body)


@pytest.mark.requirement("S3-10")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_s3_10_every_path_of_the_web_services_arrives_as_it_was_asked_for(pool: Pool, method: str) -> None:
    plain = (
        *("/AutoUpdate/Int", "/Conf/Int", "/DeviceUpdateFiles_Int", "/etc/place/null", "/RequestHandler"),
        *("/GroupExpansion/int/service.asmx", "/PhoneConferencing/Int"),
    )
    for path in plain:
        reply = pool.inside(f"http://lyncwebint.example.com{path}", method=method, body=b"x" * 100 * (method == "POST"))
        assert (reply.status, reply.json["url"], reply.json["tls"], reply.json["method"]) == (200, path, False, method)
        assert len(reply.json["body"]) == 100 * (method == "POST")
    for path in ("/ABS/int/Handler", "/Autodiscover", "/Mcx", "/RgsConfig", "/RgsClients"):
        reply = pool.outside(f"https://lyncweb.example.com{path}?Q=%2Fa", method=method)
        assert (reply.status, reply.json["url"], reply.json["tls"]) == (200, f"{path}?Q=%2Fa", True)


@pytest.mark.requirement("S3-68")
def test_s3_68_a_redirection_to_the_home_pool_is_not_rewritten(pool: Pool) -> None:
    there = "https://home-pool.example.org:4443/WebTicket?u=http%3A%2F%2Fa"
    for server in pool.servers.values():
        server.sites[4443].redirects["/Autodiscover/home"] = there
    reply = pool.outside("https://lyncweb.example.com/Autodiscover/home")
    assert (reply.status, reply.header_all("location")) == (302, [there])
    # the ticket that was got before is shown to the other name as it is
    ticket = {"Authorization": "Bearer abc", "Cookie": "ticket=abc"}
    seen = pool.outside("https://home-pool.example.org/WebTicket", headers=ticket).seen_headers
    assert (seen["host"], seen["authorization"]) == (["home-pool.example.org"], ["Bearer abc"])


# --- mobility -----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("S3-11")
def test_s3_11_a_mobile_client_keeps_its_server_when_it_changes_the_network(pool: Pool) -> None:
    pool.set(EXTERNAL_HTTPS, persistence="active-cookie", cookie="MS-WSMAN")
    began = []
    for source, user in zip(CLIENTS[:4], USERS[:4], strict=True):
        first = pool.outside("https://mobility.example.com/Mcx", source=source)
        began.append(first.name)
        # from inside, through the firewall and back in by the published address
        inside = [pool.inside("https://mobility.example.com/Mcx", source=user, cookies=first.cookies) for _ in range(3)]
        assert {reply.name for reply in inside} == {first.name}
    assert set(began) == {"fe1", "fe2"}


@pytest.mark.requirement("S3-12")
def test_s3_12_names_lead_to_the_site_that_is_meant(pool: Pool) -> None:
    found = {name: pool.inside(f"https://{name}/Autodiscover").header("x-site") for name in NAMES_INSIDE}
    assert found == {
        "lyncdiscoverinternal.example.com": "internal",
        "lyncwebint.example.com": "internal",
        "lyncdiscover.example.com": "external",
        "lyncweb.example.com": "external",
        "mobility.example.com": "external",
    }


@pytest.mark.requirement("S3-13")
def test_s3_13_mobility_is_offered_by_the_external_site_alone(pool: Pool) -> None:
    assert pool.inside("https://lyncwebint.example.com/Mcx").status == 404
    assert pool.inside("https://mobility.example.com/Mcx").status == 200
    assert pool.outside("https://lyncweb.example.com/Mcx").status == 200


# --- affinity -----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("S3-14")
def test_s3_14_external_web_needs_no_affinity_and_internal_web_has_it_by_address(pool: Pool) -> None:
    pool.set(EXTERNAL_HTTPS, persistence="none", schedule="rr")
    spread = Counter(pool.outside("https://lyncweb.example.com/", source=CLIENTS[0]).name for _ in range(10))
    assert spread == {"fe1": 5, "fe2": 5}
    for user in USERS[:3]:
        kept = {browse(pool.bed, "user", "https://x/", at=INTERNAL, source=user).name for _ in range(6)}
        assert len(kept) == 1


@pytest.mark.requirement("S3-15")
def test_s3_15_a_user_stays_at_one_server_on_both_internal_ports(pool: Pool) -> None:
    bed = pool.bed
    https = pool.set(INTERNAL_HTTPS, follow_vs=bed.named(INTERNAL_HTTP))
    for user in USERS:
        names = [
            browse(bed, "user", f"{scheme}://pool/", at=INTERNAL, source=user).name
            for scheme in ("http", "https", "http", "https")
        ]
        assert len(set(names)) == 1
    assert bed.native("GET", f"/virtual-services/{https}")["persistence"] == "src"


# --- idle connections, listeners, SIP -----------------------------------------------------------------------------


@pytest.mark.requirement("S3-16")
def test_s3_16_web_connections_may_be_idle_for_1800_seconds(pool: Pool) -> None:
    shown = pool.bed.loadmaster("showvs", vs=pool.bed.named(EXTERNAL_HTTPS))
    assert shown.text("Idletime") == "1800"
    pool.set(EXTERNAL_HTTP, idle_time=2)
    with (
        pool.bed.lab.hosts["client"].inside(),
        Connection(WEB, 80, source=CLIENTS[0]) as idle,
        Connection(WEB, 80, source=CLIENTS[1]) as used,
    ):
        idle.request("/")
        used.request("/")
        for _ in range(5):
            assert not used.closed_by_server(0.5)
            assert used.request("/").status == 200
        assert idle.closed_by_server(3)


@pytest.mark.requirement("S3-17")
def test_s3_17_the_balancer_listens_on_80_443_and_4443(pool: Pool) -> None:
    bed = pool.bed
    rows = {(one["address"], one["port"]): one for one in bed.native("GET", "/virtual-services")}
    assert {(WEB_INSIDE, 80), (WEB_INSIDE, 443), (INTERNAL, 80), (INTERNAL, 443)} <= set(rows)
    # between the reverse proxy and the pool 4443 alone has to be open
    extra = bed.native("GET", f"/virtual-services/{bed.named(INTERNAL_HTTPS)}")["extra_ports"]
    assert "4443" in extra
    reply = browse(bed, "user", "https://lyncweb.example.com/", at=INTERNAL, port=4443)
    assert (reply.header("x-site"), reply.json["local"][1]) == ("external", 4443)


@pytest.mark.requirement("S3-08")
def test_s3_08_web_is_read_and_sip_is_bytes(pool: Pool) -> None:
    bed = pool.bed
    types = {
        name: bed.native("GET", f"/virtual-services/{bed.named(name)}")
        for name in (EXTERNAL_HTTPS, EXTERNAL_HTTP, INTERNAL_SIP)
    }
    assert [one["service_type"] for one in types.values()] == ["http", "http", "gen"]
    assert [one["ssl_acceleration"] for one in types.values()] == [True, False, False]
    # so a rule that reads requests has no place there
    bed.native("POST", "/rules", {"name": "reads", "pattern": "^/x"})
    try:
        found = bed.refused("POST", f"/virtual-services/{bed.named(INTERNAL_SIP)}/rules/request", {"rule": "reads"})
        assert "http" in found["message"].lower()
    finally:
        bed.native("DELETE", "/rules/reads")


@pytest.mark.requirement("S3-18")
def test_s3_18_sip_is_never_ended_here_and_passes_byte_for_byte(pool: Pool) -> None:
    message = (
        b"REGISTER sip:example.com SIP/2.0\r\n"
        b"Via: SIP/2.0/TLS 192.168.1.200:49152\r\n"
        b"Via:SIP/2.0/TLS 10.9.9.9;branch=z9hG4bK.1;ms-received-port=1\r\n"
        b"From: <sip:ann@example.com>;tag=1;epid=a\r\nCall-ID: 7\r\nContent-Length: 0\r\n\r\n"
    )
    with pool.bed.lab.hosts["user"].inside():
        plain = socket.create_connection((INTERNAL, 5061), 5)
        context = trusting()
        context.check_hostname = False
        with plain, context.wrap_socket(plain) as secure:
            shown = secure.getpeercert(True)
            secure.sendall(message)
            answer = b""
            while not answer.endswith(b"\r\n\r\n"):
                answer += secure.recv(4096)
    (server,) = (one for one in pool.servers.values() if message in one.sip.got)
    assert shown == server.certified.der
    assert answer.split(b"\r\n", 2)[2] == message.split(b"\r\n", 1)[1]
