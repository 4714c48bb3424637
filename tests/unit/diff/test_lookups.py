"""Entries of lookups change at run time; a lookup comes and goes with the rules that use it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from steelyard.diff.haproxy import apply_operations, difference
from steelyard.plan.haproxy import Backend, Frontend, Globals, HaproxyPlan, Lookup, Server, ServicePlan, directive
from steelyard.plan.operations import AddServer, ChangeLookup, Release, RemoveServer, ReplaceLookup

BACKEND = Backend("vs1", "http", ("roundrobin",), (), 60)
SERVER = Server("rs1", 1, "10.0.0.1", 80, 100, 0, True)


def plan(*entries: tuple[str, str], shared: bool = False, ordered: bool = False) -> HaproxyPlan:
    lookup = Lookup("hosts", entries, ordered=ordered)
    service = ServicePlan("vs1", None, BACKEND, lookups=() if shared else (lookup,))
    return HaproxyPlan(Globals(100, 1), {"vs1": service}, lookups=(lookup,) if shared else ())


@pytest.mark.parametrize("shared", [False, True])
def test_one_entry_is_told_alone(shared: bool) -> None:
    old = plan(("a", "1"), ("b", "2"), shared=shared)
    for entries, operation in (
        ((("a", "1"), ("b", "2"), ("c", "3")), ChangeLookup("hosts", True, added=(("c", "3"),))),
        ((("a", "1"),), ChangeLookup("hosts", True, removed=("b",))),
        ((("a", "1"), ("b", "9")), ChangeLookup("hosts", True, changed=(("b", "9"),))),
    ):
        new = plan(*entries, shared=shared)
        found = difference(old, new)
        assert (found.operations, found.reload_reasons) == ((operation,), ())
        assert apply_operations(old, new, set()) == new


def test_several_entries_come_into_force_together() -> None:
    old, new = plan(("a", "1"), ("b", "2")), plan(("a", "2"), ("b", "1"))
    assert difference(old, new).operations == (ReplaceLookup("hosts", True, (("a", "2"), ("b", "1"))),)


def test_a_few_of_very_many_entries_are_told_alone() -> None:
    many = tuple((f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", "block") for n in range(30_000))
    found = difference(plan(*many), plan(*many[2:]))
    assert found.operations == (ChangeLookup("hosts", True, removed=(many[0][0], many[1][0])),)


def test_where_order_matters_all_is_replaced() -> None:
    old = plan(("^/a", "1"), ordered=True)
    new = plan(("^/", "2"), ("^/a", "1"), ordered=True)
    assert difference(old, new).operations == (ReplaceLookup("hosts", True, (("^/", "2"), ("^/a", "1"))),)


def test_a_lookup_that_is_new_or_gone_needs_a_reload() -> None:
    with_one, without = plan(("a", "1")), HaproxyPlan(Globals(100, 1), {"vs1": ServicePlan("vs1", None, BACKEND)})
    for old, new in ((with_one, without), (without, with_one)):
        found = difference(old, new)
        assert found.operations == ()
        assert any("lookup" in reason for reason in found.reload_reasons)


def grouped(*servers: Server, names: tuple[str, ...] = ("vs1-1",)) -> HaproxyPlan:
    groups = tuple(replace(BACKEND, name=name, servers=servers) for name in names)
    return HaproxyPlan(Globals(100, 1), {"vs1": ServicePlan("vs1", None, BACKEND, groups=groups)})


def test_servers_come_and_go_in_groups_at_run_time() -> None:
    old, new = grouped(), grouped(SERVER)
    found = difference(old, new)
    assert found.operations == (AddServer("vs1-1", SERVER), Release("vs1-1", "rs1"))
    assert found.reload_reasons == ()
    assert apply_operations(old, new, {"vs1"}) == new
    assert difference(new, old).operations == (RemoveServer("vs1-1", "rs1"),)


def test_a_new_group_needs_a_reload() -> None:
    found = difference(grouped(), grouped(names=("vs1-1", "vs1-2")))
    assert found.reload_reasons and not found.operations


@pytest.mark.parametrize("special", [replace(SERVER, inner="vs2", address=""), replace(SERVER, standby=True)])
def test_a_server_that_cannot_be_said_at_run_time_needs_a_reload(special: Server) -> None:
    found = difference(grouped(), grouped(special))
    assert found.reload_reasons and not found.operations


@pytest.mark.parametrize("special", [replace(SERVER, inner="vs2", address=""), replace(SERVER, standby=True)])
def test_such_a_server_serves_until_the_reload_that_takes_it_away(special: Server) -> None:
    old, new = grouped(special), grouped()
    found = difference(old, new)
    assert found.reload_reasons and not found.operations
    assert apply_operations(old, new, {"vs1"}) == old


def switching(*entries: tuple[str, str], needs: tuple[str, ...] = (), **changes: Any) -> HaproxyPlan:
    """A service vs1 whose rules read a lookup, and the services it leads to."""
    frontend = Frontend("vs1", "http", (), None, 60, (directive("use_backend", "%[path,map_beg(lookups/paths)]"),))
    service = ServicePlan("vs1", frontend, BACKEND, lookups=(Lookup("paths", entries),), needs=needs)
    subs = {key: ServicePlan(key, None, replace(BACKEND, name=key)) for key in needs}
    return HaproxyPlan(Globals(100, 1), {"vs1": replace(service, **changes), **subs})


OTHER_RULES = Frontend("vs1", "http", (), None, 60, (directive("use_backend", "%[hdr(host),map_str(lookups/paths)]"),))


@pytest.mark.parametrize(
    "new",
    [
        switching(("/a", "vs2"), ("/b", "vs3"), needs=("vs2", "vs3")),
        switching(("/a", "vs1-1"), needs=("vs2",), groups=(replace(BACKEND, name="vs1-1"),)),
        switching(("shop", "vs2"), needs=("vs2",), frontend=OTHER_RULES),
        switching(("/a", "vs1"), needs=("vs2",), backend=replace(BACKEND, directives=(directive("retries", "1"),))),
    ],
    ids=["a new service", "a new group", "other rules of the frontend", "other rules of the backend"],
)
def test_entries_wait_for_the_reload_that_brings_what_they_lead_to(new: HaproxyPlan) -> None:
    """Before it they would lead requests to a backend that is not there, or be read by other rules."""
    old = switching(("/a", "vs2"), needs=("vs2",))
    found = difference(old, new)
    assert found.reload_reasons and not found.operations
    assert apply_operations(old, new, set()).services["vs1"].lookups == old.services["vs1"].lookups


def test_entries_that_lead_to_what_is_there_do_not_wait() -> None:
    old = switching(("/a", "vs2"), ("/b", "vs3"), needs=("vs2", "vs3"))
    assert difference(old, switching(("/a", "vs2"), needs=("vs2",))).operations == (
        ChangeLookup("paths", True, removed=("/b",)),
    )
    elsewhere = switching(("/a", "vs3"), ("/b", "vs3"), needs=("vs2", "vs3"))
    found = difference(old, elsewhere)
    assert found.operations == (ChangeLookup("paths", True, changed=(("/a", "vs3"),)),)
    assert apply_operations(old, elsewhere, set()) == elsewhere


def test_groups_in_another_order_keep_nothing_waiting() -> None:
    groups = tuple(replace(BACKEND, name=name) for name in ("vs1-1", "vs1-2"))
    old = switching(("/a", "vs1-1"), ("/b", "vs1-2"), groups=groups)
    found = difference(old, switching(("/a", "vs1-2"), ("/b", "vs1-1"), groups=groups[::-1]))
    assert found.operations and not found.reload_reasons
