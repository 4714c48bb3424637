"""Content switching (`reference/behaviour.md`, section 11): which real servers a request goes to, by rules."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

import pytest
from tests.engine.rig import Rig, Server, Service, eventually, hold
from tests.support.clients import Http2Client
from tests.support.content_rules import HOSTS, PATHS, PATTERNS, QUERIES, asked, first_match
from tests.support.listener import Listener
from tests.support.origin import Origin

from steelyard.model.commands import (
    AddRule,
    AttachRule,
    Batch,
    ChangeRule,
    ChangeServer,
    ChangeSlot,
    CreateSubService,
    RulePlace,
)
from steelyard.model.commands import AddServer as AddServerCommand
from steelyard.model.content_rule import ContentRule

pytestmark = pytest.mark.engine


def rule(rig: Rig, name: str, pattern: str, **settings: Any) -> str:
    rig.do(AddRule({"name": name, "pattern": pattern, **settings}))
    return name


def attach(server: Server, *names: str) -> None:
    for name in names:
        server._service.rig.do(AttachRule(RulePlace(server._service.index, member=server.index), name))


def switched(rig: Rig, *origins: Listener, **settings: Any) -> Service:
    return rig.http(*origins, check_type="none", **settings)


def by_host(service: Service, host: str, path: str = "/", **request: Any) -> str:
    return service.name(path, headers={"Host": host}, **request)


@pytest.fixture
def three_ways(rig: Rig, one: Origin, two: Origin, three: Origin) -> Service:
    """A host, a path, and the rest."""
    service = switched(rig, one, two, three)
    attach(service.server(one), rule(rig, "shop", r"/^shop\.example$/", header="Host"))
    attach(service.server(two), rule(rig, "images", r"^\/images.*"))
    attach(service.server(three), "default")
    return service


def test_each_request_goes_where_its_rule_says(three_ways: Service) -> None:
    assert by_host(three_ways, "shop.example") == "one"
    assert by_host(three_ways, "SHOP.example:8080") == "one"
    assert by_host(three_ways, "other.example", "/images/a.png") == "two"
    assert by_host(three_ways, "other.example", "/a/images") == "three"
    assert by_host(three_ways, "xshop.example") == "three"
    # the rules are looked at in the order of the members
    assert by_host(three_ways, "shop.example", "/images/a.png") == "one"


def test_a_kept_connection_is_switched_request_by_request(three_ways: Service) -> None:
    with three_ways.connect() as connection:
        hosts = ["shop.example", "a", "shop.example", "b"]
        assert [connection.request("/", host=host).name for host in hosts] == ["one", "three", "one", "three"]
        assert connection.request("/images/x", host="a").name == "two"


def test_http2_requests_are_switched_one_by_one(rig: Rig, three_ways: Service) -> None:
    three_ways.change(ssl_acceleration=True, allow_http2=True)
    with Http2Client() as client:
        found = [client.request(f"{three_ways.url}{path}").name for path in ("/", "/images/1", "/", "/images/2")]
        assert found == ["three", "two", "three", "two"]
        assert client.request(three_ways.url, headers={"Host": "shop.example"}).name == "one"


def test_what_no_rule_matches_is_answered_with_404_and_reaches_nobody(rig: Rig, one: Origin, two: Origin) -> None:
    service = switched(rig, one, two)
    attach(service.server(one), rule(rig, "api", "/api", match_type="prefix"))
    reply = service.fetch("/other")
    assert (reply.status, one.request_count + two.request_count) == (404, 0)
    assert "No content rule matches" in reply.text
    assert service.name("/api/x") == "one"


def test_all_real_servers_with_the_rule_share_its_requests(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    service = switched(rig, one, two, three, schedule="rr")
    rule(rig, "api", "/api", match_type="prefix")
    for origin in (one, three):
        attach(service.server(origin), "api")
    attach(service.server(two), "default")
    assert service.spread(10, "/api") == {"one": 5, "three": 5}
    assert service.spread(3, "/") == {"two": 3}


def test_a_disabled_real_server_gets_none_of_its_group(rig: Rig, one: Origin, two: Origin) -> None:
    service = switched(rig, one, two)
    rule(rig, "api", "/api", match_type="prefix")
    attach(service.server(one), "api")
    attach(service.server(two), "default")
    with rig.without_reload():
        service.server(one).change(enabled=False)
        eventually(lambda: service.fetch("/api").status == 503, "the group is empty")
        assert service.name("/") == "two"
        service.server(one).change(enabled=True)
        eventually(lambda: service.fetch("/api").status == 200, "the group serves")


def test_a_new_host_for_a_member_needs_no_reload(rig: Rig, one: Origin, two: Origin) -> None:
    service = switched(rig, one, two)
    attach(service.server(one), rule(rig, "a", "^a\\.example$", header="Host"))
    attach(service.server(two), rule(rig, "b", "^b\\.example$", header="Host"))
    with rig.without_reload():
        attach(service.server(two), rule(rig, "c", "c.example", header="Host", match_type="exact"))
        assert by_host(service, "c.example") == "two"
        rig.do(ChangeRule("c", {"pattern": "d.example"}))
        assert service.fetch(headers={"Host": "c.example"}).status == 404
        assert by_host(service, "d.example") == "two"
        # the same rule at an earlier member: it is that one's
        rig.do(ChangeServer(service.index, service.server(two).index, {"rules": ("b",)}))
        attach(service.server(one), "c")
        assert by_host(service, "d.example") == "one"
        assert [by_host(service, host) for host in ("a.example", "b.example")] == ["one", "two"]


def test_the_target_of_a_rule_that_stands_alone_changes_without_a_reload(rig: Rig, one: Origin, two: Origin) -> None:
    service = switched(rig, one, two)
    rule(rig, "not_get", "^GET$", header="method", negate=True)
    attach(service.server(one), rule(rig, "a", "/a", match_type="prefix"), "not_get")
    attach(service.server(two), rule(rig, "x", "x", header="X-Test", match_type="exact"), "default")
    assert service.name("/b", method="POST") == "one"
    with rig.without_reload():
        first, second = service.server(one), service.server(two)
        rig.do(ChangeServer(service.index, first.index, {"rules": ("a", "not_get", "default")}))
        rig.do(ChangeServer(service.index, second.index, {"rules": ("x",)}))
        assert service.name("/b") == "one"


@pytest.mark.parametrize("kind", ["regex", "prefix", "postfix", "exact"])
def test_text_of_any_kind_gets_into_a_lookup_unchanged(rig: Rig, one: Origin, two: Origin, kind: str) -> None:
    """At run time and by the file that the next worker reads."""
    service = switched(rig, one, two)
    texts = ["/a\\b", "/a;c", "/d'e\"f", "/$g%h", "/(i)|j", "/<<k", "/\\", "/l,m", "/@1", "/[n]{o}"]
    first = {"regex": "^/first[0-9]", "prefix": "/first", "postfix": "/first", "exact": "/first"}[kind]
    attach(service.server(one), rule(rig, "first", first, match_type=kind))
    attach(service.server(two), rule(rig, "second", f"{first}x", match_type=kind))
    with rig.without_reload():
        for number, text in enumerate(texts):
            # so that it is no plain text
            pattern = f"^{re.escape(text)}[.]?$" if kind == "regex" else text
            attach(service.server(two), rule(rig, f"r{number}", pattern, match_type=kind))
        for text in texts:
            assert service.name(text) == "two", text
            assert service.fetch(f"/z{text}y").status == 404
    before = rig.worker
    service.change(idle_time=service.setting("idle_time") + 1)
    assert rig.worker != before
    assert [service.name(text) for text in texts] == ["two"] * len(texts)


def test_rules_change_while_their_service_is_off(rig: Rig, one: Origin, two: Origin) -> None:
    service = switched(rig, one, two)
    attach(service.server(one), rule(rig, "a", "^a$", header="Host"), "default")
    service.change(enabled=False)
    attach(service.server(two), rule(rig, "b", "^b$", header="Host"))
    service.change(enabled=True)
    assert [by_host(service, host) for host in "abc"] == ["one", "two", "one"]


def test_thousands_of_hosts_are_all_found(rig: Rig, one: Origin, two: Origin) -> None:
    service = switched(rig, one, two)
    names = [f"h{number}" for number in range(2000)]
    rig.do(
        Batch(
            (
                *(AddRule({"name": name, "header": "Host", "pattern": f"^{name}\\.example$"}) for name in names),
                ChangeServer(service.index, service.server(one).index, {"rules": tuple(names[::2])}),
                ChangeServer(service.index, service.server(two).index, {"rules": tuple(names[1::2])}),
            )
        )
    )
    with service.connect() as connection:
        for number in (0, 1, 998, 1001, 1999):
            wanted = ("one", "two")[number % 2]
            assert connection.request(host=f"h{number}.example").name == wanted
        assert connection.request(host="h2000.example").status == 404


def test_rules_change_what_is_sent_but_not_what_was_chosen(rig: Rig, one: Origin, two: Origin) -> None:
    service = switched(rig, one, two, request_rules=())
    attach(service.server(one), rule(rig, "old", "/old", match_type="prefix"))
    attach(service.server(two), rule(rig, "new", "/new", match_type="prefix"))
    rule(rig, "move", "^/old", rule_type=4, replacement="/new")
    service.change(request_rules=("move",))
    reply = service.fetch("/old/x?q")
    assert (reply.name, reply.json["url"]) == ("one", "/new/x?q")


def test_persistence_holds_within_each_group(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    service = switched(rig, one, two, three, persistence="src", schedule="rr")
    rule(rig, "api", "/api", match_type="prefix")
    for origin in (one, two):
        attach(service.server(origin), "api")
    attach(service.server(three), "default")
    first = service.name("/api", source="127.0.0.21")
    assert {service.name("/api", source="127.0.0.21") for _ in range(4)} == {first}
    assert service.name("/", source="127.0.0.21") == "three"
    # the record of a server outside the group is passed over, and the group's own is still there
    assert {service.name("/api", source="127.0.0.21") for _ in range(3)} == {first}


@pytest.mark.parametrize("seed", [0, 11, 14])
def test_the_first_rule_that_matches_counts_whatever_its_kind(
    rig: Rig, one: Origin, two: Origin, three: Origin, seed: int
) -> None:
    """Rules of all kinds one after the other, against what they say one by one."""
    service = switched(rig, one, two, three)
    chance = random.Random(seed)
    found: list[ContentRule] = []
    same: dict[str, Any] = {}
    for number in range(48):
        if number % 4 == 0:  # so many become one lookup
            same = {"match_type": chance.choice(("regex", "prefix", "postfix", "exact"))}
            same["ignore_case"] = chance.random() < 0.3
            same |= chance.choice(({"header": "Host"}, {}, {"include_query": True}, {"include_host": True}))
        usable = [pattern for pattern in PATTERNS if len(pattern) > 2 or same["match_type"] == "exact"]
        found.append(ContentRule.make({"name": f"r{number}", "pattern": chance.choice(usable), **same}))
    members = [found[:16], found[16:32], found[32:]]
    servers = [service.server(origin).index for origin in (one, two, three)]
    rig.do(
        Batch(
            (
                *(AddRule(rule.model_dump(exclude_defaults=True)) for rule in found),
                *(
                    ChangeServer(service.index, index, {"rules": tuple(rule.name for rule in rules)})
                    for index, rules in zip(servers, members, strict=True)
                ),
            )
        )
    )
    answers = set()
    with service.connect() as connection:
        for host in HOSTS:
            for target in (path + query for path in PATHS for query in QUERIES):
                request = asked(host, target)
                wanted = next(
                    (
                        name
                        for name, rules in zip(("one", "two", "three"), members, strict=True)
                        if first_match(rules, request)
                    ),
                    None,
                )
                reply = connection.request(target, host=host)
                assert reply.header("x-origin") == wanted, f"{host}{target}"
                answers.add(wanted)
    assert answers == {"one", "two", "three", None}


@pytest.mark.parametrize(
    ("settings", "hit", "miss"),
    [
        ({"header": "method", "pattern": "^P"}, {"method": "POST"}, {}),
        ({"header": "method", "pattern": "GET", "match_type": "exact", "negate": True}, {"method": "PUT"}, {}),
        ({"header": "src-ip", "pattern": "127.0.9.0/24"}, {"source": "127.0.9.7"}, {"source": "127.0.8.7"}),
        ({"header": "src-ip", "pattern": "^127[.]0[.]9"}, {"source": "127.0.9.7"}, {"source": "127.0.8.7"}),
        ({"header": "X-A", "pattern": "b"}, {"headers": [("X-A", "a"), ("x-a", "abc")]}, {"headers": {"X-A": "a"}}),
        ({"header": "X-A", "pattern": "b", "negate": True}, {}, {"headers": [("X-A", "a"), ("X-A", "b")]}),
        ({"header": "X-A'b", "pattern": "}", "match_type": "exact"}, {"headers": {"X-A'b": "}"}}, {}),
        ({"header": "X-A", "pattern": "Ab", "ignore_case": True}, {"headers": {"X-A": "aB"}}, {}),
        ({"header": "body", "pattern": "hel+o"}, {"method": "POST", "body": b"say\nhelllo"}, {"body": b"heo"}),
        ({"header": "body", "pattern": "hel", "match_type": "prefix"}, {"body": b"hello"}, {"body": b"ahel"}),
        ({"header": "body", "pattern": "x", "negate": True}, {}, {"method": "POST", "body": b"x"}),
        ({"header": "body", "pattern": "^x+"}, {"method": "POST", "body": b"x" * 100_000}, {}),
        ({"pattern": "a b", "match_type": "postfix", "header": "X-A"}, {"headers": {"X-A": "x a b"}}, {}),
    ],
    ids=lambda value: None,
)
def test_what_a_rule_can_look_at(
    rig: Rig, one: Origin, two: Origin, settings: dict[str, Any], hit: dict[str, Any], miss: dict[str, Any]
) -> None:
    service = switched(rig, one, two)
    attach(service.server(one), rule(rig, "it", **settings))
    attach(service.server(two), "default")
    assert service.name("/p", **hit) == "one"
    assert service.name("/p", **miss) == "two"


def test_a_rule_whose_match_is_to_fail_ends_the_connection(rig: Rig, one: Origin, two: Origin) -> None:
    service = switched(rig, one, two)
    attach(service.server(one), rule(rig, "no", "/secret", match_type="prefix", must_fail=True))
    attach(service.server(two), "default")
    with pytest.raises(ConnectionError):
        service.fetch("/secret/x")
    assert (service.name("/x"), one.request_count) == ("two", 0)


def test_flags_chain_rules(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    service = switched(rig, one, two, three)
    rule(rig, "is_post", "POST", header="method", match_type="exact", set_on_match=1)
    service.change(pre_rules=("is_post",))
    attach(service.server(one), rule(rig, "write", "/api", match_type="prefix", only_on_flag=1, set_on_match=2))
    attach(service.server(two), rule(rig, "read", "/api", match_type="prefix", only_on_no_flag=1))
    attach(service.server(three), "default")
    rule(rig, "told", "", rule_type=1, header="X-Told", replacement="yes", only_on_flag=2)
    rule(rig, "seen", "", rule_type=1, header="X-Seen", replacement="yes", only_on_flag=2)
    service.change(request_rules=("told",), response_rules=("seen",))
    reply = service.fetch("/api", method="POST")
    assert (reply.name, reply.seen_headers.get("x-told"), reply.header("x-seen")) == ("one", ["yes"], "yes")
    reply = service.fetch("/api")
    assert (reply.name, reply.seen_headers.get("x-told"), reply.header("x-seen")) == ("two", None, None)
    assert service.name("/", method="POST") == "three"


# --- sub-services -------------------------------------------------------------------------------------------


class Parent:
    """A service with sub-services, one for each tuple of origins."""

    def __init__(self, rig: Rig, subs: Sequence[Sequence[Listener]], **settings: Any) -> None:
        self.rig = rig
        self.service = rig.service((), service_type="http", **settings)
        self.subs: list[int] = []
        for origins in subs:
            before = set(rig.started.appliance.snapshot().configuration.services)
            rig.do(CreateSubService(self.service.index, {"check_type": "none"}))
            (sub,) = set(rig.started.appliance.snapshot().configuration.services) - before
            self.subs.append(sub)
            for origin in origins:
                rig.do(AddServerCommand(sub, {"address": origin.address, "port": origin.port}))

    @property
    def slots(self) -> list[int]:
        return [slot.index for slot in self.service.setting("slots")]

    def attach(self, number: int, *names: str) -> None:
        for name in names:
            self.rig.do(AttachRule(RulePlace(self.service.index, member=self.slots[number]), name))

    def slot(self, number: int, **changes: Any) -> None:
        self.rig.do(ChangeSlot(self.service.index, self.slots[number], changes))


def test_rules_choose_among_sub_services(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    parent = Parent(rig, [(one, two), (three,)])
    parent.attach(0, rule(rig, "api", "/api", match_type="prefix"))
    parent.attach(1, "default")
    eventually(lambda: parent.service.fetch("/api").status == 200, "the sub-service serves")
    assert set(parent.service.names(6, "/api")) == {"one", "two"}
    assert set(parent.service.names(3, "/x")) == {"three"}


def test_a_disabled_slot_is_not_used_and_comes_back_without_a_reload(rig: Rig, one: Origin, two: Origin) -> None:
    parent = Parent(rig, [(one,), (two,)])
    parent.attach(0, rule(rig, "api", "/api", match_type="prefix"))
    parent.attach(1, "default")
    eventually(lambda: parent.service.fetch("/api").status == 200, "the sub-service serves")
    with rig.without_reload():
        parent.slot(0, enabled=False)
        assert parent.service.fetch("/api").status == 503
        assert parent.service.name("/") == "two"
        parent.slot(0, enabled=True)
        assert parent.service.name("/api") == "one"


def test_sub_services_with_the_same_rule_share_its_requests(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    parent = Parent(rig, [(one,), (two,), (three,)], schedule="rr")
    rule(rig, "api", "/api", match_type="prefix")
    parent.attach(0, "api")
    parent.attach(2, "api")
    parent.attach(1, "default")
    eventually(lambda: set(parent.service.names(4, "/api")) == {"one", "three"}, "both serve")
    assert parent.service.name("/") == "two"
    seen = parent.service.fetch("/api").json
    assert seen["name"] in ("one", "three")


def test_the_limit_of_a_slot_holds_for_a_sub_service_selected_alone(rig: Rig, one: Origin) -> None:
    parent = Parent(rig, [(one,)])
    parent.attach(0, rule(rig, "all", "/", match_type="prefix"))
    parent.slot(0, limit=2)
    eventually(lambda: parent.service.fetch("/").status == 200, "the sub-service serves")
    held = hold(parent.service, [one], 2, seconds=2)
    assert parent.service.fetch("/").status == 503
    eventually(lambda: parent.service.fetch("/").status == 200, "a place is free again")
    assert len(held) == 2


def test_a_sub_service_switches_among_its_own_real_servers(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    parent = Parent(rig, [(one, two), (three,)])
    parent.attach(0, rule(rig, "api", "/api", match_type="prefix"))
    parent.attach(1, "default")
    rule(rig, "write", "^/api/write")
    sub = Service(rig, parent.subs[0])
    attach(sub.server(one), "write")
    attach(sub.server(two), "default")
    eventually(lambda: parent.service.fetch("/api").status == 200, "the sub-service serves")
    assert (parent.service.name("/api/write/x"), parent.service.name("/api/read")) == ("one", "two")
    assert parent.service.name("/") == "three"
