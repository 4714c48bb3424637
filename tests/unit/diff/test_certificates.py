"""What a change of certificates costs: nothing but operations, unless the first one of a listener changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from steelyard.diff.haproxy import Difference, apply_operations, difference
from steelyard.plan.haproxy import Backend, Bind, BindTls, CertificateFile, Frontend, Globals, HaproxyPlan, ServicePlan
from steelyard.plan.operations import (
    AssignCertificate,
    LoadCertificate,
    ReplaceCertificate,
    UnloadCertificate,
    WithdrawCertificate,
)

FRONTEND = Frontend("vs1", "http", (Bind("192.0.2.1", 443, 443),), BindTls((), (), "TLSv1.2"), 660)


def plan(content: str = "pem", **services: str) -> HaproxyPlan:
    """A plan with the certificates of each service, by their names."""
    made = {}
    for key, names in services.items():
        assert FRONTEND.tls is not None
        tls = replace(FRONTEND.tls, certificates=tuple(names.split()))
        frontend = replace(FRONTEND, name=key, tls=tls)
        made[key] = ServicePlan(key, frontend, Backend(key, "http", ("roundrobin",), (), 660))
    used = sorted({name for service in made.values() for name in service.certificates()})
    return HaproxyPlan(Globals(100, 1), made, {name: CertificateFile(name, content, "key") for name in used})


def operations(old: HaproxyPlan, new: HaproxyPlan) -> list[object]:
    found = difference(old, new)
    assert found.reload_reasons == ()
    assert apply_operations(old, new, set()) == new
    return list(found.operations)


def test_new_ones_are_loaded_and_presented_last() -> None:
    assert operations(plan(vs1="a"), plan(vs1="a b")) == [LoadCertificate("b"), AssignCertificate("vs1", "b")]


def test_one_in_memory_is_not_loaded_again() -> None:
    found = operations(plan(vs1="a", vs2="b"), plan(vs1="a b", vs2="b"))
    assert found == [AssignCertificate("vs1", "b")]


def test_those_that_go_are_unloaded_when_nobody_presents_them() -> None:
    both, gone = plan(vs1="a b", vs2="c b"), plan(vs1="a", vs2="c b")
    assert operations(both, gone) == [WithdrawCertificate("vs1", "b")]
    assert operations(gone, plan(vs1="a", vs2="c")) == [WithdrawCertificate("vs2", "b"), UnloadCertificate("b")]
    assert operations(both, plan(vs1="a", vs2="c")) == [
        WithdrawCertificate("vs1", "b"),
        WithdrawCertificate("vs2", "b"),
        UnloadCertificate("b"),
    ]


def test_what_comes_is_there_before_what_goes_is_gone() -> None:
    assert operations(plan(vs1="a b c"), plan(vs1="a c d e")) == [
        LoadCertificate("d"),
        LoadCertificate("e"),
        AssignCertificate("vs1", "d"),
        AssignCertificate("vs1", "e"),
        WithdrawCertificate("vs1", "b"),
        UnloadCertificate("b"),
    ]


def test_new_content_comes_first() -> None:
    assert operations(plan(vs1="a"), plan("new", vs1="a b"))[0] == ReplaceCertificate("a")


@pytest.mark.parametrize(
    ("old", "new"), [("a b", "b a"), ("a b", "b"), ("a", "b"), ("a b c", "a c b"), ("a c", "a b c")]
)
def test_another_first_one_or_another_order_takes_a_reload(old: str, new: str) -> None:
    found = difference(plan(vs1=old), plan(vs1=new))
    assert found == Difference((), ("virtual service vs1 listens differently",))


def test_a_listener_that_changes_otherwise_gets_them_by_its_reload() -> None:
    old, new = plan(vs1="a b", vs2="a b"), plan(vs1="a", vs2="a")
    moved = new.services["vs1"]
    assert moved.frontend is not None
    moved = replace(moved, frontend=replace(moved.frontend, idle_seconds=5))
    new = replace(new, services={**new.services, "vs1": moved})
    found = difference(old, new)
    assert found.operations == (WithdrawCertificate("vs2", "b"),), "vs1 presents it until the reload"
    now = apply_operations(old, new, set())
    assert now.services["vs1"] == old.services["vs1"]
    assert now.services["vs2"] == new.services["vs2"]
    assert set(now.certificates) == {"a", "b"}


def test_what_is_too_long_for_the_socket_comes_by_a_reload() -> None:
    old, new = plan(vs1="a", vs2="b"), plan("x" * 12_000, vs1="a b", vs2="b")
    found = difference(old, new)
    assert found.operations == (AssignCertificate("vs1", "b"),), "b is in memory, with its old content"
    assert len(found.reload_reasons) == 2
    assert all("longer" in reason for reason in found.reload_reasons)
    assert apply_operations(old, new, set()).certificates == old.certificates
    fresh = difference(plan("x" * 12_000, vs1="a"), plan("x" * 12_000, vs1="a b"))
    assert fresh == Difference((), ("virtual service vs1 listens differently",))


def test_a_service_that_is_new_loads_nothing_at_run_time() -> None:
    found = difference(plan(vs1="a"), plan(vs1="a", vs2="b"))
    assert found.operations == ()
    assert apply_operations(plan(vs1="a"), plan(vs1="a", vs2="b"), set()) == plan(vs1="a")
