"""What a service with sub-services does to answers: caching, compression, body rules.

It makes no difference to clients whether a rule selects one sub-service or the parent balances among several, although
in HAProxy an answer of the first never passes the parent's backend.
"""

from __future__ import annotations

import gzip

import pytest
from tests.engine.rig import Rig, Service, eventually
from tests.support.clients import Reply
from tests.support.origin import Origin

from steelyard.model.commands import AddRule, AttachRule, ChangeRule, ChangeService, CreateSubService, RulePlace
from steelyard.model.commands import AddServer as AddServerCommand

pytestmark = pytest.mark.engine

ACCEPT = (("Accept-Encoding", "gzip"),)
TEXT = b"needle and thread " * 100


@pytest.fixture(params=["selected", "balanced"])
def parent(request: pytest.FixtureRequest, rig: Rig, one: Origin) -> Service:
    """A service with one sub-service, in both ways it may be reached."""
    one.extra_headers = [("Content-Type", "text/html"), ("Cache-Control", "public, max-age=60")]
    one.bodies = {"/page.html": TEXT}
    service = rig.service((), service_type="http")
    rig.do(CreateSubService(service.index, {"check_type": "none"}))
    (slot,) = service.setting("slots")
    rig.do(AddServerCommand(slot.service, {"address": one.address, "port": one.port}))
    if request.param == "selected":
        rig.do(AttachRule(RulePlace(service.index, member=slot.index), "default"))
    eventually(lambda: service.fetch("/up").status == 200, "the sub-service serves")
    return service


def change(service: Service, rig: Rig, **changes: object) -> None:
    rig.do(ChangeService(service.index, changes))


def body_rule(rig: Rig, service: int, name: str, pattern: str, replacement: str) -> None:
    rig.do(AddRule({"name": name, "rule_type": 5, "pattern": pattern, "replacement": replacement}))
    rig.do(AttachRule(RulePlace(service, list="body"), name))


def unpacked(reply: Reply) -> bytes:
    assert reply.header("content-encoding") == "gzip"
    return gzip.decompress(reply.body)


def test_the_parents_cache_is_used(rig: Rig, one: Origin, parent: Service) -> None:
    change(parent, rig, cache=True)
    one.clear()
    assert [parent.fetch("/page.html").body for _ in range(3)] == [TEXT] * 3
    assert one.request_count == 1


def test_the_parent_compresses(rig: Rig, parent: Service) -> None:
    change(parent, rig, compress=True)
    assert unpacked(parent.fetch("/page.html", headers=ACCEPT)) == TEXT


def test_the_parents_body_rules_come_after_those_of_the_sub_service(rig: Rig, parent: Service) -> None:
    body_rule(rig, parent.index, "second", "pin", "bolt")
    body_rule(rig, parent.setting("slots")[0].service, "first", "needle", "pin")
    assert parent.fetch("/page.html", headers=ACCEPT).body == TEXT.replace(b"needle", b"bolt")
    rig.do(ChangeRule("second", {"replacement": "rivet"}))
    assert parent.fetch("/page.html").body == TEXT.replace(b"needle", b"rivet")


def test_all_of_it_together(rig: Rig, one: Origin, parent: Service) -> None:
    change(parent, rig, cache=True, compress=True)
    body_rule(rig, parent.index, "pins", "needle", "pin")
    change(Service(rig, parent.setting("slots")[0].service), rig, cache=True, compress=True)
    one.clear()
    for _ in range(2):
        assert unpacked(parent.fetch("/page.html", headers=ACCEPT)) == TEXT.replace(b"needle", b"pin")
        assert parent.fetch("/page.html").body == TEXT.replace(b"needle", b"pin")
    assert one.request_count <= 2
