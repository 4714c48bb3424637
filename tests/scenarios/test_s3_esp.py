"""The ESP service of the white paper, setting by setting: made through LoadMaster's API, seen on the pages, in traffic.

The names and values are the paper's: `ESPforLYNC`, port 443, Active Cookie `MS-WSMAN`, 20 minutes, least connection,
1800 seconds, ESP with Delegate to Server and all logs.
"""

from __future__ import annotations

import io
import socket
import tarfile
from collections import Counter
from collections.abc import Iterator

import pytest
from tests.scenarios.bed import Bed, wait_until
from tests.scenarios.pages import Pages
from tests.scenarios.publishing import (
    CHECKED,
    CLIENTS,
    DIRECTOR_POOL,
    FRONT_ENDS,
    PUBLIC,
    PUBLISHED,
    SIP,
    SIP_INSIDE,
    USERS,
    WEB,
    WEB_INSIDE,
    PoolServer,
    add_together,
    browse,
    publishing,
    with_names_of_its_own,
)
from tests.support.api_clients import Answer
from tests.support.clients import Connection, Reply

pytestmark = [pytest.mark.network, pytest.mark.needs("ip", "nft", "net_admin", "haproxy")]

VARIANT_A = {"Persist": "active-cookie", "Cookie": "MS-WSMAN", "PersistTimeout": 1200}
VARIANT_B = {"ForceL7": 1, "Persist": "src", "PersistTimeout": 1200}
STANDARD = {"Schedule": "lc", "Idletime": 1800}
HOSTS = " ".join(PUBLISHED)


class Esp:
    """The published Front End pool, in front of it the service of the white paper."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        pools = publishing(bed, start=with_names_of_its_own)
        self.servers: dict[str, PoolServer] = {name: pools[name] for name in FRONT_ENDS}
        self.pages = Pages(bed)
        with bed.lb.inside():
            assert bed.steelyard is not None
            self.loadmaster = bed.steelyard.loadmaster
        self.upload("addcert", PUBLIC.pkcs12(b"exported"), cert="LyncPublic", password="exported")
        made = bed.loadmaster("addvs", vs=WEB_INSIDE, port=443, prot="tcp", VStype="http", NickName="ESPforLYNC")
        self.index = int(made.text("Index") or "0")
        self.set(
            **{"SSLAcceleration": 1, "SSLReencrypt": 1, "CertFile": "LyncPublic"},
            **{"EspEnabled": 1, "ESPLogs": 7, "InputAuthMode": 0, "AllowedHosts": HOSTS, "AllowedDirectories": "/*"},
            **{"CheckType": "https", "CheckUrl": "/abs/handler", "CheckPort": 4443, "Transparent": 0},
            **VARIANT_A,
            **STANDARD,
        )
        for server in self.servers.values():
            bed.loadmaster("addrs", vs=self.index, rs=server.address, rsport=4443)
        edge = {"address": SIP_INSIDE, "server": FRONT_ENDS["fe1"]}
        self.made = add_together(
            bed,
            edge | {"name": "Access", "port": 443},
            edge | {"name": "Federation", "port": 5061},
            edge | {"name": "STUN", "port": 3478, "protocol": "udp", "server": DIRECTOR_POOL["dir1"]},
        )
        bed.wait_for(self.index, "Up")
        wait_until(lambda: set(bed.servers(self.index).values()) == {"Up"}, 10)

    def upload(self, command: str, body: bytes, **more: str) -> Answer:
        with self.bed.lb.inside():
            return self.loadmaster.must(command, more, body=body)

    def set(self, **parameters: object) -> None:
        """Change the service through LoadMaster's API, and wait until it is in force."""
        self.bed.loadmaster("modvs", vs=self.index, **parameters)
        self.bed.settle()

    def shown(self, *names: str) -> list[str | None]:
        answer = self.bed.loadmaster("showvs", vs=self.index)
        return [answer.text(name) for name in names]

    def refused(self, **parameters: object) -> str:
        answer = self.bed.loadmaster_says("modvs", vs=self.index, **parameters)
        assert not answer.ok
        return answer.message

    def ask(self, name: str = "lyncweb.example.com", path: str = "/", **more: object) -> Reply:
        return browse(self.bed, "client", f"https://{name}{path}", at=WEB, strict=True, **more)

    def logged(self, kind: str) -> list[str]:
        lines: list[str] = self.bed.native("GET", f"/logs/edge/{kind}")["lines"]
        return lines


