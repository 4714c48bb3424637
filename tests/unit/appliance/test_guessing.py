"""The brake on guessing, with a clock of its own."""

from __future__ import annotations

from steelyard.appliance.guessing import LOCKED_SECONDS, Guessing, place_of


def test_guessing_is_locked_after_so_many_failures_and_opens_again() -> None:
    guessing = Guessing()
    assert [guessing.failed("bal", "192.0.2.1", 0.0, 3) for _ in range(3)] == [False, False, True]
    assert guessing.locked_for("bal", "192.0.2.1", 0.0, 3) == LOCKED_SECONDS
    assert guessing.locked_for("bal", "192.0.2.2", 0.0, 3) == 0, "the administrator himself can still sign in"
    assert guessing.locked_for("ann", "192.0.2.1", 0.0, 3) == 0
    assert guessing.locked_for("bal", "192.0.2.1", LOCKED_SECONDS + 1, 3) == 0


def test_one_address_cannot_try_many_users() -> None:
    guessing = Guessing()
    locked = [guessing.failed(f"user{number}", "192.0.2.1", 0.0, 3) for number in range(12)]
    assert locked == [False] * 11 + [True]
    assert guessing.locked_for("nobody-yet", "192.0.2.1", 0.0, 3) > 0


def test_one_user_cannot_be_tried_from_many_addresses() -> None:
    guessing = Guessing()
    for number in range(30):
        guessing.failed("bal", f"192.0.2.{number}", 0.0, 3)
    assert guessing.locked_for("bal", "198.51.100.1", 0.0, 3) > 0


def test_all_of_an_ipv6_subnet_is_one_place() -> None:
    guessing = Guessing()
    for number in range(3):
        guessing.failed("bal", f"2001:db8::{number}", 0.0, 3)
    assert guessing.locked_for("bal", "2001:db8::ffff", 0.0, 3) > 0
    assert guessing.locked_for("bal", "2001:db8:0:1::1", 0.0, 3) == 0


def test_a_right_password_forgets_the_failures_before_it() -> None:
    guessing = Guessing()
    guessing.failed("bal", "192.0.2.1", 0.0, 3)
    guessing.failed("bal", "192.0.2.1", 0.0, 3)
    guessing.succeeded("bal", "192.0.2.1")
    assert not guessing.failed("bal", "192.0.2.1", 0.0, 3)


def test_who_guesses_from_many_addresses_locks_nobody_out_where_he_is_at_home() -> None:
    guessing = Guessing(lambda user, place: (user, place) == ("bal", "203.0.113.5"))
    for number in range(90):
        guessing.failed("bal", f"192.0.2.{number}", 0.0, 3)
    assert guessing.locked_for("bal", "203.0.113.5", 0.0, 3) == 0
    assert guessing.locked_for("bal", "203.0.113.6", 0.0, 3) > 0
    for _ in range(3):
        guessing.failed("bal", "203.0.113.5", 0.0, 3)
    assert guessing.locked_for("bal", "203.0.113.5", 0.0, 3) > 0, "but not from that very place"


def test_what_was_tried_is_known_until_it_is_forgotten() -> None:
    guessing = Guessing()
    guessing.failed("bal", "192.0.2.1", 0.0, 3, b"digest")
    assert guessing.tried("bal", "192.0.2.1", b"digest")
    assert not guessing.tried("bal", "192.0.2.2", b"digest")
    assert not guessing.tried("ann", "192.0.2.1", b"digest")
    guessing.succeeded("bal", "192.0.2.1")
    assert not guessing.tried("bal", "192.0.2.1", b"digest")


def test_places() -> None:
    assert place_of("::ffff:192.0.2.7") == place_of("192.0.2.7") == "192.0.2.7", "not all of IPv4 is one place"
    assert place_of("2001:db8::1") == place_of("2001:db8::ffff:1") != place_of("2001:db8:0:1::1")
    assert place_of("unknown") == "unknown"
