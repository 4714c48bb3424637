"""What is told when stapling fails or a revocation list grows old, and when that is over."""

from __future__ import annotations

import asyncio
import datetime

from tests.support.certificates import authority, revocation_list
from tests.unit.appliance.test_stapling import NOW, Surroundings, good
from tests.unit.model.making import HTTP, apply

from steelyard.appliance.trust_watch import TrustWatch
from steelyard.engines.ocsp_responder import NoAnswer
from steelyard.model.commands import AddIntermediates, AddService, PutRevocationList
from steelyard.model.configuration import Configuration

STAFF = authority("Watched Staff")


class Watched:
    """A watch, and what it told."""

    def __init__(self, around: Surroundings, configuration: Configuration) -> None:
        self.configuration = configuration
        self.told: list[tuple[str, str | None]] = []
        self.watch = TrustWatch(
            around.stapler(), lambda: self.configuration, lambda concern, words: self.told.append((concern, words))
        )

    def look(self, at: datetime.datetime = NOW) -> list[tuple[str, str | None]]:
        """Look, and give what was told for it."""
        self.told.clear()
        asyncio.run(self.watch.look(at))
        return list(self.told)


def test_a_failing_responder_is_told_once_and_again_when_it_is_over() -> None:
    around = Surroundings(says=NoAnswer("connection refused"))
    watched = Watched(around, apply())
    ((concern, words),) = watched.look()
    assert concern == "OCSP of certificate shop"
    assert words is not None and "connection refused" in words
    assert watched.look(NOW + datetime.timedelta(seconds=30)) == []
    around.says = good(hours=1000)
    assert watched.look(NOW + datetime.timedelta(hours=2)) == [(concern, None)]


def test_an_old_revocation_list_is_told_while_somebody_needs_it() -> None:
    pem = revocation_list(STAFF, days=(-3, -1)).decode()
    here = apply(AddIntermediates("staff", (STAFF.certificate,)), PutRevocationList("crl", pem))
    watched = Watched(Surroundings(says=good()), here)
    assert watched.look() == []
    asking = AddService({**HTTP, "ssl_acceleration": True, "client_certificates": 1})
    watched.configuration = apply(asking, to=here)
    ((concern, words),) = watched.look()
    assert concern == "revocation list crl"
    assert words is not None and "CN=Watched Staff are refused until a newer one is imported" in words
    assert watched.watch.problems() == (words,)
    newer = revocation_list(STAFF, days=(-1, 1)).decode()
    watched.configuration = apply(PutRevocationList("crl", newer, replace=True), to=watched.configuration)
    assert watched.look() == [(concern, None)]
