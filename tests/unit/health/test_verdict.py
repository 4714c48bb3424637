"""Which answers are good, which are asked again, and what an operator reads about them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.health.transcript import Outcome, Transcript, printable
from steelyard.health.verdict import again, answered, carries, good_code, verdict, wants_body
from steelyard.plan.health import Check


@pytest.mark.parametrize("status", [200, 204, 299, 301, 302, 401])
def test_good_by_default(status: int) -> None:
    assert good_code(status, ())


@pytest.mark.parametrize("status", [300, 303, 304, 307, 400, 403, 404, 500, 503])
def test_bad_by_default(status: int) -> None:
    assert not good_code(status, ())


def test_a_list_of_codes_replaces_all_but_2xx() -> None:
    assert good_code(503, (503,))
    assert good_code(204, (503,))
    assert not good_code(401, (503,))


@given(st.integers(100, 999), st.lists(st.integers(300, 599), max_size=8).map(tuple))
def test_2xx_is_good_whatever_the_list(status: int, codes: tuple[int, ...]) -> None:
    assert good_code(status, codes) or not 200 <= status <= 299


@pytest.mark.parametrize("outcome", [Outcome.GOOD, Outcome.BAD, Outcome.UNASKED])
def test_an_answer_is_final(outcome: Outcome) -> None:
    assert not again(outcome, 1, 5)


@pytest.mark.parametrize("outcome", [Outcome.SILENT, Outcome.FAILED])
def test_silence_is_asked_again_up_to_the_attempts(outcome: Outcome) -> None:
    assert again(outcome, 1, 2)
    assert not again(outcome, 2, 2)
    assert not again(outcome, 1, 1)


def test_what_this_host_could_not_ask_proves_nothing() -> None:
    assert verdict(Outcome.UNASKED) is None
    assert verdict(Outcome.GOOD) == "up"
    assert {verdict(one) for one in (Outcome.BAD, Outcome.SILENT, Outcome.FAILED)} == {"down"}


def test_only_a_verified_or_unchecked_server_carries_traffic() -> None:
    assert carries("up")
    assert carries("unchecked")
    assert not carries("unknown")
    assert not carries("down")


def test_the_reason_names_the_code_and_what_is_good() -> None:
    assert answered(403, "Forbidden", ()) == (Outcome.BAD, "answered 403 Forbidden; good are 200-299, 301, 302, 401")
    assert answered(401, "Unauthorized", (404,)) == (Outcome.BAD, "answered 401 Unauthorized; good are 200-299, 404")
    assert answered(200, "OK", ()) == (Outcome.GOOD, "answered 200 OK")
    assert answered(204, "", ()) == (Outcome.GOOD, "answered 204")


def test_a_pattern_applies_to_bodies_of_2xx_only() -> None:
    check = Check(kind="http", interval=9, timeout=4, attempts=2, method="GET", pattern="ok")
    assert wants_body(check, 200)
    assert not wants_body(check, 401)
    assert not wants_body(check.model_copy(update={"method": "HEAD"}), 200)
    assert not wants_body(check.model_copy(update={"pattern": None}), 200)


def _transcript(outcome: Outcome, reason: str, attempt: int = 1) -> Transcript:
    return Transcript(1.0, 3.2, 1.0, "HEAD / HTTP/1.0", "HTTP/1.0 200 OK", outcome, reason, attempt, 2)


def test_a_summary_says_how_long_and_how_often() -> None:
    assert _transcript(Outcome.GOOD, "answered 200 OK").summary() == "answered 200 OK in 3 ms"
    assert _transcript(Outcome.SILENT, "no answer within 4 s", 2).summary() == "no answer within 4 s, 2 attempts"
    assert _transcript(Outcome.BAD, "answered 403").summary() == "answered 403"


def test_a_transcript_survives_its_file() -> None:
    one = Transcript(1.5, 3.25, None, "a", "b", Outcome.SILENT, "c", 2, 3)
    assert Transcript.from_json(one.as_json()) == one


@given(st.text(), st.integers(10, 100))
def test_foreign_text_cannot_forge_a_log_line(text: str, limit: int) -> None:
    shown = printable(text, limit)
    assert len(shown) <= limit
    assert all(" " <= character <= "~" for character in shown)
