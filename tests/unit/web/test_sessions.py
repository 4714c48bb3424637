"""Sessions and the brake on guessing, with a clock of their own."""

from __future__ import annotations

from steelyard.model.user import User
from steelyard.web.guessing import LOCKED_SECONDS, Guessing
from steelyard.web.sessions import MOST_SESSIONS, Sessions

BAL = User.make({"name": "bal", "password_hash": "-"})
ANN = User.make({"name": "ann", "password_hash": "-"})


def test_a_session_lasts_while_it_is_used_and_ends_when_it_is_idle() -> None:
    sessions = Sessions()
    token, _ = sessions.begin(BAL, "192.0.2.1", 0.0)
    for now in (500.0, 1000.0, 1500.0):
        assert sessions.find(token, now, idle=600, longest=9999) is not None
    assert sessions.find(token, 2101.0, idle=600, longest=9999) is None
    assert sessions.find(token, 2101.0, idle=9999, longest=9999) is None, "it has ended for good"


def test_what_a_page_asks_by_itself_keeps_no_session_alive() -> None:
    sessions = Sessions()
    token, _ = sessions.begin(BAL, "192.0.2.1", 0.0)
    for now in range(0, 600, 2):
        assert sessions.find(token, float(now), idle=600, longest=9999, touch=False) is not None
    assert sessions.find(token, 601.0, idle=600, longest=9999, touch=False) is None


def test_a_session_that_is_always_used_ends_at_its_longest() -> None:
    sessions = Sessions()
    token, _ = sessions.begin(BAL, "192.0.2.1", 0.0)
    assert sessions.find(token, 99.0, idle=60_000, longest=100) is not None
    assert sessions.find(token, 101.0, idle=60_000, longest=100) is None


def test_a_token_is_long_and_only_its_digest_is_kept() -> None:
    sessions = Sessions()
    token, session = sessions.begin(BAL, "192.0.2.1", 0.0)
    assert len(token) >= 43
    assert token not in repr(vars(sessions))
    assert session.csrf not in repr(session)
    assert sessions.find("", 0.0, idle=1, longest=1) is None


def test_a_limit_of_sessions_ends_the_one_idle_for_longest() -> None:
    sessions = Sessions()
    first, second = (sessions.begin(BAL, "192.0.2.1", at, most_of_user=2)[0] for at in (1.0, 2.0))
    sessions.find(first, 3.0, idle=100, longest=100)
    other, _ = sessions.begin(ANN, "192.0.2.1", 3.0, most_of_user=2)
    sessions.begin(BAL, "192.0.2.1", 4.0, most_of_user=2)
    alive = [sessions.find(token, 5.0, idle=100, longest=100) is not None for token in (first, second, other)]
    assert alive == [True, False, True]


def test_sessions_are_bounded() -> None:
    sessions = Sessions()
    for number in range(MOST_SESSIONS + 5):
        sessions.begin(BAL, "192.0.2.1", float(number))
    assert len(sessions) == MOST_SESSIONS


def test_ending_the_sessions_of_a_user_leaves_others() -> None:
    sessions = Sessions()
    sessions.begin(BAL, "192.0.2.1", 0.0)
    sessions.begin(BAL, "192.0.2.2", 0.0)
    token, _ = sessions.begin(ANN, "192.0.2.1", 0.0)
    assert sessions.end_all_of("bal") == 2
    assert sessions.find(token, 1.0, idle=9, longest=9) is not None


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
