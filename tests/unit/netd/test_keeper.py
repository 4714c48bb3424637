"""What `steelyard-netd` does with plans: whole ones, changes, refusals, crashes, and what waits to be confirmed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from steelyard.engines.netlink.fake import FakeNetwork
from steelyard.engines.netlink.steps import AddAddress, Step
from steelyard.engines.nft.packet_rules import MemoryPacketRules
from steelyard.model.errors import ConflictError, EngineRefused, HostLacks
from steelyard.netd.files import NetdFiles
from steelyard.netd.keeper import HasGoneBack, Keeper, UnknownBase
from steelyard.netd.layer4 import Layer4
from steelyard.netd.packet_rules import PlannedPacketRules
from steelyard.plan.kernel import KernelChange, KernelPlan, changed
from steelyard.plan.layer4 import Standing
from steelyard.plan.network import HeldAddress, HostNetwork, Link, NetworkPlan


class Names:
    """Host names in memory; `fails` makes the next write fail."""

    def __init__(self) -> None:
        self.applied: list[HostNetwork] = []
        self.fails = False
        self.cleared = False

    def apply(self, wanted: HostNetwork) -> tuple[str, ...]:
        if self.fails:
            raise HostLacks("no file", lacks="a file", remedy="none")
        self.applied.append(wanted)
        return ()

    def clear(self) -> None:
        self.cleared = True


class Refusing(FakeNetwork):
    """Refuses to add one address."""

    refused = ""

    def run(self, steps: Sequence[Step]) -> None:
        for step in steps:
            if isinstance(step, AddAddress) and step.address == self.refused:
                raise EngineRefused(f"The kernel refused to {step}", words="no")
            super().run([step])


class Rig:
    def __init__(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.network = Refusing("eth0")
        self.network.foreign("eth0", "192.0.2.1/24")
        self.names = Names()
        self.rules = MemoryPacketRules()
        self.now = 1000.0
        self.keeper = self.made()

    def made(self) -> Keeper:
        """A new process on the same files and the same kernel."""
        files = NetdFiles(self.directory)
        keeper = Keeper(self.network, Layer4({}), self.names, files, clock=lambda: self.now, packet_rules=self.rules)
        keeper.start()
        self.keeper = keeper
        return keeper

    def addresses(self) -> list[str]:
        return sorted(one.address for one in self.network.read().addresses)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def plan(*held: str, own: Sequence[str] | None = None, **more: object) -> KernelPlan:
    host = None if own is None else HostNetwork(links={"eth0": Link(name="eth0", addresses=tuple(own))})
    network = NetworkPlan(held={one: HeldAddress(address=one, interface="eth0") for one in held}, host=host)
    return KernelPlan(network=network.model_copy(update=more))


def change(new: KernelPlan) -> KernelChange:
    return KernelChange(network=new.network)


def test_a_change_stands_on_what_is_in_force(rig: Rig) -> None:
    rig.keeper.replace_plan(plan("192.0.2.50"), "a")
    rig.keeper.change("a", change(plan("192.0.2.51")), "b")
    assert rig.addresses() == ["192.0.2.1", "192.0.2.51"]
    for base in ("a", "", "nonsense"):
        with pytest.raises(UnknownBase):
            rig.keeper.change(base, change(plan()), "c")
        with pytest.raises(UnknownBase):
            rig.keeper.check(base, change(plan()))
    assert rig.addresses() == ["192.0.2.1", "192.0.2.51"] and rig.keeper.generation == "b"
    assert rig.keeper.check("b", change(plan("192.0.2.51", "192.0.2.52"))) == ("add address 192.0.2.52/32 to eth0",)


def test_neighbours_are_told_of_a_new_address_three_times_and_not_of_one_that_has_gone(rig: Rig) -> None:
    rig.keeper.replace_plan(plan("192.0.2.50", "192.0.2.51"), "a")
    assert rig.network.announced == ["192.0.2.50", "192.0.2.51"]
    rig.keeper.change("a", change(plan("192.0.2.51")), "b")
    while rig.keeper.announce():
        pass
    assert rig.network.announced.count("192.0.2.51") == 3 and rig.network.announced.count("192.0.2.50") == 1


def test_a_refusal_leaves_everything_as_it_was_also_on_disk(rig: Rig) -> None:
    rig.keeper.replace_plan(plan("192.0.2.50"), "a")
    rig.network.refused = "192.0.2.60"
    for attempt in (
        lambda: rig.keeper.change("a", change(plan("192.0.2.55", "192.0.2.60")), "b"),
        lambda: rig.keeper.replace_plan(plan("192.0.2.55", "192.0.2.60"), "b"),
    ):
        with pytest.raises(EngineRefused, match="refused to add address"):
            attempt()
        assert rig.addresses() == ["192.0.2.1", "192.0.2.50"]
    assert (rig.keeper.generation, rig.made().generation) == ("a", "a")
    rig.names.fails = True
    with pytest.raises(HostLacks):
        rig.keeper.replace_plan(plan("192.0.2.55", own=["192.0.2.1/24"]), "c")
    assert rig.addresses() == ["192.0.2.1", "192.0.2.50"]


def test_after_a_crash_it_goes_on_from_its_files(rig: Rig) -> None:
    rig.keeper.replace_plan(plan("192.0.2.50"), "a")
    for number in range(5):
        base = rig.keeper.generation
        rig.keeper.change(base, change(plan(f"192.0.2.{60 + number}")), f"b{number}")
    rig.network = Refusing("eth0")  # the host has started anew and has nothing
    assert rig.made().generation == "b4"
    assert rig.addresses() == ["192.0.2.64"]


@pytest.mark.parametrize("cut", [1, 20, 100])
def test_a_line_that_was_cut_off_was_never_acknowledged(rig: Rig, cut: int) -> None:
    rig.keeper.replace_plan(plan("192.0.2.50"), "a")
    rig.keeper.change("a", change(plan("192.0.2.51")), "b")
    file = rig.directory / "plan.jsonl"
    file.write_bytes(file.read_bytes()[:-cut])
    assert rig.made().generation == "a"
    assert rig.addresses() == ["192.0.2.1", "192.0.2.50"]
    rig.keeper.change("a", change(plan("192.0.2.52")), "c")
    assert rig.made().generation == "c" and rig.addresses() == ["192.0.2.1", "192.0.2.52"]


def test_nonsense_in_the_files_is_left_out(rig: Rig) -> None:
    rig.keeper.replace_plan(plan("192.0.2.50"), "a")
    for name in ("plan.jsonl", "standings.jsonl", "network.json"):
        (rig.directory / name).write_text('{"generation": 7, "plan": {"layer4": 3}}\n')
    keeper = rig.made()
    assert keeper.generation == "" and keeper.status().undone == ""


def test_files_are_for_nobody_else(rig: Rig) -> None:
    rig.keeper.replace_plan(plan("192.0.2.50", own=["192.0.2.1/24"]), "a", 30)
    assert {oct(one.stat().st_mode & 0o777) for one in rig.directory.iterdir()} == {"0o600"}


def test_a_change_of_the_hosts_network_goes_back_unless_it_is_confirmed(rig: Rig) -> None:
    rig.keeper.replace_plan(plan("192.0.2.50", own=["192.0.2.1/24"]), "a")
    rig.keeper.change("a", change(plan("192.0.2.50", own=["192.0.2.2/24"])), "b", 60)
    assert rig.addresses() == ["192.0.2.2", "192.0.2.50"] and rig.keeper.confirm_left() == 60
    # a change of services meanwhile stays
    rig.keeper.change("b", change(plan("192.0.2.51", own=["192.0.2.2/24"])), "c")
    rig.now += 59
    assert not rig.keeper.undo_overdue()
    rig.now += 1
    assert rig.keeper.undo_overdue() and rig.addresses() == ["192.0.2.1", "192.0.2.51"]
    status = rig.keeper.status()
    assert (status.undone, status.confirm_left, status.confirm_generation) == ("b", None, "")
    # who does not know that it went back must not bring it again
    for attempt in (
        lambda: rig.keeper.replace_plan(plan(own=["192.0.2.2/24"]), "d"),
        lambda: rig.keeper.change(rig.keeper.generation, change(plan(own=["192.0.2.2/24"])), "d"),
    ):
        with pytest.raises(HasGoneBack):
            attempt()
    assert rig.made().status().undone == "b"
    rig.keeper.replace_plan(plan("192.0.2.51", own=["192.0.2.1/24"]), "d", knows_undone="b")
    assert rig.keeper.status().undone == ""


def test_confirmed_is_confirmed(rig: Rig) -> None:
    rig.keeper.replace_plan(plan(own=["192.0.2.1/24"]), "a")
    rig.keeper.change("a", change(plan(own=["192.0.2.2/24"])), "b", 60)
    with pytest.raises(ConflictError):
        rig.keeper.confirm("a")
    rig.keeper.confirm("b")
    rig.now += 600
    assert not rig.keeper.undo_overdue() and rig.made().confirm_left() is None
    with pytest.raises(ConflictError):
        rig.keeper.undo("b")


def test_a_process_that_was_dead_at_that_moment_takes_it_back_when_it_starts(rig: Rig) -> None:
    rig.keeper.replace_plan(plan(own=["192.0.2.1/24"]), "a")
    rig.keeper.change("a", change(plan(own=["192.0.2.2/24"])), "b", 60)
    rig.now += 10
    assert rig.made().confirm_left() == 50 and rig.addresses() == ["192.0.2.2"]
    rig.now += 100
    assert rig.made().status().undone == "b" and rig.addresses() == ["192.0.2.1"]


def test_a_clock_that_is_set_back_does_not_keep_the_administrator_out(rig: Rig) -> None:
    rig.keeper.replace_plan(plan(own=["192.0.2.1/24"]), "a")
    rig.keeper.change("a", change(plan(own=["192.0.2.2/24"])), "b", 60)
    rig.now -= 100_000
    assert rig.keeper.undo_overdue()


def test_taking_the_network_over_as_it_is_needs_no_confirmation(rig: Rig) -> None:
    rig.keeper.replace_plan(plan(own=["192.0.2.1/24"]), "a", 60)
    assert rig.keeper.confirm_left() is None
    other = Rig(rig.directory / "other")
    other.keeper.replace_plan(plan(own=["192.0.2.2/24"]), "a", 60)
    assert other.keeper.confirm_left() == 60 and other.addresses() == ["192.0.2.1", "192.0.2.2"]
    other.keeper.undo("a")
    assert other.addresses() == ["192.0.2.1"]


def test_clearing_removes_what_is_ours_and_nothing_else(rig: Rig) -> None:
    rig.network.sysctls["ipv4/ip_forward"] = "0"
    rig.keeper.replace_plan(
        plan("192.0.2.50", own=["192.0.2.1/24", "192.0.2.9/24"], sysctls={"ipv4/ip_forward": "1"}), "a"
    )
    assert rig.network.sysctls["ipv4/ip_forward"] == "1"
    rig.keeper.clear()
    assert rig.addresses() == ["192.0.2.1"] and rig.network.sysctls["ipv4/ip_forward"] == "0" and rig.names.cleared
    assert rig.made().generation == "" and rig.addresses() == ["192.0.2.1"]


def test_resting_ends_what_services_have_and_leaves_the_host(rig: Rig) -> None:
    rig.keeper.replace_plan(plan("192.0.2.50", own=["192.0.2.1/24", "192.0.2.9/24"]), "a")
    rig.keeper.rest()
    assert rig.addresses() == ["192.0.2.1", "192.0.2.9"]
    assert rig.made().plan == plan(own=["192.0.2.1/24", "192.0.2.9/24"])


def test_a_parameter_of_the_kernel_gets_its_old_value_back(rig: Rig) -> None:
    rig.network.sysctls["ipv4/ip_forward"] = "0"
    rig.keeper.replace_plan(plan(sysctls={"ipv4/ip_forward": "1"}), "a")
    rig.made()
    rig.keeper.replace_plan(plan(), "b")
    assert rig.network.sysctls["ipv4/ip_forward"] == "0"


def test_what_others_have_removed_of_ours_comes_back(rig: Rig) -> None:
    rig.keeper.replace_plan(plan("192.0.2.50"), "a")
    rig.network._addresses.pop(("eth0", "192.0.2.50", 32))
    rig.keeper.repair()
    assert rig.addresses() == ["192.0.2.1", "192.0.2.50"]


def test_an_address_that_others_have_put_here_is_theirs_whatever_services_do(rig: Rig) -> None:
    rig.network.foreign("eth0", "192.0.2.50/32")
    rig.keeper.replace_plan(plan(), "a")
    rig.keeper.change("a", addresses("192.0.2.50", "192.0.2.51"), "b")
    rig.keeper.change("b", KernelChange(held={"192.0.2.50": None, "192.0.2.51": None}), "c")
    assert rig.addresses() == ["192.0.2.1", "192.0.2.50"]


def test_addresses_of_services_come_by_themselves(rig: Rig) -> None:
    rig.keeper.replace_plan(plan("192.0.2.50", own=["192.0.2.1/24"]), "a")
    rig.keeper.change("a", addresses("192.0.2.51"), "b")
    assert rig.keeper.check("b", KernelChange(held={"192.0.2.50": None})) == ("remove address 192.0.2.50/32 from eth0",)
    rig.keeper.change("b", KernelChange(held={"192.0.2.50": None}), "c")
    assert rig.addresses() == ["192.0.2.1", "192.0.2.51"]
    # the rest of the plan is what it was, also after a crash
    assert rig.made().plan == plan("192.0.2.51", own=["192.0.2.1/24"])


def test_what_differs_leads_from_one_plan_to_the_other() -> None:
    first, second = plan("192.0.2.50", own=["192.0.2.1/24"]), plan("192.0.2.51", own=["192.0.2.1/24"])
    other = plan("192.0.2.51", own=["192.0.2.2/24"])
    assert changed(first, second).network is None and set(changed(first, second).held) == {"192.0.2.50", "192.0.2.51"}
    assert changed(second, other).held == {} and changed(first, plan("192.0.2.50", own=["192.0.2.1/24"])).empty
    for old, new in ((first, second), (second, other), (other, first), (first, KernelPlan())):
        assert changed(old, new).applied(old) == new


def addresses(*held: str) -> KernelChange:
    return KernelChange(held={one: HeldAddress(address=one, interface="eth0") for one in held})


class Dying(MemoryPacketRules):
    """The process dies before the tables are changed."""

    def strict(self, wanted: bool) -> None:
        raise KeyboardInterrupt

    forwards = strict  # type: ignore[assignment]


@pytest.mark.parametrize("more", [{"strict": True}, {"forwards": ("10.0.0.0/24",)}])
def test_a_table_that_is_planned_no_more_goes_although_a_kill_came_between(rig: Rig, more: dict[str, object]) -> None:
    rig.keeper.replace_plan(plan("192.0.2.50", **more), "a")
    kept = rig.rules
    rig.rules = Dying()
    rig.keeper._packet_rules = PlannedPacketRules(rig.rules)
    with pytest.raises(KeyboardInterrupt):
        rig.keeper.replace_plan(plan("192.0.2.50"), "b")
    assert (kept.is_strict, kept.lets_through is not None) == ("strict" in more, "forwards" in more)
    rig.rules = kept
    assert rig.made().generation == "b"
    assert (kept.is_strict, kept.lets_through) == (False, None)
    assert rig.keeper.status().problems == ()


@pytest.mark.parametrize("more", [{"strict": True}, {"forwards": ("10.0.0.0/24",)}])
def test_a_table_that_is_planned_comes_again(rig: Rig, more: dict[str, object]) -> None:
    rig.keeper.replace_plan(plan("192.0.2.50", **more), "a")
    rig.rules = MemoryPacketRules()  # the host has started anew
    rig.made()
    assert (rig.rules.is_strict, rig.rules.lets_through) == (more.get("strict", False), more.get("forwards"))


def test_parameters_of_the_kernel_come_and_go_at_a_start_too(rig: Rig) -> None:
    rig.network.sysctls["ipv4/ip_forward"] = "0"
    rig.keeper.replace_plan(plan(sysctls={"ipv4/ip_forward": "1"}), "a")
    rig.network.sysctls["ipv4/ip_forward"] = "0"  # the host has started anew
    rig.made()
    assert rig.network.sysctls["ipv4/ip_forward"] == "1"
    rig.keeper._files.save_plan("b", plan())  # killed before it was set back
    rig.made()
    assert rig.network.sysctls["ipv4/ip_forward"] == "0"


def test_clearing_removes_a_table_that_a_killed_process_has_left(rig: Rig) -> None:
    rig.rules.is_strict = True
    rig.keeper.clear()
    assert not rig.rules.is_strict


def test_what_the_checks_say_is_kept_at_the_cost_of_what_is_new(rig: Rig) -> None:
    file = rig.directory / "standings.jsonl"
    many = {("vs1", f"rs{number}"): Standing(up=True) for number in range(1000)}
    rig.keeper.tell(many, whole=True)
    rig.keeper.save_standings()
    whole = file.stat().st_size
    rig.keeper.tell({("vs1", "rs7"): Standing(up=False)})
    rig.keeper.save_standings()
    assert 0 < file.stat().st_size - whole < 100
    rig.made()
    assert rig.keeper._layer4.standings == {**many, ("vs1", "rs7"): Standing(up=False)}
    for number in range(5000):
        rig.keeper.tell({("vs1", "rs8"): Standing(up=bool(number % 2))})
        rig.keeper.save_standings()
    assert file.stat().st_size < 3 * whole + 200_000, "it does not grow for ever"


@pytest.mark.parametrize("cut", [1, 10])
def test_half_a_line_of_standings_is_left_out_and_nothing_is_written_behind_it(rig: Rig, cut: int) -> None:
    rig.keeper.tell({("vs1", "rs1"): Standing(up=True)}, whole=True)
    rig.keeper.save_standings()
    rig.keeper.tell({("vs1", "rs1"): Standing(up=False)})
    rig.keeper.save_standings()
    file = rig.directory / "standings.jsonl"
    file.write_bytes(file.read_bytes()[:-cut])
    rig.made()
    assert rig.keeper._layer4.standings == {("vs1", "rs1"): Standing(up=True)}
    rig.keeper.tell({("vs1", "rs2"): Standing(up=False)})
    rig.keeper.save_standings()
    rig.made()
    assert rig.keeper._layer4.standings == {("vs1", "rs1"): Standing(up=True), ("vs1", "rs2"): Standing(up=False)}
