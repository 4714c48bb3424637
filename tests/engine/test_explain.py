"""`explain` tells the truth: random requests are explained, then sent, and what was said is compared with what came."""

from __future__ import annotations

import contextlib
import random
import re
import ssl
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import h11
import pytest
from cryptography import x509
from tests.engine.rig import Rig, Service, eventually, member
from tests.support.certificates import leaf
from tests.support.clients import Connection, Reply
from tests.support.origin import Origin, TcpOrigin

from steelyard.explain.report import Explanation, Result
from steelyard.explain.request import Request
from steelyard.model.access_list import Entries
from steelyard.model.commands import AddEntries, AddRule, CreateSubService, SetParameters

pytestmark = pytest.mark.engine

REQUESTS = 1000
SEED = 20

RULES: list[dict[str, Any]] = [
    {"name": "images", "match_type": "prefix", "pattern": "/images/"},
    {"name": "php", "match_type": "postfix", "pattern": ".PHP", "ignore_case": True},
    {"name": "numbered", "pattern": r"/^\/item\/[0-9]+$/"},
    {"name": "query", "include_query": True, "pattern": "debug=1"},
    {"name": "beta", "header": "X-Group", "match_type": "exact", "pattern": "beta"},
    {"name": "not-mobile", "header": "User-Agent", "pattern": "Mobile", "negate": True},
    {"name": "near", "header": "src-ip", "match_type": "exact", "pattern": "127.0.94.0/29"},
    {"name": "posts", "header": "method", "match_type": "exact", "pattern": "POST"},
    {"name": "shop-host", "header": "Host", "match_type": "prefix", "pattern": "shop."},
    {"name": "api-host", "include_host": True, "match_type": "prefix", "pattern": "api.example.com/v1"},
    {"name": "attack", "pattern": "etc/passwd", "must_fail": True},
    {"name": "flags", "header": "X-Flag", "match_type": "exact", "pattern": "on", "set_on_match": 3},
    {"name": "flagged", "match_type": "prefix", "pattern": "/flag", "only_on_flag": 3},
    {"name": "unflagged", "match_type": "prefix", "pattern": "/flag", "only_on_no_flag": 3},
    {"name": "flag-refuses", "match_type": "prefix", "pattern": "/public", "only_on_flag": 3, "must_fail": True},
    {"name": "moved", "rule_type": 4, "pattern": r"/^\/old\/(.*)$/", "replacement": r"/new/\1"},
    {"name": "user", "rule_type": 3, "header": "X-User", "pattern": "ann", "replacement": "anna"},
    {"name": "tell", "rule_type": 1, "header": "X-Added", "replacement": "100%"},
    {"name": "no-agent", "rule_type": 2, "pattern": "X-Agent"},
]

PATHS = [
    *(
        "/",
        "/images/a.png",
        "/images/../etc",
        "/Index.Php",
        "/item/17",
        "/item/x",
        "/v1/users",
        "/flag/x",
        "/old/a?b=1",
    ),
    *("/x?debug=1", "/x?user=ann&user=bob", "/x?user=", "/x;user=1?user=bob", "/etc/passwd", "/private/a", "/%2e%2e/a"),
    *("//a", "/public/a", "/public", "/publicity"),
]
HOSTS = [
    "shop.example.com",
    "SHOP.example.com:8080",
    "api.example.com",
    "www.example.org",
    "a_b.example",
    "127.0.0.1",
    "",
]
ODD_COOKIES = [
    'JS="a\\";b"; c',
    "a=b,JS=4",
    "JS=",
    "JS=;x",
    "$JS=1; JS=5",
    'JS="never ends; x=1',
    "=; JS=6",
    "JS",
    "xJS=7",
]
AGENTS = ["Mozilla", "Mobile Safari", "", "curl/8"]


@dataclass
class Site:
    """The services under test, and which origin answers at which address."""

    rig: Rig
    services: dict[str, Service] = field(default_factory=dict)
    origins: dict[tuple[str, int], str] = field(default_factory=dict)

    def explain(self, request: Request) -> Explanation:
        return self.rig._background.run(self.rig.started.appliance.explain(request), 10)

    def records(self) -> dict[str, set[str]]:
        """Every key of every table."""
        found = {}
        for table in re.findall(r"^# table: (\S+),", self.rig.ask("show table"), re.MULTILINE):
            found[table] = set(re.findall(r" key=(\S+) .*server_id=[1-9]", self.rig.ask(f"show table {table}")))
        return found


