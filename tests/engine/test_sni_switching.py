"""Content switching by the name in the TLS hello, without ending TLS (`reference/behaviour.md`, section 11)."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.engine.rig import Rig, Service, eventually, member
from tests.support.certificates import leaf
from tests.support.origin import Origin, TcpOrigin

from steelyard.explain.report import Explanation
from steelyard.explain.request import Request
from steelyard.model.commands import AddRule, AddService, AttachRule, DetachRule, RemoveRule, RulePlace
from steelyard.model.errors import OperatorError

pytestmark = pytest.mark.engine


@pytest.fixture
def tls_one() -> Iterator[Origin]:
    with Origin("one", tls=leaf("backend.example").server_context()) as origin:
        yield origin


@pytest.fixture
def tls_two() -> Iterator[Origin]:
    with Origin("two", tls=leaf("backend.example").server_context()) as origin:
        yield origin


@pytest.fixture
def tls_three() -> Iterator[Origin]:
    with Origin("three", tls=leaf("backend.example").server_context()) as origin:
        yield origin


def rule(rig: Rig, name: str, pattern: str, **settings: Any) -> str:
    rig.do(AddRule({"name": name, "header": "ssl-sni", "pattern": pattern, **settings}))
    return name


def switched(rig: Rig, members: dict[Origin | TcpOrigin, tuple[str, ...]], **settings: Any) -> Service:
    """A generic service whose real servers have these rules."""
    servers = [{**member(origin), "rules": rules} for origin, rules in members.items()]
    return rig.tcp(*members, servers=servers, **settings)


def through(service: Service, name: str | None) -> str | None:
    """The real server a client that asks for a name reaches; None when it is refused."""
    try:
        with service.connect(tls=True, sni=name) as connection:
            return connection.request("/").name
    except (OSError, ssl.SSLError, AssertionError, EOFError):
        return None


def test_the_name_chooses_and_the_tls_is_the_servers(
    rig: Rig, tls_one: Origin, tls_two: Origin, tls_three: Origin
) -> None:
    exact = rule(rig, "shop", "shop.example", match_type="exact")
    wild = rule(rig, "wild", ".mail.example", match_type="postfix")
    pattern = rule(rig, "any-b", r"^b[0-9]+\.example$")
    service = switched(rig, {tls_one: (exact,), tls_two: (wild, pattern), tls_three: ("default",)})
    assert through(service, "shop.example") == "one"
    assert through(service, "SHOP.example") == "one"
    assert through(service, "a.mail.example") == through(service, "b17.example") == "two"
    assert through(service, "shop.example.org") == "three"
    assert through(service, None) == "three"
    with service.connect(tls=True, sni="shop.example") as connection:
        reply = connection.request("/")
    assert reply.fingerprint == leaf("backend.example").fingerprint
    assert reply.json["sni"] == "shop.example"


def test_names_come_and_go_without_a_reload(rig: Rig, tls_one: Origin, tls_two: Origin) -> None:
    for name in ("a", "b"):
        rule(rig, name, f"{name}.example", match_type="exact")
    service = switched(rig, {tls_one: ("a",), tls_two: ("b",)})
    assert (through(service, "a.example"), through(service, "b.example")) == ("one", "two")
    rule(rig, "c", "c.example", match_type="exact")
    place = RulePlace(service.index, member=service.server(tls_two).index)
    with rig.without_reload():
        rig.do(AttachRule(place, "c"))
        assert through(service, "c.example") == "two"
        rig.do(DetachRule(place, "c"))
        assert through(service, "c.example") is None


def hello(name: str | None) -> bytes:
    """A client's first flight."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = False
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def sent(service: Service, *parts: bytes, pause: float = 0.002) -> str:
    """What a real server that repeats lines says of bytes sent in these parts: its name, or "" when refused."""
    with socket.create_connection((service.address, service.port), timeout=8) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(ConnectionError):
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
            connection.sendall(b"\n")
            return connection.recv(64).partition(b":")[0].decode()
    return ""


def test_hellos_in_pieces_without_a_name_and_no_hello_at_all(
    rig: Rig, line_one: TcpOrigin, line_two: TcpOrigin
) -> None:
    rule(rig, "shop", "shop.example", match_type="exact")
    service = switched(rig, {line_one: ("shop",), line_two: ("default",)})
    whole = hello("shop.example")
    assert sent(service, whole) == "one"
    pieces = [whole[at : at + 1] for at in range(90)] + [whole[at : at + 20] for at in range(90, len(whole), 20)]
    assert sent(service, *pieces) == "one", "byte by byte"
    assert sent(service, whole[:70], whole[70:], pause=0.2) == "one"
    assert sent(service, hello(None)) == sent(service, hello("other.example")) == "two"
    assert sent(service, b"GET / HTTP/1.1\r\n\r\n") == "two", "no TLS at all, and nothing to wait for"
    service.server(line_two).change(rules=())
    assert sent(service, whole) == "one"
    assert sent(service, hello(None)) == sent(service, b"GET / HTTP/1.1\r\n\r\n") == ""


