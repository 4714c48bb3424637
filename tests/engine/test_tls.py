"""TLS with clients and with real servers (`reference/behaviour.md`, section 10)."""

from __future__ import annotations

import itertools
import ssl
from collections.abc import Iterator

import pytest
from cryptography import x509
from tests.engine.rig import Rig, Service
from tests.support.certificates import Certified, authority, leaf
from tests.support.clients import Http2Client, fetch_h2, tls_hello_fetch
from tests.support.load import Load
from tests.support.origin import Origin, TcpOrigin
from tests.support.ports import free_ports
from tests.support.tls_client import client_context

from steelyard.model.certificate import read_upload
from steelyard.model.commands import PutCertificate

pytestmark = pytest.mark.engine

ROOT = authority()
MIDDLE = authority("Steelyard Test Middle", issuer=ROOT)
LOWER = authority("Steelyard Test Lower", issuer=MIDDLE)
SHOP = leaf("shop.example", "www.shop.example", issuer=LOWER)
MAIL = leaf("mail.example", issuer=ROOT, kind="ec")
WILD = leaf("*.wild.example", issuer=ROOT)
_numbers = itertools.count(1)


def _import(rig: Rig, certified: Certified, order: str = "key leaf chain") -> str:
    """Import under a fresh name."""
    name = f"cert{next(_numbers)}"
    rig.do(PutCertificate(name, read_upload(certified.bundle(order))))
    return name


@pytest.fixture
def tls_one() -> Iterator[Origin]:
    with Origin("one", tls=leaf("backend.example").server_context()) as origin:
        yield origin


@pytest.fixture
def tls_two() -> Iterator[Origin]:
    with Origin("two", tls=leaf("backend.example").server_context()) as origin:
        yield origin


