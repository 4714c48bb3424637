"""Chains from intermediates, what is wrong with certificates, and when they end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID
from tests.support.certificates import Certified, authority, leaf
from tests.unit.model.making import HTTP, apply

from steelyard.model.certificate import read_upload
from steelyard.model.certificate_chain import Authorities, complete_chain
from steelyard.model.certificate_diagnosis import Finding, diagnose, weaknesses
from steelyard.model.certificate_expiry import expiry_warnings
from steelyard.model.certificate_names import covers
from steelyard.model.commands import AddIntermediates, AddService, PutCertificate, RemoveIntermediate
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, NotFound, OperatorError

ROOT = authority("Chains Root")
OUTER = authority("Chains Outer", issuer=ROOT)
INNER = authority("Chains Inner", issuer=OUTER)
SHOP = leaf("shop.example", "*.shop.example", issuer=INNER, kind="ec")
NOW = datetime.now(UTC)
DAY = timedelta(days=1)

#: signed with SHA-1, which the library makes no more
SHA1 = b"""\
-----BEGIN CERTIFICATE-----
MIIBKjCB0QIUEtn680H39ymrxaJSuJSEltBsIxgwCQYHKoZIzj0EATAYMRYwFAYD
VQQDDA1PbGQgQXV0aG9yaXR5MCAXDTI2MTEyMTE0NTAzNFoYDzIxMjUwNjE1MTQ1
MDM0WjAXMRUwEwYDVQQDDAxzaGExLmV4YW1wbGUwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQ465KVYpSXPReoFdOXDjBsiyoV/3hSeaDUQyL8vwR03e3SyvLiv20+
KDnVfpAyIAJBIuzayxJpiZcULDS+iQh3MAkGByqGSM49BAEDSQAwRgIhAJF8f2le
LiDenyQBMovoFJwEuoiP50p/3xq61y1eLBNAAiEApIw2rDspxO+2xeMiNFs5o3oG
x4c4104HJQlZtpfK3oQ=
-----END CERTIFICATE-----
"""


def chain(certified: Certified, *known: Certified) -> list[x509.Certificate]:
    return list(complete_chain(certified.certificate, (), Authorities(one.certificate for one in known)))


def signed(
    certified: Certified, issuer: Certified, *, extensions: list[x509.ExtensionType] | None = None, days: int = 90
) -> Certified:
    """Another certificate for the same key and subject; without extensions of its own it takes the old ones."""
    old = certified.certificate
    builder = x509.CertificateBuilder(extensions=list(old.extensions) if extensions is None else [])
    for extension in extensions or ():
        builder = builder.add_extension(extension, critical=False)
    made = (
        builder.subject_name(old.subject)
        .issuer_name(issuer.certificate.subject)
        .public_key(old.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(old.not_valid_before_utc)
        .not_valid_after(NOW + days * DAY)
        .sign(issuer.key, hashes.SHA256())
    )
    return Certified(made, certified.key, issuer)


def holding(certified: Certified, order: str, *known: Certified) -> Configuration:
    made = apply(PutCertificate("shop", read_upload(certified.bundle(order))), to=Configuration())
    for number, one in enumerate(known):
        made = apply(AddIntermediates(f"known{number}", [one.certificate]), to=made)
    return made


def findings(configuration: Configuration, now: datetime = NOW, **more: object) -> dict[str, Finding]:
    found = diagnose(configuration.certificates["shop"], configuration, now, **more)  # type: ignore[arg-type]
    assert all(one.remedy for one in found)
    return {one.kind: one for one in found}


class TestChains:
    def test_they_are_put_into_order_whatever_order_the_intermediates_are_in(self) -> None:
        wanted = [one.certificate for one in (SHOP, INNER, OUTER)]
        assert chain(SHOP, ROOT, OUTER, INNER) == chain(SHOP, INNER, OUTER) == wanted

    def test_they_end_where_a_link_is_missing(self) -> None:
        assert chain(SHOP, OUTER, ROOT) == [SHOP.certificate]
        assert chain(SHOP, INNER, ROOT) == [SHOP.certificate, INNER.certificate]

    def test_the_signature_decides_and_not_the_name(self) -> None:
        impostor = authority("Chains Inner", issuer=ROOT)
        assert impostor.certificate.subject == INNER.certificate.subject
        assert chain(SHOP, impostor, INNER) == [SHOP.certificate, INNER.certificate]
        assert chain(SHOP, impostor) == [SHOP.certificate]

    def test_the_renewed_certificate_of_an_authority_takes_the_place_of_the_old_one(self) -> None:
        old, renewed = signed(INNER, OUTER, days=10), signed(INNER, OUTER, days=100)
        assert chain(SHOP, old, renewed)[1] == chain(SHOP, renewed, old)[1] == renewed.certificate
        own = complete_chain(SHOP.certificate, [old.certificate], Authorities([renewed.certificate]))
        assert own[1] == renewed.certificate

    def test_an_authority_signed_by_another_too_is_sent_and_its_root_is_not(self) -> None:
        other = authority("Chains Other Root")
        crossed = signed(OUTER, other)
        root = signed(OUTER, OUTER)
        # the same key with its own signature, by another, and by its own root
        assert chain(INNER, Certified(root.certificate, OUTER.key, None), crossed)[1] == crossed.certificate

    def test_authorities_that_sign_each_other_do_not_go_on_for_ever(self) -> None:
        one, two = signed(OUTER, INNER), signed(INNER, OUTER)
        assert len(chain(SHOP, one, two)) == 3


class TestIntermediates:
    def test_several_of_one_file_are_numbered_and_what_is_there_is_passed_over(self) -> None:
        made = apply(AddIntermediates("inner", [INNER.certificate]))
        made = apply(AddIntermediates("bundle", [INNER.certificate, OUTER.certificate, ROOT.certificate]), to=made)
        assert list(made.intermediates) == ["inner", "bundle-2", "bundle-3"]

    def test_a_name_is_taken_once(self) -> None:
        made = apply(AddIntermediates("inner", [INNER.certificate]))
        with pytest.raises(ConflictError):
            apply(AddIntermediates("inner", [OUTER.certificate]), to=made)
        replaced = apply(AddIntermediates("inner", [OUTER.certificate], replace=True), to=made)
        assert replaced.intermediates["inner"].parsed == OUTER.certificate
        with pytest.raises(NotFound):
            apply(AddIntermediates("outer", [OUTER.certificate], replace=True), to=made)

    def test_a_server_s_certificate_is_none(self) -> None:
        with pytest.raises(OperatorError) as caught:
            apply(AddIntermediates("shop", [SHOP.certificate]))
        assert "may not sign others" in caught.value.message

    def test_they_are_removed(self) -> None:
        made = apply(AddIntermediates("inner", [INNER.certificate]), RemoveIntermediate("inner"))
        assert made.intermediates == {}
        with pytest.raises(NotFound):
            apply(RemoveIntermediate("inner"), to=made)


class TestDiagnosis:
    def test_nothing_is_wrong_with_a_good_one(self) -> None:
        roots = Authorities([ROOT.certificate])
        assert findings(holding(SHOP, "key leaf chain"), roots=roots, host="a.shop.example", key_fits=True) == {}
        assert findings(holding(SHOP, "key leaf", INNER, OUTER, ROOT), roots=Authorities(())) == {}

    def test_a_missing_link_is_named_with_the_place_it_says_it_is_at(self) -> None:
        access = x509.AuthorityInformationAccess(
            [
                x509.AccessDescription(
                    AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier("http://ca.example/i.crt")
                )
            ]
        )
        names = x509.SubjectAlternativeName([x509.DNSName("shop.example")])
        found = findings(holding(signed(SHOP, INNER, extensions=[access, names]), "key leaf"))
        assert found["missing-issuer"].severity == "error"
        assert "CN=Chains Inner" in found["missing-issuer"].text
        assert "http://ca.example/i.crt" in found["missing-issuer"].remedy
        further = findings(holding(SHOP, "key leaf", INNER))["missing-issuer"]
        assert further.severity == "warning"
        assert "CN=Chains Outer" in further.text

    def test_another_authority_of_the_same_name_is_told_from_a_missing_one(self) -> None:
        impostor = authority("Chains Inner", issuer=ROOT)
        found = findings(holding(SHOP, "key leaf", impostor))
        assert "has not signed" in found["wrong-issuer"].text
        assert "missing-issuer" not in found

    @pytest.mark.parametrize(
        ("days", "kind"), [(-2, "not-yet-valid"), (10, None), (350, "expires-soon"), (366, "expired")]
    )
    def test_dates(self, days: int, kind: str | None) -> None:
        found = findings(holding(SHOP, "key leaf chain"), NOW + days * DAY)
        assert set(found) - {"missing-issuer"} == ({kind} if kind else set())

    def test_an_expired_intermediate_is_named(self) -> None:
        old = signed(INNER, OUTER, days=10)
        made = holding(Certified(SHOP.certificate, SHOP.key, old), "key leaf chain", OUTER)
        found = findings(made, NOW + 11 * DAY)["expired"]
        assert "intermediate CN=Chains Inner" in found.text
        mended = apply(AddIntermediates("renewed", [INNER.certificate]), to=made)
        assert "expired" not in findings(mended, NOW + 11 * DAY)

    def test_hosts(self) -> None:
        made = holding(SHOP, "key leaf chain")
        for host, fits in (("SHOP.example.", True), ("b.shop.example", True), ("b.a.shop.example", False)):
            assert ("name-mismatch" not in findings(made, host=host)) == fits

    def test_a_key_of_another(self) -> None:
        assert findings(holding(SHOP, "key leaf chain"), key_fits=False)["key-mismatch"].severity == "error"

    def test_weak_keys_and_signatures_are_warned_of(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
        old = SHOP.certificate
        made = (
            x509.CertificateBuilder()
            .subject_name(old.subject)
            .issuer_name(INNER.certificate.subject)
            .public_key(key.public_key())
            .serial_number(7)
            .not_valid_before(old.not_valid_before_utc)
            .not_valid_after(old.not_valid_after_utc)
            .sign(INNER.key, hashes.SHA256())
        )
        assert [one.kind for one in weaknesses(made, "It")] == ["weak-key"]
        assert "1024 bits" in next(weaknesses(made, "It")).text
        sha1 = x509.load_pem_x509_certificate(SHA1)
        assert "weak-signature" in [one.kind for one in weaknesses(sha1, "It")]

    def test_what_has_no_names_and_what_is_not_for_servers(self) -> None:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        found = findings(holding(signed(SHOP, INNER, extensions=[usage]), "key leaf chain"))
        assert {"no-names", "no-server-usage"} <= set(found)

    def test_a_self_signed_one_is_called_that(self) -> None:
        assert set(findings(holding(leaf("alone.example"), "key leaf"))) == {"self-signed"}


@pytest.mark.parametrize(
    ("name", "host", "fits"),
    [
        ("a.example", "a.example", True),
        ("*.a.example", "b.a.example", True),
        ("*.a.example", "a.example", False),
        ("*.a.example", "c.b.a.example", False),
        ("*", "example", False),
        ("*.0.0.1", "127.0.0.1", False),
        ("127.0.0.1", "127.0.0.1", True),
    ],
)
def test_names(name: str, host: str, fits: bool) -> None:
    assert covers(name, host) is fits


class TestExpiry:
    @pytest.mark.parametrize(
        ("days", "threshold"),
        [(31, None), (29.5, 30), (14.1, 30), (13.9, 14), (6.5, 7), (1.5, 7), (0.9, 1), (0, 1), (-0.1, 0), (-400, 0)],
    )
    def test_each_threshold_once_the_nearest_that_has_been_passed(self, days: float, threshold: int | None) -> None:
        made = holding(SHOP, "key leaf")
        now = SHOP.certificate.not_valid_after_utc - days * DAY
        found = expiry_warnings(made, now)
        assert [one.threshold for one in found] == ([] if threshold is None else [threshold])
        if found:
            assert (found[0].certificate, found[0].kind) == ("shop", "certificate")
            assert found[0].days_left == int(days // 1)

    def test_intermediates_and_imported_chains_are_warned_of_the_soonest_first(self) -> None:
        soon, sooner = signed(INNER, OUTER, days=20), signed(OUTER, ROOT, days=5)
        made = holding(Certified(SHOP.certificate, SHOP.key, soon), "key leaf chain", sooner)
        found = expiry_warnings(made, NOW)
        assert [(one.kind, one.certificate, one.threshold) for one in found] == [
            ("intermediate", "known0", 7),
            ("certificate", "shop", 30),
        ]
        assert "CN=Chains Inner in the chain of certificate shop" in found[1].text

    def test_the_temporary_one_is_nobody_s_concern(self) -> None:
        alone = leaf("temporary.example")
        made = apply(PutCertificate("0" * 32, read_upload(alone.bundle()), temporary=True), to=Configuration())
        assert expiry_warnings(made, alone.certificate.not_valid_after_utc) == ()


def test_an_intermediate_that_a_service_trusts_clients_by_stays() -> None:
    made = apply(AddIntermediates("inner", [INNER.certificate]), AddService({**HTTP, "ssl_acceleration": True}))
    (index,) = made.services
    service = made.services[index].model_copy(update={"intermediate_certificates": ("inner",)})
    made = Configuration(**{**made.__dict__, "services": {index: service}})
    with pytest.raises(ConflictError):
        apply(RemoveIntermediate("inner"), to=made)
