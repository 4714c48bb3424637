"""The two web sites of a Front End, as checks, browsers and devices see them."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from tests.unit.lab.direct import Direct

from steelyard.lab.fetching import Browser
from steelyard.lab.names import Names

SITES = {"internal": (80, 443), "external": (8080, 4443)}


class Site:
    """One site of a server, asked by its ports."""

    def __init__(self, direct: Direct, site: str, server: str) -> None:
        self.lync, self.site, self.server = direct.lync, site, server
        self.browser = Browser(Names({"web.lync.example": server}), timeout=5)

    def url(self, path: str, *, tls: bool = True) -> str:
        port = self.lync.ports.of(SITES[self.site][int(tls)])
        return f"http{'s' if tls else ''}://web.lync.example:{port}{path}"

    def status(self, path: str, *, tls: bool = True) -> int:
        return self.browser.get(self.url(path, tls=tls)).status


@pytest.fixture(params=["internal", "external"])
def site(request: pytest.FixtureRequest, direct: Direct) -> Site:
    return Site(direct, request.param, direct.lync.front_ends[0])


def test_the_addresses_checks_ask_for_answer_as_a_front_end_does(site: Site) -> None:
    assert site.status("/abs/handler") == 401
    assert site.status("/abs/handler", tls=False) == 403
    assert site.status("/meet/blank.html", tls=False) == 200
    assert site.status("/meet/blank.html") == 200


def test_a_page_tells_who_answered_and_whom_it_saw(site: Site) -> None:
    reply = site.browser.ask("POST", site.url("/PersistentChat/RM/?x=1"), headers={"X-Case": "Kept"}, body=b"y")
    seen = reply.json
    assert (seen["server"], seen["site"], seen["tls"], seen["sni"]) == ("fe1", site.site, True, "web.lync.example")
    assert (seen["method"], seen["url"]) == ("POST", "/PersistentChat/RM/?x=1")
    assert seen["host"] == f"web.lync.example:{site.lync.ports.of(SITES[site.site][1])}"
    assert ["X-Case", "Kept"] in seen["headers"] and seen["peer"][0].startswith("127.")
    assert (reply.server, reply.site) == ("fe1", site.site)


@pytest.mark.parametrize(
    "path",
    ["/AutoUpdate/{}", "/Conf/{}", "/DeviceUpdateFiles_{}", "/GroupExpansion/{}/service.asmx", "/PhoneConferencing/{}"],
)
def test_paths_that_name_a_site_are_that_sites_alone(site: Site, path: str) -> None:
    own, other = ("Int", "Ext") if site.site == "internal" else ("Ext", "Int")
    assert site.status(path.format(own), tls=False) == 200
    assert site.status(path.format(other)) == 404


@pytest.mark.parametrize("path", ["/etc/place/null", "/RequestHandler", "/RgsConfig", "/RgsClients", "/Scheduler"])
def test_paths_of_both_sites(site: Site, path: str) -> None:
    assert site.status(path) == 200


def test_mobility_is_on_the_external_site_alone(site: Site) -> None:
    assert site.status("/Mcx/McxService.svc") == (404 if site.site == "internal" else 401)


def test_autodiscover_in_xml_says_where_one_landed(site: Site) -> None:
    reply = site.browser.get(site.url("/"), Accept="application/vnd.microsoft.rtc.autodiscover+xml")
    assert reply.status == 200  # a name that is no simple URL: the front page
    reply = site.browser.get(
        site.url("/Autodiscover/AutodiscoverService.svc/root"), Accept="application/vnd.microsoft.rtc.autodiscover+xml"
    )
    root = ElementTree.fromstring(reply.body)
    assert root.attrib["AccessLocation"].lower() == site.site
    links = {link.attrib["token"]: link.attrib["href"] for link in root.iter("Link")}
    assert links["User"].endswith("/Autodiscover/AutodiscoverService.svc/root/oauth/user")


def test_a_director_sends_meetings_to_the_home_pool_and_has_no_mobility(direct: Direct) -> None:
    director = Site(direct, "external", direct.lync.directors[0])
    reply = director.browser.get(director.url("/meet/alice/ABC123"))
    assert reply.status == 302
    assert reply.header("Location") == direct.lync.ports.url("lyncweb.lync.example", "/meet/alice/ABC123")
    assert director.status("/Mcx/McxService.svc") == 404
    home = Site(direct, "external", direct.lync.front_ends[0])
    assert home.browser.get(home.url("/meet/alice/ABC123")).json["meeting"] == "ABC123"


def test_a_signed_in_browser_is_known_to_one_server_alone(direct: Direct) -> None:
    one, other = (Site(direct, "internal", server) for server in direct.lync.front_ends)
    body = b"user=alice&password=Wonderland1"
    assert one.browser.ask("POST", one.url("/scheduler"), body=body).json["user"] == "alice"
    assert one.browser.get(one.url("/scheduler")).json["user"] == "alice"
    other.browser.jar.update(one.browser.jar)
    assert other.status("/scheduler") == 440


def test_office_web_apps_say_where_documents_are_opened(direct: Direct) -> None:
    reply = direct.client(inside=True).browser()
    reply.dial = direct.client(inside=True).dial
    found = reply.get(direct.lync.ports.url("wac.lync.example", "/hosting/discovery"))
    assert found.header("Content-Type") == "text/xml; charset=utf-8"
    actions = ElementTree.fromstring(found.body).iter("action")
    assert all(one.attrib["urlsrc"].startswith("https://wac.lync.example:") for one in actions)


def test_a_long_answer_comes_in_pieces(site: Site) -> None:
    with site.browser.opened("GET", site.url("/lab/stream?pieces=5&pause_ms=1")) as stream:
        assert stream.head.header("Transfer-Encoding") == "chunked"
        assert len(list(stream.lines())) == 5
    assert len(site.browser.get(site.url("/lab/bytes/70000")).body) == 70_000


def test_what_is_no_http_is_answered_400(direct: Direct) -> None:
    import socket

    place = (direct.lync.front_ends[0], direct.lync.ports.of(80))
    with socket.create_connection(place, 5) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nbad header\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