def test_tls_ends_here_and_the_server_gets_plain_text(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(one, two, ssl_acceleration=True, certificates=(_import(rig, SHOP),))
    reply = service.fetch(sni="shop.example", ca=ROOT)
    assert reply.json["tls"] is False
    assert reply.fingerprint == SHOP.fingerprint
    assert set(service.names(4)) == {"one", "two"}


def test_a_temporary_certificate_stands_in_until_one_is_assigned(rig: Rig, one: Origin) -> None:
    service = rig.http(one, ssl_acceleration=True)
    shown = tls_hello_fetch(service.address, service.port).certificate
    assert shown.issuer == shown.subject, "self-signed"
    assert service.name() == "one"
    service.change(certificates=(_import(rig, SHOP),))
    assert service.fetch().fingerprint == SHOP.fingerprint
    service.change(certificates=())
    assert service.fetch().certificate == shown


def test_the_name_asked_for_chooses_the_certificate_and_the_first_is_the_default(rig: Rig, one: Origin) -> None:
    service = rig.http(
        one, ssl_acceleration=True, certificates=(_import(rig, SHOP), _import(rig, MAIL), _import(rig, WILD))
    )

    def shown(sni: str | None) -> str:
        return tls_hello_fetch(service.address, service.port, sni=sni).fingerprint

    assert shown("shop.example") == shown("www.shop.example") == SHOP.fingerprint
    assert shown("mail.example") == MAIL.fingerprint
    assert shown("a.wild.example") == WILD.fingerprint
    assert shown("unknown.example") == SHOP.fingerprint
    assert shown(None) == SHOP.fingerprint
    names = service.setting("certificates")
    service.change(certificates=(names[1], names[0], names[2]))
    assert shown(None) == shown("unknown.example") == MAIL.fingerprint
    assert shown("shop.example") == SHOP.fingerprint


@pytest.mark.parametrize(
    "order", ["key leaf chain", "leaf chain key", "reversed-chain leaf key", "chain key leaf root"]
)
def test_the_chain_is_sent_in_order_however_it_was_imported(rig: Rig, one: Origin, order: str) -> None:
    service = rig.http(one, ssl_acceleration=True, certificates=(_import(rig, SHOP, order),))
    hello = tls_hello_fetch(service.address, service.port, sni="shop.example")
    expected: list[x509.Certificate] = [SHOP.certificate, LOWER.certificate, MIDDLE.certificate]
    assert list(hello.chain) == expected
    assert service.fetch(sni="shop.example", ca=ROOT).status == 200


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_rsa_and_elliptic_curve_keys(rig: Rig, one: Origin, kind: str) -> None:
    certified = leaf("keys.example", issuer=ROOT, kind="rsa" if kind == "rsa" else "ec")
    service = rig.http(one, ssl_acceleration=True, certificates=(_import(rig, certified),))
    context = client_context(highest=ssl.TLSVersion.TLSv1_2)
    cipher = tls_hello_fetch(service.address, service.port, sni="keys.example", context=context).cipher
    assert ("ECDSA" in cipher) == (kind == "ec")
    assert service.fetch(sni="keys.example", ca=ROOT).status == 200


V10, V11 = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
_OLD_ON_PURPOSE = pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
#: sum of `TLSType`, None for the default -> what clients can agree on
OFFERED = [
    (None, {V12, V13}),
    (1, {V10, V11, V12, V13}),
    (3, {V11, V12, V13}),
    (7, {V12, V13}),
    (15, {V13}),
    (17, {V10, V11, V12}),
    (19, {V11, V12}),
    (23, {V12}),
    (25, {V10, V11}),
    (27, {V11}),
    (29, {V10}),
]


def _agreed(service: Service, version: ssl.TLSVersion, sni: str | None = None) -> str | None:
    """The suite that a client gets who knows nothing but this protocol, and would take it; None if it is refused."""
    context = client_context(lowest=version, highest=version, ciphers="DEFAULT:@SECLEVEL=0")
    try:
        hello = tls_hello_fetch(service.address, service.port, sni=sni, context=context)
    except (ssl.SSLError, ConnectionError):
        return None
    assert hello.version == version.name.replace("_", ".")
    return hello.cipher


@_OLD_ON_PURPOSE
@pytest.mark.parametrize(("tls_type", "accepted"), OFFERED)
def test_the_protocols_that_are_not_switched_off_are_offered(
    rig: Rig, one: Origin, tls_type: int | None, accepted: set[ssl.TLSVersion]
) -> None:
    settings = {} if tls_type is None else {"tls_type": tls_type}
    names = (_import(rig, SHOP), _import(rig, MAIL))
    service = rig.http(one, ssl_acceleration=True, certificates=names, **settings)
    for sni in ("shop.example", "mail.example"):
        assert {version for version in (V10, V11, V12, V13) if _agreed(service, version, sni)} == accepted


@_OLD_ON_PURPOSE
def test_old_protocols_change_nothing_for_clients_that_know_newer_ones(rig: Rig, one: Origin) -> None:
    names = (_import(rig, SHOP), _import(rig, MAIL))
    service = rig.http(one, ssl_acceleration=True, certificates=names)
    usual = {(v, sni): _agreed(service, v, sni) for v in (V12, V13) for sni in ("shop.example", "mail.example")}
    assert usual[V12, "shop.example"] == "ECDHE-RSA-AES256-GCM-SHA384"
    assert usual[V12, "mail.example"] == "ECDHE-ECDSA-AES256-GCM-SHA384"
    service.change(tls_type=1)
    assert {(v, sni): _agreed(service, v, sni) for v, sni in usual} == usual
    weakest_first = client_context(highest=V12, ciphers="AES128-SHA:ECDHE-RSA-AES256-GCM-SHA384")
    hello = tls_hello_fetch(service.address, service.port, context=weakest_first)
    assert (hello.version, hello.cipher) == ("TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384"), "its order, not the client's"
    everything = client_context(lowest=V10, ciphers="DEFAULT:@SECLEVEL=0")
    assert tls_hello_fetch(service.address, service.port, context=everything).version == "TLSv1.3"


# --- HTTP/2 --------------------------------------------------------------------------------------------------------


def test_http2_is_offered_when_allowed(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(one, two, ssl_acceleration=True, certificates=(_import(rig, SHOP),), allow_http2=True, add_via=1)
    reply = fetch_h2(f"{service.url}/", sni="shop.example", source="127.0.0.8")
    assert reply.version == "2"
    assert reply.json["version"] == "1.1"
    assert reply.seen_headers["x-forwarded-for"] == ["127.0.0.8"]
    assert reply.seen_headers["via"] == ["2.0 steelyard"]
    assert service.fetch().version == "1.1", "clients without ALPN speak HTTP/1.1"
    service.change(allow_http2=False)
    assert tls_hello_fetch(service.address, service.port, alpn=("h2", "http/1.1")).alpn == "http/1.1"


def test_requests_of_one_http2_connection_stay_on_one_server(rig: Rig, one: Origin, two: Origin, three: Origin) -> None:
    for persistence in ("none", "src", "active-cookie"):
        service = rig.http(
            one,
            two,
            three,
            ssl_acceleration=True,
            certificates=(_import(rig, SHOP),),
            allow_http2=True,
            persistence=persistence,
        )
        with Http2Client(sni="shop.example") as client:
            assert len({client.request(f"{service.url}/{number}").name for number in range(8)}) == 1


# --- towards the real servers --------------------------------------------------------------------------------------


def test_reencryption_speaks_tls_to_the_server_without_verifying_it(rig: Rig, tls_one: Origin, tls_two: Origin) -> None:
    service = rig.http(tls_one, tls_two, ssl_acceleration=True, ssl_reencrypt=True, certificates=(_import(rig, SHOP),))
    reply = service.fetch(sni="shop.example")
    assert reply.json["tls"] is True
    assert reply.json["sni"] is None
    assert reply.fingerprint == SHOP.fingerprint
    assert set(service.names(4)) == {"one", "two"}


def test_reencryption_asks_for_a_fixed_name(rig: Rig, tls_one: Origin) -> None:
    service = rig.http(tls_one, ssl_acceleration=True, ssl_reencrypt=True, reencrypt_sni="backend.example")
    assert service.fetch(sni="shop.example").json["sni"] == "backend.example"
    assert service.fetch().json["sni"] == "backend.example"


def test_reencryption_passes_the_client_s_name(rig: Rig, tls_one: Origin) -> None:
    service = rig.http(tls_one, ssl_acceleration=True, ssl_reencrypt=True, pass_sni=True)
    assert service.fetch(sni="shop.example").json["sni"] == "shop.example"
    assert service.fetch(sni="mail.example").json["sni"] == "mail.example"
    assert service.fetch().json["sni"] is None


def test_a_server_is_added_to_a_reencrypting_service_without_reload(rig: Rig, tls_one: Origin, tls_two: Origin) -> None:
    service = rig.http(tls_one, ssl_acceleration=True, ssl_reencrypt=True, reencrypt_sni="backend.example")
    with rig.without_reload():
        service.add(tls_two).wait_until("up")
        replies = [service.fetch() for _ in range(4)]
    assert {reply.name for reply in replies} == {"one", "two"}
    assert {(reply.json["tls"], reply.json["sni"]) for reply in replies} == {(True, "backend.example")}


def test_reversed_ssl_takes_plain_text_and_speaks_tls_to_the_server(rig: Rig, tls_one: Origin) -> None:
    service = rig.http(tls_one, ssl_reverse=True)
    reply = service.fetch()
    assert reply.json["tls"] is True
    assert reply.certificate is None
    service.change(reencrypt_sni="backend.example")
    assert service.fetch().json["sni"] == "backend.example"


def test_without_acceleration_tls_passes_through_untouched(rig: Rig, tls_one: Origin) -> None:
    service = rig.tcp(tls_one)
    with service.connect(tls=True, sni="through.example") as connection:
        reply = connection.request("/")
    assert reply.fingerprint == leaf("backend.example").fingerprint
    assert reply.json["sni"] == "through.example"


def test_a_generic_service_ends_tls_too(rig: Rig, line_one: TcpOrigin) -> None:
    service = rig.tcp(line_one, ssl_acceleration=True, certificates=(_import(rig, SHOP),))
    with service.connect(sni="shop.example", ca=ROOT) as connection:
        connection.socket.sendall(b"secret\n")
        assert connection.socket.recv(64) == b"one: secret\n"


def test_tls_is_on_every_extra_port(rig: Rig, one: Origin) -> None:
    ports = free_ports(3)
    service = rig.http(
        one,
        port=ports[0],
        extra_ports=(f"{ports[1]}-{ports[2]}",),
        ssl_acceleration=True,
        certificates=(_import(rig, SHOP), _import(rig, MAIL)),
    )
    for port in ports:
        assert tls_hello_fetch(service.address, port, sni="mail.example").fingerprint == MAIL.fingerprint
        assert service.fetch(port=port).name == "one"


# --- new content ---------------------------------------------------------------------------------------------------


def test_a_certificate_is_replaced_without_reload_while_connections_go_on(rig: Rig, one: Origin) -> None:
    old = leaf("renewed.example", issuer=ROOT)
    name = _import(rig, old)
    service = rig.http(one, ssl_acceleration=True, certificates=(name,))
    with (
        Load("https1", service.address, service.port, sni="renewed.example") as kept,
        Load("https1-new", service.address, service.port, sni="renewed.example", workers=2) as fresh,
        service.connect(sni="renewed.example") as connection,
    ):
        connection.request("/")
        with rig.without_reload():
            for generation in (2, 3, 4):
                new = leaf(
                    "renewed.example", issuer=LOWER, generation=generation, kind="ec" if generation == 3 else "rsa"
                )
                rig.certificate(name, new, replace=True)
                hello = tls_hello_fetch(service.address, service.port, sni="renewed.example")
                assert hello.fingerprint == new.fingerprint
                assert len(hello.chain) == 3
        assert connection.request("/").status == 200
        kept.wait_for_more(20)
        fresh.wait_for_more(20)
    kept.result().assert_clean(at_least=50)
    fresh.result().assert_clean(at_least=20)
    service.change(add_via=6)
    shown = tls_hello_fetch(service.address, service.port, sni="renewed.example").fingerprint
    assert shown == new.fingerprint, "a reload keeps the new content"


def test_a_certificate_of_two_services_is_replaced_in_both(rig: Rig, one: Origin) -> None:
    name = _import(rig, leaf("both.example"))
    services = [rig.http(one, ssl_acceleration=True, certificates=(name,)) for _ in range(2)]
    new = leaf("both.example", generation=2)
    with rig.without_reload():
        rig.certificate(name, new, replace=True)
    assert {service.fetch().fingerprint for service in services} == {new.fingerprint}


def test_switching_acceleration_off_gives_plain_text(rig: Rig, one: Origin) -> None:
    service = rig.http(one, ssl_acceleration=True, certificates=(_import(rig, SHOP),))
    assert service.fetch().tls_version is not None
    service.change(ssl_acceleration=False)
    assert service.fetch().tls_version is None
