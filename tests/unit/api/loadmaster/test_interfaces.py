"""The host's network through LoadMaster's API."""

from __future__ import annotations

import pytest
from tests.unit.api.loadmaster.calling import Api

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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dfltgw", "192.0.2.1"),
        ("dfltgwv6", ""),
        ("nameserver", "192.0.2.53,192.0.2.54"),
        ("namserver", "192.0.2.53,192.0.2.54"),
        ("searchlist", "example.com example.org"),
    ],
)
def test_parameters_of_the_network_can_be_read_and_not_set(api: Api, name: str, value: str) -> None:
    assert api.v1("get", param=name) == {name: value}
    refused = api.v1_response("set", param=name, value="192.0.2.99")
    assert refused.status_code == 422 and "change it there" in refused.text


@pytest.mark.parametrize("command", ["modiface", "addvlan", "addroute", "addhostsentry"])
def test_what_would_change_it_is_refused_with_the_reason(api: Api, command: str) -> None:
    answer = api.v1_response(command, interface="0")
    assert answer.status_code == 422 and "does not manage this host's network" in answer.text
