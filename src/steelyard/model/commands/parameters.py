"""Commands on global parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from steelyard.model.commands.command import Change
from steelyard.model.configuration import Configuration
from steelyard.model.limits import LimitParameters, refuse_above_global
from steelyard.model.setting import Settings

Section = Literal["layer7", "network", "checks", "access", "limits", "tls", "adaptive"]


@dataclass(frozen=True)
class SetParameters:
    """Change global parameters of one section."""

    section: Section
    changes: Mapping[str, Any]
    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return f"set {self.section} parameters: {', '.join(sorted(self.changes))}"

    def apply(self, configuration: Configuration) -> Change:
        before: Settings = getattr(configuration, self.section)
        after = before.changed(self.changes)
        if after == before:
            return Change(configuration, self.section)
        if isinstance(after, LimitParameters):
            for service in configuration.services.values():
                refuse_above_global(after, service)
        parts: dict[str, Any] = {self.section: after}
        return Change(replace(configuration, **parts), self.section)
