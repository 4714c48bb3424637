"""Keeps the kernel at a plan. It is the only one that changes layer 4 and the network, one request at a time.

A change is kept on disk before the kernel gets it, so that a process killed in between goes on to the same end; one the
kernel refuses is taken back in both. A change of the host's own network may have to be confirmed: unless it is, the
host's network goes back to what it was, whoever else is alive, and the services keep what they have.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from steelyard.engines.host_names import HostNames
from steelyard.engines.layer4.contract import Record, ServiceTraffic
from steelyard.engines.netlink.contract import NetworkKernel
from steelyard.engines.netlink.reconcile import held_only, reconcile
from steelyard.engines.netlink.steps import AddAddress, RemoveAddress, Step
from steelyard.engines.nft.packet_rules import NftPacketRules, PacketRules
from steelyard.engines.sources.contract import SourcesKernel
from steelyard.model.errors import ConflictError, EngineRefused, SteelyardError
from steelyard.netd.files import Kept, NetdFiles, Notes, Pending
from steelyard.netd.layer4 import Layer4
from steelyard.netd.packet_rules import PlannedPacketRules
from steelyard.netd.protocol import NetdStatus
from steelyard.netd.sources import Sources
from steelyard.plan.kernel import KernelChange, KernelPlan, changed
from steelyard.plan.layer4 import ServerName, Standing, Standings
from steelyard.plan.network import HostNetwork, NetworkPlan

log = logging.getLogger("steelyard.netd")

#: a step may undo another's (an address takes its routes along), so what is there is read again, so many times
_ROUNDS = 4
#: how often neighbours are told of a new address (RFC 5227 says two, RFC 4861 up to three), a second apart
ANNOUNCEMENTS = 3


class UnknownBase(EngineRefused):
    """A change stands on a generation that is not in force."""


class HasGoneBack(EngineRefused):
    """The host's network has gone back, and the request does not know."""


