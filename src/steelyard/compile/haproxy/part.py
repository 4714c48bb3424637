"""What one concern adds to a service in HAProxy, and how such parts are put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from steelyard.model.access_list import AccessLists
from steelyard.model.cipher_set import CipherSet
from steelyard.model.content_rule import ContentRule
from steelyard.model.ldap_endpoint import LdapEndpoint
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

    `rules` has the rules of the service, of its members, and for bodies of its parent, by name. `leader` is the service
    whose persistence it follows. `siblings` are all sub-services of its parent, where they share persistence.
    `access` are the access lists of its own, if there is an entry; `cipher_set` is the one it names, if not built in.
    """

    parent: VirtualService | None = None
    subs: tuple[VirtualService, ...] = ()
    rules: Mapping[str, ContentRule] = field(default_factory=dict)
    leader: VirtualService | None = None
    siblings: tuple[VirtualService, ...] = ()
    access: AccessLists | None = None
    cipher_set: CipherSet | None = None
    #: what its LDAP check signs in with
    ldap_endpoint: LdapEndpoint | None = None
    #: whether ACME authorities ask it for the answers to challenges
    answers_challenges: bool = False

    def same(self, other: Family) -> bool:
        """Whether all of it is the very same: objects are immutable, so identity is enough."""
        return (
            self.parent is other.parent
            and self.leader is other.leader
            and self.access is other.access
            and self.cipher_set is other.cipher_set
            and self.ldap_endpoint is other.ldap_endpoint
            and self.answers_challenges == other.answers_challenges
            # most services have none, and there is one empty tuple
            and (self.subs is other.subs or _same_services(self.subs, other.subs))
            and (self.siblings is other.siblings or _same_services(self.siblings, other.siblings))
            and (self.rules is other.rules or _same_rules(self.rules, other.rules))
        )


def _same_services(one: tuple[VirtualService, ...], two: tuple[VirtualService, ...]) -> bool:
    return len(one) == len(two) and all(first is second for first, second in zip(one, two, strict=True))


def _same_rules(one: Mapping[str, ContentRule], two: Mapping[str, ContentRule]) -> bool:
    return len(one) == len(two) and all(two.get(name) is rule for name, rule in one.items())


def at_entry(service: VirtualService, part: Part) -> Part:
    """The same part where requests enter the service: its frontend, or for a sub-service its backend."""
    if not service.is_sub:
        return part
    return Part((), part.frontend + part.backend, part.lookups, part.pages, part.sections)
