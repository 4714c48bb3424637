"""`steelyard setup` against an appliance in memory: what it says, what it asks again, and what it leaves alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.unit.api.native.memory_appliance import MemoryAppliance
from tests.unit.api.native.test_setup import TWO_ARMS
from tests.unit.cli.conftest import Program

from steelyard.appliance.kernel_plane import Waiting
from steelyard.cli.setup import addresses, web_interface
from steelyard.observe.network_state import Interface, NetworkState


@pytest.fixture
def appliance() -> MemoryAppliance:
    made = MemoryAppliance()
    made.network_state = TWO_ARMS
    return made


@pytest.fixture
def managed(steelyard: Program) -> Program:
    steelyard.ok("network", "manage", "on")
    return steelyard


def run(steelyard: Program, *lines: str) -> tuple[int, str]:
    found = steelyard("setup", stdin="".join(f"{line}\n" for line in lines))
    return found.exit_code, " ".join(found.stdout.split())


def test_answers_are_applied_in_one_change_after_a_yes(managed: Program, appliance: MemoryAppliance) -> None:
    before = appliance.snapshot().revision
    code, said = run(managed, "192.0.2.10/24", "10.0.0.10/24", "192.0.2.54", "", "192.0.2.254", "y")
    assert code == 0 and f"Applied: revision {before + 1}" in said
    found = appliance.snapshot().configuration
    assert [one.address for one in found.interfaces.values()] == ["192.0.2.10/24", "10.0.0.10/24"]
    assert (found.host.name_servers, found.host.search_domains) == (("192.0.2.54",), ("example.com",))
    assert found.host.default_gateway == "192.0.2.254"
    order = [said.index(title) for title in ("1/5", "2/5", "3/5", "4/5", "5/5", "Summary", "Apply?")]
    assert order == sorted(order)


def test_a_network_that_moves_as_a_whole_is_no_matter(managed: Program, appliance: MemoryAppliance) -> None:
    """Neither the gateway nor the farm side of before stands in the way of a new network side."""
    code, said = run(managed, "10.0.0.10/24", "192.0.2.10/24", "", "", "10.0.0.254", "y")
    assert code == 0 and "Applied" in said, said
    found = appliance.snapshot().configuration
    assert [one.address for one in found.interfaces.values()] == ["10.0.0.10/24", "192.0.2.10/24"]


@pytest.mark.parametrize("lines", [(), ("192.0.2.10/24",), ("192.0.2.10/24", "", "", "", "", "n")])
def test_an_end_of_input_or_a_no_changes_nothing(
    managed: Program, appliance: MemoryAppliance, lines: tuple[str, ...]
) -> None:
    before = appliance.snapshot().revision
    code, said = run(managed, *lines)
    assert (code, "Nothing was changed" in said) == (0 if lines and lines[-1] == "n" else 1, True)
    assert appliance.snapshot().revision == before


def test_going_back_from_the_summary_and_from_the_first_step(managed: Program, appliance: MemoryAppliance) -> None:
    there, back = ("<", "", "", "", "", "192.0.2.254"), ("<", "<", "example.net", "")
    code, said = run(managed, *there, *back, "y")
    assert code == 0 and "This is the first step" in said
    host = appliance.snapshot().configuration.host
    assert (host.search_domains, host.default_gateway) == (("example.net",), "192.0.2.254")


def test_one_interface_is_an_appliance_with_one_arm(steelyard: Program, appliance: MemoryAppliance) -> None:
    appliance.network_state = NetworkState(
        "lb1", (Interface("ens3", 0, "port", True, 1500, "02:00:00:00:00:01", ()),), (), (), (), ()
    )
    steelyard.ok("network", "manage", "on")
    code, said = run(steelyard, "-", "192.0.2.10/24", "", "", "", "y")
    assert code == 0 and "1/4" in said and "Farm-side" not in said and "an appliance with one arm" in said
    assert "ens3 network side no address: no DHCP server has given one" in said
    assert "The network side needs an address" in said
    assert appliance.snapshot().configuration.interfaces["ens3"].address == "192.0.2.10/24"


def test_a_change_that_waits_is_kept_by_who_still_reads_it(managed: Program, appliance: MemoryAppliance) -> None:
    execute = appliance.execute

    async def waits(*arguments: Any, **more: Any) -> Any:
        found = await execute(*arguments, **more)
        appliance.waiting = Waiting(found.revision, "r", time.time() + 60)
        return found

    appliance.execute = waits  # type: ignore[method-assign]
    code, said = run(managed, "192.0.2.10/24", "", "", "", "", "y", "")
    assert code == 0 and "goes back by itself in 60 s" in said and "Kept." in said and appliance.waiting is None
    _, said = run(managed, "192.0.2.11/24", "", "", "", "", "y", "n")
    assert "Taken back" in said
    # nobody there any more
    _, said = run(managed, "192.0.2.12/24", "", "", "", "", "y")
    assert "Taken back" in said


def test_what_the_engines_refuse_is_said(managed: Program, appliance: MemoryAppliance) -> None:
    appliance.broken = RuntimeError("a bug")
    code, said = run(managed, "192.0.2.10/24", "", "", "", "", "y")
    assert code == 0 and "Nothing was changed" in said


def test_programs_get_the_facts(steelyard: Program) -> None:
    assert steelyard.json("setup")["network"]["network"]["interface"] == "eth0"


def test_the_menu_goes_on_until_somebody_leaves(steelyard: Program, appliance: MemoryAppliance) -> None:
    lines = ("x", "3", "2", "y", "new secret", "newer secret", "2", "y", "new secret", "new secret", "q")
    found = steelyard("setup", "--menu", stdin="".join(f"{line}\n" for line in lines))
    assert found.exit_code == 0, found.output
    assert "Choose 1, 2, 3, 4 or q" in found.stdout and "network side" in found.stdout
    assert "The two differ" in found.stdout and "The password is set" in found.stdout


def test_who_started_a_steelyard_here_before_is_told_to_start_it(tmp_path: Path) -> None:
    def refused(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no such socket")

    (tmp_path / "steelyard.db").touch()
    found = Program(httpx.MockTransport(refused))("--state-dir", str(tmp_path), "setup")
    assert found.exit_code == 3 and "steelyard serve" in found.stderr


def _facts(address: str, port: int, *, step: str = "", own: tuple[str, ...] = ("192.0.2.5/24",)) -> dict[str, Any]:
    side = {"interface": "eth0", "up": True, "addresses": list(own), "dynamic": ["192.0.2.5/24"], "address": ""}
    network = {"network": side, "farm": None, "candidates": [side], "host_name": "lb1"}
    return {"version": "1", "web": {"address": address, "port": port}, "network": network, "first_step": step}


def test_the_web_interface_is_named_as_a_browser_needs_it() -> None:
    held = ("192.0.2.5/24", "192.0.2.50/32", "2001:db8::5/64")
    assert web_interface(_facts("0.0.0.0", 443, own=held)) == ["https://192.0.2.5", "https://[2001:db8::5]"]
    assert web_interface(_facts("192.0.2.5", 8443)) == ["https://192.0.2.5:8443"]
    assert "from this host alone" in web_interface(_facts("127.0.0.1", 8443))[0]
    assert "no address yet" in web_interface(_facts("::", 443, own=()))[0]
    assert "192.0.2.5/24 (by DHCP)" in addresses(_facts("0.0.0.0", 443))
    assert "asks for the licence" in addresses(_facts("0.0.0.0", 443, step="licence"))
