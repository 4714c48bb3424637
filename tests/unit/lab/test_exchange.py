"""Exchange's servers and their users, without a balancer."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from dataclasses import replace

import pytest

from steelyard.lab.exchange import PROTOCOLS, ExchangePool, path_of
from steelyard.lab.fetching import Browser
from steelyard.lab.laboratory import Laboratory
from steelyard.lab.lync import Lync
from steelyard.lab.names import Names
from steelyard.lab.organisation import Account


@pytest.fixture(scope="module")
def pool(lync: Lync) -> Iterator[ExchangePool]:
    found = ExchangePool(lync.ports, lync.net, frozenset({"owa"}))
    with Laboratory() as lab:
        for role in found.roles():
            lab.start(role)
        yield found


def names(pool: ExchangePool, server: int) -> Names:
    return Names(dict.fromkeys(pool.names.addresses, pool.servers[server]))


def test_a_user_gets_in_by_every_protocol(pool: ExchangePool) -> None:
    done = replace(pool.user(), names=names(pool, 1)).sign_in()
    assert done.ok, done.failed
    assert [step.name for step in done.steps] == [*PROTOCOLS, "SMTP", "IMAP", "POP3"]
    assert {step.server for step in done.steps} == {"mbx2"}


def test_a_protocol_that_is_unwell_fails_alone_and_its_health_page_says_so(pool: ExchangePool) -> None:
    done = replace(pool.user(), names=names(pool, 0)).sign_in()
    assert [step.name for step in done.steps if not step.ok] == ["owa"]
    browser = Browser(names(pool, 0))
    health = {
        one: browser.get(pool.ports.url("mail.lync.example", f"{path_of(one)}/healthcheck.htm")) for one in PROTOCOLS
    }
    assert {one for one, reply in health.items() if reply.status != 200} == {"owa"}
    assert health["ews"].body == b"200 OK\r\nmbx1"


def test_a_wrong_password_is_refused_everywhere_but_where_none_is_asked_for(pool: ExchangePool) -> None:
    done = replace(pool.user(), names=names(pool, 1), account=Account("alice", "wrong")).sign_in()
    assert [step.name for step in done.steps if step.ok] == ["SMTP"]


def test_mail_is_taken_for_users_alone(pool: ExchangePool) -> None:
    with smtplib.SMTP(pool.servers[0], pool.ports.of(25), timeout=5) as session:
        assert session.ehlo()[1].startswith(b"mbx1 Hello")
        session.mail("someone@elsewhere.example")
        assert session.rcpt("bob@lync.example")[0] == 250
        assert session.rcpt("mallory@lync.example")[0] == 550
        assert session.docmd("NONSENSE")[0] == 500
