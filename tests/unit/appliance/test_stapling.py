"""When responders are asked, and what a failing one leads to."""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import dataclass, field, replace

import pytest
from tests.support.certificates import Certified, authority, leaf
from tests.unit.model.test_ocsp import answer as made_answer

from steelyard.appliance.stapling import Stapler, Stapling, Wanted
from steelyard.engines.ocsp_responder import NoAnswer
from steelyard.model.errors import EngineRefused
from steelyard.plan.haproxy import CertificateFile

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
SECOND = datetime.timedelta(seconds=1)
HOUR = datetime.timedelta(hours=1)
ROOT = authority("Stapled Root")
MIDDLE = authority("Stapled Middle", issuer=ROOT)
SHOP = leaf("shop.example", issuer=MIDDLE, kind="ec", responder="http://ocsp.example/")
RENEWED = leaf("shop.example", issuer=MIDDLE, kind="ec", generation=2, responder="http://ocsp.example/")
SILENT = leaf("silent.example", issuer=MIDDLE, kind="ec")
ORPHAN = leaf("orphan.example", issuer=ROOT, kind="ec", responder="http://ocsp.example/")


def file(certified: Certified, name: str = "shop") -> CertificateFile:
    return CertificateFile(name, (certified.pem + certified.chain_pem).decode(), certified.fingerprint)


@dataclass
class Surroundings:
    """What a stapler has around it: answers on the disk, a responder, HAProxy."""

    wanted: Wanted = field(default_factory=lambda: Wanted(True, HOUR, (file(SHOP),), ()))
    disk: dict[str, bytes] = field(default_factory=dict)
    says: bytes | Exception = b""
    refuses: str = ""
    asked: list[str] = field(default_factory=list)
    given: list[tuple[str, bytes]] = field(default_factory=list)

    def stapler(self) -> Stapler:
        return Stapler(lambda: self.wanted, self.disk.get, self._give, self._ask)

    def _ask(self, url: str, request: bytes) -> bytes:
        self.asked.append(url)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    async def _give(self, certificate: CertificateFile, issuer_pem: str, der: bytes) -> bool:
        if self.refuses:
            raise EngineRefused("HAProxy refuses the answer", words=self.refuses)
        self.given.append((certificate.name, der))
        return True


def good(about: Certified = SHOP, hours: float = 100) -> bytes:
    issuer = about.issuer
    assert issuer is not None
    return made_answer(about, issuer=issuer, made=NOW - HOUR, until=NOW + hours * HOUR)


def look(stapler: Stapler, at: datetime.datetime = NOW) -> Stapling:
    asyncio.run(stapler.look(at))
    (state,) = stapler.states()
    return state


def test_an_answer_is_fetched_handed_out_and_renewed_after_the_interval() -> None:
    around = Surroundings(says=good())
    stapler = around.stapler()
    state = look(stapler)
    assert around.given == [("shop", around.says)]
    assert (state.answer_until, state.next, state.trouble) == (NOW + 100 * HOUR, NOW + HOUR, "")
    look(stapler, NOW + HOUR - SECOND)
    assert len(around.asked) == 1
    look(stapler, NOW + HOUR)
    assert len(around.asked) == 2


def test_an_answer_on_the_disk_that_still_holds_is_not_asked_for_again() -> None:
    around = Surroundings(disk={"shop": good()})
    assert look(around.stapler()).answer_until == NOW + 100 * HOUR
    assert around.asked == []
    stale = Surroundings(disk={"shop": good(RENEWED)}, says=good())
    look(stale.stapler())
    assert len(stale.asked) == 1, "it is about the certificate that was here before"


def test_a_responder_that_gives_old_answers_is_not_asked_without_end() -> None:
    around = Surroundings(says=made_answer(issuer=MIDDLE, about=SHOP, made=NOW - 10 * HOUR, until=NOW + SECOND * 90))
    state = look(around.stapler())
    assert state.next == NOW + 60 * SECOND


@pytest.mark.parametrize(
    ("says", "refuses", "words"),
    [
        (NoAnswer("connection refused"), "", "connection refused"),
        (b"", "", "the responder's answer is no OCSP answer"),
        (good(), "too late", "HAProxy refuses the answer: too late"),
    ],
)
def test_failures_are_told_and_retried_less_and_less_often(says: bytes | Exception, refuses: str, words: str) -> None:
    around = Surroundings(says=says, refuses=refuses)
    stapler = around.stapler()
    at, waits = NOW, []
    for _ in range(10):
        state = look(stapler, at)
        assert words in state.trouble
        assert state.next is not None
        waits.append((state.next - at) // SECOND)
        at = state.next
    assert waits == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    (told,) = stapler.problems().values()
    assert words in told and "clients get none" in told
    around.says, around.refuses = good(hours=1000), ""
    assert look(stapler, at).trouble == ""
    assert stapler.problems() == {}


def test_the_last_answer_counts_until_it_ends() -> None:
    around = Surroundings(disk={"shop": good()}, says=NoAnswer("no answer within 10 s"))
    stapler = around.stapler()
    look(stapler)
    state = look(stapler, NOW + HOUR)
    assert state.answer_until == NOW + 100 * HOUR
    assert "the last one, which holds until" in stapler.problems()["OCSP of certificate shop"]
    state = look(stapler, NOW + 100 * HOUR)
    assert state.answer_until is None
    assert "clients get none" in stapler.problems()["OCSP of certificate shop"]


def test_nobody_is_asked_without_a_responder_or_an_authority() -> None:
    around = Surroundings(says=good(ORPHAN))
    stapler = around.stapler()
    around.wanted = replace(around.wanted, certificates=(file(SILENT),))
    assert "names no responder" in look(stapler).never
    around.wanted = replace(around.wanted, certificates=(file(ORPHAN),))
    assert "import it as an intermediate" in look(stapler).never
    assert around.asked == [] and stapler.problems() == {}
    around.wanted = replace(around.wanted, authorities=(ROOT.certificate,))
    assert look(stapler).answer_until is not None


def test_new_content_starts_anew_and_off_means_off() -> None:
    around = Surroundings(says=good())
    stapler = around.stapler()
    look(stapler)
    around.wanted = replace(around.wanted, certificates=(file(RENEWED),))
    assert "is about another certificate" in look(stapler).trouble
    around.wanted = replace(around.wanted, on=False)
    asyncio.run(stapler.look(NOW))
    assert stapler.states() == ()
