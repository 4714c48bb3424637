"""Commands on access lists. The lists for all services need all permissions, those of a service the one for services.

A sub-service has no lists: its clients have connected to its parent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from steelyard.model.access_list import (
    EVERY_SERVICE,
    LISTS,
    MAX_ENTRIES,
    AccessLists,
    Entries,
    ListName,
    line_of,
    scope_title,
)
from steelyard.model.commands.command import Change
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, NotFound, OperatorError, located


def check_scope(configuration: Configuration, scope: int) -> None:
    """Raise `NotFound` when there is no such service, `OperatorError` when it is a sub-service."""
    if scope != EVERY_SERVICE and configuration.service(scope).is_sub:
        raise OperatorError(
            f"Virtual service {scope} is a sub-service, which has no access lists",
            field="service",
            value=scope,
            allowed="a virtual service with an address of its own",
            remedy=f"Give its parent, {configuration.service(scope).parent}",
        )


def with_lists(configuration: Configuration, scope: int, lists: AccessLists) -> Configuration:
    """The configuration with those lists; scopes are in order, and one without entries is absent."""
    before = configuration.access_lists.get(scope)
    if before is lists or (before is None and not lists.parts) or before == lists:
        return configuration
    if lists.count("block") + lists.count("allow") > MAX_ENTRIES:
        raise OperatorError(
            f"The access lists {scope_title(scope)} would be too long",
            field="entries",
            allowed=f"at most {MAX_ENTRIES} entries in block and allow list together",
            remedy="Join addresses to networks",
        )
    others = {key: value for key, value in configuration.access_lists.items() if key != scope}
    if lists.parts:
        others[scope] = lists
    return replace(configuration, access_lists=dict(sorted(others.items())))


def _lists(configuration: Configuration, scope: int) -> AccessLists:
    check_scope(configuration, scope)
    return configuration.access_lists.get(scope) or AccessLists()


@dataclass(frozen=True)
class _OfList:
    """What every command on a list names. `scope` is the index of a service, or `EVERY_SERVICE`."""

    scope: int
    which: ListName

    def __post_init__(self) -> None:
        if self.which not in LISTS:
            raise OperatorError(
                f"{str(self.which)[:40]!r} is no access list",
                field="list",
                value=str(self.which)[:40],
                allowed=", ".join(LISTS),
                remedy="Choose one of them",
            )

    @property
    def permission(self) -> str:
        return "root" if self.scope == EVERY_SERVICE else "vs"

    @property
    def _title(self) -> str:
        return f"the {self.which} list {scope_title(self.scope)}"


def _counted(count: int, first: str) -> str:
    return first if count == 1 else f"{count} entries"


@dataclass(frozen=True)
class AddEntries(_OfList):
    """Put entries into a list. One that is there already gets the new comment, unless that is empty."""

    entries: Entries = field(default_factory=Entries, repr=False)

    @property
    def summary(self) -> str:
        return f"add {_counted(len(self.entries), next(iter(self.entries.comments), 'nothing'))} to {self._title}"

    def apply(self, configuration: Configuration) -> Change:
        lists = _lists(configuration, self.scope)
        put = {
            address: comment
            for address, comment in self.entries.comments.items()
            if comment or lists.comment(self.which, address) is None
        }
        return Change(with_lists(configuration, self.scope, lists.changed(self.which, put)), self.scope)


@dataclass(frozen=True)
class RemoveEntries(_OfList):
    """Take entries out of a list. Refused when one is not there; comments are not looked at."""

    entries: Entries = field(default_factory=Entries, repr=False)

    @property
    def summary(self) -> str:
        return f"remove {_counted(len(self.entries), next(iter(self.entries.comments), 'nothing'))} from {self._title}"

    def apply(self, configuration: Configuration) -> Change:
        lists = _lists(configuration, self.scope)
        for address in self.entries.comments:
            if lists.comment(self.which, address) is None:
                raise NotFound("address", address)
        gone = self.entries.comments.keys()
        return Change(with_lists(configuration, self.scope, lists.changed(self.which, {}, gone)), self.scope)


@dataclass(frozen=True)
class ReplaceList(_OfList):
    """Put other entries in place of all that a list has."""

    entries: Entries = field(default_factory=Entries, repr=False)

    @property
    def summary(self) -> str:
        return f"replace {self._title}: {len(self.entries)} entries"

    def apply(self, configuration: Configuration) -> Change:
        lists = _lists(configuration, self.scope).replaced(self.which, self.entries.comments)
        return Change(with_lists(configuration, self.scope, lists), self.scope)


def without_service(configuration: Configuration, index: int) -> Configuration:
    """The configuration without the lists of a service that is removed."""
    if index not in configuration.access_lists:
        return configuration
    return with_lists(configuration, index, AccessLists())


def lines(lists: AccessLists) -> Mapping[ListName, list[str]]:
    """Both lists as lines; those without entries are left out."""
    return {which: [line_of(*pair) for pair in lists.entries(which)] for which in LISTS if lists.count(which)}


def copied(configuration: Configuration, source: int, copy: int) -> Configuration:
    """The configuration with the lists of one service for its copy too: the copy must not be open to more clients."""
    return with_lists(configuration, copy, configuration.access_lists.get(source) or AccessLists())


@dataclass(frozen=True)
class DeclaredLists:
    """Both lists of one scope in a declaration. `service` is address, port and protocol; None means all services."""

    service: tuple[str, int, str] | None
    block: Entries
    allow: Entries


def with_declared(configuration: Configuration, declared: Sequence[DeclaredLists]) -> Configuration:
    """The configuration with the declared lists and no others."""
    old = configuration
    configuration = replace(old, access_lists={})
    for number, one in enumerate(declared):
        with located(f"access_lists[{number}]"):
            scope = _declared_scope(configuration, one)
            if scope in configuration.access_lists:
                raise ConflictError(
                    f"The access lists {scope_title(scope)} are declared twice",
                    field="service",
                    with_what=scope_title(scope),
                )
            before = old.access_lists.get(scope) or AccessLists()
            after = before.replaced("block", one.block.comments).replaced("allow", one.allow.comments)
            configuration = with_lists(configuration, scope, before if before == after else after)
    same = configuration.access_lists == old.access_lists
    return old if same else configuration


def _declared_scope(configuration: Configuration, declared: DeclaredLists) -> int:
    if declared.service is None:
        return EVERY_SERVICE
    address, port, protocol = declared.service
    found = configuration.service_at(address, port, protocol)
    if found is None:
        raise NotFound("VS", f"{protocol}/{address}:{port}")
    check_scope(configuration, found.index)
    return found.index
