"""Signing in to the simulated servers themselves: what works, and what a wrong way to them looks like."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.lab.direct import Direct

from steelyard.lab.certificates import Authority
from steelyard.lab.organisation import Account


def test_signing_in_inside_works_step_by_step(direct: Direct) -> None:
    done = direct.client(inside=True).sign_in()
    assert done.ok, done.failed
    assert [step.name for step in done.steps] == [
        "discover",
        "web ticket",
        "user document",
        "SIP register",
        "mobility",
        "address book",
        "dial-in page",
        "presentation",
    ]


def test_a_wrong_password_fails_at_the_ticket(direct: Direct) -> None:
    done = replace(direct.client(inside=True), account=Account("alice", "wrong")).sign_in()
    assert done.failed is not None and done.failed.name == "web ticket"
    assert "401: unknown user or wrong password" in done.failed.says


def test_a_certificate_that_is_not_believed_fails_at_once(direct: Direct) -> None:
    done = replace(direct.client(inside=True), trust=Authority("another").pem).sign_in()
    assert done.failed is not None and "not believed" in done.failed.says


def test_a_telephone_gets_the_root_and_signs_in_by_its_pin(direct: Direct) -> None:
    done = direct.client(inside=True).phone()
    assert done.ok, done.failed
    wrong = replace(direct.client(inside=True), account=Account("alice", "", "1001", "0")).phone()
    assert wrong.failed is not None and wrong.failed.name == "PIN"


def test_signing_in_outside_goes_by_edge_and_director_to_the_home_pool(direct: Direct) -> None:
    done = direct.client(inside=False).sign_in()
    assert done.ok, done.failed
    assert done.step("SIP register").server == "fe1"


@pytest.mark.parametrize(
    ("in_turn", "failed", "says"),
    [
        ("pool", "SIP register", "481"),
        ("reverse-proxy", "mobility", "session lost: it began at fe"),
        ("office-web-apps", "presentation", "a slide was asked of wac"),
    ],
)
def test_without_affinity_the_sign_in_fails_where_state_is_lost(
    direct: Direct, in_turn: str, failed: str, says: str
) -> None:
    done = direct.client(inside=True, in_turn={in_turn}).sign_in()
    assert done.failed is not None and done.failed.name == failed, done
    assert says in done.failed.says


def test_outside_on_the_internal_sites_port_it_says_on_which_site_one_is(direct: Direct) -> None:
    done = direct.client(inside=False, forwards={}).sign_in()
    assert done.failed is not None and done.failed.name == "discover"
    assert "landed on the internal web site of fe1, not on the external one" in done.failed.says
    assert "8080 and 4443" in done.failed.says
