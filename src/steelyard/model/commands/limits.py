"""Commands on limits of clients and on limiting rules (`reference/loadmaster-api/09`, 9.6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from steelyard.model.access_list import network
from steelyard.model.commands.command import Change
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, NotFound, OperatorError
from steelyard.model.limits import KINDS, MOST_RULES, Kind, LimitEntries, LimitParameters, LimitRule, checked_limit


def _checked_kind(kind: str) -> None:
    if kind not in KINDS:
        raise OperatorError(
            f"{kind[:40]!r} is no kind of limit",
            field="kind",
            value=kind[:40],
            allowed=", ".join(KINDS),
            remedy="Choose one of them",
        )


@dataclass(frozen=True)
class SetClientLimit:
    """What each client of a network may do; 0 is no limit, whatever the default and wider networks say."""

    kind: Kind
    where: str
    limit: int
    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return f"limit {self.kind.replace('_', ' ')} of {self.where} to {self.limit}"

    def apply(self, configuration: Configuration) -> Change:
        _checked_kind(self.kind)
        where, limit = network(self.where), checked_limit(self.kind, self.limit)
        if self.kind == "bandwidth" and not configuration.limits.client_bandwidth:
            name = LimitParameters.wire_name("client_bandwidth")
            raise OperatorError(
                f"A client has a bandwidth of its own only where {name} is set",
                field="limit",
                value=limit,
                remedy=f"Set {name} first",
            )
        return Change(_with(configuration, configuration.limit_entries.with_limit(self.kind, where, limit)), where)


@dataclass(frozen=True)
class RemoveClientLimit:
    """The clients of a network have no limit of their own any more."""

    kind: Kind
    where: str
    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return f"remove the limit of {self.kind.replace('_', ' ')} of {self.where}"

    def apply(self, configuration: Configuration) -> Change:
        _checked_kind(self.kind)
        where = network(self.where)
        if where not in configuration.limit_entries.of(self.kind):
            raise NotFound("address", where)
        return Change(_with(configuration, configuration.limit_entries.with_limit(self.kind, where, None)), where)


@dataclass(frozen=True)
class AddLimitRule:
    """A new limiting rule, after all others."""

    settings: Mapping[str, Any]
    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return f"add limiting rule {self.settings.get('name')}"

    def apply(self, configuration: Configuration) -> Change:
        rule = LimitRule.make(self.settings)
        rules = configuration.limit_entries.rules
        if configuration.limit_entries.rule(rule.name) is not None:
            raise ConflictError(f"Limiting rule {rule.name} already exists", field="name", with_what=rule.name)
        if len(rules) >= MOST_RULES:
            raise OperatorError(
                f"There are {MOST_RULES} limiting rules already, and every request meets all of them",
                field="name",
                value=rule.name,
                allowed=f"at most {MOST_RULES}",
                remedy="Join patterns",
            )
        return Change(_with_rules(configuration, (*rules, rule)), rule.name)


@dataclass(frozen=True)
class ChangeLimitRule:
    """Another pattern, limit or subject for a limiting rule; its name stays."""

    name: str
    changes: Mapping[str, Any]
    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return f"change limiting rule {self.name}: {', '.join(sorted(self.changes)) or 'nothing'}"

    def apply(self, configuration: Configuration) -> Change:
        before = _rule(configuration, self.name)
        if self.changes.get("name", self.name) != self.name:
            raise OperatorError(
                "The name of a limiting rule cannot be changed",
                field="name",
                value=self.changes["name"],
                remedy="Add one of the other name and remove this one",
            )
        after = before.changed(self.changes)
        rules = tuple(after if rule is before else rule for rule in configuration.limit_entries.rules)
        return Change(_with_rules(configuration, rules), self.name)


@dataclass(frozen=True)
class RemoveLimitRule:
    """A limiting rule goes."""

    name: str
    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return f"remove limiting rule {self.name}"

    def apply(self, configuration: Configuration) -> Change:
        gone = _rule(configuration, self.name)
        rules = tuple(rule for rule in configuration.limit_entries.rules if rule is not gone)
        return Change(_with_rules(configuration, rules), self.name)


@dataclass(frozen=True)
class MoveLimitRule:
    """A limiting rule gets another place; 1 is the first, and what is too large is the last."""

    name: str
    position: int
    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return f"move limiting rule {self.name} to place {self.position}"

    def apply(self, configuration: Configuration) -> Change:
        moved = _rule(configuration, self.name)
        if self.position < 1:
            raise OperatorError(
                f"position {self.position} is out of range",
                field="position",
                value=self.position,
                allowed="1 or more; what is too large is the last place",
                remedy="Give 1 for the first place",
            )
        others = [rule for rule in configuration.limit_entries.rules if rule is not moved]
        others.insert(self.position - 1, moved)
        return Change(_with_rules(configuration, tuple(others)), self.name)


def _rule(configuration: Configuration, name: str) -> LimitRule:
    found = configuration.limit_entries.rule(name)
    if found is None:
        raise NotFound("limiting rule", name)
    return found


def _with_rules(configuration: Configuration, rules: tuple[LimitRule, ...]) -> Configuration:
    return _with(configuration, configuration.limit_entries.model_copy(update={"rules": rules}))


def _with(configuration: Configuration, entries: LimitEntries) -> Configuration:
    if entries == configuration.limit_entries:
        return configuration
    return replace(configuration, limit_entries=entries)
