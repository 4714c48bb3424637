"""Which key makes a client come back to its server, mode by mode (`reference/behaviour.md`, section 5.1)."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.engine.rig import Rig, Service
from tests.support.certificates import leaf
from tests.support.origin import Origin, TcpOrigin
from tests.support.tcp_origin import rdp_connection_request
from tests.support.tls_client import client_context

from steelyard.model.virtual_service.standard import PERSISTENCE_MODES

pytestmark = pytest.mark.engine


@dataclass(frozen=True)
class Mode:
    """A mode with two requests of different keys and, where a key can be absent, one without."""

    name: str
    first: dict[str, Any]
    second: dict[str, Any]
    absent: dict[str, Any] | None = None
    settings: dict[str, Any] = field(default_factory=dict)


_AGENT = {"headers": {"User-Agent": "Outlook 16"}}
_OTHER_AGENT = {"headers": {"User-Agent": "curl/8"}}
_COOKIE = {"cookie": "JSESSIONID"}

MODES = [
    Mode("src", {"source": "127.0.0.11"}, {"source": "127.0.0.12"}),
    Mode("super", _AGENT, _OTHER_AGENT, {}),
    Mode("super-src", _AGENT | {"source": "127.0.0.11"}, _AGENT | {"source": "127.0.0.12"}),
    Mode("cookie", {"cookies": {"JSESSIONID": "a"}}, {"cookies": {"JSESSIONID": "b"}}, {}, _COOKIE),
    Mode("cookie-src", {"cookies": {"JSESSIONID": "a"}}, {"cookies": {"JSESSIONID": "b"}}, None, _COOKIE),
    Mode("active-cookie", {"cookies": {"steelyard": "a"}}, {"cookies": {"steelyard": "b"}}, {}),
    Mode("active-cook-src", {"cookies": {"steelyard": "a"}}, {"cookies": {"steelyard": "b"}}),
    Mode("cookie-hash", {"cookies": {"x": "1", "y": "2"}}, {"cookies": {"x": "1", "y": "3"}}, {}),
    Mode("cookie-hash-src", {"cookies": {"x": "1", "y": "2"}}, {"cookies": {"x": "1", "y": "3"}}),
    Mode("url", {"path": "/one?a=1"}, {"path": "/one?a=2"}),
    Mode(
        "query-hash",
        {"path": "/any?z=1&user=ann"},
        {"path": "/any?z=1&user=bob"},
        {"path": "/any"},
        {"query_tag": "user"},
    ),
    Mode("host", {"headers": {"Host": "a.example"}}, {"headers": {"Host": "b.example"}}),
    Mode("header", {"headers": {"X-User": "ann"}}, {"headers": {"x-user": "bob"}}, {}, {"cookie": "X-User"}),
]
BY_NAME = {mode.name: mode for mode in MODES}
NOT_HTTP = {"none", "ssl", "rdp", "rdp-src", "udpsip"}
NOT_BUILT = {"rdp-sb", "rdp-sb-src"}


def test_every_built_mode_is_tested() -> None:
    assert set(PERSISTENCE_MODES) == set(BY_NAME) | NOT_HTTP | NOT_BUILT


def _service(rig: Rig, mode: Mode, *origins: Origin, **settings: Any) -> Service:
    return rig.http(*origins, persistence=mode.name, **mode.settings, **settings)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_a_key_keeps_its_server_and_other_keys_are_scheduled(
    rig: Rig, one: Origin, two: Origin, three: Origin, mode: Mode
) -> None:
    service = _service(rig, mode, one, two, three)
    first = service.name(**mode.first)
    second = service.name(**mode.second)
    assert first != second, "the second key is scheduled by itself"
    for _ in range(3):
        assert service.name(**mode.first) == first
        assert service.name(**mode.second) == second


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode.absent is not None], ids=lambda mode: mode.name)
def test_without_a_key_the_scheduler_decides(rig: Rig, one: Origin, two: Origin, three: Origin, mode: Mode) -> None:
    assert mode.absent is not None
    service = _service(rig, mode, one, two, three)
    names = [service.name(**mode.absent) for _ in range(6)]
    assert set(names[:3]) == {"one", "two", "three"}
    assert names == names[:3] * 2


@pytest.mark.parametrize("name", ["cookie-src", "active-cook-src", "cookie-hash-src"])
def test_without_a_cookie_the_source_address_decides(
    rig: Rig, one: Origin, two: Origin, three: Origin, name: str
) -> None:
    mode = BY_NAME[name]
    service = _service(rig, mode, one, two, three)
    mine = service.name(source="127.0.0.21")
    other = service.name(source="127.0.0.22")
    assert mine != other
    for _ in range(3):
        assert service.name(source="127.0.0.21") == mine
        assert service.name(source="127.0.0.22") == other
    # a client with a cookie is known by it, whatever its address
    fresh = service.name(source="127.0.0.21", **mode.first)
    assert {service.name(source=f"127.0.0.{n}", **mode.first) for n in (21, 22, 23)} == {fresh}


def test_the_source_mask_makes_a_network_one_client(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    service = rig.http(one, two, three, persistence="src", persistence_mask=24)
    assert len({service.name(source=f"127.0.5.{n}") for n in range(1, 7)}) == 1
    assert service.name(source="127.0.6.1") != service.name(source="127.0.5.1")
    assert set(service.records()) == {"127.0.5.0", "127.0.6.0"}


@pytest.mark.requirement("S4-04")
def test_super_http_tells_users_of_one_agent_apart_by_authorization(
    rig: Rig, one: Origin, two: Origin, three: Origin
) -> None:
    service = rig.http(one, two, three, persistence="super")
    agent = {"User-Agent": "Outlook 16"}
    ann: dict[str, Any] = {"headers": agent | {"Authorization": "Basic YW5uOjE="}}
    bob: dict[str, Any] = {"headers": agent | {"Authorization": "Basic Ym9iOjE="}}
    names = [service.name(headers=agent), service.name(**ann), service.name(**bob)]
    assert set(names) == {"one", "two", "three"}
    for source in ("127.0.0.31", "127.0.0.32"):
        again = [service.name(headers=agent, source=source), service.name(**ann, source=source)]
        assert [*again, service.name(**bob, source=source)] == names


@pytest.mark.requirement("S4-43")
def test_super_http_and_source_needs_both_to_be_the_same(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    service = rig.http(one, two, three, persistence="super-src")
    agent, other = {"User-Agent": "a"}, {"User-Agent": "b"}
    names = [
        service.name(headers=agent, source="127.0.0.31"),
        service.name(headers=agent, source="127.0.0.32"),
        service.name(headers=other, source="127.0.0.31"),
    ]
    assert set(names) == {"one", "two", "three"}
    assert service.name(headers=agent, source="127.0.0.31") == names[0]


def test_selected_header_may_be_one_that_the_service_adds_to(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    """Clients behind several proxies are known by what their proxy says, not by what Steelyard adds to it."""
    service = rig.http(one, two, three, persistence="header", cookie="X-Forwarded-For", add_via=5)
    first = service.fetch(headers={"X-Forwarded-For": "203.0.113.1"}, source="127.0.0.31")
    assert first.seen_headers["x-forwarded-for"] == ["203.0.113.1, 127.0.0.31"]
    assert service.name(headers={"X-Forwarded-For": "203.0.113.1"}, source="127.0.0.32") == first.name
    assert service.name(headers={"X-Forwarded-For": "203.0.113.2"}, source="127.0.0.31") != first.name
    assert len(set(service.names(3))) == 3, "without the header the scheduler decides"


# --- server cookie
# -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cookie", "cookie-src"])
def test_a_cookie_set_by_the_server_brings_its_client_back(
    rig: Rig, one: Origin, two: Origin, three: Origin, name: str
) -> None:
    service = rig.http(one, two, three, persistence=name, cookie="JSESSIONID")
    for origin in (one, two, three):
        origin.set_cookies = [f"JSESSIONID=of-{origin.name}; path=/; HttpOnly"]
    for source in ("127.0.0.41", "127.0.0.42", "127.0.0.43"):
        reply = service.fetch(source=source)
        for _ in range(3):
            assert service.name(cookies=reply.cookies, source="127.0.0.44") == reply.name


def test_a_cookie_set_on_a_later_request_of_a_connection_counts_too(
    rig: Rig, one: Origin, two: Origin, three: Origin
) -> None:
    service = rig.http(one, two, three, persistence="cookie", cookie="JSESSIONID")
    with service.connect() as connection:
        name = connection.request("/").name
        for origin in (one, two, three):
            origin.set_cookies = ["JSESSIONID=late"]
        assert connection.request("/login").name == name
    for origin in (one, two, three):
        origin.set_cookies = []
    assert {service.name(cookies={"JSESSIONID": "late"}) for _ in range(4)} == {name}


def test_cookies_of_other_names_are_left_alone(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    service = rig.http(one, two, three, persistence="cookie", cookie="JSESSIONID")
    one.set_cookies = two.set_cookies = three.set_cookies = ["theme=dark", "JSESSIONID=x"]
    reply = service.fetch(cookies={"lang": "en"})
    assert reply.header_all("set-cookie") == ["theme=dark", "JSESSIONID=x"]
    assert reply.seen_headers["cookie"] == ["lang=en"]
    assert len(set(service.names(3, cookies={"theme": "dark"}))) == 3


# --- active cookie
# -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["active-cookie", "active-cook-src"])
@pytest.mark.parametrize("cookie", ["", "MS-WSMAN"])
def test_the_active_cookie_is_set_only_when_it_is_missing(
    rig: Rig, one: Origin, two: Origin, three: Origin, name: str, cookie: str
) -> None:
    service = rig.http(one, two, three, persistence=name, cookie=cookie)
    one.set_cookies = two.set_cookies = three.set_cookies = ["theme=dark"]
    reply = service.fetch()
    own, issued = [line for line in reply.header_all("set-cookie") if not line.startswith("theme=")], reply.cookies
    assert len(own) == 1
    assert own[0].startswith(f"{cookie or 'steelyard'}=")
    assert own[0].endswith("; path=/"), "a session cookie for the whole site, without other attributes"
    assert issued["theme"] == "dark"
    for source in ("127.0.0.51", "127.0.0.52", "127.0.0.53"):
        again = service.fetch(cookies=issued, source=source)
        assert again.name == reply.name
        assert again.header_all("set-cookie") == ["theme=dark"]


def test_each_new_client_gets_an_active_cookie_of_its_own(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(one, two, persistence="active-cookie")
    replies = [service.fetch() for _ in range(6)]
    assert len({reply.cookies["steelyard"] for reply in replies}) == 6
    for reply in replies:
        assert service.name(cookies=reply.cookies) == reply.name


def test_one_connection_gets_one_active_cookie(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(one, two, persistence="active-cookie")
    with service.connect() as connection:
        first = connection.request("/")
        second = connection.request("/", cookies=first.cookies)
    assert "steelyard" in first.cookies
    assert second.cookies == {}
    assert first.name == second.name


def test_an_unknown_active_cookie_is_scheduled_and_kept(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    service = rig.http(one, two, three, persistence="active-cookie")
    reply = service.fetch(cookies={"steelyard": "from-another-day"})
    assert reply.cookies == {}
    assert set(service.names(4, cookies={"steelyard": "from-another-day"})) == {reply.name}


@pytest.mark.parametrize("cookie", ["a$b", "a#b", "a`b", "a!b&c*d+e.f^g_h|i~j"])
@pytest.mark.parametrize("name", ["active-cookie", "cookie"])
def test_cookie_names_may_hold_every_sign_that_the_setting_allows(
    rig: Rig, one: Origin, two: Origin, name: str, cookie: str
) -> None:
    service = rig.http(one, two, persistence=name, cookie=cookie)
    one.set_cookies = two.set_cookies = [] if name == "active-cookie" else [f"{cookie}=value"]
    reply = service.fetch()
    assert list(reply.cookies) == [cookie]
    assert set(service.names(3, cookies=reply.cookies)) == {reply.name}


# --- below HTTP
# --------------------------------------------------------------------------------------------------------


def _first_line(service: Service, source: str | None = None) -> str:
    with service.connect(source=source) as connection:
        connection.socket.sendall(b"hello\n")
        return connection.socket.recv(64).decode().split(":")[0]


def test_tcp_services_persist_by_source(rig: Rig, line_one: TcpOrigin, line_two: TcpOrigin) -> None:
    service = rig.tcp(line_one, line_two, persistence="src")
    mine = _first_line(service, "127.0.0.61")
    other = _first_line(service, "127.0.0.62")
    assert mine != other
    for _ in range(3):
        assert _first_line(service, "127.0.0.61") == mine
        assert _first_line(service, "127.0.0.62") == other


def _rdp(service: Service, user: str | None, source: str = "127.0.0.1") -> str:
    with service.connect(source=source) as connection:
        connection.socket.sendall(rdp_connection_request(user))
        got = b""
        while not got.endswith(b"\n"):
            data = connection.socket.recv(64)
            assert data, "closed without a greeting"
            got += data
        return got[11:].decode().strip()


@pytest.mark.parametrize("kind", ["gen", "ts"])
@pytest.mark.parametrize("name", ["rdp", "rdp-src"])
def test_rdp_users_come_back_to_their_server(
    rig: Rig, line_one: TcpOrigin, line_two: TcpOrigin, kind: str, name: str
) -> None:
    line_one.rdp = line_two.rdp = True
    service = rig.tcp(line_one, line_two, service_type=kind, persistence=name)
    ann, bob = _rdp(service, "ann"), _rdp(service, "bob")
    assert {ann, bob} == {"one", "two"}
    for source in ("127.0.0.71", "127.0.0.72", "127.0.0.73"):
        assert _rdp(service, "ann", source) == ann
        assert _rdp(service, "bob", source) == bob
    assert set(line_one.users + line_two.users) == {"ann", "bob"}, "the real server gets the request untouched"


def test_rdp_clients_without_a_cookie_are_scheduled(rig: Rig, line_one: TcpOrigin, line_two: TcpOrigin) -> None:
    line_one.rdp = line_two.rdp = True
    service = rig.tcp(line_one, line_two, service_type="ts", persistence="rdp")
    names = [_rdp(service, None) for _ in range(4)]
    assert names[0] != names[1]
    assert names == names[:2] * 2


def test_rdp_clients_without_a_cookie_fall_back_to_the_source(
    rig: Rig, line_one: TcpOrigin, line_two: TcpOrigin
) -> None:
    line_one.rdp = line_two.rdp = True
    service = rig.tcp(line_one, line_two, service_type="ts", persistence="rdp-src")
    mine = _rdp(service, None, "127.0.0.71")
    other = _rdp(service, None, "127.0.0.72")
    assert mine != other
    for _ in range(2):
        assert _rdp(service, None, "127.0.0.71") == mine
        assert _rdp(service, None, "127.0.0.72") == other


@pytest.fixture
def tls_pair() -> Any:
    certificate = leaf("rdp.example")
    with (
        Origin("one", tls=certificate.server_context()) as first,
        Origin("two", tls=certificate.server_context()) as second,
    ):
        yield first, second


def test_tls_clients_come_back_with_their_session_id(rig: Rig, tls_pair: tuple[Origin, Origin]) -> None:
    service = rig.tcp(*tls_pair, persistence="ssl")
    context = client_context(highest=ssl.TLSVersion.TLSv1_2, tickets=False)
    sessions = []
    for _ in range(4):
        with service.connect(context=context) as connection:
            sessions.append((connection.request("/").name, connection.tls_session))
    assert {name for name, _ in sessions} == {"one", "two"}
    for name, session in sessions * 3:
        with service.connect(context=context, session=session) as connection:
            assert connection.request("/").name == name
            assert isinstance(connection.socket, ssl.SSLSocket)
            assert connection.socket.session_reused


def test_new_tls_sessions_are_scheduled(rig: Rig, tls_pair: tuple[Origin, Origin]) -> None:
    service = rig.tcp(*tls_pair, persistence="ssl")
    names = []
    for _ in range(6):
        context = client_context(highest=ssl.TLSVersion.TLSv1_2, tickets=False)
        with service.connect(context=context) as connection:
            names.append(connection.request("/").name)
    assert names == names[:2] * 3
    assert set(names) == {"one", "two"}
