"""Which revocation list counts, and when it is told to be too old."""

from __future__ import annotations

import datetime

from tests.support.certificates import authority, leaf, revocation_list
from tests.unit.model.making import apply

from steelyard.compile.haproxy.trust import NOBODY, authorities_pem, revocations_pem
from steelyard.model.commands import AddIntermediates, PutRevocationList
from steelyard.model.configuration import Configuration
from steelyard.model.revocation_expiry import outdated_lists

NOW = datetime.datetime.now(datetime.UTC)
STAFF = authority("Counting Staff")
#: the same name with another key, as after a change of keys
RENEWED = authority("Counting Staff", kind="rsa")
ANN = leaf("ann.example", issuer=STAFF, kind="ec")
AUTHORITIES = (
    AddIntermediates("staff", (STAFF.certificate,)),
    AddIntermediates("renewed", (RENEWED.certificate,)),
)


def lists(**pems: bytes) -> tuple[PutRevocationList, ...]:
    return tuple(PutRevocationList(name, pem.decode()) for name, pem in pems.items())


def test_the_newest_list_of_each_key_counts() -> None:
    old, new = revocation_list(STAFF, days=(-3, 9)), revocation_list(STAFF, ANN, days=(-1, 9))
    other = revocation_list(RENEWED, days=(-2, 9))
    configuration = apply(*AUTHORITIES, *lists(old=old, new=new, other=other))
    assert revocations_pem(configuration) == "".join(sorted((new.decode(), other.decode())))


def test_only_the_list_that_counts_can_be_too_old() -> None:
    old, fresh = revocation_list(STAFF, days=(-3, -1)), revocation_list(RENEWED, days=(-3, 1))
    configuration = apply(*AUTHORITIES, *lists(old=old, fresh=fresh))
    assert [one.name for one in outdated_lists(configuration, NOW)] == ["old"]
    newer = apply(*lists(newer=revocation_list(STAFF, days=(-2, 1))), to=configuration)
    assert not list(outdated_lists(newer, NOW))


def test_a_service_that_names_authorities_that_are_gone_believes_nobody() -> None:
    assert authorities_pem(Configuration(), ("gone",)) == ""
    assert NOBODY.count("BEGIN CERTIFICATE") == 1
