"""Weights set from outside, by a controller or an operator, for a time.

They are state and no part of the configuration: nothing of them is in the history, and when their time is over the
configured weights hold again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from steelyard.model.commands.command import Change
from steelyard.model.configuration import Configuration
from steelyard.model.errors import NotFound, OperatorError

#: seconds an external weight may hold, and does when nobody says
LONGEST_SECONDS, USUAL_SECONDS = 86_400, 300


@dataclass(frozen=True)
class SetExternalWeights:
    """Set the weights of members (real servers or slots, by index) for some seconds. `replace` ends all others.

    `apply` makes sure that the service takes them and leaves the configuration as it is.
    """

    service: int
    weights: Mapping[int, int]
    seconds: int = USUAL_SECONDS
    replace: bool = False
    permission: ClassVar[str] = "real"

    @property
    def summary(self) -> str:
        given = ", ".join(f"{index}: {weight}" for index, weight in sorted(self.weights.items())[:8])
        return f"set external weights of service {self.service} for {self.seconds} s: {given or 'none'}"

    def apply(self, configuration: Configuration) -> Change:
        service = configuration.service(self.service)
        if service.schedule != "sdn-adaptive":
            raise OperatorError(
                f"{service.title} is scheduled by {service.schedule!r}, which follows no external weights",
                field="schedule",
                value=service.schedule,
                allowed="sdn-adaptive",
                remedy="Set Schedule to sdn-adaptive first, or change the weight of the real server itself",
            )
        if not 1 <= self.seconds <= LONGEST_SECONDS:
            raise OperatorError(
                f"seconds {self.seconds} is out of range; allowed: 1 to {LONGEST_SECONDS}",
                field="seconds",
                value=self.seconds,
                allowed=f"1 to {LONGEST_SECONDS}",
                remedy="Give the seconds after which the configured weight holds again, and set it again before",
            )
        known = {member.index for member in service.members}
        for index, weight in self.weights.items():
            if index not in known:
                raise NotFound("RS", index)
            if not 1 <= weight <= 65535:
                raise OperatorError(
                    f"weight {weight} of real server {index} is out of range; allowed: 1 to 65535",
                    field="weights",
                    value=weight,
                    allowed="1 to 65535",
                    remedy="Disable a real server to give it no new clients; a weight never does",
                )
        return Change(configuration, self.service)
