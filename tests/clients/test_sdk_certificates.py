"""The official Python SDK: certificates and HTTPS services, checked by real TLS clients."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from tests.clients.sdk_session import SdkRaised, SdkSession
from tests.clients.traffic import wait_for_origins
from tests.clients.waiting import eventually_equal
from tests.support.api_clients import LoadMasterClient
from tests.support.certificates import Certified, authority, leaf
from tests.support.clients import fetch
from tests.support.origin import Origin
from tests.support.tls_client import client_context, tls_hello_fetch

pytestmark = [pytest.mark.client, pytest.mark.needs("haproxy")]

SHOP = ("shop.example", "*.shop.example")


def chained(*names: str) -> Certified:
    return leaf(*names, issuer=authority("SDK Middle", issuer=authority("SDK Root")))


def upload(sdk: SdkSession, directory: Path, name: str, certified: Certified) -> None:
    """`cert`: imported through the SDK, which reads the file itself."""
    file = certified.write(directory, name)
    sdk("cert = lm.create_certificate(name, file); cert.save()", name=name, file=str(file))


def make_https(sdk: SdkSession, port: int, one: Origin) -> None:
    """`vs`: HTTPS with the self-signed certificate, as the SDK's first save leaves it."""
    sdk(
        """
        vs = lm.create_virtual_service("127.0.0.1", port, "tcp")
        vs.vstype = "http"
        vs.sslacceleration = "Y"
        vs.save()
        vs.create_real_server("127.0.0.1", rsport).save()
        """,
        port=port,
        rsport=one.port,
    )
    wait_for_origins(port, "one", tls=True)


def shown(port: int, sni: str | None = None) -> str:
    return tls_hello_fetch("127.0.0.1", port, sni=sni).fingerprint


def test_a_https_service_starts_with_the_self_signed_certificate(
    sdk: SdkSession, lm: LoadMasterClient, one: Origin, port: int
) -> None:
    make_https(sdk, port, one)
    assert sdk("[vs.sslacceleration, vs.certfile]") == ["Y", []]
    assert fetch(f"https://127.0.0.1:{port}/").name == "one"
    before = shown(port)
    name = lm.must("showvs", vs=1).text("CertFile") or ""
    assert len(name) == 32
    assert not set(name) - set("0123456789abcdef")
    # The SDK now sends `certfile=`: that must keep the self-signed one.
    sdk("vs.update()")
    assert lm.must("showvs", vs=1).text("CertFile") == name
    assert fetch(f"https://127.0.0.1:{port}/").name == "one"
    assert shown(port) == before


def test_an_assigned_certificate_is_what_clients_see(sdk: SdkSession, tmp_path: Path, one: Origin, port: int) -> None:
    certified = chained(*SHOP)
    upload(sdk, tmp_path, "shop", certified)
    make_https(sdk, port, one)

    sdk("vs.certfile = 'shop'; vs.update()")

    assert sdk("vs.certfile") == ["shop"]
    eventually_equal(lambda: shown(port, "www.shop.example"), certified.fingerprint)
    reply = fetch(f"https://shop.example:{port}/", connect_to=("127.0.0.1", port), ca=authority("SDK Root"))
    assert (reply.name, reply.fingerprint) == ("one", certified.fingerprint)


def test_several_certificates_are_chosen_by_the_clients_name(
    sdk: SdkSession, tmp_path: Path, one: Origin, port: int
) -> None:
    shop, news = chained(*SHOP), chained("news.example")
    upload(sdk, tmp_path, "shop", shop)
    upload(sdk, tmp_path, "news", news)
    make_https(sdk, port, one)

    sdk("vs.certfile = ['shop', 'news']; vs.update()")

    assert sdk("vs.certfile") == ["shop", "news"]
    eventually_equal(lambda: shown(port, "news.example"), news.fingerprint)
    assert shown(port, "shop.example") == shop.fingerprint
    assert shown(port, "elsewhere.example") == shop.fingerprint
    assert shown(port) == shop.fingerprint

    sdk("again = lm.get_virtual_service(index=vs.index); again.update()")
    assert sdk("again.certfile") == ["shop", "news"]
    assert shown(port, "news.example") == news.fingerprint


