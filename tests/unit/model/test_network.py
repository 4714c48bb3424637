"""The host's network as an operator says it: what is taken, what is refused and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from steelyard.model.commands import (
    AddAddress,
    AddBond,
    AddHostsEntry,
    AddRoute,
    AddService,
    AddVlan,
    ChangeInterface,
    Command,
    Declare,
    JoinBond,
    ManageNetwork,
    RemoveAddress,
    RemoveInterface,
    RemoveService,
    SetParameters,
    UndoNetwork,
)
from steelyard.model.configuration import Configuration, changed_objects, from_documents, stored_document
from steelyard.model.errors import ConflictError, NotFound, OperatorError, SteelyardError
from steelyard.model.network import Interface, StaticRoute
from steelyard.model.network_refusals import refuse_network_faults


def done(configuration: Configuration, *commands: Command) -> Configuration:
    """As the road does it: apply, then look at what cannot be."""
    for command in commands:
        after = command.apply(configuration).configuration
        refuse_network_faults(configuration, after)
        configuration = after
    return configuration


ETH0 = Interface.make({"name": "eth0", "number": 0, "address": "192.0.2.5/24", "additional": ["2001:db8::5/64"]})
ETH1 = Interface.make({"name": "eth1", "number": 1, "address": "10.0.0.1/24"})


@pytest.fixture
def managed() -> Configuration:
    take_over = ManageNetwork(True, (ETH0, ETH1), (), {"default_gateway": "192.0.2.1", "name_servers": ("192.0.2.53",)})
    return done(Configuration(), take_over)


def service(address: str, port: int = 80) -> AddService:
    return AddService({"address": address, "port": port})


REFUSED: dict[str, tuple[Callable[[], Command], type[SteelyardError], str]] = {
    "no network": (
        lambda: service("203.0.113.9"),
        OperatorError,
        "on no local network; there are: 192.0.2.0/24 (eth0)",
    ),
    "no IPv6 network": (lambda: service("2001:db8:9::9"), OperatorError, "on no local network"),
    "address of the gateway": (lambda: service("192.0.2.1"), OperatorError, "address of a gateway"),
    "gateway elsewhere": (
        lambda: SetParameters("host", {"default_gateway": "203.0.113.1"}),
        OperatorError,
        "dfltgw 203.0.113.1 is on no local network",
    ),
    "gateway is oneself": (
        lambda: SetParameters("host", {"default_gateway": "10.0.0.1"}),
        OperatorError,
        "this host's own address on eth1: packets would go round in a loop",
    ),
    "gateway of the other family": (
        lambda: SetParameters("host", {"default_gateway6": "192.0.2.1"}),
        OperatorError,
        "dfltgwv6 '192.0.2.1' is an IPv4 address",
    ),
    "VLAN 0": (lambda: AddVlan("eth1", 0), OperatorError, "1 to 4094"),
    "VLAN 4095": (lambda: AddVlan("eth1", 4095), OperatorError, "1 to 4094"),
    "VLAN that is no number": (lambda: AddVlan("eth1", "ten"), OperatorError, "vlanid 'ten'"),
    "VLAN on nothing": (lambda: AddVlan("eth7", 10), NotFound, "Unknown interface eth7"),
    "route through nowhere": (
        lambda: AddRoute("172.16.0.0/12", "203.0.113.1"),
        OperatorError,
        "gateway 203.0.113.1 is on no local network",
    ),
    "route into a local network": (
        lambda: AddRoute("10.0.0.128/25", "10.0.0.9"),
        OperatorError,
        "is part of 10.0.0.0/24, where eth1 is itself",
    ),
    "route everywhere": (lambda: AddRoute("0.0.0.0/0", "10.0.0.9"), OperatorError, "default gateway"),
    "route with host bits": (lambda: AddRoute("172.16.0.1/12", "10.0.0.9"), OperatorError, "bits behind its prefix"),
    "route to nonsense": (lambda: AddRoute("nowhere", "10.0.0.9"), OperatorError, "is no network"),
    "mixed route": (lambda: AddRoute("172.16.0.0/12", "2001:db8::9"), OperatorError, "another address family"),
    "route through oneself": (lambda: AddRoute("172.16.0.0/12", "10.0.0.1"), OperatorError, "round in a loop"),
    "overlap": (lambda: ChangeInterface("eth1", {"address": "192.0.2.200/25"}), OperatorError, "the network of eth0"),
    "twice": (lambda: AddAddress("eth1", "192.0.2.5/32"), SteelyardError, "192.0.2."),
    "network address": (lambda: ChangeInterface("eth1", {"address": "10.0.0.0/24"}), OperatorError, "network address"),
    "broadcast": (lambda: ChangeInterface("eth1", {"address": "10.0.0.255/24"}), OperatorError, "broadcast address"),
    "no prefix": (lambda: ChangeInterface("eth1", {"address": "10.0.0.9"}), OperatorError, "no prefix length"),
    "loopback": (
        lambda: ChangeInterface("eth1", {"address": "127.0.0.9/8"}),
        OperatorError,
        "not the address of a host",
    ),
    "MTU": (lambda: ChangeInterface("eth1", {"mtu": 100}), OperatorError, "0 or 512 to 9216"),
    "mode of a port": (lambda: ChangeInterface("eth1", {"bond_mode": 4}), OperatorError, "is no bond"),
    "unknown mode": (lambda: AddBond("eth1", 3), OperatorError, "1 (active-backup), 4 (802.3ad)"),
    "bond with addresses": (lambda: JoinBond("eth1", "bnd0"), OperatorError, "has addresses"),
    "removal of a port": (lambda: RemoveInterface("eth1"), OperatorError, "cannot be removed"),
    "gateway's network goes": (
        lambda: RemoveAddress("eth0", "192.0.2.5/24"),
        OperatorError,
        "192.0.2.1 is on no local",
    ),
    "foreign name server": (lambda: SetParameters("host", {"name_servers": ("dns",)}), OperatorError, "no address"),
    "host name": (lambda: SetParameters("host", {"host_name": "a b"}), OperatorError, "letters, digits"),
    "hosts entry": (lambda: AddHostsEntry("10.0.0.9", ("a_b",)), OperatorError, "which is no name"),
    "hosts address": (lambda: AddHostsEntry("ten", ("web",)), OperatorError, "no address"),
    "managed by the way": (
        lambda: SetParameters("host", {"managed": False}),
        OperatorError,
        "taken over, or given up, as it is",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_with_the_reason(managed: Configuration, name: str) -> None:
    command, kind, said = REFUSED[name]
    with pytest.raises(kind) as refusal:
        done(managed, command())
    assert said in refusal.value.message


def test_an_address_of_a_service_is_not_an_interfaces_and_the_other_way_round_it_is(managed: Configuration) -> None:
    with_service = done(managed, service("10.0.0.9"))
    for command in (AddAddress("eth1", "10.0.0.9/24"), ChangeInterface("eth1", {"address": "10.0.0.9/24"})):
        with pytest.raises(ConflictError, match=r"10\.0\.0\.9 is the address of virtual service 1"):
            done(with_service, command)
    with pytest.raises(ConflictError, match="is the address of virtual service 1"):
        done(with_service, AddRoute("172.16.0.0/12", "10.0.0.9"))
    # as on LoadMaster, a service may have the interface's own
    done(managed, service("10.0.0.1"))


def test_a_network_that_services_are_on_does_not_go(managed: Configuration) -> None:
    with_service = done(managed, service("10.0.0.9"))
    with pytest.raises(OperatorError, match=r"10\.0\.0\.9 would be on no local network"):
        done(with_service, ChangeInterface("eth1", {"address": "10.0.1.1/24"}))
    kept = done(with_service, AddAddress("eth1", "10.0.1.1/24"), ChangeInterface("eth1", {"mtu": 1400}))
    done(kept, RemoveService(1), ChangeInterface("eth1", {"address": "10.0.2.1/24"}))


def test_a_gateway_behind_another_route_is_a_loop(managed: Configuration) -> None:
    """Two routes that lead to each other's gateways: neither is reached."""
    wide = done(managed, ChangeInterface("eth1", {"address": "10.0.0.1/8"}), AddRoute("172.16.0.0/12", "10.9.0.1"))
    with pytest.raises(OperatorError, match=r"is part of 10\.0\.0\.0/8"):
        done(wide, AddRoute("10.9.0.0/16", "10.0.0.9"))