@pytest.fixture(scope="module")
def esp() -> Iterator[Esp]:
    with Bed() as bed:
        made = Esp(bed)
        yield made
        # Steelyard's end waits for connections that are open
        made.pages.close()


# --- the service ----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("S3-34", "S3-37", "S3-53")
def test_s3_34_37_53_the_service_has_the_papers_name_place_and_servers(esp: Esp) -> None:
    assert esp.shown("NickName", "VSPort", "Protocol", "VSAddress") == ["ESPforLYNC", "443", "tcp", WEB_INSIDE]
    # no content rule anywhere
    assert esp.bed.native("GET", "/rules") == []
    assert set(esp.bed.servers(esp.index)) == {f"{address}:4443" for address in FRONT_ENDS.values()}
    assert "ESPforLYNC" in esp.pages.get("/virtual-services").text
    assert esp.ask().name in FRONT_ENDS


@pytest.mark.requirement("S3-36", "S3-46", "S3-64")
def test_s3_36_46_64_the_public_certificate_is_right_for_every_name_behind_the_firewall(esp: Esp) -> None:
    for name in PUBLISHED:
        # through DNAT, and the client verifies the chain and the name it asked for
        reply = esp.ask(name)
        assert (reply.status, reply.fingerprint) == (200, PUBLIC.fingerprint)
    (row,) = (row for row in esp.pages.get("/virtual-services").table if "ESPforLYNC" in row)
    assert "LyncPublic" in row
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        esp.ask("lyncweb.elsewhere.example")


@pytest.mark.requirement("S3-35")
def test_s3_35_esp_and_transparency_exclude_each_other(esp: Esp) -> None:
    said = esp.refused(Transparent=1)
    assert "Transparent" in said and "edge filter" in said
    assert esp.shown("Transparent") == ["N"]
    page = esp.pages.get(f"/virtual-services/{esp.index}")
    assert "transparent" not in page.fields, "encrypting again hides the control"
    redrawn = esp.pages.send(f"/virtual-services/{esp.index}", "draft", ssl_reencrypt=None)
    assert "transparent" in redrawn.disabled
    # the real servers see the balancer
    assert esp.ask().json["peer"][0] == "192.168.1.43"


@pytest.mark.requirement("S3-63")
def test_s3_63_esp_on_443_needs_tls_to_end_here(esp: Esp) -> None:
    said = esp.refused(SSLAcceleration=0)
    assert "ESP" in said.upper() and "SSL acceleration" in said
    answer = esp.bed.loadmaster_says("addvs", vs="203.0.113.50", port=443, prot="tcp", VStype="http", EspEnabled=1)
    assert not answer.ok and "SSL acceleration" in answer.message


@pytest.mark.requirement("S3-52", "S3-65")
def test_s3_52_65_checks_reach_the_servers_and_401_is_well(esp: Esp) -> None:
    esp.bed.settle()
    for server in esp.servers.values():
        checks = [seen for seen in server.sites[4443].requests if seen.path == "/abs/handler"]
        assert checks, "the handler is asked for on the external site"
        # by a host that no user may name
        assert all((seen.header("host") or "").split(":")[0] not in PUBLISHED for seen in checks)
    (first, *_) = esp.bed.native("GET", f"/virtual-services/{esp.index}/real-servers")
    checks = esp.bed.native("GET", f"/virtual-services/{esp.index}/real-servers/{first['index']}/checks")
    assert "401" in str(checks)
    assert set(esp.bed.servers(esp.index).values()) == {"Up"}
    # the copied page that the paper names as the other way is nothing else: a file that answers 200
    site = esp.servers["fe1"].sites[4443]
    site.statuses["/abs/handler"] = 403
    try:
        esp.bed.wait_for_server(esp.index, f"{FRONT_ENDS['fe1']}:4443", "Down")
        esp.set(CheckUrl=CHECKED)
        esp.bed.wait_for_server(esp.index, f"{FRONT_ENDS['fe1']}:4443", "Up")
    finally:
        site.statuses["/abs/handler"] = 401
        esp.set(CheckUrl="/abs/handler")
        esp.bed.wait_for_server(esp.index, f"{FRONT_ENDS['fe1']}:4443", "Up")


# --- sign-in, hosts and directories ---------------------------------------------------------------------------------


