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
