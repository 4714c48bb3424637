"""Web tickets, and the names of a deployment."""

from __future__ import annotations

from dataclasses import replace

import pytest

from steelyard.lab import organisation
from steelyard.lab.lync import Lync
from steelyard.lab.names import NoSuchName
from steelyard.lab.organisation import Organisation
from steelyard.lab.ports import Ports


def test_a_ticket_is_good_at_every_server_of_its_organisation_alone() -> None:
    here, elsewhere = Organisation(), Organisation()
    ticket = here.ticket(here.accounts[0])
    assert here.holder(ticket) == "alice"
    assert replace(here, ports=Ports(20_000)).holder(ticket) == "alice"
    assert elsewhere.holder(ticket) is None


@pytest.mark.parametrize("ticket", ["", ".", "x.y", "e30=.e30=", "\u20ac.x"])
def test_what_is_no_ticket_is_nobodys(ticket: str) -> None:
    assert Organisation().holder(ticket) is None


def test_a_ticket_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Organisation()
    monkeypatch.setattr(organisation, "TICKET_SECONDS", -1)
    assert here.holder(here.ticket(here.accounts[0])) is None


def test_users_are_known_by_every_form_of_their_name() -> None:
    here = Organisation("corp.example")
    for name in ("bob", "Bob@corp.example", "sip:bob@corp.example"):
        found = here.known(name)
        assert found is not None and found.user == "bob"
    assert here.account("bob", "wrong") is None


def test_names_inside_are_not_known_outside() -> None:
    lync = Lync(Ports())
    assert lync.names(inside=True).address("Pool.Lync.Example") == "127.0.1.44"
    with pytest.raises(NoSuchName):
        lync.names(inside=False).address("pool.lync.example")
    # mobile clients meet the same address wherever they are
    assert len({lync.names(inside=inside).address("lyncweb.lync.example") for inside in (True, False)}) == 1


def test_ports_that_leave_no_room_are_refused() -> None:
    assert Ports(20_000).url("a.example", "/x", scheme="http") == "http://a.example:20080/x"
    with pytest.raises(ValueError, match="0 to 50000"):
        Ports(60_000)
