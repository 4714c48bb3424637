"""Reading what an operator uploads: everything usual is understood, everything else is refused with its reason."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from datetime import timedelta
from itertools import permutations
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs7,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.certificates import Certified, authority, leaf

from steelyard.model.certificate import Material, read_upload
from steelyard.model.errors import OperatorError

ROOT = authority("Upload Root")
OUTER = authority("Upload Outer", issuer=ROOT)
INNER = authority("Upload Inner", issuer=OUTER)
SHOP = leaf("shop.example", issuer=INNER, kind="ec")
OTHER = leaf("other.example", issuer=INNER, kind="ec")
ALONE = leaf("alone.example", kind="ec")
#: the same without its chain
ALONE_SHOP = Certified(SHOP.certificate, SHOP.key, None)


def renew(certified: Certified, days: int) -> Certified:
    """A certificate of the same key and names that begins so many days later."""
    old = certified.certificate
    assert certified.issuer is not None
    made = (
        x509.CertificateBuilder(extensions=list(old.extensions))
        .subject_name(old.subject)
        .issuer_name(old.issuer)
        .public_key(old.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(old.not_valid_before_utc + timedelta(days=days))
        .not_valid_after(old.not_valid_after_utc + timedelta(days=days))
        .sign(certified.issuer.key, hashes.SHA256())
    )
    return Certified(made, certified.key, certified.issuer)


def chain_of(material: Material) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(material.chain_pem.encode())


def right(material: Material, certified: Certified = SHOP) -> None:
    """Leaf first, then each issuer, without the root; and the leaf's key."""
    expected = [certified, *certified.intermediates]
    assert chain_of(material) == [one.certificate for one in expected]
    assert material.key_pem is not None
    key = load_pem_private_key(material.key_pem, None)
    assert key.public_key() == certified.certificate.public_key()  # type: ignore[comparison-overlap]


def refused(data: bytes, password: str | None = None) -> OperatorError:
    with pytest.raises(OperatorError) as caught:
        read_upload(data, password)
    assert caught.value.remedy or caught.value.allowed
    return caught.value


