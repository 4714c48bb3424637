"""VLANs and bonds in a kernel that has them (`inside_links.py` is what runs there)."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.uml import Outcome, boot

pytestmark = pytest.mark.needs("linux.uml", "modprobe")

PORTS = ["eth0", "eth1", "eth2", "lo"]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return boot(Path(__file__).with_name("inside_links.py"), tmp_path_factory.mktemp("links"), seconds=110)


@pytest.mark.requirement("S4-35", "S4-36")
def test_vlans_carry_packets_and_change_their_tag(kernel: Outcome) -> None:
    found = kernel.value("vlans")
    assert (found["ten"], found["twenty"]) == ("10.10.0.1", "10.20.0.1")
    assert found["held"] == ["10.10.0.1/24", "10.10.0.50/32"] and found["marked"] == 1
    assert found["stable"] == [], "there is nothing left to do"
    assert found["moved"] == 20 and found["left"] == PORTS


def test_a_bond_survives_the_loss_of_a_port_and_is_made_anew_in_another_mode(kernel: Outcome) -> None:
    found = kernel.value("bond")
    assert (found["mode"], found["members"]) == ("active-backup", ["eth1", "eth2"])
    assert found["client"] == found["after"] == "10.30.0.1"
    assert (found["remade"], found["free"]) == ("802.3ad", True)
    assert found["seven"] == ["10.7.0.1/24"] and found["route"] == ["bnd0"], "what lay on the bond came back with it"


def test_links_are_made_again_when_the_host_starts_and_cleared_with_all_that_is_ours(kernel: Outcome) -> None:
    found = kernel.value("restored_after_a_start_of_the_host")
    assert found["made"] == ["bnd0", "bnd0.7", *PORTS] and found["addresses"] == ["10.30.0.1/24"]
    assert found["cleared"] == PORTS
    assert found["eth1"] == ["10.99.0.1/24"], "an address that others gave a port stays"