@pytest.fixture
def site(rig: Rig) -> Iterator[Site]:
    """Four hosts with four real servers each, of which some are down or disabled."""
    made = Site(rig)
    origins = {
        (host, number): Origin(f"{host}-{number}", address=f"127.0.93.{host}")
        for host in range(1, 5)
        for number in range(4)
    }
    made.origins = {(origin.address, origin.port): origin.name for origin in origins.values()}
    try:
        rig.do(SetParameters("access", {"enabled": True, "drop": False}))
        for rule in RULES:
            rig.do(AddRule(rule))
        _build(made, origins)
        yield made
    finally:
        for origin in origins.values():
            origin.stop()


def _build(site: Site, origins: dict[tuple[int, int], Origin]) -> None:
    rig = site.rig

    def members(number: int, **rules: list[str]) -> list[dict[str, Any]]:
        return [member(origins[host, number], rules=rules.get(f"h{host}", [])) for host in range(1, 5)]

    def add(name: str, **settings: Any) -> Service:
        site.services[name] = found = rig.service((), **({"service_type": "http"} | settings))
        return found

    add(
        "switched",
        persistence="src",
        servers=members(
            0, h1=["images", "php"], h2=["php", "beta"], h3=["numbered", "default"], h4=["query", "default"]
        ),
        pre_rules=["attack", "flags"],
    )
    rig.do(AddEntries(site.services["switched"].index, "block", Entries.of([("127.0.94.16/29", "")])))
    rig.do(AddEntries(site.services["switched"].index, "allow", Entries.of([("127.0.94.17", "")])))
    add(
        "filtered",
        schedule="wrr",
        persistence="active-cookie",
        esp_enabled=True,
        allowed_hosts="shop.example.com *.example.org",
        allowed_directories="/public /images* /item/*",
        servers=members(1),
    )
    parent = add("parent", check_type="none", pre_rules=["flags"])
    by_cookie = {"persistence": "cookie-src", "cookie": "JS", "schedule": "fixed", "request_rules": ["flag-refuses"]}
    _sub(site, parent, members(0)[:2], ["shop-host", "flagged"], **by_cookie)
    _sub(site, parent, members(1)[:3], ["images", "unflagged"], persistence="super-src")
    by_source = {"schedule": "sh", "request_rules": ["flag-refuses"]}
    hashed = _sub(site, parent, members(2)[1:], ["images", "near", "api-host"], **by_source)
    site.services["hashed sub"] = hashed
    off = [settings | {"enabled": False} for settings in members(3)[:2]]
    _sub(site, parent, off, ["posts"], error_code=307, error_url="https://%h/elsewhere%s")
    add("urls", schedule="uhash", servers=members(2))
    add("sources", schedule="sh", servers=members(3))
    add("query", persistence="query-hash", query_tag="user", servers=members(2), request_rules=["moved"])
    add("urlkey", persistence="url", servers=members(2), request_rules=["moved", "tell"])
    add("hosts", persistence="host", schedule="lc", servers=members(3))
    add("header", persistence="header", cookie="X-User", servers=members(3), request_rules=["user", "no-agent"])
    add("super", persistence="super", schedule="random", servers=members(3), request_rules=["user"])
    add("cookies", persistence="cookie-hash-src", persistence_mask=29, servers=members(1))
    leader = site.services["sources"].change(persistence="src", persistence_mask=30)
    assert leader is not None
    follower = list(reversed(members(1)))
    add("follower", persistence="src", persistence_mask=30, follow_vs=site.services["sources"].index, servers=follower)
    add("sorry", servers=off, standby_address=origins[4, 0].address, standby_port=origins[4, 0].port)
    add("page", servers=off, error_code=503)
    add("empty")
    add("refused", servers=off, error_code=403)
    add("off", enabled=False, servers=members(0))
    turns = add("turns", check_type="none", persistence="src")
    _sub(site, turns, members(0)[:2], [], persistence="cookie-hash", request_rules=["attack"])
    _sub(site, turns, members(1)[1:], [], schedule="uhash", esp_enabled=True, allowed_hosts="*.example.com")
    nested = add("nested", check_type="none", request_rules=["moved", "user"], add_via=1)
    rules = {"h1": ["images"], "h2": ["beta", "attack"], "h3": ["default"], "h4": ["default", "flagged"]}
    _sub(site, nested, members(0, **rules), ["not-mobile"], persistence="header", cookie="X-User", pre_rules=["flags"])
    _sub(site, nested, members(1), ["default"], persistence="query-hash", query_tag="user", schedule="fixed")
    site.rig.do(SetParameters("layer7", {"share_subvs_persistence": True}))
    shared = add("shared", check_type="none")
    _sub(site, shared, members(0), ["php", "images"], persistence="src")
    _sub(site, shared, list(reversed(members(1))), ["query", "default"], persistence="src")
    # one is down, one drains
    origins[2, 3].refuse()
    origins[3, 2].refuse()
    for name in ("sources", "hosts", "header", "super"):
        site.services[name].server(origins[2, 3]).wait_until("down")
    for name in ("query", "urlkey", "urls", "hashed sub"):
        site.services[name].server(origins[3, 2]).wait_until("down")