def test_a_whole_tls_record_read_back_changes_nothing(
    sdk: SdkSession, lm: LoadMasterClient, tmp_path: Path, one: Origin, port: int
) -> None:
    upload(sdk, tmp_path, "shop", chained(*SHOP))
    make_https(sdk, port, one)
    lm.must("modvs", vs=1, CertFile="shop", SSLReencrypt=1, ReverseSNIHostname="inner.example", TLSType=7, AllowHTTP2=1)
    before = lm.must("showvs", vs=1).body
    sdk("again = lm.get_virtual_service(index=vs.index); again.update(); again.refresh(); again.update()")
    assert lm.must("showvs", vs=1).body == before


def test_tls_off_again_speaks_plain_http(
    sdk: SdkSession, lm: LoadMasterClient, tmp_path: Path, one: Origin, port: int
) -> None:
    upload(sdk, tmp_path, "shop", chained(*SHOP))
    make_https(sdk, port, one)
    sdk("vs.certfile = 'shop'; vs.update()")

    sdk("vs.sslacceleration = 'N'; vs.update()")

    wait_for_origins(port, "one")
    assert lm.must("showvs", vs=1).text("CertFile") is None
    sdk("cert.delete()")


def test_deleting_a_certificate_in_use_is_refused(
    sdk: SdkSession, lm: LoadMasterClient, tmp_path: Path, one: Origin, port: int
) -> None:
    certified = chained(*SHOP)
    upload(sdk, tmp_path, "shop", certified)
    make_https(sdk, port, one)
    sdk("vs.certfile = 'shop'; vs.update()")
    eventually_equal(lambda: shown(port), certified.fingerprint)

    with pytest.raises(SdkRaised, match=r"^Certfile still associated with a VS$") as raised:
        sdk("cert.delete()")
    assert (raised.value.kinds[0], raised.value.status) == ("KempTechApiException", 422)
    assert shown(port) == certified.fingerprint

    sdk("vs.certfile = []; vs.update(); cert.delete()")
    assert sdk("list(lm.certificates)") == []
    assert len(lm.must("showvs", vs=1).text("CertFile") or "") == 32
    with pytest.raises(SdkRaised, match=r"^Unknown certificate$"):
        sdk("cert.delete()")


def test_certificates_are_listed_with_their_modulus(sdk: SdkSession, tmp_path: Path) -> None:
    assert sdk("list(lm.certificates)") == []
    certified = chained(*SHOP)
    upload(sdk, tmp_path, "shop", certified)
    assert sdk("[[name, found.modulus] for name, found in lm.certificates.items()]") == [
        ["shop", f"{certified.certificate.public_key().public_numbers().n:X}"]  # type: ignore[union-attr]
    ]
    upload(sdk, tmp_path, "curve", leaf("curve.example", kind="ec"))
    assert sdk("sorted(lm.certificates)") == ["curve", "shop"]


def test_pkcs12_with_its_password(sdk: SdkSession, tmp_path: Path, one: Origin, port: int) -> None:
    certified = chained(*SHOP)
    file = tmp_path / "shop.pfx"
    file.write_bytes(certified.pkcs12(b"open sesame&=+"))
    upload_it = "cert = lm.create_certificate('shop', file, word); cert.save()"
    with pytest.raises(SdkRaised, match="password") as raised:
        sdk(upload_it, file=str(file), word="wrong")
    assert raised.value.status == 422

    sdk(upload_it, file=str(file), word="open sesame&=+")

    make_https(sdk, port, one)
    sdk("vs.certfile = 'shop'; vs.update()")
    eventually_equal(lambda: shown(port), certified.fingerprint)
    sdk("vs.delete(); cert.delete()")


