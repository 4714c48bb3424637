"""Revocation lists that are too old: with one, HAProxy refuses every client of its authority. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from steelyard.model.configuration import Configuration
from steelyard.model.revocation_list import RevocationList, lists_of


def outdated_lists(configuration: Configuration, now: datetime) -> Iterator[RevocationList]:
    """The lists that count for their authorities and should have been replaced. `now` has a time zone."""
    if not configuration.revocation_lists:
        return
    lists = tuple(configuration.revocation_lists.values())
    for authority in configuration.intermediates.values():
        for newest in lists_of(authority.parsed, lists)[:1]:
            if newest.next_update is not None and newest.next_update <= now:
                yield newest