def _sub(site: Site, parent: Service, servers: list[dict[str, Any]], rules: list[str], **settings: Any) -> Service:
    data = {"service_type": "http", "check_type": "http", "servers": servers} | settings
    outcome = site.rig.do(CreateSubService(parent.index, data, {"rules": rules}))
    assert isinstance(outcome.key, int)
    sub = Service(site.rig, outcome.key)
    for server in sub.servers:
        if server.setting("enabled"):
            server.wait_until("up")
    return sub


def _random_request(site: Site, chance: random.Random, cookies: list[str]) -> tuple[Service, Request]:
    service = chance.choice([service for service in site.services.values() if service.port])
    headers = []
    host = chance.choice(HOSTS)
    if host:
        headers.append(("Host", host))
    agent = chance.choice(AGENTS)
    if agent:
        headers.append(("User-Agent", agent))
    for name, values in (
        ("X-User", ["ann", "bob", "cid, dan"]),
        ("X-Group", ["beta", "alpha"]),
        ("X-Flag", ["on", "off"]),
        ("Authorization", ["Basic YTox"]),
        (
            "Cookie",
            [
                "JS=1",
                "JS=2; steelyard=x",
                "steelyard=x; steelyard=y",
                "a=b; JS = 3",
                'JS="q;r"',
                *ODD_COOKIES,
                *cookies[-5:],
            ],
        ),
    ):
        for _ in range(chance.choice((0, 0, 1, 2 if name in ("X-User", "X-Group") else 1))):
            headers.append((name, chance.choice(values)))
    method = chance.choice(("GET", "GET", "GET", "POST", "HEAD"))
    if method == "POST" and chance.random() < 0.9:
        headers.append(("Content-Length", "0"))
    request = Request(
        client=f"127.0.94.{chance.randrange(1, 40)}",
        service=service.index,
        method=method,
        target=chance.choice(PATHS),
        headers=tuple(headers),
        # a real server would refuse HTTP/1.1 without a host
        version="1.1" if host else "1.0",
    )
    return service, request


def _send(service: Service, request: Request) -> Reply | None:
    """The real thing; None when the connection ends without an answer."""
    try:
        with Connection(service.address, service.port, source=request.client) as connection:
            lines = [
                f"{request.method} {request.target} HTTP/{request.version}",
                *(f"{n}: {v}" for n, v in request.headers),
            ]
            return connection.raw("\r\n".join([*lines, "", ""]).encode(), method=request.method)
    except (ConnectionError, h11.RemoteProtocolError):
        return None


def _said(site: Site, told: Explanation) -> set[str]:
    """What may come of it, in the words of `_came`."""
    return _possible(site, told.result)


def _possible(site: Site, result: Result) -> set[str]:
    others = {said for other in result.others for said in _possible(site, other)}
    if result.kind == "closed":
        return {"closed"}
    if result.kind == "answered":
        return {f"{result.status} {result.location}".strip()}
    return others | {site.origins[server.address, server.port] for server in result.servers}


def _came(reply: Reply | None) -> str:
    if reply is None:
        return "closed"
    origin = reply.header("x-origin")
    return origin if origin is not None else f"{reply.status} {reply.header('location') or ''}".strip()


