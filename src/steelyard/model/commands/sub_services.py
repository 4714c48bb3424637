"""Commands on sub-services and on their slots in the parent (`reference/loadmaster-api/03`, 3.1 and 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from steelyard.model.commands.command import Change
from steelyard.model.commands.servers import AddServer
from steelyard.model.commands.services import add_sub_service, with_service
from steelyard.model.configuration import Configuration
from steelyard.model.errors import NotFound, OperatorError, located
from steelyard.model.slot import Slot
from steelyard.model.virtual_service import VirtualService


def slot_of(service: VirtualService, index: int) -> Slot:
    """The slot with that index. Raises `NotFound`."""
    slot = service.slot(index)
    if slot is None:
        raise NotFound("RS", index)
    return slot


@dataclass(frozen=True)
class CreateSubService:
    """Make a sub-service: of the type of its parent unless told otherwise, with a slot in it. Gives its own index."""

    parent: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    slot: Mapping[str, Any] = field(default_factory=dict)
    permission: ClassVar[str] = "real"

    @property
    def summary(self) -> str:
        return f"add a sub-service to virtual service {self.parent}"

    def apply(self, configuration: Configuration) -> Change:
        configuration, index = add_sub_service(configuration, self.parent, {**self.settings, "slot": dict(self.slot)})
        return Change(configuration, index)


@dataclass(frozen=True)
class ChangeSlot:
    """Change weight, limit, state or importance of a sub-service in its parent."""

    service: int
    slot: int
    changes: Mapping[str, Any]
    permission: ClassVar[str] = "real"

    @property
    def summary(self) -> str:
        if set(self.changes) == {"enabled"}:
            verb = "enable" if self.changes["enabled"] else "disable"
            return f"{verb} sub-service slot {self.slot} of service {self.service}"
        what = ", ".join(sorted(self.changes)) or "nothing"
        return f"change sub-service slot {self.slot} of service {self.service}: {what}"

    def apply(self, configuration: Configuration) -> Change:
        service = configuration.service(self.service)
        before = slot_of(service, self.slot)
        for fixed in ("index", "service"):
            if fixed in self.changes:
                raise OperatorError(f"{fixed!r} of a slot cannot be changed", field=fixed, remedy="Leave it out")
        after = before.changed(self.changes)
        if after == before:
            return Change(configuration, self.slot)
        slots = tuple(after if slot is before else slot for slot in service.slots)
        return Change(with_service(configuration, service.changed({"slots": slots})), self.slot)


@dataclass(frozen=True)
class AddServerToAll:
    """Add a real server to every sub-service of a parent. `service` is the parent or any of its sub-services."""

    service: int
    settings: Mapping[str, Any]
    permission: ClassVar[str] = "real"

    @property
    def summary(self) -> str:
        where = f"{self.settings.get('address')}:{self.settings.get('port')}"
        return f"add real server {where} to all sub-services with {self.service}"

    def apply(self, configuration: Configuration) -> Change:
        named = configuration.service(self.service)
        parent = configuration.service(named.parent) if named.is_sub else named
        if not parent.slots:
            raise OperatorError(
                f"{parent.title} has no sub-services to add the real server to",
                field="addtoallsubvs",
                value=self.service,
                remedy="Name a sub-service, or leave addtoallsubvs out",
            )
        key: int | str | None = None
        for slot in parent.slots:
            with located(f"sub-service {slot.service}"):
                change = AddServer(slot.service, self.settings).apply(configuration)
            configuration = change.configuration
            if key is None or slot.service == self.service:
                key = change.key
        return Change(configuration, key)


__all__ = ["AddServerToAll", "ChangeSlot", "CreateSubService", "slot_of"]
