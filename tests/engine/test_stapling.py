"""OCSP stapling: a real responder is asked, and `openssl s_client -status` sees its answer."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.engine.rig import Rig, Service, eventually
from tests.support.certificates import authority, leaf
from tests.support.ocsp_responder import OcspResponder
from tests.support.origin import Origin

import steelyard.appliance.stapling
import steelyard.appliance.trust_watch
from steelyard.appliance.stapling import Stapling
from steelyard.model.commands import AddIntermediates, SetParameters

pytestmark = pytest.mark.engine

ROOT = authority("Stapling Root")
MIDDLE = authority("Stapling Middle", issuer=ROOT)


@pytest.fixture
def stapling(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """Stapling is on; a look is taken often."""
    monkeypatch.setattr(steelyard.appliance.trust_watch, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(steelyard.appliance.stapling, "_FIRST_RETRY", timedelta(milliseconds=50))
    rig.do(SetParameters("tls", {"stapling": True}))
    yield rig
    rig.clean()
    rig.do(SetParameters("tls", {"stapling": False}))


def stapled(service: Service | tuple[str, int], name: str) -> str | None:
    """What a client is handed: the serial number the answer is about if it is good, None without an answer."""
    address, port = (service.address, service.port) if isinstance(service, Service) else service
    words = ["openssl", "s_client", "-connect", f"{address}:{port}", "-servername", name, "-status"]
    said = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10, check=False)
    if "no response sent" in said.stdout:
        return None
    assert re.search(r"Cert Status: good", said.stdout), said.stdout
    found = re.search(r"Serial Number: ([0-9A-F]+)", said.stdout)
    assert found is not None
    return found[1].lstrip("0")


def state(rig: Rig, name: str) -> Stapling | None:
    return next((one for one in rig.started.appliance.stapling() if one.certificate == name), None)


def test_clients_are_handed_the_responder_s_answer_also_after_reloads_and_restarts(stapling: Rig, one: Origin) -> None:
    rig = stapling
    with OcspResponder(MIDDLE) as responder, OcspResponder(ROOT) as root_responder:
        shop = leaf("shop.example", issuer=MIDDLE, kind="ec", responder=responder.url)
        bare = leaf("bare.example", issuer=ROOT, kind="ec", responder=root_responder.url)
        responder.knows(shop)
        root_responder.knows(bare)
        rig.certificate("shop", shop)
        rig.certificate("bare", bare)
        service = rig.http(one, ssl_acceleration=True, certificates=("shop", "bare"))
        serial = f"{shop.serial:X}"
        with rig.without_reload():
            assert eventually(lambda: stapled(service, "shop.example"), "an answer is handed out") == serial
        found = state(rig, "shop")
        assert found is not None and found.answer_until is not None and not found.trouble
        without = state(rig, "bare")
        assert without is not None and "import it as an intermediate" in without.never
        assert stapled(service, "bare.example") is None
        rig.do(AddIntermediates("stapling-root", (ROOT.certificate,)))
        eventually(lambda: stapled(service, "bare.example"), "the issuer that was missing is here")
        responder.stop()
        service.change(add_via=6)
        assert stapled(service, "shop.example") == serial, "a reload keeps the answer"
        where = (service.address, service.port)
        rig.let_go()
        try:
            assert stapled(where, "shop.example") == serial, "the control plane is not needed for it"
        finally:
            rig.start()
        assert stapled(service, "shop.example") == serial
        eventually(lambda: state(rig, "shop"), "the answer on the disk is known again")
        kept = state(rig, "shop")
        assert kept is not None and kept.answer_until == found.answer_until and kept.asked is None
        responder.start()
        renewed = leaf("shop.example", issuer=MIDDLE, kind="ec", generation=2, responder=responder.url)
        responder.knows(renewed)
        with rig.without_reload():
            rig.certificate("shop", renewed, replace=True)
            eventually(
                lambda: stapled(service, "shop.example") == f"{renewed.serial:X}",
                "new content has an answer of its own",
            )
        rig.do(SetParameters("tls", {"stapling": False}))
        assert stapled(service, "shop.example") is None
        assert rig.started.appliance.stapling() == ()


def test_a_responder_that_fails_stops_nothing_and_is_told_of(stapling: Rig, one: Origin) -> None:
    rig = stapling
    outsider = authority("Stapling Outsider")
    with OcspResponder(MIDDLE) as responder, OcspResponder(MIDDLE, signer=outsider) as liar:
        dead = leaf("dead.example", issuer=MIDDLE, kind="ec", responder=responder.url)
        lied = leaf("lied.example", issuer=MIDDLE, kind="ec", responder=liar.url)
        liar.knows(lied)
        rig.certificate("dead", dead)
        rig.certificate("lied", lied)
        service = rig.http(one, ssl_acceleration=True, certificates=("dead", "lied"))

        def problem(name: str, words: str) -> None:
            eventually(
                lambda: any(f"certificate {name}" in told and words in told for told in _problems(rig)),
                f"{words} of {name}",
            )

        problem("dead", "connection refused")
        problem("lied", "has not charged with it")
        assert service.fetch(sni="dead.example").status == 200
        assert stapled(service, "lied.example") is None
        responder.revokes(dead)
        problem("dead", "the certificate is revoked")
        assert stapled(service, "dead.example") is None
        responder.knows(dead)
        assert eventually(lambda: stapled(service, "dead.example"), "it is asked again") == f"{dead.serial:X}"
        assert not any("certificate dead" in told for told in _problems(rig))


def _problems(rig: Rig) -> tuple[str, ...]:
    return tuple(rig.started.appliance.health().problems)
