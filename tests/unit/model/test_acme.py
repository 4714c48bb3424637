"""ACME as an operator says it, and when something is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.support.certificates import authority, leaf

from steelyard.model.acme_account import AcmeAccount
from steelyard.model.acme_certificate import AcmeCertificate, Proof
from steelyard.model.acme_dns import DnsProvider, split_server
from steelyard.model.acme_problem import remedy_for
from steelyard.model.acme_renewal import LONGEST_RETRY, names_of, renewal_at, retry_after
from steelyard.model.commands import (
    AcmeSecret,
    AddAcmeCertificate,
    AddService,
    ChangeAcmeAccount,
    KeepRegistration,
    RemoveService,
)
from steelyard.model.configuration import Configuration, document_of, objects_of
from steelyard.model.errors import ConflictError, OperatorError


def ordered(**settings: object) -> AcmeCertificate:
    return AcmeCertificate.make({"name": "shop", **settings})


def test_each_name_has_its_proof() -> None:
    names = ("a.example.com", "b.example.com", "*.c.example.com")
    assert ordered(domains=names[:2], challenge_services=(3,)).proofs() == (
        Proof(names[0], "http-01", 3),
        Proof(names[1], "http-01", 3),
    )
    mixed = ordered(domains=names, challenge_services=(3, 4, 0), dns_provider="ns").proofs()
    assert [(one.kind, one.service) for one in mixed] == [("http-01", 3), ("http-01", 4), ("dns-01", 0)]
    assert {one.kind for one in ordered(domains=names, dns_provider="ns").proofs()} == {"dns-01"}


def test_names_are_of_one_spelling() -> None:
    assert ordered(domains=("Shop.Example.COM.",), challenge_services=(1,)).domains == ("shop.example.com",)


@pytest.mark.parametrize(
    "domains", [(), ("a.b",) * 2, ("10.0.0.1",), ("nodots",), ("a b.c",), ("*.*.c.d",), ("a" * 64 + ".example",)]
)
def test_what_is_no_name_is_refused(domains: tuple[str, ...]) -> None:
    with pytest.raises(OperatorError) as refusal:
        ordered(domains=domains, challenge_services=(1,))
    assert refusal.value.field == "domains" and refusal.value.allowed


@pytest.mark.parametrize("life_days", [1, 6, 90, 398])
@pytest.mark.parametrize("renew_days", [1, 30, 60])
def test_a_certificate_is_never_renewed_at_once_for_its_short_life(renew_days: int, life_days: int) -> None:
    """Let's Encrypt has certificates of six days; a renew period of 30 must not order them in a loop."""
    certificate = leaf("short.example", issuer=authority(), kind="ec", days=(0, life_days)).certificate
    at = renewal_at(certificate, renew_days)
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert certificate.not_valid_before_utc + life / 2 < at < certificate.not_valid_after_utc


def test_failures_are_tried_again_less_and_less_often() -> None:
    waits = [retry_after(failures, 0.5) for failures in range(1, 12)]
    assert waits[:3] == [timedelta(minutes=15), timedelta(minutes=30), timedelta(hours=1)]
    assert waits == sorted(waits) and waits[-1] == LONGEST_RETRY
    assert retry_after(1, 0.0) < retry_after(1, 1.0)


def test_names_of_a_certificate() -> None:
    assert names_of(leaf("shop.example", "*.shop.example").certificate) == {"shop.example", "*.shop.example"}


def test_servers_are_written_in_every_usual_way() -> None:
    assert split_server("192.0.2.1") == ("192.0.2.1", 53)
    assert split_server("192.0.2.1:5353") == ("192.0.2.1", 5353)
    assert split_server("2001:db8::1") == ("2001:db8::1", 53)
    assert split_server("[2001:DB8::1]:54") == ("2001:db8::1", 54)
    made = DnsProvider.make({"name": "ns", "program": "x", "check_servers": ("[2001:DB8::1]", "192.0.2.1:54")})
    assert made.check_servers == ("[2001:db8::1]", "192.0.2.1:54")
    assert made.asked() == (("2001:db8::1", 53), ("192.0.2.1", 54))


def test_remedies_are_of_the_way_of_the_proof() -> None:
    assert "port 80" in remedy_for("connection", "http-01")
    assert "record" in remedy_for("incorrectResponse", "dns-01")
    assert "kid" in remedy_for("unauthorized")
    assert remedy_for("something new")


def registered() -> Configuration:
    configuration = Configuration()
    for command in (
        ChangeAcmeAccount("own", {"directory_url": "https://ca.example/dir"}),
        KeepRegistration("own", "https://ca.example/dir", "https://ca.example/1", AcmeSecret("k", b"key")),
        AddService({"address": "10.0.0.1", "port": 80, "service_type": "http"}),
    ):
        configuration = command.apply(configuration).configuration
    return configuration


def test_another_directory_ends_a_registration() -> None:
    configuration = registered()
    assert configuration.acme_accounts["own"].registered
    moved = ChangeAcmeAccount("own", {"directory_url": "https://other.example/dir"}).apply(configuration)
    assert not moved.configuration.acme_accounts["own"].registered
    same = ChangeAcmeAccount("own", {"email": "a@example.com"}).apply(configuration)
    assert same.configuration.acme_accounts["own"].registered
    with pytest.raises(ConflictError, match="register it again"):
        KeepRegistration("own", "https://ca.example/dir", "https://ca.example/1", AcmeSecret("k", b"key")).apply(
            moved.configuration
        )


def test_a_service_that_is_gone_leaves_the_order_valid() -> None:
    settings = {"name": "shop", "account": "own", "domains": ["a.example.com"], "challenge_services": [1]}
    configuration = AddAcmeCertificate(settings).apply(registered()).configuration
    without = RemoveService(1).apply(configuration).configuration
    assert without.acme_certificates["shop"].challenge_services == (1,)


def test_secrets_are_kept_apart() -> None:
    change = ChangeAcmeAccount("own", {}, AcmeSecret("random", b"the hmac key")).apply(registered())
    assert change.secrets == {"acme/random": b"the hmac key"}
    documents = [document_of(value) for _, _, value in objects_of(change.configuration)]
    assert "the hmac key" not in str(documents) and "the hmac key" not in repr(change)


@pytest.mark.parametrize("url", ["http://ca.example/", "ca.example", "https://", "https://a b/", "file:///etc/passwd"])
def test_directories_are_https(url: str) -> None:
    with pytest.raises(OperatorError):
        AcmeAccount.make({"name": "a", "directory_url": url})


def test_a_moment_is_of_utc() -> None:
    certificate = leaf("utc.example").certificate
    assert renewal_at(certificate, 30).tzinfo == UTC and renewal_at(certificate, 30) > datetime.now(UTC)
