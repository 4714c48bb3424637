"""Content rules and sub-services come, go and lead elsewhere while clients go on: not one request fails."""

from __future__ import annotations

import contextlib

import pytest
from tests.engine.rig import Rig, Service, eventually
from tests.support.load import Load
from tests.support.origin import Origin

from steelyard.model.commands import (
    AddRule,
    AttachRule,
    ChangeRule,
    CreateSubService,
    DetachRule,
    RemoveRule,
    RemoveService,
    RulePlace,
)
from steelyard.model.commands import AddServer as AddServerCommand

pytestmark = [pytest.mark.engine, pytest.mark.slow]


@pytest.mark.timeout(120)
def test_rules_lead_to_what_only_a_reload_brings(own_rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    """A rule names its backend in a lookup that changes at once; the backend comes up to a second later."""
    rig = own_rig
    service = rig.service((), service_type="http")

    def sub(origin: Origin, *rules: str) -> int:
        made = rig.do(CreateSubService(service.index, {"check_type": "none"})).key
        assert isinstance(made, int)
        rig.do(AddServerCommand(made, {"address": origin.address, "port": origin.port}), wait=False)
        place = RulePlace(service.index, member=slot(made))
        for rule in rules:
            rig.do(AttachRule(place, rule), wait=False)
        return made

    def slot(index: int) -> int:
        found: int = next(one.index for one in service.setting("slots") if one.service == index)
        return found

    def switching_changes(service: Service) -> None:
        rig.do(AddRule({"name": "api", "match_type": "prefix", "pattern": "/api"}), wait=False)
        made = sub(two, "api")
        # the same lookup is now read by other rules: without case, then as an expression
        rig.do(ChangeRule("api", {"ignore_case": True}), wait=False)
        rig.do(ChangeRule("api", {"match_type": "regex", "pattern": "^/a[p]i"}), wait=False)
        # two sub-services share the rule: a group that was not there
        place = RulePlace(service.index, member=slot(rest))
        rig.do(AttachRule(place, "api", 1), wait=False)
        rig.do(DetachRule(place, "api"), wait=False)
        rig.do(RemoveService(made), wait=False)

    rest = sub(one, "default")
    rig.do(AddRule({"name": "shop", "match_type": "prefix", "pattern": "/shop"}))
    sub(three, "shop")
    eventually(lambda: service.fetch("/").status == 200 == service.fetch("/shop").status, "both serve")
    with contextlib.ExitStack() as stack:
        loads = [
            stack.enter_context(Load(kind, service.address, service.port, path=path, workers=3, pause=0.012))
            for kind in ("http1", "http1-new")
            for path in ("/api/x", "/shop")
        ]
        for _ in range(3):
            switching_changes(service)
            rig.do(ChangeRule("shop", {"ignore_case": True}))
            rig.do(ChangeRule("shop", {"ignore_case": False}))
            rig.do(ChangeRule("api", {"match_type": "prefix", "pattern": "/api", "ignore_case": False}))
            rig.do(RemoveRule("api"))
        for load in loads:
            load.wait_for_more(20)
    for load in loads:
        load.result().assert_clean(at_least=200)
