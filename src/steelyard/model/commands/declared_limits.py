"""Limits of clients and limiting rules of a declaration: what is declared is what there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from steelyard.model.commands.limits import AddLimitRule, SetClientLimit
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, located
from steelyard.model.limits import Kind, LimitEntries


@dataclass(frozen=True)
class DeclaredLimit:
    """What each client of a network may do."""

    kind: Kind
    network: str
    limit: int


def with_declared_limits(
    configuration: Configuration, limits: Sequence[DeclaredLimit], rules: Sequence[Mapping[str, Any]]
) -> Configuration:
    """With these limits and rules alone, the rules in the order they are declared in."""
    wanted = replace(configuration, limit_entries=LimitEntries())
    for number, one in enumerate(limits):
        with located(f"client_limits[{number}]"):
            before = len(wanted.limit_entries.of(one.kind))
            wanted = SetClientLimit(one.kind, one.network, one.limit).apply(wanted).configuration
            if len(wanted.limit_entries.of(one.kind)) == before:
                raise ConflictError(
                    f"The limit of {one.kind} of {one.network} is declared twice",
                    field="network",
                    with_what=one.network,
                )
    for number, rule in enumerate(rules):
        with located(f"limit_rules[{number}]"):
            wanted = AddLimitRule(rule).apply(wanted).configuration
    if wanted.limit_entries == configuration.limit_entries:
        # the same object, so that what was compiled from it can be kept
        return replace(wanted, limit_entries=configuration.limit_entries)
    return wanted
