"""What one concern adds to a service in HAProxy, and how such parts are put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from steelyard.model.content_rule import ContentRule
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import Directive, Lookup, Page, Section


@dataclass(frozen=True)
class Part:
    """Rules of the frontend and of every backend of the service, and what those rules use."""

    frontend: tuple[Directive, ...] = ()
    backend: tuple[Directive, ...] = ()
    lookups: tuple[Lookup, ...] = ()
    pages: tuple[Page, ...] = ()
    sections: tuple[Section, ...] = ()

    def __add__(self, other: Part) -> Part:
        return Part(
            self.frontend + other.frontend,
            self.backend + other.backend,
            self.lookups + other.lookups,
            self.pages + other.pages,
            self.sections + other.sections,
        )


@dataclass(frozen=True)
class Family:
    """What a service's plan depends on besides itself: its parent, its sub-services, the content rules it names.

    `rules` has the rules of the service and of its members, by name.
    """

    parent: VirtualService | None = None
    subs: tuple[VirtualService, ...] = ()
    rules: Mapping[str, ContentRule] = field(default_factory=dict)

    def same(self, other: Family) -> bool:
        """Whether all of it is the very same: objects are immutable, so identity is enough."""
        return (
            self.parent is other.parent
            and len(self.subs) == len(other.subs)
            and all(one is two for one, two in zip(self.subs, other.subs, strict=True))
            and (self.rules is other.rules or _same_rules(self.rules, other.rules))
        )


def _same_rules(one: Mapping[str, ContentRule], two: Mapping[str, ContentRule]) -> bool:
    return len(one) == len(two) and all(two.get(name) is rule for name, rule in one.items())


def at_entry(service: VirtualService, part: Part) -> Part:
    """The same part where requests enter the service: its frontend, or for a sub-service its backend."""
    if not service.is_sub:
        return part
    return Part((), part.frontend + part.backend, part.lookups, part.pages, part.sections)
