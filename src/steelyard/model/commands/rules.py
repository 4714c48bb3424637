"""Commands on content rules, and on where they are attached."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from steelyard.model.commands.attachments import LISTS, check_attachments, place_of, users_of
from steelyard.model.commands.command import Change
from steelyard.model.commands.services import with_service
from steelyard.model.configuration import Configuration
from steelyard.model.content_rule import MOST_RULES, ContentRule
from steelyard.model.errors import ConflictError, NotFound, OperatorError, located
from steelyard.model.real_server import RealServer
from steelyard.model.slot import Slot
from steelyard.model.virtual_service import VirtualService

#: the lists of a service, as callers name them; a member has only one
ListName = Literal["pre", "request", "response", "body"]
FIELDS: Mapping[str, str] = {name.removesuffix("_rules"): name for name in LISTS}

Names = tuple[str, ...]


def new_rule(configuration: Configuration, settings: Mapping[str, Any]) -> Configuration:
    """The configuration with one rule more. Raises `ConflictError` and `OperatorError`."""
    rule = ContentRule.make(settings)
    if rule.name in configuration.rules:
        raise ConflictError(f"Rule {rule.name} already exists", field="name", with_what=rule.name)
    if len(configuration.rules) >= MOST_RULES:
        raise OperatorError(
            f"There are {MOST_RULES} content rules already", field="name", remedy="Remove rules nobody uses"
        )
    return replace(configuration, rules={**configuration.rules, rule.name: rule})


@dataclass(frozen=True)
class AddRule:
    """Make a content rule."""

    settings: Mapping[str, Any]
    permission: ClassVar[str] = "rules"

    @property
    def summary(self) -> str:
        return f"add content rule {self.settings.get('name')}"

    def apply(self, configuration: Configuration) -> Change:
        return Change(new_rule(configuration, self.settings), str(self.settings.get("name")))


@dataclass(frozen=True)
class ChangeRule:
    """Change a content rule wherever it is used; what is not named keeps its value."""

    name: str
    changes: Mapping[str, Any]
    permission: ClassVar[str] = "rules"

    @property
    def summary(self) -> str:
        return f"change content rule {self.name}: {', '.join(sorted(self.changes)) or 'nothing'}"

    def apply(self, configuration: Configuration) -> Change:
        before = configuration.rule(self.name)
        if self.changes.get("name", self.name) != self.name:
            raise OperatorError(
                "The name of a content rule cannot be changed",
                field="name",
                value=str(self.changes["name"])[:80],
                remedy="Make another rule and attach it instead",
            )
        after = before.changed(self.changes)
        if after == before:
            return Change(configuration, self.name)
        rules = {**configuration.rules, self.name: after}
        users = users_of(configuration.services, self.name)
        if after.rule_type != before.rule_type and users:
            raise ConflictError(
                f"Rule {self.name} is in use, so its type cannot be changed: {_who(users, self.name)}",
                field="rule_type",
                with_what=users[0].title,
            )
        for service in users:
            check_attachments(configuration.services, rules, service)
        return Change(replace(configuration, rules=rules), self.name)


@dataclass(frozen=True)
class RemoveRule:
    """Remove a content rule. One in use is refused, unless it is to be detached everywhere."""

    name: str
    detach: bool = False
    permission: ClassVar[str] = "rules"

    @property
    def summary(self) -> str:
        return f"remove content rule {self.name}{' and detach it everywhere' if self.detach else ''}"

    def apply(self, configuration: Configuration) -> Change:
        configuration.rule(self.name)
        users = users_of(configuration.services, self.name)
        if users and not self.detach:
            raise ConflictError(
                f"Rule {self.name} is in use: {_who(users, self.name)}. Detach it first or have it detached everywhere",
                field="name",
                with_what=users[0].title,
            )
        services = dict(configuration.services)
        for service in users:
            services[service.index] = _without(service, self.name)
        rules = {name: rule for name, rule in configuration.rules.items() if name != self.name}
        return Change(replace(configuration, services=services, rules=rules), self.name)


def _who(users: tuple[VirtualService, ...], name: str) -> str:
    said = "; ".join(place_of(service, name) for service in users[:5])
    return said if len(users) <= 5 else f"{said} and {len(users) - 5} more"


def _without(service: VirtualService, name: str) -> VirtualService:
    def left(names: Names) -> Names:
        return tuple(other for other in names if other != name)

    changes: dict[str, Any] = {field: left(getattr(service, field)) for field in LISTS}
    changes["servers"] = tuple(
        server.changed({"rules": left(server.rules)}) if name in server.rules else server for server in service.servers
    )
    changes["slots"] = tuple(
        slot.changed({"rules": left(slot.rules)}) if name in slot.rules else slot for slot in service.slots
    )
    return service.changed(changes)


@dataclass(frozen=True)
class RulePlace:
    """A list of rules: one of a service, or that of a real server or slot (`member`) of a service."""

    service: int
    list: ListName | None = None
    member: int | None = None

    @property
    def permission(self) -> str:
        return "vs" if self.member is None else "real"

    def __str__(self) -> str:
        where = f"the {self.list} rules" if self.member is None else f"member {self.member}"
        return f"{where} of virtual service {self.service}"

    def names(self, configuration: Configuration) -> Names:
        """The rules there. Raises `NotFound` and `OperatorError`."""
        service = configuration.service(self.service)
        if self.member is not None:
            return _member(service, self.member).rules
        found: Names = getattr(service, self._field())
        return found

    def changed(self, configuration: Configuration, change: Callable[[Names], Names]) -> Configuration:
        """The configuration with that list changed. Raises the errors of `model.errors`."""
        service = configuration.service(self.service)
        names = change(self.names(configuration))
        if self.member is None:
            return with_service(configuration, service.changed({self._field(): names}))
        after = _member(service, self.member).changed({"rules": names})
        if isinstance(after, Slot):
            members: dict[str, Any] = {
                "slots": tuple(after if slot.index == after.index else slot for slot in service.slots)
            }
        else:
            members = {"servers": tuple(after if server.index == after.index else server for server in service.servers)}
        return with_service(configuration, service.changed(members))

    def _field(self) -> str:
        field = FIELDS.get(str(self.list))
        if field is None:
            raise OperatorError(
                f"{self.list!r} is no list of rules", field="list", allowed=", ".join(FIELDS), remedy="Choose one"
            )
        return field


def _member(service: VirtualService, index: int) -> RealServer | Slot:
    found = service.server(index) or service.slot(index)
    if found is None:
        raise NotFound("RS", index)
    return found


def _moved(names: Names, rule: str, position: int | None) -> Names:
    """The names with `rule` at a place counted from 1; None and beyond the end is last."""
    others = [name for name in names if name != rule]
    if position is not None and position < 1:
        raise OperatorError(
            "The position of a rule counts from 1", field="position", value=position, allowed="1 or more"
        )
    others.insert(len(others) if position is None else position - 1, rule)
    return tuple(others)


@dataclass(frozen=True)
class AttachRule:
    """Attach a rule, last or at a position counted from 1."""

    place: RulePlace
    rule: str
    position: int | None = None

    @property
    def permission(self) -> str:
        return self.place.permission

    @property
    def summary(self) -> str:
        return f"attach content rule {self.rule} to {self.place}"

    def apply(self, configuration: Configuration) -> Change:
        if self.rule in self.place.names(configuration):
            raise ConflictError(f"Rule {self.rule} is already attached there", field="rule", with_what=str(self.place))
        after = self.place.changed(configuration, lambda names: _moved(names, self.rule, self.position))
        return Change(after, self.rule)


@dataclass(frozen=True)
class DetachRule:
    """Detach a rule."""

    place: RulePlace
    rule: str

    @property
    def permission(self) -> str:
        return self.place.permission

    @property
    def summary(self) -> str:
        return f"detach content rule {self.rule} from {self.place}"

    def apply(self, configuration: Configuration) -> Change:
        _refuse_absent(configuration, self.place, self.rule)
        rest = self.place.changed(configuration, lambda names: tuple(name for name in names if name != self.rule))
        return Change(rest, self.rule)


@dataclass(frozen=True)
class MoveRule:
    """Give an attached rule another position, counted from 1."""

    place: RulePlace
    rule: str
    position: int

    @property
    def permission(self) -> str:
        return self.place.permission

    @property
    def summary(self) -> str:
        return f"move content rule {self.rule} to position {self.position} in {self.place}"

    def apply(self, configuration: Configuration) -> Change:
        _refuse_absent(configuration, self.place, self.rule)
        names = self.place.names(configuration)
        if _moved(names, self.rule, self.position) == names:
            return Change(configuration, self.rule)
        return Change(
            self.place.changed(configuration, lambda names: _moved(names, self.rule, self.position)), self.rule
        )


def _refuse_absent(configuration: Configuration, place: RulePlace, rule: str) -> None:
    if rule not in place.names(configuration):
        raise OperatorError(
            f"Rule {rule} is not attached to {place}",
            field="rule",
            value=rule[:80],
            allowed=", ".join(place.names(configuration)[:20]) or "none is attached",
            remedy="Name one that is attached",
        )


def declared_rules(configuration: Configuration, declared: tuple[Mapping[str, Any], ...]) -> Mapping[str, ContentRule]:
    """The rules of a declaration, those that are as before the very same objects. Raises errors with the position."""
    found: dict[str, ContentRule] = {}
    for number, settings in enumerate(declared):
        with located(f"rules[{number}]"):
            rule = ContentRule.make(settings)
            if rule.name in found:
                raise ConflictError(f"Rule {rule.name} is declared twice", field="name", with_what=rule.name)
            if len(found) >= MOST_RULES:
                raise OperatorError(f"More than {MOST_RULES} content rules are declared", field="name")
        before = configuration.rules.get(rule.name)
        found[rule.name] = before if before == rule and before is not None else rule
    same = list(found.items()) == list(configuration.rules.items())
    return configuration.rules if same else found


__all__ = [
    "FIELDS",
    "AddRule",
    "AttachRule",
    "ChangeRule",
    "DetachRule",
    "ListName",
    "MoveRule",
    "RemoveRule",
    "RulePlace",
    "declared_rules",
    "new_rule",
]