def test_where_another_tool_owns_the_network_nothing_is_changed_and_services_are_where_they_were() -> None:
    plain = done(Configuration(), service("203.0.113.9"))
    for command in (
        ChangeInterface("eth0", {"mtu": 1400}, ETH0),
        AddRoute("172.16.0.0/12", "10.0.0.9"),
        AddHostsEntry("10.0.0.9", ("web",)),
        SetParameters("host", {"default_gateway": "10.0.0.9"}),
        SetParameters("host", {"host_name": "lb"}),
    ):
        with pytest.raises(OperatorError) as refusal:
            done(plain, command)
        assert "manage" in str(refusal.value.remedy)
    assert done(plain, SetParameters("host", {"confirm_seconds": 0})).host.confirm_seconds == 0


def test_taking_over_leaves_out_what_is_there_for_services() -> None:
    found = ETH1.changed({"additional": ("10.0.0.9/32", "10.0.0.7/32")})
    taken = done(Configuration(), service("10.0.0.9"), ManageNetwork(True, (found,)))
    assert taken.interfaces["eth1"].addresses == ("10.0.0.1/24", "10.0.0.7/32")
    left = done(taken, ManageNetwork(False))
    assert (left.interfaces, left.routes, left.hosts, left.host.managed) == ({}, {}, {}, False)


