"""Commands on the further checks of a virtual service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from steelyard.model.commands.command import Change
from steelyard.model.commands.services import with_service
from steelyard.model.configuration import Configuration
from steelyard.model.errors import NotFound, OperatorError
from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service.further import FurtherCheck, check_further, made_checks


def further_check(service: VirtualService, name: str) -> FurtherCheck:
    """The further check of that name. Raises `NotFound`."""
    for check in service.further_checks:
        if check.name == name:
            return check
    raise NotFound("further check", name)


def _with_checks(configuration: Configuration, service: VirtualService, checks: Sequence[FurtherCheck]) -> Change:
    check_further(checks)
    if checks and (service.slots or service.check_type == "none"):
        why = "has sub-services, which have checks of their own" if service.slots else "has its checks off"
        raise OperatorError(
            f"{service.title} {why}, so there is nothing a further check could add to",
            field="further_checks",
            value=checks[-1].name,
            remedy="Add it to the sub-services" if service.slots else "Give the service a check first (CheckType)",
        )
    changed = service.changed({"further_checks": tuple(checks)})
    return Change(with_service(configuration, changed), service.index)


@dataclass(frozen=True)
class AddFurtherCheck:
    """Ask one thing more of each real server of a service."""

    service: int
    settings: Mapping[str, Any]
    permission: ClassVar[str] = "vs"

    @property
    def summary(self) -> str:
        return f"add check {self.settings.get('name')} to service {self.service}"

    def apply(self, configuration: Configuration) -> Change:
        service = configuration.service(self.service)
        return _with_checks(configuration, service, (*service.further_checks, FurtherCheck.make(self.settings)))


@dataclass(frozen=True)
class ChangeFurtherCheck:
    """Change a further check; what is not named keeps its value."""

    service: int
    name: str
    changes: Mapping[str, Any]
    permission: ClassVar[str] = "vs"

    @property
    def summary(self) -> str:
        what = ", ".join(sorted(self.changes)) or "nothing"
        return f"change check {self.name} of service {self.service}: {what}"

    def apply(self, configuration: Configuration) -> Change:
        service = configuration.service(self.service)
        before = further_check(service, self.name)
        after = before.changed(self.changes)
        checks = tuple(after if check is before else check for check in service.further_checks)
        return _with_checks(configuration, service, checks)


@dataclass(frozen=True)
class RemoveFurtherCheck:
    """Ask one thing less."""

    service: int
    name: str
    permission: ClassVar[str] = "vs"

    @property
    def summary(self) -> str:
        return f"remove check {self.name} of service {self.service}"

    def apply(self, configuration: Configuration) -> Change:
        service = configuration.service(self.service)
        gone = further_check(service, self.name)
        return _with_checks(configuration, service, tuple(one for one in service.further_checks if one is not gone))


@dataclass(frozen=True)
class ReplaceFurtherChecks:
    """Replace all further checks of a service."""

    service: int
    checks: Sequence[Mapping[str, Any]]
    permission: ClassVar[str] = "vs"

    @property
    def summary(self) -> str:
        return f"give service {self.service} {len(self.checks)} further checks"

    def apply(self, configuration: Configuration) -> Change:
        return _with_checks(configuration, configuration.service(self.service), made_checks(self.checks))


__all__ = ["AddFurtherCheck", "ChangeFurtherCheck", "RemoveFurtherCheck", "ReplaceFurtherChecks", "further_check"]
