"""What is left to do before a new appliance is used: the licence, a password of the administrator's own, addresses.

A configuration of an earlier release has no such document, which reads as an appliance that is set up.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

#: "" is an appliance that is set up
FirstStep = Literal["licence", "password", "addresses", ""]
#: before these nothing else is answered to anybody who comes by the network
CLOSED: frozenset[FirstStep] = frozenset({"licence", "password"})


class FirstStart(BaseModel):
    """How far the first start has come. The password's part of it is that it is still the one for one time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unfinished: bool = False
    licence_due: bool = False

    def step(self, *, one_time_password: bool) -> FirstStep:
        """What is to be done next."""
        if not self.unfinished:
            return ""
        if self.licence_due:
            return "licence"
        return "password" if one_time_password else "addresses"