class Keeper:
    """All of `steelyard-netd` but its socket. Not for several threads at once."""

    def __init__(
        self,
        network: NetworkKernel,
        layer4: Layer4,
        names: HostNames,
        files: NetdFiles,
        *,
        capabilities: Iterable[str] = (),
        pid: int = 0,
        clock: Callable[[], float] = time.time,
        packet_rules: PacketRules | None = None,
        sources: SourcesKernel | None = None,
    ) -> None:
        self._network = network
        self._layer4 = layer4
        self._names = names
        self._files = files
        self._capabilities = tuple(sorted(capabilities))
        self._pid = pid
        self._clock = clock
        self._packet_rules = PlannedPacketRules(packet_rules or NftPacketRules())
        self._sources = Sources(network, sources)
        self.generation = ""
        self.plan = KernelPlan()
        self._notes = Notes()
        self._problems: dict[str, str] = {}
        #: addresses neighbours are still to be told of, with how often
        self._untold: dict[AddAddress, int] = {}
        #: what was told and is not on the disk; whether it has to be written whole
        self._unsaved: dict[ServerName, Standing] = {}
        self._unsaved_whole = False
        self._foreign: frozenset[str] = frozenset()

    # --- start

    def load(self) -> Kept:
        """Read what was kept."""
        kept = self._files.load()
        self.generation, self.plan, self._notes = kept.generation, kept.plan, kept.notes
        return kept

    def start(self) -> None:
        """Bring the kernel to what was kept. What cannot be done is a problem, and the rest is done."""
        kept = self.load()
        before = self._before()
        if self._notes.pending is not None and self._overdue(self._notes.pending):
            before = self.plan.network
            self._go_back(self._notes.pending)
        self._attempt("network", lambda: self._settle(before, self.plan.network))
        self._attempt("names", lambda: self._write_names(self.plan.network))
        self._attempt("kernel parameters", lambda: self._take_up_sysctls(self.plan.network))
        self._attempt("packet rules", lambda: self._packet_rules.take_up(self.plan.network))
        self._attempt("sources", lambda: self._sources.start(self.plan.network))
        self._attempt("layer4", lambda: self._layer4.start(self.plan.layer4, kept.standings, self._notes.drivers))

    def _before(self) -> NetworkPlan:
        """The plan before this one, as far as it is known: a process killed within a change leaves addresses of it."""
        pending = self._notes.pending
        if pending is None or pending.before is None:
            return self.plan.network
        return self.plan.network.model_copy(update={"host": pending.before})

    def _attempt(self, concern: str, action: Callable[[], object]) -> None:
        try:
            action()
        except SteelyardError as failure:
            self._problems[concern] = failure.message
            log.error("%s", failure.details())
        else:
            self._problems.pop(concern, None)

    # --- plans

    def replace_plan(
        self, plan: KernelPlan, generation: str, confirm: float | None = None, knows_undone: str = ""
    ) -> None:
        """Have exactly this. Raises `EngineRefused` or `HostLacks`, and everything is as before."""
        self._refuse_unknowing(knows_undone)
        self._take(plan, changed(self.plan, plan), generation, confirm, whole=True)

    def change(
        self, base: str, change: KernelChange, generation: str, confirm: float | None = None, knows_undone: str = ""
    ) -> None:
        """Have these objects in place of those of `base`. Raises `UnknownBase` too."""
        self._refuse_unknowing(knows_undone)
        self._require_base(base)
        self._take(change.applied(self.plan), change, generation, confirm, whole=False)

    def check(self, base: str, change: KernelChange) -> tuple[str, ...]:
        """What a change would do, in words. Raises when it would be refused."""
        self._require_base(base)
        steps: list[Step] = []
        after = change.applied(self.plan).network
        if change.network is not None:
            steps = reconcile(self._network.read(), self.plan.network, after)
            self._sources.check(after)
        elif change.held:
            steps = held_only(self.plan.network, after, self._foreign)
        return (*map(str, steps), *self._layer4.check(change.layer4))

    def _require_base(self, base: str) -> None:
        if base != self.generation:
            raise UnknownBase(f"The change is based on {base!r}, and {self.generation!r} is in force here")

    def _refuse_unknowing(self, knows_undone: str) -> None:
        if self._notes.undone and self._notes.undone != knows_undone:
            raise HasGoneBack(
                f"The change of the host's network of {self._notes.undone} was not confirmed and has gone back"
            )

    def _take(
        self, plan: KernelPlan, change: KernelChange, generation: str, confirm: float | None, *, whole: bool
    ) -> None:
        old, old_generation, old_notes = self.plan, self.generation, self._notes
        self._save_notes(self._notes_for(plan, generation, confirm))
        try:
            if whole:
                self._files.save_plan(generation, plan)
            else:
                self._files.add_change(generation, change, plan)
            differed = self._bring(old, plan, change, whole=whole)
        except SteelyardError:
            self._files.save_plan(old_generation, old)
            self._put_back(plan, old)
            self._save_notes(old_notes)
            raise
        self.plan, self.generation = plan, generation
        if old.network.host is None and not differed and old_notes.pending is None:
            # the network was taken over as it was: there is nothing to go back to
            self._save_notes(replace(self._notes, pending=None))
        self._forget_sysctls(plan.network)

    def _bring(self, old: KernelPlan, new: KernelPlan, change: KernelChange, *, whole: bool) -> bool:
        """Change what differs, layer 4 last; whether the network was another."""
        differed = False
        if change.held and not whole:
            self._run(held_only(old.network, new.network, self._foreign))
        if whole or change.network is not None:
            differed = self._settle(old.network, new.network)
            self._set_sysctls(new.network)
            self._write_names(new.network)
            self._packet_rules.change(old.network, new.network)
            self._sources.apply(new.network, again=differed)
        self._layer4.apply(change.layer4)
        return differed

    def _put_back(self, refused: KernelPlan, old: KernelPlan) -> None:
        """Layer 4 is as it was: its change is the last step, and its driver takes it back itself."""
        try:
            self._settle(refused.network, old.network)
            self._set_sysctls(old.network)
            self._write_names(old.network)
            self._packet_rules.change(refused.network, old.network)
            self._sources.apply(old.network, again=True)
        except SteelyardError as failure:
            self._problems["network"] = f"The previous network could not be put back: {failure.message}"
            log.error("%s", failure.details())

    # --- the network

    def _settle(self, old: NetworkPlan, new: NetworkPlan) -> bool:
        """Bring the kernel to a plan whatever it has; whether more than addresses of services was missing."""
        differed = False
        for _ in range(_ROUNDS):
            present = self._network.read()
            self._foreign = present.foreign
            steps = reconcile(present, old, new)
            if not steps:
                break
            differed |= any(not (isinstance(one, AddAddress) and one.held) for one in steps)
            self._run(steps)
        return differed

    def _run(self, steps: list[Step]) -> None:
        for step in steps:
            log.info("%s", step)
        self._network.run(steps)
        gone = {(one.interface, one.address) for one in steps if isinstance(one, RemoveAddress)}
        self._untold = {one: left for one, left in self._untold.items() if (one.interface, one.address) not in gone}
        self._untold.update({one: ANNOUNCEMENTS for one in steps if isinstance(one, AddAddress)})
        self.announce()

    def announce(self) -> bool:
        """Tell neighbours once more of new addresses; whether there is more to tell."""
        if self._untold:
            self._network.announce(list(self._untold))
            self._untold = {one: left - 1 for one, left in self._untold.items() if left > 1}
        return bool(self._untold)

    def _set_sysctls(self, wanted: NetworkPlan) -> None:
        before = dict(self._notes.sysctls)
        fresh = {name: self._network.sysctl(name) for name in wanted.sysctls if name not in before}
        if fresh:
            self._save_notes(replace(self._notes, sysctls={**before, **fresh}))
        for name, value in wanted.sysctls.items():
            self._network.set_sysctl(name, value)
        for name, value in before.items():
            if name not in wanted.sysctls:
                self._network.set_sysctl(name, value)

    def _take_up_sysctls(self, wanted: NetworkPlan) -> None:
        """Have these: the host may have started anew, or a process been killed before it had set or reset them."""
        self._set_sysctls(wanted)
        self._forget_sysctls(wanted)

    def _forget_sysctls(self, wanted: NetworkPlan) -> None:
        left = {name: value for name, value in self._notes.sysctls.items() if name in wanted.sysctls}
        if left != dict(self._notes.sysctls):
            self._save_notes(replace(self._notes, sysctls=left))

    def _write_names(self, wanted: NetworkPlan) -> None:
        if wanted.host is not None:
            for words in self._names.apply(wanted.host):
                log.info("%s", words)

    # --- confirming

    def _notes_for(self, plan: KernelPlan, generation: str, confirm: float | None) -> Notes:
        pending = self._notes.pending
        before, after = self.plan.network.host, plan.network.host
        if before != after:
            if confirm is not None:
                # what has not been confirmed is no place to go back to
                back = pending.before if pending is not None else before
                pending = Pending(generation, back, self._clock() + confirm, confirm)
            else:
                pending = None
        drivers = {*self._notes.drivers, *(one.driver for one in plan.layer4.values())}
        return replace(self._notes, drivers=tuple(sorted(drivers)), pending=pending, undone="")

    def _save_notes(self, notes: Notes) -> None:
        if notes != self._notes:
            self._files.save_notes(notes)
            self._notes = notes

    def confirm_left(self) -> float | None:
        """Seconds until the host's network goes back; None when nothing waits to be confirmed."""
        pending = self._notes.pending
        return None if pending is None else max(0.0, pending.deadline - self._clock())

    def confirm(self, generation: str) -> None:
        """Keep the change. Raises `ConflictError` when that generation does not wait."""
        self._waiting(generation)
        self._save_notes(replace(self._notes, pending=None))
        log.info("the host's network of %s was confirmed", generation)

    def undo(self, generation: str) -> None:
        """Take the change back now. Raises `ConflictError` when that generation does not wait."""
        self._back(self._waiting(generation))

    def undo_overdue(self) -> bool:
        """Take back what nobody has confirmed in time; whether that was done."""
        pending = self._notes.pending
        if pending is None or not self._overdue(pending):
            return False
        self._back(pending)
        return True

    def _overdue(self, pending: Pending) -> bool:
        left = pending.deadline - self._clock()
        # a clock that was set back must not keep the administrator out
        return left <= 0 or left > pending.seconds

    def _waiting(self, generation: str) -> Pending:
        pending = self._notes.pending
        if pending is None or pending.generation != generation:
            raise ConflictError(f"No change of the host's network of {generation!r} waits to be confirmed")
        return pending

    def _back(self, pending: Pending) -> None:
        refused = self.plan
        self._go_back(pending)
        log.warning("the host's network of %s was not confirmed and goes back", pending.generation)
        now = self.plan.network
        # An empty network of the host's in place of none: what was made since the host's was taken over goes, too.
        taken_back = now if now.host is not None else now.model_copy(update={"host": HostNetwork()})
        before = refused.network if now.host is not None else taken_back
        self._attempt("network", lambda: self._settle(before, taken_back))
        self._attempt("names", lambda: self._write_names(self.plan.network))

    def _go_back(self, pending: Pending) -> None:
        network = self.plan.network.model_copy(update={"host": pending.before})
        plan = KernelPlan.model_construct(layer4=self.plan.layer4, network=network)
        # nobody has worked anything out against this
        generation = f"{self.generation}+undone"
        self._files.save_plan(generation, plan)
        self._save_notes(replace(self._notes, pending=None, undone=pending.generation))
        self.plan, self.generation = plan, generation

    # --- the rest

    @property
    def has_problems(self) -> bool:
        """Whether something could not be done that another try may do."""
        return bool(self._problems)

    def repair(self) -> None:
        """Mend what others have changed of ours."""
        self._attempt("network", lambda: self._settle(self.plan.network, self.plan.network))
        self._attempt("sources", lambda: self._sources.apply(self.plan.network, again=True))

    def tell(self, standings: Standings, *, whole: bool = False) -> None:
        """Take what the checking process says."""
        self._layer4.tell(standings, whole=whole)
        if whole:
            self._unsaved_whole = True
            self._unsaved.clear()
        else:
            self._unsaved |= standings

    def save_standings(self) -> None:
        """Keep what it said."""
        if self._unsaved_whole:
            self._files.save_standings(self._layer4.standings)
        elif self._unsaved:
            self._files.add_standings(self._unsaved, self._layer4.standings)
        self._unsaved_whole, self._unsaved = False, {}

    def drop(self, servers: Iterable[ServerName]) -> None:
        """Cut the connections of servers."""
        self._layer4.drop(servers)

    def look(self) -> None:
        """Read counters ahead: takes long, and may be done in another thread while changes are made in this one."""
        self._layer4.look()

    def is_repaired(self) -> bool:
        """Whether the kernel's network is as planned: may be asked in another thread, and errs to False."""
        plan, present = self.plan.network, self._network.read()
        self._foreign = present.foreign
        return plan.sources.empty and not reconcile(present, plan, plan)

    def traffic(self) -> Mapping[str, ServiceTraffic]:
        """Counters of layer 4."""
        return self._layer4.traffic()

    def records(self, service: str) -> tuple[Record, ...]:
        """Persistence records of a layer-4 service."""
        return self._layer4.records(service)

    def flush_records(self, service: str) -> None:
        """Forget them."""
        self._layer4.flush_records(service)

    def status(self) -> NetdStatus:
        """How it is."""
        pending = self._notes.pending
        return NetdStatus(
            generation=self.generation,
            pid=self._pid,
            confirm_generation=pending.generation if pending else "",
            confirm_left=self.confirm_left(),
            undone=self._notes.undone,
            capabilities=self._capabilities,
            drivers=tuple(sorted(self._layer4.used())),
            problems=tuple(self._problems.values()),
        )

    def rest(self) -> None:
        """End what services have, to the last empty table; the host's own network stays."""
        left = KernelPlan(network=NetworkPlan(host=self.plan.network.host))
        self._take(left, changed(self.plan, left), f"{self.generation}+rest", None, whole=True)
        self._layer4.clear(self._notes.drivers)
        self._save_notes(replace(self._notes, drivers=()))

    def clear(self) -> None:
        """Remove all that is ours from the kernel and from the host's files, and nothing else."""
        self._layer4.clear(self._notes.drivers)
        self._sources.clear()
        nothing = NetworkPlan()
        # an empty network of the host's, in place of none: what was made for it goes too
        self._settle(nothing, NetworkPlan(host=HostNetwork()))
        for name, value in self._notes.sysctls.items():
            self._network.set_sysctl(name, value)
        self._names.clear()
        self._packet_rules.take_up(nothing)
        self.plan, self.generation = KernelPlan(), ""
        self._files.save_plan("", self.plan)
        self._save_notes(Notes())
        self._files.save_standings({})