@pytest.mark.requirement("S3-05", "S3-48")
def test_s3_05_48_nobody_is_asked_to_sign_in_but_by_the_server(esp: Esp) -> None:
    service = esp.bed.native("GET", f"/virtual-services/{esp.index}")
    assert (service["esp_enabled"], service["input_auth_mode"]) == (True, 0)
    assert esp.shown("InputAuthMode") == ["0"]
    assert esp.ask("meet.example.com", "/meet/ann").status == 200
    for server in esp.servers.values():
        server.sites[4443].statuses["/webticket"] = 401
    reply = esp.ask("lyncweb.example.com", "/webticket")
    assert (reply.status, reply.header("www-authenticate")) == (401, 'Basic realm="origin"')
    assert reply.name in FRONT_ENDS and set(reply.cookies) == {"MS-WSMAN"}
    # what would ask them is not built, and said to be so
    assert "InputAuthMode" in esp.refused(InputAuthMode=2)


@pytest.mark.requirement("S3-49")
def test_s3_49_other_hosts_are_refused_and_logged(esp: Esp) -> None:
    for server in esp.servers.values():
        server.clear()
    reply = browse(esp.bed, "client", "https://lyncweb.example.com/x", at=WEB, headers={"Host": "intranet.example.com"})
    assert reply.status == 403 and "Access denied" in reply.text
    wait_until(lambda: any("host=intranet.example.com" in line for line in esp.logged("security")), 10)
    assert sum(server.web_requests for server in esp.servers.values()) == 0


@pytest.mark.requirement("S3-50")
def test_s3_50_hosts_are_parted_by_blanks_and_case_and_port_do_not_matter(esp: Esp) -> None:
    for host in ("meet.example.com", "MEET.EXAMPLE.COM", "MEET.example.com:443", "LyncWeb.Example.Com"):
        reply = browse(esp.bed, "client", "https://meet.example.com/", at=WEB, headers={"Host": host})
        assert (reply.status, reply.seen_headers["host"]) == (200, [host])
    # the list was given with blanks, and comes back so
    assert esp.shown("AllowedHosts") == [HOSTS]


@pytest.mark.requirement("S3-51")
def test_s3_51_every_directory_is_let_in_or_those_named(esp: Esp) -> None:
    paths = ("/", "/meet/ann", "/Autodiscover", "/abs", "/meeting")
    for directories, expected in (("/*", [200] * 5), ("/meet*", [403, 200, 403, 403, 200]), ("", [200] * 5)):
        esp.set(AllowedDirectories=directories)
        assert [esp.ask("meet.example.com", path).status for path in paths] == expected, directories


@pytest.mark.requirement("S3-47")
def test_s3_47_all_three_logs_are_kept(esp: Esp) -> None:
    esp.bed.loadmaster("logging/clearextlogs")
    esp.ask("meet.example.com", "/meet/logged", source=CLIENTS[2])
    browse(esp.bed, "client", "https://meet.example.com/refused", at=WEB, headers={"Host": "no.example.com"})
    wait_until(lambda: len(esp.logged("user")) >= 2 and esp.logged("security") and esp.logged("connection"), 10)
    assert any("/meet/logged" in line and "action=allowed" in line for line in esp.logged("user"))
    assert any(f"client={CLIENTS[2]}:" in line for line in esp.logged("connection"))
    assert any("host=no.example.com" in line and "status=403" in line for line in esp.logged("security"))
    files = esp.bed.loadmaster("logging/listextlogfiles")
    assert [one.text for one in files.data] == ["connection.log", "security.log", "user.log"]
    saved = esp.bed.loadmaster_says("logging/saveextlogs")
    with tarfile.open(fileobj=io.BytesIO(saved.body)) as archive:
        assert archive.getnames() == ["connection.log", "security.log", "user.log"]


# --- standard options -----------------------------------------------------------------------------------------------


@pytest.mark.requirement("S3-40")
def test_s3_40_variant_a_a_cookie_issued_here_keeps_a_client_for_twenty_minutes(esp: Esp) -> None:
    assert esp.shown("Persist", "Cookie", "PersistTimeout", "Schedule", "Idletime") == [
        *("active-cookie", "MS-WSMAN", "1200", "lc", "1800")
    ]
    first = esp.ask()
    assert list(first.cookies) == ["MS-WSMAN"]
    for source in CLIENTS[:5]:
        again = esp.ask(cookies=first.cookies, source=source)
        assert (again.name, again.cookies) == (first.name, {})
    assert {esp.ask().name for _ in range(4)} == set(FRONT_ENDS)


