"""Answers of OCSP responders, judged: what HAProxy would not hand out is refused with words."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from tests.support.certificates import Certified, authority, leaf

from steelyard.model.ocsp import BadAnswer, issuer_of, judged, question, responder_of, status_of

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
HOUR = datetime.timedelta(hours=1)
ROOT = authority("Judged Root")
MIDDLE = authority("Judged Middle", issuer=ROOT)
TWIN = authority("Judged Middle", issuer=ROOT, kind="rsa")
SHOP = leaf("shop.example", issuer=MIDDLE, kind="ec", responder="http://ocsp.example/ask?a=b")
OTHER = leaf("other.example", issuer=MIDDLE, kind="ec")
#: charged with answering, too late for it, not charged, and charged by somebody else
DELEGATE = leaf("responder.example", issuer=MIDDLE, kind="rsa", answers_ocsp=True)
LATE = leaf("responder.example", issuer=MIDDLE, kind="ec", days=(-30, -1), answers_ocsp=True)
UNCHARGED = leaf("responder.example", issuer=MIDDLE, kind="ec")
FOREIGN = leaf("responder.example", issuer=ROOT, kind="ec", answers_ocsp=True)


def answer(
    about: Certified = SHOP,
    *,
    issuer: Certified = MIDDLE,
    signer: Certified | None = None,
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
    made: datetime.datetime = NOW - HOUR,
    until: datetime.datetime | None = NOW + HOUR,
    digest: Any = None,
) -> bytes:
    revoked = status == ocsp.OCSPCertStatus.REVOKED
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=about.certificate,
        issuer=issuer.certificate,
        algorithm=digest or hashes.SHA1(),
        cert_status=status,
        this_update=made,
        next_update=until,
        revocation_time=NOW - 2 * HOUR if revoked else None,
        revocation_reason=None,
    )
    signer = signer or issuer
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, signer.certificate)
    if signer is not issuer:
        builder = builder.certificates([signer.certificate])
    return builder.sign(signer.key, hashes.SHA256()).public_bytes(Encoding.DER)


def judge(der: bytes) -> None:
    judged(der, SHOP.certificate, MIDDLE.certificate, NOW)


@pytest.mark.parametrize("signer", [None, DELEGATE])
def test_a_good_answer_of_the_authority_or_of_whom_it_charged_is_taken(signer: Certified | None) -> None:
    der = answer(signer=signer)
    found = judged(der, SHOP.certificate, MIDDLE.certificate, NOW)
    assert (found.der, found.made, found.until) == (der, NOW - HOUR, NOW + HOUR)


@pytest.mark.parametrize(
    ("der", "words"),
    [
        (b"<html>", "is no OCSP answer"),
        (ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER), "is a refusal: try later"),
        (answer(OTHER), "about another certificate"),
        (answer(issuer=TWIN), "about another certificate"),
        (answer(status=ocsp.OCSPCertStatus.REVOKED), "the certificate is revoked since"),
        (answer(status=ocsp.OCSPCertStatus.UNKNOWN), "does not know the certificate"),
        (answer(until=None), "does not say until when it holds"),
        (answer(made=NOW - 3 * HOUR, until=NOW), "holds no more"),
        (answer(made=NOW + HOUR, until=NOW + 2 * HOUR), "is of the future"),
        (answer(digest=hashes.SHA256()), "names the certificate by sha256"),
        (answer(signer=LATE), "has not charged with it"),
        (answer(signer=UNCHARGED), "has not charged with it"),
        (answer(signer=FOREIGN), "has not charged with it"),
        (answer()[:-1] + bytes([answer()[-1] ^ 1]), "is not signed by the certificate's authority"),
    ],
)
def test_other_answers_are_refused_with_the_reason(der: bytes | ocsp.OCSPResponse, words: str) -> None:
    with pytest.raises(BadAnswer, match=words):
        judge(der if isinstance(der, bytes) else der.public_bytes(Encoding.DER))


def test_an_answer_is_renewed_after_the_interval_or_half_of_its_time() -> None:
    found = judged(answer(), SHOP.certificate, MIDDLE.certificate, NOW)
    assert found.due(NOW, datetime.timedelta(days=1)) == NOW
    longer = judged(answer(until=NOW + 100 * HOUR), SHOP.certificate, MIDDLE.certificate, NOW)
    assert longer.due(NOW, HOUR) == NOW + HOUR


def test_the_certificate_says_whom_to_ask_and_the_chain_who_signed_it() -> None:
    assert responder_of(SHOP.certificate) == "http://ocsp.example/ask?a=b"
    assert responder_of(OTHER.certificate) is None
    secure = leaf("secure.example", issuer=MIDDLE, kind="ec", responder="https://ocsp.example/")
    assert responder_of(secure.certificate) is None, "whose certificate would have to be verified the same way"
    candidates = [OTHER.certificate, TWIN.certificate, ROOT.certificate]
    assert issuer_of(SHOP.certificate, candidates) is None
    assert issuer_of(SHOP.certificate, [*candidates, MIDDLE.certificate]) == MIDDLE.certificate
    asked = ocsp.load_der_ocsp_request(question(SHOP.certificate, MIDDLE.certificate))
    assert asked.serial_number == SHOP.serial
    assert not list(asked.extensions), "answers are made beforehand, so none could have a nonce"


def test_a_broken_certificate_names_nobody() -> None:
    assert responder_of(x509.load_pem_x509_certificate(ROOT.pem)) is None


# --- about clients' certificates ------------------------------------------------------------------------------------


def test_what_is_said_about_a_client_is_taken_once_it_is_proved() -> None:
    def said(der: bytes) -> str:
        return status_of(der, SHOP.certificate, MIDDLE.certificate, NOW).word

    assert said(answer()) == "good"
    assert said(answer(signer=DELEGATE, made=NOW, until=None)) == "good", "it need not say until when it holds"
    assert said(answer(status=ocsp.OCSPCertStatus.UNKNOWN)) == "unknown"
    revoked = status_of(answer(status=ocsp.OCSPCertStatus.REVOKED), SHOP.certificate, MIDDLE.certificate, NOW)
    assert str(revoked) == f"revoked since {NOW - 2 * HOUR:%Y-%m-%d %H:%M} UTC" and revoked.until == NOW + HOUR


@pytest.mark.parametrize(
    "der",
    [
        b"nonsense",
        answer(OTHER),
        answer(signer=UNCHARGED),
        answer(issuer=TWIN),
        answer(until=NOW - HOUR, made=NOW - 2 * HOUR),
        answer(until=None, made=NOW - 5 * HOUR),
        answer(until=None, made=NOW + HOUR),
        answer(status=ocsp.OCSPCertStatus.REVOKED, signer=FOREIGN),
    ],
)
def test_what_is_not_proved_says_nothing_about_a_client(der: bytes) -> None:
    with pytest.raises(BadAnswer):
        status_of(der, SHOP.certificate, MIDDLE.certificate, NOW)
