"""The administrator of a new appliance."""

from __future__ import annotations

import pytest

from steelyard.appliance.journal import Journal
from steelyard.appliance.startup import _first_configuration
from steelyard.model.user import ADMINISTRATOR
from steelyard.store.memory import MemoryStore


@pytest.mark.parametrize("given", [None, "chosen by the operator"])
async def test_a_password_that_was_made_up_is_for_one_time(given: str | None) -> None:
    journal = Journal(MemoryStore())
    announced: list[str] = []
    snapshot, password = await _first_configuration(journal, journal.load(), given, announced.append)
    assert snapshot.configuration.user(ADMINISTRATOR).one_time_password == (given is None)
    assert announced == ([password] if given is None else [])


@pytest.mark.parametrize(
    ("given", "accepted", "step"),
    [(None, False, "licence"), (None, True, ""), ("chosen by the operator", False, "")],
)
async def test_a_new_appliance_asks_unless_somebody_has_seen_to_it(
    given: str | None, accepted: bool, step: str
) -> None:
    journal = Journal(MemoryStore())
    snapshot, _ = await _first_configuration(journal, journal.load(), given, lambda password: None, accepted)
    assert snapshot.configuration.first_step == step
    assert journal.load() == snapshot
