"""The plan of the host's network: where services' addresses are held, and what stays the same object."""

from __future__ import annotations

from steelyard.compile.network.host import NetworkCompiler
from steelyard.model.commands import (
    AddBond,
    AddHostsEntry,
    AddRoute,
    AddService,
    AddVlan,
    Command,
    ManageNetwork,
    RemoveService,
    SetParameters,
)
from steelyard.model.configuration import Configuration
from steelyard.model.network import Interface
from steelyard.plan.network import HeldAddress, NetworkPlan

ETH0 = Interface.make({"name": "eth0", "number": 0, "address": "192.0.2.5/24", "additional": ["2001:db8::5/64"]})
ETH1 = Interface.make({"name": "eth1", "number": 1, "address": "10.0.0.1/16"})


def done(configuration: Configuration, *commands: Command) -> Configuration:
    for command in commands:
        configuration = command.apply(configuration).configuration
    return configuration


def services(*addresses: str) -> tuple[Command, ...]:
    return tuple(AddService({"address": one, "port": 80}) for one in addresses)


MANAGED = done(Configuration(), ManageNetwork(True, (ETH0, ETH1), (), {"default_gateway": "192.0.2.1"}))


def test_a_network_of_others_has_no_plan() -> None:
    assert NetworkCompiler().compile(done(Configuration(), *services("192.0.2.50"))) == NetworkPlan()


def test_each_address_is_held_once_on_the_interface_of_its_network() -> None:
    wanted = done(MANAGED, *services("192.0.2.50", "10.0.7.7", "2001:db8::50", "127.0.0.1", "192.0.2.5", "10.0.0.1"))
    again = done(wanted, AddService({"address": "192.0.2.50", "port": 81}))
    expected = {
        one.address: one
        for one in (
            HeldAddress(address="192.0.2.50", interface="eth0"),
            HeldAddress(address="10.0.7.7", interface="eth1"),
            HeldAddress(address="2001:db8::50", interface="eth0"),
        )
    }
    assert NetworkCompiler().compile(wanted).held == NetworkCompiler().compile(again).held == expected


def test_an_address_is_on_the_most_exact_of_its_networks() -> None:
    narrow = done(MANAGED, AddVlan("eth1", 10)).interfaces["eth1.10"].changed({"address": "10.0.7.1/24"})
    wanted = done(Configuration(), ManageNetwork(True, (ETH0, ETH1, narrow)), *services("10.0.7.7"))
    assert NetworkCompiler().compile(wanted).held["10.0.7.7"].interface == "eth1.10"


def test_what_an_operator_said_of_the_host_is_in_the_plan() -> None:
    wanted = done(
        MANAGED,
        AddBond("eth1", 4),
        AddVlan("bnd0", 7),
        AddRoute("172.16.0.0/12", "10.0.0.9"),
        AddHostsEntry("10.0.0.9", ("web",)),
        SetParameters("host", {"host_name": "lb1", "name_servers": ("192.0.2.53",)}),
    )
    host = NetworkCompiler().compile(wanted).host
    assert host is not None
    assert (host.links["bnd0"].mode, host.links["bnd0"].members) == ("802.3ad", ("eth1",))
    assert (host.links["bnd0.7"].lower, host.links["bnd0.7"].tag) == ("bnd0", 7)
    assert host.links["bnd0"].addresses == ("10.0.0.1/16",) and host.links["eth1"].addresses == ()
    assert {one.destination: one.gateway for one in host.routes.values()} == {
        "0.0.0.0/0": "192.0.2.1",
        "172.16.0.0/12": "10.0.0.9",
    }
    assert (host.host_name, host.name_servers, host.hosts[0].names if host.hosts else ()) == (
        *("lb1", ("192.0.2.53",)),
        ("web",),
    )


def test_what_has_not_changed_stays_the_same_object() -> None:
    compiler = NetworkCompiler()
    first = done(MANAGED, *services("192.0.2.50", "10.0.7.7"))
    before = compiler.compile(first)
    after = compiler.compile(done(first, *services("192.0.2.51")))
    assert after.host is before.host and after.held["10.0.7.7"] is before.held["10.0.7.7"]
    same = compiler.compile(done(first, *services("192.0.2.51"), AddService({"address": "192.0.2.51", "port": 81})))
    assert same.held is after.held
    gone = compiler.compile(done(first, RemoveService(1)))
    assert set(gone.held) == {"10.0.7.7"}
