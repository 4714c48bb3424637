"""Quick Setup, as LoadMaster's console has it: network side, farm side, name servers, search domains, gateway.

Each answer is tried at once together with those before it, by the same rules the change itself meets, and asked again
when it cannot be. Nothing is changed before the summary is confirmed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steelyard.cli.failures import Failure, Refused
from steelyard.cli.prompts import Ended, Went, ask, confirm, say
from steelyard.cli.setup_targets import Json, Target
from steelyard.model.setting import GIVE_ALLOWED, LEAVE_OUT

_HOW = (
    "Enter keeps what stands in brackets, - leaves a value empty, < goes back a step, Ctrl-C ends it. Nothing is"
    " changed before the end."
)


@dataclass(frozen=True)
class _Step:
    """One question. `member` is what it is called in the change; `several` takes words separated by blanks."""

    member: str
    title: str
    says: str
    question: str
    several: bool = False


@dataclass
class QuickSetup:
    """One conversation."""

    target: Target
    facts: Json

    def __post_init__(self) -> None:
        network = self.facts["network"]
        self._network, self._farm = network["network"], network["farm"]
        self._values: dict[str, Any] = {
            "network_address": self._network["address"],
            "farm_address": self._farm["address"] if self._farm else "",
            "name_servers": list(network["name_servers"]),
            "search_domains": list(network["search_domains"]),
            "default_gateway": network["default_gateway"],
        }
        self._before = dict(self._values)
        self._steps = self._questions()

    def _questions(self) -> Sequence[_Step]:
        eth0 = self._network["interface"]
        farm = self._farm
        steps = [
            _Step(
                "network_address",
                f"Network-side address ({eth0})",
                "The interface towards the clients, with the prefix length of its network: 10.0.0.5/24.",
                "Address",
            )
        ]
        if farm is not None:
            steps.append(
                _Step(
                    "farm_address",
                    f"Farm-side address ({farm['interface']})",
                    "The interface towards the real servers: 10.1.0.5/24. Empty (-) is an appliance with one arm.",
                    "Address",
                )
            )
        return (
            *steps,
            _Step("name_servers", "DNS servers", "Addresses, separated by a space.", "DNS servers", several=True),
            _Step("search_domains", "Search domains", "Separated by a space.", "Search domains", several=True),
            _Step(
                "default_gateway",
                "Default gateway of the network side",
                f"The router in the network of {eth0}. Empty (-) is none.",
                "Gateway",
            ),
        )

    def run(self) -> bool:
        """Ask everything and apply it; whether something was changed. Raises `Ended` or `Failure`."""
        if not self._manages():
            return False
        say(f"\n{_HOW}")
        if self._farm is None:
            say(f"This host has one interface, {self._network['interface']}: an appliance with one arm.")
        number = 0
        while True:
            while number < len(self._steps):
                number = max(0, number + (1 if self._asked(number) else -1))
            agreed = self._agreed()
            if agreed is Went.BACK:
                number = len(self._steps) - 1
                continue
            return agreed is True and self._applied()

    def _manages(self) -> bool:
        """Whether the network is Steelyard's to change, or is to be."""
        if self.facts["network"]["managed"]:
            return True
        try:
            self.target.attempt({"manage": True, "network_side": self._network["interface"]})
        except Refused as refusal:
            say("\nAnother tool owns the network of this host, and Steelyard cannot take it over:")
            _complain(refusal)
            return False
        say("\nAnother tool owns the network of this host. Quick Setup hands it to Steelyard, with your changes.")
        say("Have that tool leave it alone from then on.")
        return confirm("Have Steelyard manage the network?", otherwise=False) is True

    def _asked(self, number: int) -> bool:
        """Whether the question was answered; otherwise the one before is asked again."""
        step = self._steps[number]
        say(f"\n{number + 1}/{len(self._steps)}  {step.title}\n     {step.says}")
        while True:
            present = self._values[step.member]
            answer = ask(f"     {step.question}", " ".join(present) if step.several else present)
            if isinstance(answer, Went):
                if number:
                    return False
                say("     This is the first step.")
                continue
            given = answer.replace(",", " ").split() if step.several else answer
            if self._fits(step, given):
                self._values[step.member] = given
                return True

    def _fits(self, step: _Step, given: Any) -> bool:
        if step.member == "network_address" and not given:
            say("     ! The network side needs an address, such as 10.0.0.5/24.")
            return False
        try:
            self._attempt(step, given)
        except Refused as refusal:
            _complain(refusal)
            return False
        return True

    def _attempt(self, step: _Step, given: Any) -> None:
        """Try an answer with those before it. Later ones may yet make room for it: gateway, and the farm side."""
        values = {**self._values, step.member: given}
        if step.member != "default_gateway":
            values["default_gateway"] = ""
        try:
            self.target.attempt(self._changes(values))
        except Refused:
            if step.member != "network_address" or not values["farm_address"]:
                raise
            self.target.attempt(self._changes({**values, "farm_address": ""}))

    def _changes(self, values: Mapping[str, Any]) -> dict[str, Any]:
        changes = {"network_side": self._network["interface"], "manage": True, **values}
        if self._farm is None:
            del changes["farm_address"]
        else:
            changes["farm_side"] = self._farm["interface"]
        return changes

    def _agreed(self) -> bool | Went:
        """Show what was answered and ask whether that is to be."""
        if self._values == self._before and self.facts["network"]["managed"]:
            say("\nNothing is to be changed.")
            return False
        say("\nSummary")
        for step in self._steps:
            old, new = _shown(self._before[step.member]), _shown(self._values[step.member])
            say(f"  {step.title:<38}  {new}" + ("" if old == new else f"   (was {old})"))
        try:
            operations = self.target.attempt(self._changes(self._values))
        except Refused as refusal:
            _complain(refusal)
            return Went.BACK
        if operations:
            say("This will:")
            for one in operations:
                say(f"  - {one}")
        agreed = confirm("Apply?", otherwise=False)
        if agreed is False:
            say("Nothing was changed.")
        return agreed

    def _applied(self) -> bool:
        try:
            revision = self.target.apply(self._changes(self._values))
        except Failure as refusal:
            _complain(refusal)
            say("Nothing was changed.")
            return False
        say(f"Applied: revision {revision}.")
        waiting = self.target.facts()["waiting"]
        return True if waiting is None else self._kept(waiting["seconds"])

    def _kept(self, seconds: float) -> bool:
        """Who can answer was not cut off; who was, has the old network again after that time."""
        say(f"\nThe change goes back by itself in {seconds:.0f} s unless you keep it.")
        try:
            kept = confirm("Keep it?", otherwise=True) is True
        except Ended:
            kept = False
        try:
            (self.target.keep if kept else self.target.undo)()
        except Failure:
            if self.target.facts()["waiting"] is not None:
                raise
            say("It has gone back already: the network is as it was before.")
            return False
        say("Kept." if kept else "Taken back: the network is as it was before.")
        return kept


def _shown(value: Any) -> str:
    return (" ".join(value) if isinstance(value, list) else str(value)) or "none"


def _complain(refusal: Failure) -> None:
    error = refusal.error
    # what it is called in the API need not be said beside the question
    said = re.sub(r"^\w+ '", "'", str(error.get("message", "refused")).rstrip("."))
    more = [f"Allowed: {error['allowed']}"] if error.get("allowed") and str(error["allowed"]) not in said else []
    if error.get("remedy") and error["remedy"] not in (GIVE_ALLOWED, LEAVE_OUT):
        more.append(str(error["remedy"]))
    say("     ! " + ". ".join([said, *more]) + ".")