# --- the pages ------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("S3-38", "S3-39", "S3-44", "S3-45", "S3-55")
def test_s3_38_39_44_45_55_the_page_of_the_service(esp: Esp) -> None:
    page = esp.pages.get(f"/virtual-services/{esp.index}")
    assert f"Properties for tcp/{WEB_INSIDE}:443 (Id:{esp.index}) - Operating at Layer 7" in page.text
    # Basic Properties: name, type, on and off, address, and a copy of the whole
    assert page.rows[:5] == ["name", "service_type", "enabled", "address", "port"]
    for label in ("Service Name", "Service Type", "Virtual Address", "Duplicate", "Delete"):
        assert label in page.text, label
    assert {"persistence", "persistence_timeout", "cookie", "schedule", "idle_time", "use_for_snat"} <= set(page.rows)
    for label in ("Persistence Mode", "Scheduling Method", "Idle Connection Timeout", "Use Address for Server NAT"):
        assert label in page.text, label
    assert list(page.sections)[:4] == ["basic", "standard", "ssl", "advanced"]
    assert "Acceleration Enabled" in page.sections["ssl"]
    assert page.sections["esp"] == "ESP Options Enabled"
    assert 'id="servers"' in page.markup
    assert {"least connection", "weighted least connection"} <= set(page.choices("schedule"))
    assert "Operating at Layer 4" in esp.pages.get(f"/virtual-services/{esp.made['STUN']}").text


@pytest.mark.requirement("S3-43")
def test_s3_43_force_l7_and_extra_ports_are_there_before_tls_ends_here(esp: Esp) -> None:
    page = esp.pages.get(f"/virtual-services/{esp.made['Access']}")
    assert {"force_l7", "extra_ports"} <= set(page.rows)
    assert "Acceleration Enabled" not in page.sections["ssl"]
    assert "cookie" not in page.rows
    # with TLS and a cookie the layer is no question any more
    assert "layer 7" in esp.refused(ForceL7=0)


@pytest.mark.requirement("S3-54")
def test_s3_54_the_list_shows_it_green_with_the_papers_columns(esp: Esp) -> None:
    page = esp.pages.get("/virtual-services")
    head, *rows = page.table
    wanted = {"Status", "Virtual IP address", "Prot", "Name", "Layer", "Certificate installed", "Real servers"}
    assert wanted <= set(head)
    (row,) = (row for row in rows if "ESPforLYNC" in row)
    cells = dict(zip(head, row, strict=True))
    assert cells["Virtual IP address"] == f"{WEB_INSIDE}:443"
    assert (cells["Status"], cells["Prot"], cells["Layer"]) == ("Up", "tcp", "L7")
    assert cells["Certificate installed"] == "LyncPublic"
    assert all(address in cells["Real servers"] for address in FRONT_ENDS.values())


@pytest.mark.requirement("S3-56")
def test_s3_56_the_menu_has_the_papers_entries(esp: Esp) -> None:
    text = esp.pages.get("/").text
    assert "bal" in text.split()
    place = 0
    for entry in (
        *("Virtual Services", "Add New", "View/Modify Services", "Manage Templates", "Statistics", "Real Servers"),
        *("Rules & Checking", "Content Rules", "Check Parameters", "System Configuration"),
    ):
        place = text.index(entry, place)


# --- the border -----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("S3-59")
def test_s3_59_malformed_traffic_ends_at_the_edge(esp: Esp) -> None:
    for server in esp.servers.values():
        server.clear()
    for request in (
        b"GET / HTTP/1.1\r\nHost: lyncweb.example.com\r\nA\x00: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: lyncweb.example.com\r\n no: name\r\n: x\r\n\r\n",
        b"\x16\x03\x01 / HTTP/1.1\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: lyncweb.example.com\r\nContent-Length: 5, 6\r\n\r\n12345",
    ):
        with (
            esp.bed.lab.hosts["client"].inside(),
            Connection(WEB, 443, tls=True, sni="lyncweb.example.com") as connection,
        ):
            connection.socket.sendall(request)
            assert connection.socket.recv(100)[9:12] in (b"400", b"403", b""), request
    assert sum(server.web_requests for server in esp.servers.values()) == 0