def test_what_is_explained_is_what_comes(site: Site) -> None:
    chance = random.Random(SEED)
    cookies: list[str] = []
    kinds: Counter[str] = Counter()
    wrong, records = [], 0
    for number in range(REQUESTS):
        service, request = _random_request(site, chance, cookies)
        before = site.records() if number % 10 == 0 else None
        told = site.explain(request)
        if before is not None:
            assert site.records() == before, "explaining made a record"
        reply = _send(service, request)
        kinds[told.result.kind] += 1
        if _came(reply) not in _said(site, told):
            wrong.append((request, told, _came(reply)))
        if reply is not None and reply.header("x-origin") and _makes_a_record(told):
            # the record that was made is found by the key that was worked out
            again = site.explain(request)
            assert _said(site, again) == {_came(reply)}, _shown(request, again, _came(reply))
            records += 1
        if reply is not None and "steelyard" in (reply.header("set-cookie") or ""):
            cookies.append((reply.header("set-cookie") or "").partition(";")[0])
    assert not wrong, f"{len(wrong)} of {REQUESTS}: " + "\n".join(_shown(*one) for one in wrong[:5])
    assert records > REQUESTS // 5
    # each kind of result was really met
    assert min(kinds[kind] for kind in ("server", "candidates", "answered", "closed")) >= REQUESTS // 50, kinds


def _makes_a_record(told: Explanation) -> bool:
    """Whether one service alone may serve the request, and the request has a key there."""
    services = {server.service for server in told.result.servers if server.index}
    keyed = {step.service for step in told.steps if step.details and step.details[0].startswith("key: ")}
    return not told.result.others and len(services) == 1 and services <= keyed


def _shown(request: Request, told: Explanation, came: str) -> str:
    steps = "\n".join(f"    {step.name}: {step.says} {list(step.details)}" for step in told.steps)
    return f"{request}\n{steps}\n    said {told.result}\n    came {came}"


