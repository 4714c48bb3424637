"""What a change costs: which operations, in which order, and what needs a reload."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from steelyard.diff.haproxy import Difference, apply_operations, difference
from steelyard.plan.haproxy import (
    Backend,
    Bind,
    CertificateFile,
    Frontend,
    Globals,
    HaproxyPlan,
    Server,
    ServerTls,
    ServicePlan,
    Table,
)
from steelyard.plan.operations import (
    AddServer,
    DropSessions,
    Release,
    RemoveServer,
    ReplaceCertificate,
    ReplaceTrust,
    SetAddress,
    SetHealth,
    SetMaxConnections,
    SetState,
    SetWeight,
)
from steelyard.plan.trust import SENT_BYTES, TrustFile

RS1 = Server("rs1", 1, "10.0.0.1", 80, weight=1, limit=0, enabled=True)
RS2 = replace(RS1, name="rs2", id=2, address="10.0.0.2")
FRONTEND = Frontend("vs1", "http", (Bind("192.0.2.1", 80, 80),), None, 660)


def plan(*servers: Server, frontend: Frontend | None = FRONTEND, **changes: Any) -> HaproxyPlan:
    backend = replace(Backend("vs1", "http", ("roundrobin",), servers, 660), **changes)
    return HaproxyPlan(Globals(100, 1), {"vs1": ServicePlan("vs1", frontend, backend)})


def operations(old: HaproxyPlan, new: HaproxyPlan) -> tuple[object, ...]:
    found = difference(old, new)
    assert found.reload_reasons == ()
    return found.operations


def reasons(old: HaproxyPlan, new: HaproxyPlan) -> tuple[str, ...]:
    return difference(old, new).reload_reasons


def test_a_weight_is_one_operation() -> None:
    assert operations(plan(RS1), plan(replace(RS1, weight=9))) == (SetWeight("vs1", "rs1", 9),)


def test_a_limit_is_one_operation() -> None:
    assert operations(plan(RS1), plan(replace(RS1, limit=9))) == (SetMaxConnections("vs1", "rs1", 9),)


def test_a_weight_of_fixed_weighting_is_left_to_the_checks() -> None:
    fixed = replace(RS1, weight_by_health=True)
    assert operations(plan(fixed), plan(replace(fixed, weight=0))) == ()
    assert operations(plan(RS1), plan(fixed)) == ()


def test_leaving_fixed_weighting_sets_the_weight_though_the_plan_has_the_same() -> None:
    """The checks may have given another one meanwhile."""
    assert operations(plan(replace(RS1, weight_by_health=True)), plan(RS1)) == (SetWeight("vs1", "rs1", 1),)


def test_a_new_server_is_released_by_the_checks_only_when_it_is_enabled() -> None:
    assert operations(plan(RS1), plan(RS1, RS2)) == (AddServer("vs1", RS2), Release("vs1", "rs2"))
    disabled = replace(RS2, enabled=False)
    assert operations(plan(RS1), plan(RS1, disabled)) == (AddServer("vs1", disabled),)


def test_servers_are_added_before_others_are_removed() -> None:
    """There is no moment without a server."""
    kinds = [type(operation) for operation in operations(plan(RS1), plan(RS2))]
    assert kinds == [AddServer, Release, RemoveServer]


def test_another_address_is_down_until_it_is_checked() -> None:
    moved = replace(RS1, address="10.0.0.9", port=81)
    assert operations(plan(RS1), plan(moved)) == (
        SetAddress("vs1", "rs1", "10.0.0.9", 81),
        SetHealth("vs1", "rs1", up=False),
    )
    assert operations(plan(RS1, checked=False), plan(moved, checked=False)) == (
        SetAddress("vs1", "rs1", "10.0.0.9", 81),
    )


def test_disabling_drains_where_there_is_persistence() -> None:
    off = replace(RS1, enabled=False)
    table = Table("ip", 100, 60)
    assert operations(plan(RS1, table=table, drains=True), plan(off, table=table, drains=True)) == (
        SetState("vs1", "rs1", "drain"),
    )
    assert operations(plan(RS1), plan(off)) == (SetState("vs1", "rs1", "maint"),)


def test_disabling_without_a_drain_time_cuts_sessions() -> None:
    off = replace(RS1, enabled=False)
    assert operations(plan(RS1, drop_at_once=True), plan(off, drop_at_once=True)) == (
        SetState("vs1", "rs1", "maint"),
        DropSessions("vs1", "rs1"),
    )


def test_enabling_is_left_to_the_checks() -> None:
    assert operations(plan(replace(RS1, enabled=False)), plan(RS1)) == (Release("vs1", "rs1"),)


def test_another_way_to_connect_reloads() -> None:
    for changed in (replace(RS1, port=None), replace(RS1, tls=ServerTls(None))):
        found = difference(plan(RS1), plan(changed))
        assert found.operations == ()
        assert found.reload_reasons == ("the connection to real server rs1 of vs1 changed",)


def test_what_only_a_reload_changes_is_not_taken_as_done() -> None:
    """The weight is in force, the port and the encryption are not."""
    new = plan(replace(RS1, weight=9, port=None, tls=ServerTls(None)))
    found = difference(plan(RS1), new)
    assert found.operations == (SetWeight("vs1", "rs1", 9),)
    has = apply_operations(plan(RS1), new, {"vs1"})
    assert has == plan(replace(RS1, weight=9))
    assert difference(has, new).reload_reasons == ("the connection to real server rs1 of vs1 changed",)


def test_listening_balancing_and_persistence_reload() -> None:
    elsewhere = replace(FRONTEND, binds=(Bind("192.0.2.1", 81, 81),))
    assert reasons(plan(), plan(frontend=elsewhere)) == ("virtual service vs1 listens differently",)
    assert reasons(plan(), plan(frontend=None)) == ("virtual service vs1 is switched off",)
    assert reasons(plan(frontend=None), plan()) == ("virtual service vs1 is switched on",)
    changed = ("balancing, persistence or connection handling of vs1 changed",)
    assert reasons(plan(), plan(balance=("leastconn",))) == changed
    assert reasons(plan(), plan(table=Table("ip", 100, 60))) == changed
    assert reasons(plan(), plan(idle_seconds=5)) == changed


def test_new_and_removed_services_and_process_wide_settings_reload() -> None:
    nothing = HaproxyPlan(Globals(100, 1))
    assert reasons(nothing, plan()) == ("virtual service vs1 is new",)
    assert reasons(plan(), nothing) == ("virtual service vs1 is removed",)
    assert reasons(nothing, HaproxyPlan(Globals(101, 1))) == ("process-wide settings changed",)


def test_the_policy_of_draining_alone_costs_nothing() -> None:
    """The checking process carries out drains, and hears of the policy itself."""
    off = replace(RS1, enabled=False)
    assert difference(plan(off, drop_at_once=False), plan(off, drop_at_once=True)).empty
    assert difference(plan(RS1, checked=True), plan(RS1, checked=False)).empty


def test_new_content_of_a_certificate_is_one_operation() -> None:
    old = HaproxyPlan(Globals(1, 1), {}, {"a": CertificateFile("a", "one", "1"), "b": CertificateFile("b", "x", "x")})
    new = replace(old, certificates={**old.certificates, "a": CertificateFile("a", "two", "2")})
    assert operations(old, new) == (ReplaceCertificate("a"),)
    assert apply_operations(old, new, set()) == new


def test_reloads_and_operations_go_together() -> None:
    """What can be had at once does not wait for the reload."""
    found = difference(plan(RS1), plan(replace(RS1, weight=5), idle_seconds=5))
    assert found.operations == (SetWeight("vs1", "rs1", 5),)
    assert found.reload_reasons
    assert apply_operations(plan(RS1), plan(replace(RS1, weight=5), idle_seconds=5), {"vs1"}) == plan(
        replace(RS1, weight=5)
    )


def test_services_that_are_not_in_both_plans_are_left_alone_by_operations() -> None:
    assert apply_operations(plan(RS1), HaproxyPlan(Globals(100, 1)), {"vs1", "vs7"}) == plan(RS1)


def test_authorities_and_lists_are_sent_where_they_fit_and_reload_otherwise() -> None:
    def having(**pems: str) -> HaproxyPlan:
        files = {name: TrustFile(name, pem, servers=name == "servers") for name, pem in pems.items()}
        return HaproxyPlan(Globals(100, 1), trust=files)

    old = having(clients="one", servers="one", gone="one")
    assert difference(old, having(clients="two", servers="one")) == Difference(
        (ReplaceTrust(TrustFile("clients", "two")),)
    )
    long = "x" * (SENT_BYTES + 1)
    assert difference(old, having(clients=long)).reload_reasons == ("the authorities of clients changed",)
    assert difference(old, having(servers="two")).reload_reasons == ("the authorities of servers changed",)
    assert difference(old, having(clients="one", new="one")).empty, "what comes does so with what names it"
    reached = apply_operations(old, having(clients="two", servers="two"), set())
    assert {name: file.pem for name, file in reached.trust.items()} == {
        "clients": "two",
        "servers": "one",
        "gone": "one",
    }
