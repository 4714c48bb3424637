"""The one door of passwords: what it costs, what it counts, what it tells."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from steelyard.appliance.admission import Admission, LockedOut
from steelyard.model.configuration import Configuration
from steelyard.model.user import User
from steelyard.observe.events.bus import Bus
from steelyard.observe.events.log import EventLog, Query


class Checks:
    """Compares, and counts how often it had to work."""

    def __init__(self) -> None:
        self.worked = self.at_once = self.most_at_once = 0
        self.remembered: set[tuple[str, str]] = set()

    def remembers(self, user: User, password: str) -> bool:
        return (user.password_hash, password) in self.remembered

    def verify(self, user: User, password: str) -> bool:
        self.waste()
        if user.password_hash != password:
            return False
        self.remembered.add((user.password_hash, password))
        return True

    def waste(self) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.worked += 1
        self.at_once -= 1


class Door:
    def __init__(self, directory: Path) -> None:
        self.directory, self.checks = directory, Checks()
        self.users = {"bal": "right", "ann": "anns"}
        self.bus = Bus(EventLog(directory / "events.db"))
        self.admission = Admission(self.configuration, self.checks, lambda: self.bus)

    def configuration(self) -> Configuration:
        users = {name: User.make({"name": name, "password_hash": word}) for name, word in self.users.items()}
        return Configuration(users=users)

    async def __call__(self, password: str, user: str = "bal", address: str = "192.0.2.1") -> str:
        try:
            found = await self.admission.admit(user, password, address, "native API")
        except LockedOut:
            return "locked"
        return "wrong" if found is None else found.name

    def events(self) -> list[str]:
        return [event.text for event in self.bus.log.find(Query(kinds=("sign_in_locked",)))]


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    made = Door(tmp_path)
    yield made
    made.bus.log.close()


async def test_a_right_password_is_worked_on_once(door: Door) -> None:
    assert [await door("right") for _ in range(50)] == ["bal"] * 50
    assert door.checks.worked == 1


async def test_wrong_ones_are_locked_and_told_once(door: Door) -> None:
    assert [await door(f"wrong {n}") for n in range(5)] == ["wrong", "wrong", "locked", "locked", "locked"]
    assert await door("right") == "locked"
    assert await door("right", address="192.0.2.2") == "bal"
    (text,) = door.events()
    assert text.startswith("Too many wrong passwords for user bal from 192.0.2.1 at the native API; locked for 600")
    assert door.checks.worked == 4, "what is locked costs nothing"


async def test_a_locked_place_is_locked_for_a_remembered_password_too(door: Door) -> None:
    assert await door("right") == "bal"
    for number in range(3):
        await door(f"wrong {number}")
    assert await door("right") == "locked"


async def test_a_program_with_an_outdated_password_locks_nobody_out(door: Door) -> None:
    assert [await door("outdated") for _ in range(20)] == ["wrong"] * 20
    assert door.checks.worked == 1
    assert await door("right") == "bal"


async def test_a_password_that_became_right_is_right(door: Door) -> None:
    assert await door("new one") == "wrong"
    door.users["bal"] = "new one"
    assert await door("new one") == "bal"


async def test_a_thousand_guesses_at_once_are_three(door: Door) -> None:
    answers = await asyncio.gather(*(door(f"wrong {n}") for n in range(1000)))
    assert (answers.count("wrong"), answers.count("locked")) == (2, 998)
    assert (door.checks.worked, door.checks.most_at_once) == (3, 1)
    assert not door.admission._turns, "nothing is kept of places nobody waits at"


async def test_many_names_from_one_place_are_counted_for_the_place(door: Door) -> None:
    answers = [await door("x", user=f"user{n}") for n in range(14)]
    assert answers == ["wrong"] * 11 + ["locked"] * 3
    assert await door("right") == "locked"


async def test_a_name_that_does_not_exist_costs_as_much(door: Door) -> None:
    await door("x", user="nobody")
    await door("x" * 5000)
    assert door.checks.worked == 2


async def test_guessing_from_everywhere_does_not_lock_the_administrator_out_at_home(door: Door) -> None:
    assert await door("right", address="203.0.113.5") == "bal"
    for number in range(60):
        await door(f"wrong {number}", address=f"198.51.100.{number}")
    assert await door("right", address="203.0.113.5") == "bal"
    assert await door("anns", user="ann", address="203.0.113.9") == "ann", "other users are not concerned"
    assert await door("right", address="203.0.113.77") == "locked", "a place he never was at"


async def test_home_is_known_after_a_restart(door: Door) -> None:
    assert await door("right", address="203.0.113.5") == "bal"
    door.bus.log.flush()
    again = Admission(door.configuration, door.checks, lambda: door.bus)
    assert again.notes.knows("bal", "203.0.113.5")
    assert not again.notes.knows("bal", "203.0.113.6")


async def test_failures_are_told_at_the_next_sign_in(door: Door) -> None:
    await door("wrong 1")
    await door("wrong 2")
    before = door.admission.notes.signed_in("bal", "192.0.2.1", 5.0)
    assert (before.at, before.failures) == (None, 2)
    after = door.admission.notes.signed_in("bal", "192.0.2.1", 6.0)
    assert (after.at, after.address, after.failures) == (5.0, "192.0.2.1", 0)


async def test_odd_names_and_passwords_are_only_wrong(door: Door) -> None:
    for name in ("", "\0", "x" * 500, "\udc80"):
        assert await door("\udc80", user=name, address=f"192.0.2.{len(name) % 200}") == "wrong"
