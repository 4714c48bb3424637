"""`steelyard network`."""

from __future__ import annotations

import time

from tests.unit.api.native.memory_appliance import MemoryAppliance
from tests.unit.cli.conftest import Program

from steelyard.appliance.kernel_plane import Waiting


def test_the_network_is_shown_with_and_without_a_word(steelyard: Program) -> None:
    shown = steelyard.ok("network")
    assert shown == steelyard.ok("network", "show") and "Another tool owns this network" in shown
    assert steelyard.json("network")["host_name"] == "lb1"


def test_a_managed_network_is_changed(steelyard: Program) -> None:
    refused = steelyard("network", "address", "add", "eth0", "198.51.100.1/24")
    assert refused.exit_code == 1 and "steelyard network manage on" in refused.stderr.replace("\n", " ")
    assert "eth0" in steelyard.ok("network", "manage", "on", "--dry-run")
    steelyard.ok("network", "manage", "on")
    assert "Steelyard manages this network" in steelyard.ok("network")
    steelyard.ok("network", "address", "add", "eth0", "198.51.100.1/24")
    steelyard.ok("network", "vlan", "add", "eth0", "10")
    assert "VLAN 10 on eth0" in steelyard.ok("network", "interfaces")
    steelyard.ok("network", "vlan", "remove", "eth0.10")
    steelyard.ok("network", "interface", "eth0", "--mtu", "1400")
    steelyard.ok("network", "set", "--name-servers", "192.0.2.53 192.0.2.54", "--gateway", "192.0.2.9")
    steelyard.ok("network", "route", "add", "172.16.0.0/12", "198.51.100.9")
    assert "172.16.0.0/12" in steelyard.ok("network", "route", "list")
    steelyard.ok("network", "route", "remove", "172.16.0.0/12")
    steelyard.ok("network", "hosts", "add", "192.0.2.9", "web", "web.example")
    assert steelyard.json("network", "hosts", "list") == [{"address": "192.0.2.9", "names": ["web", "web.example"]}]
    steelyard.ok("network", "hosts", "remove", "192.0.2.9")
    steelyard.ok("network", "address", "remove", "eth0", "198.51.100.1/24")
    assert steelyard("network", "manage", "maybe").exit_code == 2
    assert steelyard("network", "set").exit_code == 2


def test_who_makes_a_change_that_may_cut_off_is_told_what_to_do(steelyard: Program, appliance: MemoryAppliance) -> None:
    steelyard.ok("network", "manage", "on")
    appliance.waiting = Waiting(3, "r3-a", time.time() + 60)
    told = steelyard.ok("network", "interface", "eth0", "--mtu", "1400").replace("\n", " ")
    assert "unless you confirm it: steelyard network confirm" in told
    assert "The change of revision 3 goes back in" in steelyard.ok("network")
    assert "revision 3 is kept" in steelyard.ok("network", "confirm")
    assert steelyard("network", "confirm").exit_code == 1
    appliance.waiting = Waiting(3, "r3-a", time.time() + 60)
    assert "is undone by revision" in steelyard.ok("network", "undo")
