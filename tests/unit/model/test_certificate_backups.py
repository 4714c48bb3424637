"""Backups of certificates, and keys that wait for their certificate."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.certificates import authority, leaf
from tests.unit.model.making import apply

from steelyard.appliance.signing import KEY_TYPES, SUBJECT, signing_request
from steelyard.model.certificate import Material, read_upload
from steelyard.model.certificate_backup import CertificateBackup, check_pass_phrase, gather, seal, unseal
from steelyard.model.commands import (
    AddIntermediates,
    AddSigningRequest,
    PutCertificate,
    RemoveSigningRequest,
    RestoreCertificates,
)
from steelyard.model.commands.certificates import Part
from steelyard.model.configuration import Configuration, document_of
from steelyard.model.errors import ConflictError, NotFound, OperatorError

ROOT = authority("Backup Root")
SHOP, OTHER = (leaf(f"{name}.example", issuer=ROOT, kind="ec") for name in ("shop", "other"))
TEMPORARY = "0" * 32
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PHRASE = "correct horse"


def filled() -> Configuration:
    return apply(
        PutCertificate(TEMPORARY, read_upload(leaf("temporary.example", kind="ec").bundle()), temporary=True),
        PutCertificate("shop", read_upload(SHOP.bundle())),
        PutCertificate("other", read_upload(OTHER.bundle())),
        AddIntermediates("root", [ROOT.certificate]),
        to=Configuration(),
    )


def keys_of(*materials: Material) -> dict[str, bytes]:
    return {one.key_id: one.key_pem for one in materials if one.key_id is not None and one.key_pem is not None}


KEYS = keys_of(read_upload(SHOP.bundle()), read_upload(OTHER.bundle()))
CONTENT = gather(filled(), KEYS)
#: at a cost that lets a test open it often
FILE = seal(CONTENT, PHRASE, salt=b"s" * 16, nonce=b"n" * 12, at=WHEN, n=16)


def refused(file: bytes, phrase: str = PHRASE) -> OperatorError:
    with pytest.raises(OperatorError) as caught:
        unseal(file, phrase)
    assert caught.value.remedy
    assert phrase not in str(caught.value.details())
    return caught.value


class TestBackups:
    def test_what_goes_in_comes_out_and_the_temporary_one_stays_out(self) -> None:
        found = unseal(FILE, PHRASE)
        assert found == CONTENT
        assert [one.name for one in found.certificates] == ["shop", "other"]

    def test_a_guess_costs_a_lot_of_memory_and_time(self) -> None:
        header = json.loads(seal(CONTENT, PHRASE, salt=b"s" * 16, nonce=b"n" * 12, at=WHEN).splitlines()[1])
        assert (header["kdf"], header["n"], header["r"]) == ("scrypt", 65536, 8)

    def test_the_file_tells_nothing_but_when_it_was_made(self) -> None:
        first, header = FILE.splitlines()[:2]
        assert first == b"STEELYARD-CERTIFICATES 1"
        assert json.loads(header)["made"] == "2026-01-02T03:04:05Z"
        assert b"BEGIN" not in FILE
        assert b"shop" not in FILE

    def test_keys_are_not_in_what_is_printed(self) -> None:
        assert "BEGIN PRIVATE" not in repr(CONTENT) + repr(RestoreCertificates(CONTENT))

    def test_a_wrong_pass_phrase(self) -> None:
        assert refused(FILE, "wrong horse").field == "password"

    @pytest.mark.parametrize(
        "file",
        [
            b"",
            b"junk",
            SHOP.bundle(),
            FILE.replace(b"CERTIFICATES 1", b"CERTIFICATES 2", 1),
            FILE.splitlines()[0],
            FILE.replace(b'"n": 16', b'"n": 67108864', 1),
            FILE.replace(b'"n": 16', b'"n": 65535', 1),
            FILE.replace(b'"r": 8', b'"r": 8000', 1),
            FILE.replace(b'"nonce"', b'"once"', 1),
            b"STEELYARD-CERTIFICATES 1\n" + b"[" * 5000,
        ],
    )
    def test_a_foreign_or_forged_file(self, file: bytes) -> None:
        assert refused(file).field == "data"

    def test_lengths_of_pass_phrases(self) -> None:
        for phrase in ("", "a" * 6, "a" * 65):
            with pytest.raises(OperatorError) as caught:
                check_pass_phrase(phrase)
            assert caught.value.allowed == "7 to 64 characters"
        for phrase in ("a" * 7, "ä" * 64):
            assert check_pass_phrase(phrase) == phrase

    def test_somebody_who_knows_the_pass_phrase_cannot_bring_a_traceback_about(self) -> None:
        strange = CertificateBackup((), {"name": 7})  # type: ignore[dict-item]
        file = seal(strange, PHRASE, salt=b"s" * 16, nonce=b"n" * 12, at=WHEN, n=16)
        with pytest.raises(OperatorError):
            RestoreCertificates(unseal(file, PHRASE)).apply(Configuration())


@settings(max_examples=100)
@given(st.integers(0, len(FILE) - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed_wherever_it_is(place: int, change: int) -> None:
    damaged = bytearray(FILE)
    damaged[place] ^= change
    refused(bytes(damaged))


class TestRestoring:
    @pytest.mark.parametrize(
        ("part", "certificates", "intermediates"),
        [("full", ["shop", "other"], ["root"]), ("vs", ["shop", "other"], []), ("third", [], ["root"])],
    )
    def test_parts(self, part: Part, certificates: list[str], intermediates: list[str]) -> None:
        change = RestoreCertificates(unseal(FILE, PHRASE), part).apply(Configuration())
        made = change.configuration
        assert (list(made.certificates), list(made.intermediates)) == (certificates, intermediates)
        assert change.secrets == ({f"key/{name}": key for name, key in KEYS.items()} if certificates else {})

    def test_the_same_again_changes_nothing_and_others_stay(self) -> None:
        before = filled()
        assert RestoreCertificates(unseal(FILE, PHRASE)).apply(before).configuration == before

    def test_the_same_names_are_replaced(self) -> None:
        renewed = leaf("shop.example", issuer=ROOT, generation=2, kind="ec")
        now = apply(PutCertificate("shop", read_upload(renewed.bundle()), replace=True), to=filled())
        made = RestoreCertificates(unseal(FILE, PHRASE)).apply(now).configuration
        assert made.certificates["shop"].leaf() == SHOP.certificate


class TestSigningRequests:
    @pytest.mark.parametrize("key_type", [one for one in KEY_TYPES if one != "rsa-4096"])
    def test_a_request_says_what_was_asked_for(self, key_type: str) -> None:
        subject = {part: "DE" if part == "country" else f"{part}.example" for part in SUBJECT}
        made = signing_request("shop", subject, ("www.shop.example", "*.shop.example", "192.0.2.1"), key_type)
        request = apply(made).signing_requests["shop"].parsed
        assert request.is_signature_valid
        assert "CN=common_name.example" in request.subject.rfc4514_string()
        (names,) = (one.value for one in request.extensions)
        assert [str(name.value) for name in names] == [
            "common_name.example",
            "www.shop.example",
            "*.shop.example",
            "192.0.2.1",
        ]
        assert made.key_type == {"r": "RSA", "e": "ECC"}[key_type[0]]

    @pytest.mark.parametrize(
        ("subject", "names", "key_type", "field"),
        [
            ({}, (), "ec-p256", "names"),
            ({"country": "DEU"}, (), "ec-p256", "country"),
            ({"common_name": "a" * 65}, (), "ec-p256", "common_name"),
            ({"organization": "a\nb"}, (), "ec-p256", "organization"),
            ({"email": "ü@example"}, (), "ec-p256", "email"),
            ({"street": "x"}, (), "ec-p256", "subject"),
            ({}, ("a b",), "ec-p256", "names"),
            ({}, ("a..b",), "ec-p256", "names"),
            ({}, ("",), "ec-p256", "names"),
            ({}, ("a.example",), "dsa", "key_type"),
        ],
    )
    def test_what_cannot_be_asked_for_is_named(
        self, subject: dict[str, str], names: tuple[str, ...], key_type: str, field: str
    ) -> None:
        with pytest.raises(OperatorError) as caught:
            signing_request("shop", subject, names, key_type)
        assert caught.value.field == field
        assert caught.value.remedy

    def test_names_in_other_scripts_are_asked_for_as_dns_has_them(self) -> None:
        request = apply(signing_request("shop", {}, ("bücher.example",), "ec-p256")).signing_requests["shop"]
        (names,) = (one.value for one in request.parsed.extensions)
        assert [name.value for name in names] == ["xn--bcher-kva.example"]

    def test_the_key_is_a_secret(self) -> None:
        made = signing_request("shop", {}, ("a.example",), "ec-p256")
        change = made.apply(Configuration())
        assert change.secrets == {f"key/{made.key_id}": made.key_pem}
        assert "PRIVATE" not in repr(made) + made.summary + str(
            document_of(change.configuration.signing_requests["shop"])
        )

    def test_the_certificate_that_answers_it_takes_its_key_and_its_place(self) -> None:
        waiting = apply(request_for("asked"), to=filled())
        alone = read_upload(SHOP.pem)
        made = apply(PutCertificate("new", alone), to=waiting)
        assert made.certificates["new"].key_id == "digest of asked"
        assert made.signing_requests == {}
        both = apply(PutCertificate("new", read_upload(SHOP.bundle())), to=waiting)
        assert both.signing_requests == {}
        assert both.certificates["new"].key_id in KEYS

    def test_a_certificate_that_answers_none_is_refused_without_its_key(self) -> None:
        with pytest.raises(OperatorError) as caught:
            apply(PutCertificate("new", read_upload(OTHER.pem)), to=apply(request_for("asked"), to=Configuration()))
        assert "no private key" in caught.value.message

    def test_a_renewed_certificate_of_the_same_key_may_come_without_it(self) -> None:
        made = apply(PutCertificate("shop", read_upload(SHOP.pem), replace=True), to=filled())
        assert made.certificates["shop"].key_id in KEYS
        with pytest.raises(OperatorError):
            apply(PutCertificate("shop", read_upload(OTHER.pem), replace=True), to=filled())

    def test_names_are_taken_once_and_requests_are_given_up(self) -> None:
        waiting = apply(request_for("asked"), to=filled())
        for name in ("asked", TEMPORARY):
            with pytest.raises(ConflictError):
                apply(request_for(name), to=waiting)
        assert apply(RemoveSigningRequest("asked"), to=waiting).signing_requests == {}
        with pytest.raises(NotFound):
            apply(RemoveSigningRequest("nothing"), to=waiting)


def request_for(name: str) -> AddSigningRequest:
    """A request with the key of SHOP."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(SHOP.certificate.subject)
    pem = builder.sign(SHOP.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
    return AddSigningRequest(name, pem, SHOP.key_pem, f"digest of {name}", "ECC")
