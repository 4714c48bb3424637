"""Content switching in the plan: groups, what rules select, and what a change of them costs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from steelyard.compile.compiler import Compiler, EngineFacts
from steelyard.compile.haproxy.part import Family
from steelyard.compile.haproxy.switching import is_balanced
from steelyard.diff.haproxy import Difference, difference
from steelyard.model.commands import (
    AddRule,
    AddService,
    AttachRule,
    ChangeRule,
    ChangeServer,
    ChangeService,
    ChangeSlot,
    CreateSubService,
    RulePlace,
    SetParameters,
)
from steelyard.model.configuration import Configuration
from steelyard.plan.haproxy import HaproxyPlan, ServicePlan
from steelyard.plan.operations import ChangeLookup

_FACTS = EngineFacts(threads=1, lua=True, open_files=20_000)
RULES: tuple[dict[str, Any], ...] = (
    {"name": "a", "pattern": "^a$", "header": "Host"},
    {"name": "b", "pattern": "^b$", "header": "Host"},
    {"name": "c", "pattern": "^c$", "header": "Host"},
    {"name": "post", "pattern": "POST", "header": "method", "match_type": "exact"},
    {"name": "no", "pattern": "/no", "match_type": "prefix", "must_fail": True},
)


def made(*steps: Any) -> Configuration:
    configuration = Configuration()
    for step in (*(AddRule(rule) for rule in RULES), *steps):
        configuration = step.apply(configuration).configuration
    return configuration


def with_servers(*rules: Sequence[str], **settings: Any) -> Configuration:
    """A service with a real server for each set of rules."""
    servers = [{"address": f"10.0.0.{n}", "port": 80, "rules": names} for n, names in enumerate(rules, 1)]
    where = {"address": "192.0.2.1", "port": 80, "service_type": "http"}
    return made(AddService(where | {"servers": servers} | settings))


def with_subs(*rules: Sequence[str]) -> Configuration:
    """A service with a sub-service for each set of rules."""
    subs = (
        CreateSubService(1, {"servers": [{"address": f"10.0.0.{n}", "port": 80}]}, {"rules": names})
        for n, names in enumerate(rules, 1)
    )
    return made(AddService({"address": "192.0.2.1", "port": 80, "service_type": "http"}), *subs)


def planned(configuration: Configuration) -> HaproxyPlan:
    return Compiler(_FACTS).compile(configuration).haproxy


def service(configuration: Configuration) -> ServicePlan:
    return planned(configuration).services["vs1"]


def selected(plan: ServicePlan) -> dict[str, str]:
    """What is selected, by rule or by text looked up."""
    return {key: value for lookup in plan.lookups for key, value in lookup.entries if "switch" in lookup.name} | dict(
        next(lookup.entries for lookup in plan.lookups if lookup.name == "vs1-selected")
    )


def changed(before: Configuration, *steps: Any) -> Difference:
    after = before
    for step in steps:
        after = step.apply(after).configuration
    return difference(planned(before), planned(after))


def test_members_with_the_same_rule_are_one_group_however_many_rules_select_them() -> None:
    plan = service(with_servers(["a", "b"], ["b", "a", "post"], ["c"]))
    assert {group.name: [server.name for server in group.servers] for group in plan.groups} == {
        "vs1-1-2": ["rs1", "rs2"],
        "vs1-2": ["rs2"],
        "vs1-3": ["rs3"],
    }
    assert selected(plan) == {"a": "vs1-1-2", "b": "vs1-1-2", "c": "vs1-3", "post": "vs1-2"}


def test_a_rule_of_all_real_servers_selects_the_backend_of_the_service() -> None:
    plan = service(with_servers(["a", "default"], ["a", "default"]))
    assert (plan.groups, selected(plan)) == ((), {"a": "vs1", "default": "vs1"})


def test_the_name_of_a_large_group_does_not_grow() -> None:
    plan = service(with_servers(*([["a"]] * 30), ["b"]))
    names = {group.name for group in plan.groups}
    assert "vs1-31" in names
    assert all(len(name) < 30 for name in names)


def test_a_rule_that_only_refuses_needs_no_group() -> None:
    assert service(with_servers(["no"], ["a"])).groups == service(with_servers([], ["a"])).groups


def test_a_generic_service_knows_no_rules() -> None:
    plan = service(with_servers([], [], service_type="gen"))
    assert (plan.groups, [lookup for lookup in plan.lookups if "switch" in lookup.name]) == ((), [])


def test_a_service_without_rules_has_no_line_of_this() -> None:
    plan = service(with_servers([], []))
    assert plan.frontend is not None
    assert not any("txn.switch" in word for line in plan.frontend.directives for word in line.words)


def test_a_new_host_is_one_entry() -> None:
    found = changed(with_servers(["a"], ["b"]), AttachRule(RulePlace(1, member=2), "c"))
    assert found == Difference((ChangeLookup("vs1-switch-1", True, added=(("c", "vs1-2"),)),), ())


def test_another_target_within_a_lookup_needs_no_reload() -> None:
    before = with_servers(["a"], ["b", "c"])
    found = changed(before, ChangeServer(1, 2, {"rules": ("b",)}), ChangeServer(1, 1, {"rules": ("a", "c")}))
    assert found == Difference((ChangeLookup("vs1-switch-1", True, changed=(("c", "vs1-1"),)),), ())


def test_another_pattern_within_a_lookup_needs_no_reload() -> None:
    found = changed(with_servers(["a"], ["b", "c"]), ChangeRule("c", {"pattern": "^d$"}))
    assert found.reload_reasons == ()
    assert len(found.operations) == 1


def test_what_rules_standing_alone_select_changes_without_a_reload() -> None:
    before = with_servers(["post", "a"], ["b"])
    found = changed(before, ChangeServer(1, 2, {"rules": ("post", "b")}), ChangeServer(1, 1, {"rules": ("a",)}))
    assert any("listens differently" in reason for reason in found.reload_reasons), "its place in the order changed"
    before = with_servers(["a"], ["post"], ["b"])
    found = changed(before, ChangeServer(1, 2, {"rules": ()}), ChangeServer(1, 3, {"rules": ("post", "b")}))
    assert found.reload_reasons == ("the groups of real servers that content rules of vs1 select changed",)


def test_a_default_comes_and_goes_without_a_reload() -> None:
    before = with_servers(["a"], ["b"])
    attached = AttachRule(RulePlace(1, member=2), "default")
    assert changed(before, attached) == Difference(
        (ChangeLookup("vs1-selected", True, added=(("default", "vs1-2"),)),), ()
    )


def test_thousands_of_hosts_are_the_same_lines_as_one() -> None:
    few, many = (
        made(
            *(AddRule({"name": f"h{n}", "pattern": f"^h{n}\\.example$", "header": "Host"}) for n in range(count)),
            AddService(
                {
                    "address": "192.0.2.1",
                    "port": 80,
                    "service_type": "http",
                    "servers": [{"address": "10.0.0.1", "port": 80, "rules": [f"h{n}" for n in range(count)]}],
                }
            ),
        )
        for count in (1, 2000)
    )
    one, all_of_them = service(few), service(many)
    assert one.frontend == all_of_them.frontend
    assert (one.backend, one.groups) == (all_of_them.backend, all_of_them.groups)
    assert len(all_of_them.lookups[0].entries) == 2000


def test_a_service_that_is_off_has_no_lookups_to_change() -> None:
    """HAProxy would not know them."""
    found = changed(with_servers(["a"], ["b"], enabled=False), AttachRule(RulePlace(1, member=2), "c"))
    assert found == Difference()


# --- sub-services ----------------------------------------------------------------------------------------------------


def test_a_sub_service_selected_alone_is_its_own_backend() -> None:
    plan = service(with_subs(["a"], ["b", "default"]))
    assert selected(plan) == {"a": "vs2", "b": "vs3", "default": "vs3"}
    assert plan.backend.servers == ()


def test_sub_services_with_the_same_rule_are_inner_servers() -> None:
    plan = service(with_subs(["a"], ["a", "b"], ["c"]))
    group = next(group for group in plan.groups if group.name == "vs1-1-3")
    assert [server.inner for server in group.servers] == ["vs2", "vs3"]
    assert selected(plan) == {"a": "vs1-1-3", "b": "vs1-3", "c": "vs4"}


def test_a_slot_is_switched_off_by_the_lookups() -> None:
    found = changed(with_subs(["a", "default"], ["b"]), ChangeSlot(1, 1, {"enabled": False}))
    assert found.reload_reasons == ()
    assert {operation.changed for operation in found.operations if isinstance(operation, ChangeLookup)} == {
        (("a", "vs1-none"),),
        (("default", "vs1-none"),),
    }


_NAMES = st.lists(st.sampled_from(("a", "b", "c", "post", "default")), unique=True, max_size=3)


@given(st.lists(_NAMES, min_size=1, max_size=4))
def test_whatever_rules_select_is_there(rules: list[list[str]]) -> None:
    """Every target is a backend, and every inner server leads to a frontend."""
    configuration = with_subs(*rules)
    plan = planned(configuration)
    backends = {backend.name for one in plan.services.values() for backend in one.backends}
    inner = {key for key, one in plan.services.items() if one.frontend is not None and one.frontend.inner}
    parent = plan.services["vs1"]
    if any(rules):
        assert set(selected(parent).values()) <= backends
    assert {server.inner for backend in parent.backends for server in backend.servers} <= inner


@given(st.lists(_NAMES, min_size=1, max_size=4), st.booleans(), st.booleans())
def test_a_sub_service_is_reached_in_one_way_only(rules: list[list[str]], limit: bool, everywhere: bool) -> None:
    configuration = with_subs(*rules)
    for index in [sub.index for sub in configuration.subs(configuration.service(1))] if limit else ():
        configuration = ChangeService(index, {"max_connections": 5}).apply(configuration).configuration
    if everywhere:
        limits = {"max_connections": 100, "client_connections": 100}
        configuration = SetParameters("limits", limits).apply(configuration).configuration
    parent, plan = configuration.service(1), planned(configuration)
    context = Compiler(_FACTS).service_context(configuration)
    targets = set(selected(plan.services["vs1"]).values()) if any(rules) else set()
    for sub in configuration.subs(parent):
        balanced = is_balanced(sub, Family(parent=parent), context)
        assert (plan.services[sub.engine_name].frontend is not None) == balanced
        assert not (balanced and sub.engine_name in targets)
        # all trackers are in use
        assert balanced or not (limit and everywhere)


def test_a_sub_service_that_switches_content_listens_for_its_parent() -> None:
    subs = [
        CreateSubService(1, {"servers": [{"address": "10.0.0.1", "port": 80, "rules": ["b"]}]}, {"rules": ["a"]}),
        CreateSubService(1, {"servers": [{"address": "10.0.0.2", "port": 80}]}, {"rules": ["default"]}),
    ]
    plan = planned(made(AddService({"address": "192.0.2.1", "port": 80, "service_type": "http"}), *subs))
    first = plan.services["vs2"].frontend
    assert first is not None
    assert first.inner
    assert any(line.words[0] == "use_backend" for line in first.directives)
    assert selected(plan.services["vs1"]) == {"a": "vs1-1", "default": "vs3"}


def test_every_order_of_the_same_rules_gives_the_same_groups() -> None:
    found = {
        tuple(sorted(group.name for group in service(with_servers(*order)).groups))
        for order in itertools.permutations([["a"], ["b"], ["c"]])
    }
    assert found == {("vs1-1", "vs1-2", "vs1-3")}