def test_the_same_name_twice_is_refused(sdk: SdkSession, tmp_path: Path) -> None:
    upload(sdk, tmp_path, "shop", chained(*SHOP))
    with pytest.raises(SdkRaised, match="already exists") as raised:
        upload(sdk, tmp_path, "shop", chained("news.example"))
    assert raised.value.status == 422


@pytest.mark.parametrize(
    ("parts", "text"),
    [("leaf chain", "no private key"), ("key", "no certificate"), ("", "empty")],
)
def test_an_upload_that_is_not_whole_is_refused_with_the_reason(
    sdk: SdkSession, tmp_path: Path, parts: str, text: str
) -> None:
    file = tmp_path / "broken.pem"
    file.write_bytes(chained(*SHOP).bundle(parts))
    with pytest.raises(SdkRaised, match=text) as raised:
        sdk("lm.create_certificate('broken', file).save()", file=str(file))
    assert raised.value.status == 422
    assert sdk("list(lm.certificates)") == []


def test_intermediates_complete_the_chain_that_clients_get(
    sdk: SdkSession, tmp_path: Path, one: Origin, port: int
) -> None:
    certified = chained(*SHOP)
    (tmp_path / "leaf.pem").write_bytes(certified.bundle("key leaf"))
    (tmp_path / "middle.pem").write_bytes(certified.intermediates[0].pem)
    sdk("lm.create_certificate('shop', file).save()", file=str(tmp_path / "leaf.pem"))
    make_https(sdk, port, one)
    sdk("vs.certfile = 'shop'; vs.update()")
    eventually_equal(lambda: shown(port), certified.fingerprint)

    sdk("lm.create_intermediate_certificate('middle', file).save()", file=str(tmp_path / "middle.pem"))

    hello = tls_hello_fetch("127.0.0.1", port)
    assert list(hello.chain) == [certified.certificate, certified.intermediates[0].certificate]
    assert (
        fetch(f"https://shop.example:{port}/", connect_to=("127.0.0.1", port), ca=authority("SDK Root")).name == "one"
    )
    assert sdk("[found.certname for found in lm.get_intermediate_certificates()]") == ["middle"]
    sdk("lm.get_intermediate_certificates()[0].delete()")
    assert len(tls_hello_fetch("127.0.0.1", port).chain) == 1


def test_certificates_are_backed_up_and_restored(sdk: SdkSession, tmp_path: Path) -> None:
    upload(sdk, tmp_path, "shop", chained(*SHOP))
    file = tmp_path / "backup"
    sdk("lm.backup_cert('password1', file)", file=str(file))
    assert file.read_bytes().startswith(b"STEELYARD-CERTIFICATES")
    sdk("cert.delete()")
    with pytest.raises(SdkRaised, match="pass phrase") as raised:
        sdk("lm.restore_cert('password2', file)", file=str(file))
    assert raised.value.status == 422
    sdk("lm.restore_cert('password1', file)", file=str(file))
    assert sdk("list(lm.certificates)") == ["shop"]


def test_an_assignment_of_an_unknown_certificate_is_refused(sdk: SdkSession, one: Origin, port: int) -> None:
    make_https(sdk, port, one)
    before = shown(port)
    with pytest.raises(SdkRaised, match="nowhere") as raised:
        sdk("vs.certfile = 'nowhere'; vs.update()")
    assert raised.value.status == 422
    assert shown(port) == before


def test_a_cipher_set_is_made_and_used(sdk: SdkSession, one: Origin, port: int) -> None:
    make_https(sdk, port, one)
    sdk("lm.create_cipherset('mine', ['ECDHE-RSA-AES128-SHA256', 'ECDHE-ECDSA-AES128-SHA256'])")
    sdk("vs.cipherset = 'mine'; vs.update()")
    context = client_context(highest=ssl.TLSVersion.TLSv1_2)
    eventually_equal(lambda: tls_hello_fetch("127.0.0.1", port, context=context).cipher, "ECDHE-ECDSA-AES128-SHA256")
    with pytest.raises(SdkRaised, match="BOGUS"):
        sdk("lm.create_cipherset('mine', ['BOGUS'])")