def test_rules_on_the_address_negations_and_refusals(rig: Rig, tls_one: Origin, tls_two: Origin) -> None:
    rule(rig, "bad", "bad.example", match_type="exact", must_fail=True)
    rule(rig, "not-shop", "shop.example", match_type="exact", negate=True)
    rig.do(AddRule({"name": "near", "header": "src-ip", "pattern": "127.0.0.8/32", "match_type": "exact"}))
    service = switched(rig, {tls_one: ("bad", "near", "not-shop"), tls_two: ("default",)})
    assert through(service, "bad.example") is None
    assert through(service, "shop.example") == "two"
    assert through(service, "mail.example") == through(service, None) == "one"
    with service.connect(tls=True, sni="shop.example", source="127.0.0.8") as connection:
        assert connection.request("/").name == "one"


def test_sub_services_are_chosen_by_name(rig: Rig, tls_one: Origin, tls_two: Origin, tls_three: Origin) -> None:
    rule(rig, "shop", "shop.example", match_type="exact")
    rule(rig, "both", "both.example", match_type="exact")
    subs = [
        {"name": "a", "servers": [member(tls_one)], "slot": {"rules": ("shop", "both")}},
        {"name": "b", "servers": [member(tls_two)], "slot": {"rules": ("both",)}},
        {"name": "c", "servers": [member(tls_three)], "slot": {"rules": ("default",)}},
    ]
    service = rig.tcp(sub_services=subs, servers=[])
    eventually(lambda: through(service, "shop.example") == "one", "the sub-service is up")
    eventually(lambda: through(service, None) == "three", "the sub-service is up")
    eventually(lambda: {through(service, "both.example") for _ in range(4)} == {"one", "two"}, "both share")


def test_names_and_what_was_agreed_on_where_tls_ends(rig: Rig, one: Origin, two: Origin) -> None:
    rule(rig, "shop", "shop.example", match_type="exact")
    rig.do(AddRule({"name": "old", "header": "ssl-version", "pattern": "TLSv1.2", "match_type": "exact"}))
    rig.do(AddRule({"name": "chacha", "header": "ssl-cipher", "pattern": "CHACHA20"}))
    servers = [{**member(one), "rules": ("shop", "chacha")}, {**member(two), "rules": ("old", "default")}]
    service = rig.http(one, two, servers=servers, ssl_acceleration=True)
    assert service.fetch(sni="SHOP.example").name == "one"
    assert service.fetch(sni="mail.example").name == "two"
    service.change(tls13_cipher_set=("TLS_CHACHA20_POLY1305_SHA256",))
    assert service.fetch(sni="mail.example").name == "one"


def test_what_bytes_cannot_tell_is_refused(rig: Rig, one: Origin) -> None:
    rig.do(AddRule({"name": "path", "pattern": "^/shop"}))
    rig.do(AddRule({"name": "cipher", "header": "ssl-cipher", "pattern": "GCM"}))
    rule(rig, "shop", "shop.example")
    data = {"address": "127.0.0.1", "port": 4, "servers": [{**member(one), "rules": ("path",)}]}
    for rules, settings in (
        ("path", {}),
        ("cipher", {}),
        ("shop", {"service_type": "http"}),
        ("cipher", {"service_type": "http"}),
    ):
        with pytest.raises(OperatorError) as refusal:
            rig.do(AddService({**data, "servers": [{**member(one), "rules": (rules,)}], **settings}))
        assert refusal.value.remedy
    rig.do(RemoveRule("path"))


def test_it_is_explained_as_it_happens(rig: Rig, tls_one: Origin, tls_two: Origin) -> None:
    rule(rig, "shop", "shop.example", match_type="exact")
    service = switched(rig, {tls_one: ("shop",), tls_two: ("default",)})

    def told(name: str, tls: bool = True) -> Explanation:
        return rig.explain(Request("127.0.0.1", service=service.index, tls=tls, server_name=name))

    ports = {server.index: server.setting("port") for server in service.servers}
    for name, tls, expected in (("SHOP.example", True, tls_one), ("x.example", True, tls_two), ("", False, tls_two)):
        found = told(name, tls)
        assert [ports[server.index] for server in found.result.servers if server.index] == [expected.port], found
    service.server(tls_two).change(rules=())
    assert told("x.example").result.kind == "closed"
