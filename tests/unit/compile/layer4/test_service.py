"""From the operator's words to what the kernel is to have, through the whole compiler."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.model.making import apply

from steelyard.compile.compiler import Compiler, EngineFacts, Plan
from steelyard.compile.layer4.program import program
from steelyard.diff.nft import transaction
from steelyard.emit.nft.transaction import transaction_text
from steelyard.model.access_list import Entries
from steelyard.model.commands import AddEntries, AddServer, AddService, ChangeService, RemoveService
from steelyard.model.commands.command import Command
from steelyard.plan.layer4 import ALL_PORTS, Layer4Service
from steelyard.plan.nft import Program

FACTS = EngineFacts(threads=2, lua=True, open_files=20_000)
L4: dict[str, Any] = {"address": "192.0.2.1", "port": 80, "force_l4": True, "service_type": "gen"}


def plan(*commands: Command, ipvs: bool = False) -> Plan:
    facts = EngineFacts(threads=2, lua=True, open_files=20_000, ipvs=ipvs)
    return Compiler(facts).compile(apply(*commands))


def one(**more: Any) -> Layer4Service:
    (found,) = plan(AddService({**L4, **more})).kernel.layer4.values()
    return found


def test_a_service_is_in_one_engine_and_moves() -> None:
    compiler, before = Compiler(FACTS), apply(AddService(L4))
    first = compiler.compile(before)
    assert (list(first.haproxy.services), list(first.kernel.layer4)) == ([], ["vs1"])
    moved = compiler.compile(apply(ChangeService(1, {"force_l7": True}), to=before))
    assert (list(moved.haproxy.services), list(moved.kernel.layer4)) == (["vs1"], [])
    assert [first.health.services["vs1"].in_kernel, moved.health.services["vs1"].in_kernel] == [True, False]


def test_what_is_disabled_has_no_time_to_drain_at_layer_4() -> None:
    assert not plan(AddService({**L4, "persistence": "src"})).health.services["vs1"].persistent


def test_one_change_leaves_every_other_service_the_same_object() -> None:
    compiler = Compiler(FACTS)
    before = apply(AddService(L4), AddService({**L4, "port": 81}))
    first = compiler.compile(before).kernel.layer4
    second = compiler.compile(apply(AddServer(2, {"address": "10.0.0.1", "port": 80}), to=before)).kernel.layer4
    assert second["vs1"] is first["vs1"]
    assert second["vs2"] is not first["vs2"]
    assert compiler.compile(before).kernel.layer4["vs1"] is first["vs1"]


@pytest.mark.parametrize(
    ("more", "ports"),
    [({}, [8080, 80]), ({"extra_ports": ("81-82",)}, [8080, 0])],
)
def test_extra_ports_go_where_they_were_asked_for_unless_the_server_has_another(
    more: dict[str, Any], ports: list[int]
) -> None:
    servers = [{"address": "10.0.0.1", "port": 8080}, {"address": "10.0.0.2", "port": 80}]
    assert [server.port for server in one(**more, servers=servers).servers] == ports


def test_the_wildcard_spares_what_haproxy_has_on_its_address_and_follows_it() -> None:
    wild = {"address": "192.0.2.1", "port": 0, "check_type": "none"}
    compiler, before = Compiler(FACTS), apply(AddService(wild), AddService({**L4, "force_l4": False, "port": 443}))
    made = compiler.compile(before).kernel.layer4["vs1"]
    assert made.ports == (ALL_PORTS,)
    assert [(ports.first, ports.last) for ports in made.spared] == [(443, 443)]
    gone = compiler.compile(apply(RemoveService(2), to=before)).kernel.layer4["vs1"]
    assert gone.spared == ()


def test_forwarding_is_wanted_for_the_families_there_are() -> None:
    assert plan(AddService(L4)).kernel.network.sysctls == {"ipv4/ip_forward": "1"}
    six = plan(AddService({**L4, "address": "2001:db8::1"})).kernel.network.sysctls
    assert six == {"ipv6/conf/all/forwarding": "1"}
    assert plan(AddService({**L4, "force_l4": False})).kernel.network.sysctls == {}


def test_access_lists_of_all_services_reach_each_and_those_of_one_only_that() -> None:
    found = plan(
        AddService({**L4, "servers": [{"address": "10.0.0.7", "port": 80}]}),
        AddService({**L4, "port": 81}),
        AddEntries(0, "block", Entries.of([("10.0.0.0/29", "")])),
        AddEntries(2, "block", Entries.of([("198.51.100.1", "")])),
    ).kernel.layer4
    shown = {key: [(each.first, each.last) for each in service.refused] for key, service in found.items()}
    assert shown["vs1"] == [("10.0.0.0", "10.0.0.6")], "a real server is never refused"
    assert shown["vs2"] == [("10.0.0.0", "10.0.0.6"), ("198.51.100.1", "198.51.100.1")]


def test_who_carries_it_follows_from_the_kernel() -> None:
    counting = AddService({**L4, "schedule": "lc"})
    assert plan(counting, ipvs=True).kernel.layer4["vs1"].driver == "ipvs"
    assert list(plan(counting).haproxy.services) == ["vs1"]


_SERVERS = st.lists(
    st.fixed_dictionaries(
        {
            "address": st.integers(1, 9).map(lambda number: f"10.0.0.{number}"),
            "port": st.sampled_from((53, 80, 65535)),
            "weight": st.sampled_from((1, 10, 1000, 65535)),
            "enabled": st.booleans(),
        }
    ),
    max_size=5,
    unique_by=lambda server: (server["address"], server["port"]),
)
_SERVICES = st.fixed_dictionaries(
    {
        "address": st.just("192.0.2.1"),
        "port": st.sampled_from((0, 53, 80)),
        "protocol": st.sampled_from(("tcp", "udp")),
        "check_type": st.sampled_from(("none", "icmp")),
        "schedule": st.sampled_from(("rr", "wrr", "sh", "fixed", "sdn-adaptive")),
        "persistence": st.sampled_from(("none", "src")),
        "persistence_mask": st.sampled_from((8, 24, 32)),
        "idle_time": st.sampled_from((1, 2, 660, 86400)),
        "enabled": st.booleans(),
        "layer4_source_nat": st.booleans(),
        "standby_address": st.sampled_from(("", "10.0.0.99")),
        "servers": _SERVERS,
    }
)


@settings(max_examples=60)
@given(_SERVICES)
def test_any_service_at_layer_4_compiles_and_can_be_printed(service: dict[str, Any]) -> None:
    forced = {"force_l4": True, "service_type": "gen"} if service["protocol"] == "tcp" and service["port"] else {}
    (made,) = plan(AddService({**service, **forced})).kernel.layer4.values()
    assert Layer4Service.model_validate(made.model_dump(mode="json")) == made
    assert transaction_text(transaction([(Program(), program(made, {}))]))
