"""The host's network through LoadMaster's API."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.api.loadmaster.calling import Api

from steelyard.appliance.kernel_plane import Waiting
from steelyard.observe.known_interfaces import taken_over

ETH0 = {
    "Id": "0",
    "IPAddress": "192.0.2.5/24",
    "Mtu": "1500",
    "InterfaceType": "Port",
    "GeoTrafficEnable": "no",
    "DefaultInterface": "yes",
    "AdditionalAddresses": "192.0.2.6/32",
}


def test_interfaces_are_shown_but_loopback(api: Api) -> None:
    first, second = api.v1("showiface")["Interface"]
    assert first == ETH0
    assert (second["Id"], second["IPAddress"], second["InterfaceType"]) == ("1", "", "VLAN")
    one, other = api.v2("showiface")["Interface"]
    assert (one["Id"], one["Mtu"], one["DefaultInterface"]) == (0, "1500", True)
    assert one["AdditionalAddresses"] == ["192.0.2.6/32"]
    assert "AdditionalAddresses" not in other


@pytest.mark.parametrize("name", ["interface", "iface"])
def test_one_interface(api: Api, name: str) -> None:
    assert api.v1("showiface", {name: "0"})["Interface"] == ETH0
    assert [one["Id"] for one in api.v2("showiface", {name: 1})["Interface"]] == [1]


@pytest.mark.parametrize("number", ["7", "-1", "eth0", "٣"])
def test_an_interface_that_is_not_there(api: Api, number: str) -> None:
    answer = api.v1_response("showiface", interface=number)
    assert answer.status_code == 422 and "there are: 0 to 1" in answer.text


def test_routes_and_names(api: Api) -> None:
    assert api.v1("showroute") == {"Route": {"Destination": "10.0.0.0/8", "Gateway": "192.0.2.254"}}
    assert api.v2("gethosts")["HostsEntry"][1:] == [
        {"HostIPAddress": "192.0.2.9", "HostFqdn": "web1.example.com"},
        {"HostIPAddress": "192.0.2.9", "HostFqdn": "web1"},
    ]


PARAMETERS = [
    ("dfltgw", "192.0.2.1"),
    ("dfltgwv6", ""),
    ("nameserver", "192.0.2.53,192.0.2.54"),
    ("namserver", "192.0.2.53,192.0.2.54"),
    ("searchlist", "example.com example.org"),
    ("hostname", "lb1"),
]


@pytest.mark.parametrize(("name", "value"), PARAMETERS)
def test_parameters_of_a_network_of_others_can_be_read_and_not_set(api: Api, name: str, value: str) -> None:
    assert api.v1("get", param=name) == {name: value}
    given = "other" if name == "hostname" else "2001:db8::9" if name == "dfltgwv6" else "192.0.2.99"
    refused = api.v1_response("set", param=name, value=given)
    assert refused.status_code == 422 and "steelyard network manage on" in refused.text


CHANGES = [
    ("modiface", {"interface": "0", "addr": "192.0.2.7/24"}),
    ("addadditional", {"interface": "0", "addr": "192.0.2.7/24"}),
    ("deladditional", {"interface": "0", "addr": "192.0.2.6/32"}),
    ("addvlan", {"interface": "0", "vlanid": "10"}),
    ("createbond", {"interface": "1"}),
    ("addroute", {"dest": "172.16.0.0/12", "gateway": "192.0.2.9"}),
    ("addhostsentry", {"hostip": "192.0.2.9", "hostfqdn": "web2"}),
]


@pytest.mark.parametrize(("command", "parameters"), CHANGES)
def test_what_would_change_a_network_of_others_is_refused_with_the_remedy(
    api: Api, command: str, parameters: dict[str, str]
) -> None:
    answer = api.v1_response(command, parameters)
    assert answer.status_code == 422 and "does not manage this host's network" in answer.text


@pytest.fixture
def managed(api: Api) -> Api:
    """The network of the appliance in memory, taken over."""
    asyncio.run(api.appliance.execute(taken_over(api.appliance.network_state), api.appliance.administrator()))
    return api


def test_what_was_there_is_what_is_wanted_when_it_is_taken_over(managed: Api) -> None:
    assert managed.v1("showiface", interface="0")["Interface"] == ETH0
    assert managed.v1("showroute") == {"Route": {"Destination": "10.0.0.0/8", "Gateway": "192.0.2.254"}}
    for name, value in PARAMETERS:
        assert managed.v1("get", param=name) == {name: value}


def test_an_interface_gets_its_addresses(managed: Api) -> None:
    managed.v1("modiface", interface="0", addr="192.0.2.7/24")
    managed.v2("addadditional", iface=0, addr="198.51.100.7/24")
    assert managed.v2("showiface", interface=0)["Interface"][0]["IPAddress"] == "192.0.2.7/24"
    assert managed.v1("showiface", interface="0")["Interface"]["AdditionalAddresses"] == [
        "192.0.2.6/32",
        "198.51.100.7/24",
    ]
    managed.v1("deladditional", interface="0", addr="198.51.100.7/24")
    assert managed.v1("showiface", interface="0")["Interface"]["AdditionalAddresses"] == "192.0.2.6/32"
    managed.v1("modiface", interface="0", mtu="1400")
    assert managed.appliance.snapshot().configuration.interfaces["eth0"].mtu == 1400


def test_vlans_and_bonds_come_and_go(managed: Api) -> None:
    managed.v1("addvlan", interface="0", vlanid="10")
    interfaces = managed.appliance.snapshot().configuration.interfaces
    assert (interfaces["eth0.10"].parent, interfaces["eth0.10"].vlan) == ("eth0", 10)
    status, text = managed.v1_error("addvlan", interface="0", vlanid="10")
    assert status == 422 and "exists already" in text
    status, text = managed.v1_error("addvlan", interface="0", vlanid="4095")
    assert status == 422 and "1 to 4094" in text
    managed.v1("delvlan", interface="0", vlanid="10")
    assert "eth0.10" not in managed.appliance.snapshot().configuration.interfaces


def test_routes_names_and_parameters_are_set(managed: Api) -> None:
    managed.v1("addroute", dest="172.16.0.0/12", gateway="192.0.2.9")
    assert {"Destination": "172.16.0.0/12", "Gateway": "192.0.2.9"} in managed.v2("showroute")["Route"]
    managed.v1("delroute", dest="172.16.0.0/12")
    managed.v1("addhostsentry", hostip="192.0.2.9", hostfqdn="web2.example.com")
    assert managed.v2("gethosts")["HostsEntry"] == [{"HostIPAddress": "192.0.2.9", "HostFqdn": "web2.example.com"}]
    managed.v1("delhostsentry", hostip="192.0.2.9")
    for name, value in (("dfltgw", "192.0.2.9"), ("nameserver", "192.0.2.55"), ("hostname", "lb2"), ("searchlist", "")):
        managed.v1("set", param=name, value=value)
        assert managed.v1("get", param=name)[name] == value
    status, text = managed.v1_error("set", param="dfltgw", value="203.0.113.1")
    assert status == 422 and "on no local network" in text


@pytest.mark.parametrize("name", ["hacheck", "gwiface", "partner", "adminwuienable", "geotraffic"])
def test_what_cannot_be_changed_of_an_interface_is_refused_by_name(managed: Api, name: str) -> None:
    status, text = managed.v1_error("modiface", {"interface": "0", name: "1"})
    assert status == 422 and name in text


def test_a_further_call_of_an_administrator_confirms_a_change(managed: Api) -> None:
    managed.appliance.waiting = Waiting(7, "r7-a", 0.0)
    managed.v1("listvs")
    assert managed.appliance.waiting is None