def test_a_client_with_a_record_is_told_its_server_and_the_time_left(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(one, two, persistence="src", persistence_timeout=120)
    site = Site(rig)
    request = Request(client="127.0.94.1", service=service.index)
    first = site.explain(request)
    assert first.result.kind == "candidates"
    name = service.name(source="127.0.94.1")
    told = site.explain(request)
    (server,) = told.result.servers
    assert server.port == {"one": one.port, "two": two.port}[name]
    (step,) = [step for step in told.steps if step.name == "persistence"]
    assert re.search(r"a record for 1(19|20) s more", " ".join(step.details))


def test_a_record_of_a_server_that_drains_is_followed_and_of_one_that_is_disabled_not(
    rig: Rig, one: Origin, two: Origin
) -> None:
    service = rig.http(one, two, persistence="src")
    site, request = Site(rig), Request(client="127.0.94.1", service=service.index)
    name = service.name(source="127.0.94.1")
    mine = one if name == "one" else two
    service.server(mine).change(enabled=False)
    service.server(mine).wait_until("drain")
    (server,) = site.explain(request).result.servers
    assert server.port == mine.port
    assert service.name(source="127.0.94.1") == name
    rig.layer7(drain_time=0)
    service.server(mine).wait_until("maint")
    (server,) = site.explain(request).result.servers
    assert server.port != mine.port
    assert service.name(source="127.0.94.1") != name


def test_explaining_does_not_restart_the_time_of_a_record(rig: Rig, one: Origin) -> None:
    service = rig.http(one, persistence="src", persistence_timeout=60)
    service.fetch(source="127.0.94.1")
    eventually(lambda: min(left for _, left in service.records().values()) < 59, "a second is over")
    Site(rig).explain(Request(client="127.0.94.1", service=service.index))
    assert min(left for _, left in service.records().values()) < 59


@pytest.mark.parametrize("answer", [0, 1, 2])
def test_a_limit_that_is_reached_refuses_as_it_is_told(rig: Rig, one: Origin, answer: int) -> None:
    service = rig.http(one, requests_per_second=2)
    rig.do(SetParameters("limits", {"answer": answer}))
    site, request = Site(rig), Request(client="127.0.94.1", service=service.index, headers=(("Host", "a"),))
    assert site.explain(request).result.kind == "server"
    refused = {"closed" if not answer else str({1: 429, 2: 503}[answer])}

    def told() -> bool:
        for _ in range(4):
            _send(service, request)
        return _said(site, site.explain(request)) == refused

    eventually(told, "the limit is reached")
    assert {_came(_send(service, request))} == refused
    rig.do(SetParameters("limits", {"answer": 0}))


def test_a_client_at_its_limit_of_connections_is_told_so(rig: Rig, one: Origin) -> None:
    rig.do(SetParameters("limits", {"client_connections": 1}))
    try:
        service = rig.http(one)
        site = Site(rig)
        mine, other = (Request(client=f"127.0.94.{n}", service=service.index) for n in (1, 2))
        with service.connect(source="127.0.94.1") as connection:
            connection.request("/")
            assert site.explain(mine).result.kind == "closed"
            assert site.explain(other).result.kind == "server"
        eventually(lambda: site.explain(mine).result.kind == "server", "the connection is over")
    finally:
        rig.do(SetParameters("limits", {"client_connections": 0}))


def test_tls_is_told_as_it_comes(rig: Rig, one: Origin) -> None:
    for name in ("a.example", "*.b.example"):
        rig.certificate(name.strip("*."), leaf(name))
    service = rig.http(one, ssl_acceleration=True, certificates=("a.example", "b.example"))
    site = Site(rig)
    for asked, shown in (
        ("a.example", "a.example"),
        ("x.b.example", "b.example"),
        ("x.y.b.example", "a.example"),
        ("", ""),
    ):
        request = Request(client="127.0.94.1", service=service.index, server_name=asked, headers=(("Host", "a"),))
        told = site.explain(request)
        (says,) = [step.says for step in told.steps if step.name == "TLS"]
        assert says == f"the certificate {shown or 'a.example'} is shown"
        reply = service.fetch(source="127.0.94.1", sni=asked or None)
        assert reply.name == "one"
        assert reply.certificate is not None
        assert (shown or "a.example") in str(reply.certificate.subject.rfc4514_string() + _alternatives(reply))
    service.change(require_sni=True)
    for asked, kind in (("a.example", "server"), ("x.y.b.example", "closed"), ("", "closed")):
        request = Request(client="127.0.94.1", service=service.index, server_name=asked, headers=(("Host", "a"),))
        assert site.explain(request).result.kind == kind
        with contextlib.nullcontext() if kind == "server" else pytest.raises((ssl.SSLError, ConnectionError)):
            assert service.fetch(source="127.0.94.1", sni=asked or None).name == "one"
    clear = Request(client="127.0.94.1", service=service.index, tls=False, headers=(("Host", "a"),))
    assert site.explain(clear).result.kind == "closed"
    plain = rig.http(one)
    hello = Request(client="127.0.94.1", service=plain.index, tls=True)
    assert (site.explain(hello).result.kind, site.explain(hello).result.status) == ("answered", 400)
    with plain.connect() as connection:
        connection.socket.sendall(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n")
        assert b" 400 " in connection.socket.recv(100)


def _alternatives(reply: Reply) -> str:
    assert reply.certificate is not None
    return str(reply.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)


def test_a_service_of_bytes_is_explained(rig: Rig, line_one: TcpOrigin, line_two: TcpOrigin) -> None:
    service = rig.tcp(line_one, line_two, persistence="src")
    site, request = Site(rig), Request(client="127.0.94.1", service=service.index)
    site.origins = {(origin.address, origin.port): origin.name for origin in (line_one, line_two)}
    assert _said(site, site.explain(request)) == {"one", "two"}
    with service.connect(source="127.0.94.1") as connection:
        connection.socket.sendall(b"hello\n")
        name = connection.socket.recv(64).decode().split(":")[0]
    assert _said(site, site.explain(request)) == {name}
    line_one.refuse()
    line_two.refuse()
    for server in service.servers:
        server.wait_until("down")
    assert site.explain(request).result.kind == "closed"


def test_ipv6_clients_are_explained(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(one, two, address="::1", persistence="src", persistence_mask=24, requests_per_second=100)
    site, request = Site(rig), Request(client="::1", service=service.index, headers=(("Host", "a"),))
    site.origins = {(origin.address, origin.port): origin.name for origin in (one, two)}
    assert _said(site, site.explain(request)) == {"one", "two"}
    name = service.name()
    assert _said(site, site.explain(request)) == {name}