def test_a_bond_takes_the_addresses_of_its_first_port_and_gives_them_back(managed: Configuration) -> None:
    bonded = done(managed, AddBond("eth1", "4"))
    assert bonded.interfaces["bnd0"].address == "10.0.0.1/24" and bonded.interfaces["bnd0"].bond_mode == 4
    assert (bonded.interfaces["eth1"].bond, bonded.interfaces["eth1"].addresses) == ("bnd0", ())
    third = Interface.make({"name": "eth2", "number": 9})
    bonded = done(bonded, JoinBond("eth2", "bnd0", third))
    assert bonded.interfaces["eth2"].number == 3 and bonded.interfaces["eth2"].bond == "bnd0"
    with pytest.raises(OperatorError, match=r"has VLANs on it: bnd0\.7"):
        done(bonded, AddVlan("bnd0", 7), RemoveInterface("bnd0"))
    apart = done(bonded, RemoveInterface("bnd0"))
    assert apart.interfaces["eth1"] == managed.interfaces["eth1"] and not apart.interfaces["eth2"].bond


@pytest.mark.requirement("S4-35")
def test_the_same_vlan_twice_and_a_route_twice(managed: Configuration) -> None:
    with_vlan = done(managed, AddVlan("1", "10"), AddRoute("172.16.0.0/12", "10.0.0.9"))
    assert with_vlan.interfaces["eth1.10"].vlan == 10
    with pytest.raises(ConflictError):
        done(with_vlan, AddVlan("eth1", 10))
    with pytest.raises(ConflictError, match=r"already, through 10\.0\.0\.9"):
        done(with_vlan, AddRoute("172.16.0.0/12", "10.0.0.8"))


def test_undoing_gives_back_the_network_and_nothing_else(managed: Configuration) -> None:
    later = done(managed, ChangeInterface("eth1", {"mtu": 1400}), service("10.0.0.9"))
    undone = done(later, UndoNetwork(3, managed))
    assert undone.interfaces == managed.interfaces and 1 in undone.services


def test_a_declaration_of_services_leaves_the_network(managed: Configuration) -> None:
    declared = done(managed, Declare([{"address": "10.0.0.9", "port": 80}]))
    assert (declared.host, declared.interfaces) == (managed.host, managed.interfaces)
    said: dict[str, Any] = {"host": {"managed": True, "default_gateway": "192.0.2.9"}}
    assert done(managed, Declare([], parameters=said)).host.default_gateway == "192.0.2.9"


def test_what_is_stored_comes_back(managed: Configuration) -> None:
    full = done(
        managed, AddVlan("eth1", 10), AddRoute("172.16.0.0/12", "10.0.0.9"), AddHostsEntry("10.0.0.9", ("web", "w"))
    )
    documents: dict[str, dict[str, Any]] = {}
    for kind, key, _, after in changed_objects(Configuration(), full):
        document = stored_document(kind, after)
        if document is not None:
            documents.setdefault(kind, {})[key] = document
    assert from_documents(documents) == full
    assert isinstance(from_documents(documents).routes["172.16.0.0/12"], StaticRoute)
