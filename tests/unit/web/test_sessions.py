"""Sessions, with a clock of their own, and over restarts."""

from __future__ import annotations

import stat
from pathlib import Path

from steelyard.model.user import User
from steelyard.web.session_file import SessionFile
from steelyard.web.sessions import MOST_SESSIONS, Sessions, made_with

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


def restarted(path: Path) -> Sessions:
    return Sessions(SessionFile(path))


def test_a_session_outlasts_the_process_with_the_token_of_its_forms(tmp_path: Path) -> None:
    token, before = restarted(tmp_path / "sessions.db").begin(BAL, "192.0.2.1", 100.0)
    after = restarted(tmp_path / "sessions.db").find(token, 150.0, idle=60, longest=999)
    assert after is not None
    assert (after.user, after.address, after.began, after.csrf) == ("bal", "192.0.2.1", 100.0, before.csrf)


def test_time_goes_on_while_nothing_runs(tmp_path: Path) -> None:
    token, _ = restarted(tmp_path / "sessions.db").begin(BAL, "192.0.2.1", 100.0)
    assert restarted(tmp_path / "sessions.db").find(token, 161.0, idle=60, longest=999) is None
    assert restarted(tmp_path / "sessions.db").find(token, 110.0, idle=60, longest=999) is None, "it has ended for good"


def test_the_longest_of_a_session_counts_from_its_beginning_over_restarts(tmp_path: Path) -> None:
    token, _ = restarted(tmp_path / "sessions.db").begin(BAL, "192.0.2.1", 0.0)
    for now in (50.0, 100.0):
        assert restarted(tmp_path / "sessions.db").find(token, now, idle=60, longest=120) is not None
    assert restarted(tmp_path / "sessions.db").find(token, 121.0, idle=60, longest=120) is None


def test_what_has_ended_stays_ended(tmp_path: Path) -> None:
    sessions = restarted(tmp_path / "sessions.db")
    out, gone, stays = (sessions.begin(user, "192.0.2.1", 0.0)[0] for user in (BAL, ANN, BAL))
    sessions.end(out)
    sessions.end_all_of("ann")
    after = restarted(tmp_path / "sessions.db")
    assert [after.find(one, 1.0, idle=9, longest=9) is not None for one in (out, gone, stays)] == [False, False, True]


def test_the_file_is_private_and_leads_to_no_token(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    user = User.make({"name": "bal", "password_hash": "scrypt$salt$digest"})
    token, session = restarted(path).begin(user, "192.0.2.1", 0.0)
    files = list(tmp_path.iterdir())
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    kept = b"".join(file.read_bytes() for file in files)
    assert b"192.0.2.1" in kept
    for secret in (token, session.csrf, user.password_hash):
        assert secret.encode() not in kept


def test_another_password_or_another_user_of_the_name_ends_a_session(tmp_path: Path) -> None:
    token, _ = restarted(tmp_path / "sessions.db").begin(BAL, "192.0.2.1", 0.0)
    session = restarted(tmp_path / "sessions.db").find(token, 1.0, idle=9, longest=9)
    assert session is not None
    assert made_with(session, BAL)
    assert not made_with(session, User.make({"name": "bal", "password_hash": "another"}))


def test_a_damaged_file_ends_sessions_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    path.write_bytes(b"SQLite format 3\x00 and then nonsense" * 500)
    token, _ = restarted(path).begin(BAL, "192.0.2.1", 0.0)
    assert restarted(path).find(token, 1.0, idle=9, longest=9) is not None


def test_a_disk_that_takes_nothing_keeps_nobody_out(tmp_path: Path) -> None:
    sessions = restarted(tmp_path / "no directory" / "sessions.db")
    token, _ = sessions.begin(BAL, "192.0.2.1", 0.0)
    assert sessions.find(token, 1.0, idle=9, longest=9) is not None
    sessions.end(token)
    assert sessions.find(token, 1.0, idle=9, longest=9) is None
