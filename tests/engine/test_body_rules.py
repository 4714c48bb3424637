"""Content rules that replace text in the body of answers, as clients see it."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
from tests.engine.rig import Rig, Service
from tests.support.origin import Origin

from steelyard.model.commands.command import Change
from steelyard.model.configuration import Configuration
from steelyard.model.content_rule import MATCH, REPLACE_BODY, ContentRule

pytestmark = pytest.mark.engine


@dataclass(frozen=True)
class PutRules:
    """Rules as objects and on a service in one step."""

    service: int
    rules: tuple[ContentRule, ...]
    lists: Mapping[str, tuple[str, ...]]
    permission: ClassVar[str] = "rules"
    summary: ClassVar[str] = "put rules"

    def apply(self, configuration: Configuration) -> Change:
        service = configuration.service(self.service).changed(self.lists)
        rules = {**configuration.rules, **{rule.name: rule for rule in self.rules}}
        services = {**configuration.services, service.index: service}
        return Change(replace(configuration, rules=rules, services=services), service.index)


def body_rule(name: str, pattern: str, replacement: str, **settings: Any) -> ContentRule:
    return ContentRule.make(
        {"name": name, "rule_type": REPLACE_BODY, "pattern": pattern, "replacement": replacement, **settings}
    )


def with_rules(rig: Rig, service: Service, *rules: ContentRule, **lists: tuple[str, ...]) -> None:
    names = tuple(rule.name for rule in rules if rule.rule_type == REPLACE_BODY)
    rig.do(PutRules(service.index, rules, {"body_rules": names, **lists}))


@pytest.fixture
def texts(one: Origin) -> Iterator[Origin]:
    one.extra_headers = [("Content-Type", "text/html")]
    yield one


def replaced(rig: Rig, origin: Origin, body: bytes, *rules: ContentRule) -> bytes:
    origin.bodies = {"/page": body}
    service = rig.http(origin)
    with_rules(rig, service, *rules)
    return service.fetch("/page").body


def test_every_occurrence_is_replaced(rig: Rig, texts: Origin) -> None:
    rule = body_rule("hosts", r"http://inner\.example", "https://shop.example")
    body = b"<a href='http://inner.example/a'>http://inner.example</a> http://other.example"
    expected = b"<a href='https://shop.example/a'>https://shop.example</a> http://other.example"
    assert replaced(rig, texts, body, rule) == expected


def test_groups_case_and_order(rig: Rig, texts: Origin) -> None:
    first = body_rule("swap", r"/(\w+)-(\w+)/", r"\2-\1", ignore_case=True)
    second = body_rule("shout", "b-a", "B-A!")
    assert replaced(rig, texts, b"a-b, c-d", first, second) == b"B-A!, d-c"
    assert replaced(rig, texts, b"Word WORD", body_rule("w", "word", "x")) == b"Word WORD"
    assert replaced(rig, texts, b"Word WORD", body_rule("w", "word", "x", ignore_case=True)) == b"x x"


@pytest.mark.parametrize(
    "text", ["quote \" and ' and \\ and % and ) , ; # $HOME", "%[src] %%", "ümläut €", " a  b "], ids=str
)
def test_text_reaches_the_client_as_it_was_given(rig: Rig, texts: Origin, text: str) -> None:
    found = replaced(rig, texts, b"<<here>>", body_rule("text", "here", text.replace("\\", "\\")))
    assert found == f"<<{text}>>".encode()


@pytest.mark.parametrize("by", ["", "x", "a much longer text than what it stands for"])
def test_a_long_answer_is_replaced_wherever_its_pieces_end(rig: Rig, texts: Origin, by: str) -> None:
    body = b"".join(b"line %d has the word needle in it\n" % n for n in range(20_000))
    found = replaced(rig, texts, body, body_rule("long", "needle", by))
    assert found == body.replace(b"needle", by.encode())


def test_two_rules_that_both_lengthen_a_long_answer(rig: Rig, texts: Origin) -> None:
    body = b"".join(b"line %d has a needle and a thread\n" % n for n in range(20_000))
    first, second = body_rule("one", "needle", "N" * 60), body_rule("two", "thread", "T" * 60)
    found = replaced(rig, texts, body, first, second)
    assert found == body.replace(b"needle", b"N" * 60).replace(b"thread", b"T" * 60)


def test_an_anchored_empty_match_changes_nothing_and_ends(rig: Rig, texts: Origin) -> None:
    assert replaced(rig, texts, b"aaa", body_rule("empty", "x*", "y")) == b"aaa"


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Type", "application/octet-stream")],
        [("Content-Type", "image/png")],
        [("Content-Type", "text/html"), ("Content-Encoding", "gzip")],
        [("Content-Type", "text/event-stream")],
    ],
    ids=["binary", "picture", "compressed", "events"],
)
def test_what_is_not_plain_text_passes_unchanged(rig: Rig, one: Origin, headers: list[tuple[str, str]]) -> None:
    one.extra_headers = headers
    body = gzip.compress(b"needle") + b"needle"
    assert replaced(rig, one, body, body_rule("r", "needle", "pin")) == body


def test_the_server_is_not_asked_for_what_cannot_be_read(rig: Rig, texts: Origin) -> None:
    texts.bodies = {"/page": b"needle"}
    service = rig.http(texts)
    with_rules(rig, service, body_rule("r", "needle", "pin"))
    assert service.fetch("/page", headers=(("Accept-Encoding", "gzip, br"),)).body == b"pin"
    assert texts.requests[-1].header("accept-encoding") is None


def test_with_compression_the_client_gets_the_replaced_text_compressed(rig: Rig, texts: Origin) -> None:
    texts.bodies = {"/page": b"needle " * 1000}
    service = rig.http(texts, compress=True)
    with_rules(rig, service, body_rule("r", "needle", "pin"))
    reply = service.fetch("/page", headers=(("Accept-Encoding", "gzip"),))
    assert reply.header("content-encoding") == "gzip"
    assert gzip.decompress(reply.body) == b"pin " * 1000


def test_head_and_empty_answers(rig: Rig, texts: Origin) -> None:
    texts.bodies = {"/page": b"needle"}
    texts.statuses = {"/none": 204, "/same": 304}
    service = rig.http(texts)
    with_rules(rig, service, body_rule("r", "needle", "pin"))
    for path, method, status in (("/page", "HEAD", 200), ("/none", "GET", 204), ("/same", "GET", 304)):
        reply = service.fetch(path, method=method)
        assert (reply.status, reply.body) == (status, b"")


def test_a_strong_validator_becomes_a_weak_one(rig: Rig, texts: Origin) -> None:
    texts.extra_headers = [("Content-Type", "text/html"), ("ETag", '"abc"'), ("Accept-Ranges", "bytes")]
    texts.bodies = {"/page": b"needle"}
    service = rig.http(texts)
    with_rules(rig, service, body_rule("r", "needle", "pin"))
    reply = service.fetch("/page")
    assert (reply.header("etag"), reply.header("accept-ranges")) == ('W/"abc"', None)


def test_flags_of_the_request_decide(rig: Rig, texts: Origin) -> None:
    texts.bodies = {"/page": b"needle", "/other": b"needle"}
    service = rig.http(texts)
    flag = ContentRule.make({"name": "is_page", "rule_type": MATCH, "pattern": "^/page", "set_on_match": 3})
    with_rules(
        rig,
        service,
        flag,
        body_rule("on_flag", "needle", "flagged", only_on_flag=3),
        body_rule("without", "needle", "plain", only_on_no_flag=3),
        pre_rules=("is_page",),
    )
    assert (service.fetch("/page").body, service.fetch("/other").body) == (b"flagged", b"plain")


def test_many_clients_at_once_get_their_own_answers(rig: Rig, texts: Origin) -> None:
    texts.bodies = {f"/{n}": (f"needle {n} " * 3000).encode() for n in range(8)}
    service = rig.http(texts)
    with_rules(rig, service, body_rule("r", "needle", "pin"))
    found: dict[int, bytes] = {}

    def client(n: int) -> None:
        for _ in range(5):
            found[n] = service.fetch(f"/{n}").body

    threads = [threading.Thread(target=client, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: (f"pin {n} " * 3000).encode() for n in range(8)}