@pytest.mark.requirement("S3-61", "S3-62")
def test_s3_61_62_only_tls_sip_and_stun_cross_the_border_and_media_keeps_its_addresses(esp: Esp) -> None:
    bed = esp.bed
    farm, client = bed.lab.hosts["farm"], bed.lab.hosts["client"]
    stun = farm.answer(DIRECTOR_POOL["dir1"], 3478)
    found = {address: open_ports(bed, address) for address in (WEB, SIP)}
    assert found == {WEB: {443}, SIP: {443, 5061}}
    # a connected socket takes answers of that address and port alone
    for source in CLIENTS[:3]:
        seen = client.ask_udp(SIP, 3478, source=source, source_port=50_000)
        assert (seen.client, seen.client_port, seen.own) == (source, 50_000, DIRECTOR_POOL["dir1"])
    assert stun.count == 3


def open_ports(bed: Bed, address: str) -> set[int]:
    """The TCP ports of a published address that take connections: those of the system, and Lync's beyond."""
    found = set()
    with bed.lab.hosts["client"].inside():
        for port in (*range(1, 1024), *range(5060, 5090), 4443, 8057, 8080, 8443, 50_000):
            with socket.socket() as probe:
                probe.settimeout(2)
                if probe.connect_ex((address, port)) == 0:
                    found.add(port)
    return found


@pytest.mark.requirement("S3-67")
def test_s3_67_media_between_mediation_server_and_gateway_do_not_need_the_balancer(esp: Esp) -> None:
    bed = esp.bed
    services = bed.native("GET", "/virtual-services")
    assert [one["name"] for one in services if one["protocol"] == "udp"] == ["STUN"]
    assert all(one["port"] < 49_152 for one in services)
    mediation, gateway = bed.lab.hosts["farm"], bed.lab.hosts["user"]
    media = mediation.answer(FRONT_ENDS["fe1"], 60_000)
    bed.lb.ip("link set eth1 down")
    try:
        heard = [gateway.ask_udp(FRONT_ENDS["fe1"], 60_000, source=USERS[0]) for _ in range(20)]
        assert {one.client for one in heard} == {USERS[0]}
    finally:
        bed.lb.ip("link set eth1 up")
    assert media.count == 20
    bed.wait_for(esp.index, "Up")


@pytest.mark.requirement("S3-41", "S3-42")
def test_s3_41_42_variant_b_keeps_a_client_by_its_address_and_all_of_an_office_at_one_server(esp: Esp) -> None:
    def of_office() -> Counter[str]:
        """Ten people behind one address, each without a cookie."""
        where = "https://lyncweb.example.com/"
        return Counter(browse(esp.bed, "user", where, at=WEB, source=source).name for source in USERS)

    assert set(of_office()) == set(FRONT_ENDS), "the cookie tells them apart"
    esp.set(**VARIANT_B)
    assert esp.shown("ForceL7", "Persist", "PersistTimeout", "Schedule", "Idletime") == [
        *("Y", "src", "1200", "lc", "1800")
    ]
    kept = {source: {esp.ask(source=source).name for _ in range(4)} for source in CLIENTS[:6]}
    assert all(len(names) == 1 for names in kept.values())
    assert set.union(*kept.values()) == set(FRONT_ENDS)
    assert list(of_office().values()) == [10], "one server has all of them"


@pytest.mark.requirement("S3-60")
def test_s3_60_names_of_the_inside_are_resolved_by_entries_of_the_hosts_file(esp: Esp) -> None:
    bed = esp.bed
    refused = bed.loadmaster_says("addrs", vs=esp.index, rs="dir1.inside.example", rsport=4443)
    assert not refused.ok and "'dir1.inside.example' is neither an address" in refused.message
    bed.loadmaster("addhostsentry", hostip=DIRECTOR_POOL["dir1"], hostfqdn="dir1.inside.example")
    made = bed.loadmaster("addrs", vs=esp.index, rs="dir1.inside.example", rsport=4443)
    assert made.ok
    address = f"{DIRECTOR_POOL['dir1']}:4443"
    bed.wait_for_server(esp.index, address, "Up")
    page = esp.pages.get(f"/virtual-services/{esp.index}")
    assert address in page.text and "dir1.inside.example" in page.text