class TestPem:
    @pytest.mark.parametrize("order", [" ".join(p) for p in permutations(("key", "leaf", "chain", "root"))])
    def test_the_parts_come_in_any_order(self, order: str) -> None:
        right(read_upload(SHOP.bundle(order)))

    def test_the_chain_comes_in_any_order(self) -> None:
        for order in ("key leaf reversed-chain", "reversed-chain root leaf key"):
            right(read_upload(SHOP.bundle(order)))

    def test_what_does_not_belong_to_the_chain_is_left_out_and_named(self) -> None:
        material = read_upload(SHOP.bundle("key leaf chain root") + OTHER.pem)
        right(material)
        assert material.notes == ("CN=other.example is no part of the chain and was left out",)

    def test_an_authority_of_the_same_name_that_signed_nothing_is_no_part_of_the_chain(self) -> None:
        impostor = authority("Upload Inner", issuer=ROOT)
        assert impostor.certificate.subject == INNER.certificate.subject
        right(read_upload(SHOP.key_pem + impostor.pem + SHOP.bundle("leaf chain")))
        assert len(chain_of(read_upload(SHOP.bundle("key leaf") + impostor.pem))) == 1

    def test_of_several_certificates_of_one_key_the_newest_is_taken(self) -> None:
        renewed = renew(SHOP, 10)
        for order in (SHOP.pem + renewed.pem, renewed.pem + SHOP.pem):
            assert chain_of(read_upload(SHOP.key_pem + order))[0] == renewed.certificate

    def test_what_pasting_does_to_it_does_not_matter(self) -> None:
        bundle = SHOP.bundle()
        right(read_upload(bundle.replace(b"\n", b" ")))
        right(read_upload(bundle.replace(b"-----\n-----", b"----------")))
        right(read_upload(b"".join(b"   > " + line + b"  \r\n" for line in bundle.splitlines()).replace(b"> ", b"")))
        right(read_upload(bundle.decode().encode("utf-16")))
        right(
            read_upload(
                bundle.replace(b"-----BEGIN CERT", b"\xa0-----BEGIN X509 CERT", 1).replace(
                    b"-----END CERT", b"-----END X509 CERT", 1
                )
            )
        )

    def test_a_certificate_without_its_issuers_stands_alone(self) -> None:
        assert len(chain_of(read_upload(SHOP.bundle("key leaf")))) == 1

    def test_a_self_signed_one_is_its_own_chain(self) -> None:
        right(read_upload(ALONE.bundle()), ALONE)
        right(read_upload(ALONE.bundle() + ALONE.pem), ALONE)

    def test_an_authority_may_serve_itself(self) -> None:
        assert len(chain_of(read_upload(ROOT.bundle("key leaf")))) == 1

    @pytest.mark.parametrize("kind", ["rsa", "ec"])
    def test_both_kinds_of_key_in_every_usual_form(self, kind: str) -> None:
        made = leaf("kind.example", kind=kind)  # type: ignore[arg-type]
        pkcs8 = read_upload(made.bundle("key leaf"))
        traditional = read_upload(made.traditional_key_pem() + made.pem)
        assert pkcs8 == traditional
        assert pkcs8.key_type == {"rsa": "RSA", "ec": "ECC"}[kind]
        assert b"BEGIN PRIVATE KEY" in (traditional.key_pem or b"")

    def test_text_around_the_blocks_and_other_line_ends_do_not_matter(self) -> None:
        bundle = SHOP.bundle()
        right(
            read_upload(
                b"Bag Attributes\n  friendlyName: shop\n" + bundle.replace(b"-----BEGIN C", b"\nissuer=x\n-----BEGIN C")
            )
        )
        right(read_upload(bundle.replace(b"\n", b"\r\n")))
        right(read_upload(b"\xef\xbb\xbf" + bundle))
        right(read_upload(bundle.rstrip()))

    def test_parameters_of_the_curve_are_passed_over(self) -> None:
        parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
        right(read_upload(parameters + SHOP.bundle()))

    def test_a_key_with_a_password_opens_with_it(self) -> None:
        data = SHOP.encrypted_key_pem(b"s3cret") + SHOP.bundle("leaf chain")
        right(read_upload(data, "s3cret"))
        for password in (None, "", "wrong", "s3cret "):
            found = refused(data, password)
            assert found.field == "password"
            assert "s3cret" not in str(found.details())

    def test_a_traditional_key_with_a_password_opens_with_it(self) -> None:
        locked = SHOP.key.private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"s3cret")
        )
        right(read_upload(locked + SHOP.bundle("leaf chain"), "s3cret"))
        assert refused(locked + SHOP.pem, "wrong").field == "password"

    def test_a_password_that_is_not_needed_does_not_matter(self) -> None:
        right(read_upload(SHOP.bundle(), "anything"))

    def test_the_kept_key_has_no_password(self) -> None:
        material = read_upload(SHOP.encrypted_key_pem(b"s3cret") + SHOP.pem, "s3cret")
        assert b"ENCRYPTED" not in (material.key_pem or b"ENCRYPTED")


class TestPkcs12:
    @pytest.mark.parametrize("password", [None, "s3cret", "pässwörd"])
    def test_key_leaf_and_chain_are_found(self, password: str | None) -> None:
        right(read_upload(SHOP.pkcs12(password.encode() if password else None), password))

    @pytest.mark.parametrize("password", [None, "", "wrong"])
    def test_a_wrong_password_is_called_that(self, password: str | None) -> None:
        found = refused(SHOP.pkcs12(b"s3cret"), password)
        assert found.field == "password"
        assert "s3cret" not in str(found.details())

    def test_without_a_chain_the_leaf_stands_alone(self) -> None:
        assert len(chain_of(read_upload(SHOP.pkcs12(b"x", chain=False), "x"))) == 1

    @pytest.mark.parametrize("length", [1, 10, 200, 500])
    def test_a_broken_file_is_refused(self, length: int) -> None:
        assert refused(SHOP.pkcs12(b"x")[:length], "x").field in ("data", "password")


