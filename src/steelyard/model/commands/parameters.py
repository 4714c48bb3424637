"""Commands on global parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from steelyard.model.commands.cipher_sets import check_admin_cipher_set
from steelyard.model.commands.command import Change
from steelyard.model.commands.network import refuse_unmanaged
from steelyard.model.commands.parameter_secrets import put_away
from steelyard.model.configuration import Configuration
from steelyard.model.limits import LimitParameters, refuse_above_global
from steelyard.model.network import HostParameters
from steelyard.model.setting import Settings

Section = Literal[
    "layer7",
    "network",
    "checks",
    "access",
    "limits",
    "tls",
    "adaptive",
    "acme",
    "administration",
    "host",
    "syslog",
    "email",
    "snmp",
    "webhook",
    "events",
]


@dataclass(frozen=True)
class SetParameters:
    """Change global parameters of one section. `place` is made up at random for the secrets among them."""

    section: Section
    changes: Mapping[str, Any] = field(repr=False)
    place: str = field(default="", repr=False)
    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return f"set {self.section} parameters: {', '.join(sorted(self.changes))}"

    def apply(self, configuration: Configuration) -> Change:
        before: Settings = getattr(configuration, self.section)
        after, secrets = put_away(self.section, before, before.changed(self.changes), self.place)
        if after == before:
            return Change(configuration, self.section)
        if isinstance(before, HostParameters) and isinstance(after, HostParameters):
            refuse_unmanaged(before, after)
        if isinstance(after, LimitParameters):
            for service in configuration.services.values():
                refuse_above_global(after, service)
        parts: dict[str, Any] = {self.section: after}
        changed = replace(configuration, **parts)
        if self.section == "tls":
            check_admin_cipher_set(changed)
        return Change(changed, self.section, secrets)
