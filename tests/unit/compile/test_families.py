"""Parents and sub-services compiled together: what depends on what, and that both plans name the same servers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.model.making import HTTP, SERVER, apply

from steelyard.compile.compiler import Compiler, EngineFacts, Plan
from steelyard.diff.haproxy import difference
from steelyard.model.commands import AddServer, AddService, ChangeService, ChangeSlot, CreateSubService, RemoveService
from steelyard.model.configuration import Configuration
from steelyard.plan.haproxy import service_key

FACTS = EngineFacts(threads=2, lua=True, open_files=20_000)
FAMILY = apply(
    AddService({**HTTP, "sub_services": [{"servers": [SERVER]}, {"servers": [SERVER]}]}),
    AddService({**HTTP, "port": 81, "servers": [SERVER]}),
)


def compiled(configuration: Configuration) -> Plan:
    return Compiler(FACTS).compile(configuration)


def test_slots_are_servers_that_lead_to_inner_listeners() -> None:
    plan = compiled(FAMILY)
    parent = plan.haproxy.services["vs1"]
    assert [(server.name, server.inner) for server in parent.backend.servers] == [("rs1", "vs2"), ("rs3", "vs3")]
    for key in ("vs2", "vs3"):
        frontend = plan.haproxy.services[key].frontend
        assert frontend is not None
        assert (frontend.inner, frontend.binds, frontend.tls) == (True, (), None)
    health = plan.health.services
    assert [(target.key, target.follows) for target in health["vs1"].targets] == [("rs1", "vs2"), ("rs3", "vs3")]
    assert (health["vs2"].parent, health["vs4"].parent) == ("vs1", "")


def test_a_change_of_one_compiles_its_family_and_nothing_else() -> None:
    compiler = Compiler(FACTS)
    before = compiler.compile(FAMILY)
    after = compiler.compile(apply(AddServer(2, {**SERVER, "port": 9}), to=FAMILY))
    assert after.haproxy.services["vs2"] is not before.haproxy.services["vs2"]
    for key in ("vs1", "vs3", "vs4"):
        assert after.haproxy.services[key] is before.haproxy.services[key]
        assert after.health.services[key] is before.health.services[key]
    assert not difference(before.haproxy, after.haproxy).reload_reasons


def test_re_encryption_of_the_parent_reaches_below() -> None:
    compiler = Compiler(FACTS)
    before = compiler.compile(FAMILY)
    tls = {"ssl_acceleration": True, "ssl_reencrypt": True}
    after = compiler.compile(apply(ChangeService(1, tls), to=FAMILY))
    assert before.haproxy.services["vs2"].backend.servers[0].tls is None
    assert after.haproxy.services["vs2"].backend.servers[0].tls is not None
    assert after.haproxy.services["vs1"].backend.servers[0].tls is None


@pytest.mark.parametrize(
    ("changes", "reloads"),
    [({"weight": 5}, False), ({"limit": 5}, False), ({"enabled": False}, False), ({"critical": True}, False)],
)
def test_what_a_change_of_a_slot_costs(changes: dict[str, Any], reloads: bool) -> None:
    after = apply(ChangeSlot(1, 1, changes), to=FAMILY)
    found = difference(compiled(FAMILY).haproxy, compiled(after).haproxy)
    assert bool(found.reload_reasons) is reloads


def test_a_sub_service_that_comes_or_goes_reloads() -> None:
    plan = compiled(FAMILY).haproxy
    for after in (apply(CreateSubService(1), to=FAMILY), apply(RemoveService(2), to=FAMILY)):
        assert difference(plan, compiled(after).haproxy).reload_reasons


_SUBS = st.fixed_dictionaries(
    {
        "service_type": st.sampled_from(["http", "gen"]),
        "check_type": st.sampled_from(["tcp", "none"]),
        "schedule": st.sampled_from(["rr", "wrr", "lc", "wlc", "fixed", "sh", "random"]),
        "persistence": st.sampled_from(["none", "src"]),
        "servers": st.lists(st.integers(1, 9), max_size=3, unique=True).map(
            lambda ports: [{**SERVER, "port": port} for port in ports]
        ),
        "slot": st.fixed_dictionaries(
            {"weight": st.integers(1, 65535), "enabled": st.booleans(), "critical": st.booleans()}
        ),
    }
)


@given(
    st.sampled_from(["http", "gen"]),
    st.sampled_from(["rr", "wrr", "fixed", "sh"]),
    st.sampled_from(["none", "src"]),
    st.lists(_SUBS, max_size=4),
    st.booleans(),
)
def test_any_family_compiles_and_both_plans_name_the_same_servers(
    kind: str, schedule: str, persistence: str, subs: list[dict[str, Any]], enabled: bool
) -> None:
    settings = {"service_type": kind, "schedule": schedule, "persistence": persistence, "enabled": enabled}
    made = apply(AddService({**HTTP, **settings, "sub_services": subs}))
    plan = compiled(made)
    engine = {
        (backend.name, server.name)
        for service in plan.haproxy.services.values()
        for backend in service.backends
        for server in backend.servers
    }
    health = {
        (backend, target.key)
        for service in plan.health.services.values()
        for target in service.targets
        for backend in target.places(service.key)
    }
    assert health == engine
    assert {service_key(backend) for backend, _ in engine} <= plan.haproxy.services.keys()
    inner = {server.inner for service in plan.haproxy.services.values() for server in service.backend.servers}
    listening = {service.key for service in plan.haproxy.services.values() if service.frontend is not None}
    assert inner - {""} <= listening