class TestWithoutAKey:
    """A certificate whose key is here already; whether it is, the command finds out."""

    @pytest.mark.parametrize("order", ["leaf", "leaf chain", "reversed-chain root leaf"])
    def test_the_server_s_own_certificate_is_recognised(self, order: str) -> None:
        material = read_upload(SHOP.bundle(order))
        assert (material.key_pem, material.key_id, material.key_type) == (None, None, "ECC")
        assert chain_of(material)[0] == SHOP.certificate

    def test_which_one_is_meant_must_be_clear(self) -> None:
        assert "several" in refused(SHOP.pem + OTHER.pem).message

    def test_a_self_signed_one_may_come_alone(self) -> None:
        assert chain_of(read_upload(ALONE.pem)) == [ALONE.certificate]


LEGACY = ("PBE-SHA1-RC2-40", "PBE-SHA1-RC4-128", "PBE-MD5-DES")


@pytest.fixture(scope="module", params=LEGACY)
def legacy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PKCS#12 file as Windows before 2019 and Java write it; its password is "secret"."""
    directory = tmp_path_factory.mktemp("legacy")
    (directory / "in.pem").write_bytes(SHOP.bundle("key leaf"))
    command = [
        "openssl",
        "pkcs12",
        "-export",
        "-legacy",
        "-in",
        "in.pem",
        "-out",
        "FILE",
        "-passout",
        "pass:secret",
    ]
    done = subprocess.run(
        [*command, "-certpbe", request.param, "-keypbe", request.param],
        cwd=directory,
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip("missing: openssl with the legacy provider")
    return directory / "FILE"


class TestLegacyPkcs12:
    def test_it_is_read_or_the_way_out_is_said(self, legacy: Path) -> None:
        """The library of this Python may have OpenSSL's legacy provider; without it the file cannot be opened."""
        assert chain_of(read_upload(legacy.read_bytes(), "secret")) == [SHOP.certificate]
        found = refused(legacy.read_bytes(), "wrong")
        assert found.field == "password"
        assert "old encryption" in found.message
        command = (found.remedy or "").rpartition(": ")[2].split()
        subprocess.run([*command, "-passin", "pass:secret"], cwd=legacy.parent, check=True, capture_output=True)
        right(read_upload((legacy.parent / "FILE.pem").read_bytes()), ALONE_SHOP)

    def test_a_library_without_the_old_ciphers_says_so(self, legacy: Path) -> None:
        script = (
            "import sys\n"
            "from steelyard.model.certificate import read_upload\n"
            "from steelyard.model.errors import OperatorError\n"
            "try: read_upload(open(sys.argv[1], 'rb').read(), 'secret')\n"
            "except OperatorError as failure: print(failure.message, failure.remedy)\n"
        )
        environment = {**os.environ, "CRYPTOGRAPHY_OPENSSL_NO_LEGACY": "1"}
        done = subprocess.run(
            [sys.executable, "-c", script, str(legacy)], env=environment, capture_output=True, text=True, check=True
        )
        assert "cannot read its old encryption" in done.stdout
        assert "openssl pkcs12 -legacy" in done.stdout


class TestRefusals:
    @pytest.mark.parametrize("data", [b"", b" \n", b"junk", b"\x00" * 100, b"0\x82", b"-----BEGIN", b"\xff" * 1000])
    def test_junk(self, data: bytes) -> None:
        assert refused(data).field == "data"

    def test_der_is_refused_with_the_command_that_converts_it(self, tmp_path: Path) -> None:
        key = SHOP.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        locked = SHOP.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
        bundle = pkcs7.serialize_certificates([SHOP.certificate, INNER.certificate], Encoding.DER)
        for data, what in ((SHOP.der, "certificate"), (key, "key"), (locked, "encrypted"), (bundle, "PKCS#7")):
            found = refused(data)
            assert what in found.message
            command = (found.remedy or "").partition(": ")[2]
            (tmp_path / "FILE").write_bytes(data)
            more = ["-passin", "pass:x"] if what == "encrypted" else []
            subprocess.run([*command.split(), *more], cwd=tmp_path, check=True, capture_output=True)
            assert b"-----BEGIN" in (tmp_path / "FILE.pem").read_bytes()

    def test_other_forms_of_pem_are_told_apart(self) -> None:
        bundle = pkcs7.serialize_certificates([SHOP.certificate], Encoding.PEM)
        assert "PKCS#7" in refused(SHOP.key_pem + bundle).message
        openssh = SHOP.key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        assert "ssh-keygen" in str(refused(openssh + SHOP.pem).remedy)

    def test_no_certificate(self) -> None:
        assert "no certificate" in refused(SHOP.key_pem).message

    def test_two_keys(self) -> None:
        assert "more than one private key" in refused(SHOP.key_pem + OTHER.bundle()).message

    def test_a_key_of_another_certificate(self) -> None:
        assert "does not belong" in refused(OTHER.key_pem + SHOP.bundle("leaf chain")).message

    def test_the_key_of_an_issuer_is_taken_as_the_issuers(self) -> None:
        """The leaf is the certificate the key fits."""
        assert chain_of(read_upload(INNER.key_pem + SHOP.bundle("leaf chain")))[0] == INNER.certificate

    @pytest.mark.parametrize("cut", [30, 100, 200])
    def test_half_a_file(self, cut: int) -> None:
        found = refused(SHOP.bundle()[:-cut])
        assert found.field == "data"
        assert "no end" in found.message

    def test_a_block_with_a_broken_middle(self) -> None:
        key = SHOP.key_pem.splitlines()
        broken = b"\n".join([key[0], b"AAAA", *key[2:]])
        assert "cannot be read" in refused(broken + b"\n" + SHOP.pem).message
        certificate = SHOP.pem.splitlines()
        broken = b"\n".join([certificate[0], b"!!!!", *certificate[2:]])
        assert "cannot be read" in refused(SHOP.key_pem + broken).message

    def test_a_kind_of_key_haproxy_is_not_given(self) -> None:
        key = ed25519.Ed25519PrivateKey.generate()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        assert refused(pem + SHOP.pem)

    def test_keys_are_never_in_what_is_said(self) -> None:
        body = SHOP.key_pem.splitlines()[1].decode()
        for data in (SHOP.key_pem, OTHER.key_pem + SHOP.pem, SHOP.key_pem[:-20] + SHOP.pem):
            assert body[:20] not in str(refused(data).details())


_SAMPLES = (SHOP.bundle(), SHOP.pkcs12(b"x"), SHOP.pkcs12(), SHOP.encrypted_key_pem(b"x") + SHOP.pem)


@settings(max_examples=200)
@given(st.sampled_from(_SAMPLES), st.integers(0, 2**32), st.sampled_from((None, "x", "y")))
def test_a_damaged_upload_is_read_or_refused_and_never_a_traceback(
    data: bytes, seed: int, password: str | None
) -> None:
    chance = random.Random(seed)
    damaged = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(damaged))
        damaged[place] = chance.randrange(256)
    if chance.random() < 0.3:
        del damaged[chance.randrange(len(damaged)) :]
    try:
        material = read_upload(bytes(damaged), password)
    except OperatorError:
        return
    if material.key_pem is not None:
        key = load_pem_private_key(material.key_pem, None)
        assert isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey))


@settings(max_examples=100)
@given(st.binary(max_size=400))
def test_bytes_of_any_kind_are_refused(data: bytes) -> None:
    with pytest.raises(OperatorError):
        read_upload(data)
