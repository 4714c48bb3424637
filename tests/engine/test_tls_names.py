"""Names in TLS: which certificate a client is shown, which name a real server is asked for (`behaviour.md`, 10)."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest
from tests.engine.rig import Rig, Service
from tests.support.certificates import authority, leaf
from tests.support.clients import Http2Client, fetch_h2, tls_hello_fetch
from tests.support.origin import Origin, TcpOrigin
from tests.support.ports import free_ports
from tests.support.tls_client import Hello, client_context

pytestmark = pytest.mark.engine

ROOT = authority()
MIDDLE = authority("Steelyard Test Middle", issuer=ROOT)
FIRST = leaf("first.example", issuer=ROOT)
SECOND = leaf("second.example", "*.second.example", issuer=ROOT, kind="ec")
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
#: sums of TLSType that leave one protocol
ONLY_12, ONLY_13 = 1 + 2 + 4 + 16, 1 + 2 + 4 + 8


@pytest.fixture
def tls_rig(rig: Rig) -> Rig:
    """The rig with the certificates `first` (RSA) and `second` (EC, with a wildcard)."""
    rig.certificate("first", FIRST, replace=True)
    rig.certificate("second", SECOND, replace=True)
    return rig


@pytest.fixture
def tls_one() -> Iterator[Origin]:
    """A real server that speaks TLS, with a certificate nobody trusts."""
    with Origin("tls-one", tls=leaf("origin.example").server_context()) as origin:
        yield origin


@pytest.fixture
def tls_two() -> Iterator[Origin]:
    with Origin("tls-two", tls=leaf("origin.example", generation=2).server_context()) as origin:
        yield origin


def _hello(
    service: Service,
    sni: str | None = None,
    *,
    port: int | None = None,
    alpn: tuple[str, ...] = (),
    context: ssl.SSLContext | None = None,
) -> Hello:
    return tls_hello_fetch(service.address, port or service.port, sni=sni, alpn=alpn, context=context)


def _only(version: ssl.TLSVersion) -> ssl.SSLContext:
    return client_context(lowest=version, highest=version)


# --- the certificate shown -----------------------------------------------------------------------------------------


def test_names_are_matched_without_regard_to_case_and_with_wildcards(tls_rig: Rig, one: Origin) -> None:
    service = tls_rig.http(one, ssl_acceleration=True, certificates=("first", "second"))
    wanted = {
        "FIRST.example": FIRST,
        "Second.Example": SECOND,
        "any.second.example": SECOND,
        "a.b.second.example": FIRST,  # a wildcard stands for one label
        "unknown.example": FIRST,
        None: FIRST,
    }
    assert {name: _hello(service, name).fingerprint for name in wanted} == {
        name: certified.fingerprint for name, certified in wanted.items()
    }


def test_rsa_and_ec_certificates_of_one_name_serve_clients_of_both_kinds(tls_rig: Rig, one: Origin) -> None:
    rsa, elliptic = leaf("both.example", issuer=ROOT), leaf("both.example", issuer=ROOT, kind="ec")
    tls_rig.certificate("both-rsa", rsa, replace=True)
    tls_rig.certificate("both-ec", elliptic, replace=True)
    service = tls_rig.http(one, ssl_acceleration=True, certificates=("both-rsa", "both-ec"))
    for certified, ciphers in ((rsa, "ECDHE-RSA-AES128-GCM-SHA256"), (elliptic, "ECDHE-ECDSA-AES128-GCM-SHA256")):
        hello = _hello(service, "both.example", context=client_context(highest=V12, ciphers=ciphers))
        assert hello.fingerprint == certified.fingerprint
        assert hello.cipher == ciphers


def test_one_protocol_alone_on_every_port(tls_rig: Rig, one: Origin) -> None:
    ports = free_ports(4)
    service = tls_rig.http(
        one,
        port=ports[0],
        extra_ports=(str(ports[1]), f"{ports[2]}-{ports[3]}"),
        ssl_acceleration=True,
        allow_http2=True,
        certificates=("first", "second"),
    )
    for tls_type, kept, refused in ((ONLY_13, V13, V12), (ONLY_12, V12, V13)):
        service.change(tls_type=tls_type)
        for port in ports:
            hellos = [_hello(service, name, port=port, alpn=("h2",)) for name in (None, "second.example")]
            assert [hello.fingerprint for hello in hellos] == [FIRST.fingerprint, SECOND.fingerprint]
            assert {(hello.version, hello.alpn) for hello in hellos} == {(kept.name.replace("_", "."), "h2")}
            with pytest.raises((ssl.SSLError, ConnectionError)):
                _hello(service, port=port, context=_only(refused))
            assert service.fetch(port=port).json["local"][1] == one.port


def test_application_protocols_are_what_the_service_can_speak(tls_rig: Rig, one: Origin, line_one: TcpOrigin) -> None:
    both = ("h2", "http/1.1")
    http2 = tls_rig.http(one, ssl_acceleration=True, allow_http2=True)
    assert [_hello(http2, alpn=offer).alpn for offer in (both, ("http/1.1",), ("h2",), ())] == [
        "h2",
        "http/1.1",
        "h2",
        None,
    ]
    assert fetch_h2(http2.url).json["version"] == "1.1"
    assert _hello(tls_rig.tcp(line_one, ssl_acceleration=True), alpn=both).alpn is None


def test_plain_text_on_a_tls_port_reaches_no_server(tls_rig: Rig, one: Origin) -> None:
    service = tls_rig.http(one, ssl_acceleration=True, certificates=("first",))
    with service.connect(tls=False) as connection, pytest.raises(ConnectionError):
        connection.request("/")
    assert one.request_count == 0


def test_new_content_is_shown_at_once_and_open_connections_go_on(tls_rig: Rig, one: Origin) -> None:
    """For default and named certificates, another kind of key, another chain, HTTP/1.1 and HTTP/2."""
    old, renewed = (leaf("renewed.example", issuer=ROOT, generation=number) for number in (1, 2))
    other = leaf("renewed.example", issuer=MIDDLE, kind="ec", generation=3)
    tls_rig.certificate("renewed", old, replace=True)
    default, named = (
        tls_rig.http(one, ssl_acceleration=True, allow_http2=True, certificates=names)
        for names in (("renewed",), ("first", "renewed"))
    )
    with default.connect() as connection, Http2Client() as http2, tls_rig.without_reload():
        assert connection.request("/").fingerprint == old.fingerprint
        number = http2.request(default.url).json["connection"]
        for version in (renewed, other):
            tls_rig.certificate("renewed", version, replace=True)
            for service in (default, named):
                hello = _hello(service, "renewed.example")
                assert hello.fingerprint == version.fingerprint
                assert len(hello.chain) == 1 + len(version.intermediates)
            assert _hello(default).fingerprint == version.fingerprint
            assert _hello(named).fingerprint == FIRST.fingerprint
            assert connection.request("/").fingerprint == old.fingerprint
            assert http2.request(default.url).json["connection"] == number


def test_a_name_that_new_content_brings_is_served_without_a_reload(tls_rig: Rig, one: Origin) -> None:
    old, new = leaf("old.example", issuer=ROOT), leaf("old.example", "new.example", issuer=ROOT)
    tls_rig.certificate("names", old, replace=True)
    service = tls_rig.http(one, ssl_acceleration=True, certificates=("first", "names"))
    assert _hello(service, "new.example").fingerprint == FIRST.fingerprint
    with tls_rig.without_reload():
        tls_rig.certificate("names", new, replace=True)
        assert _hello(service, "new.example").fingerprint == new.fingerprint
        tls_rig.certificate("names", old, replace=True)
        assert _hello(service, "new.example").fingerprint == FIRST.fingerprint


# --- the name asked for --------------------------------------------------------------------------------------------


def test_each_client_s_name_is_passed_on_and_never_another_s(tls_rig: Rig, tls_one: Origin, tls_two: Origin) -> None:
    service = tls_rig.http(tls_one, ssl_acceleration=True, ssl_reencrypt=True, pass_sni=True, allow_http2=True)
    names = ["a.example", None, "b.example", "a.example", None]
    # one after the other: a TLS session with the server that is resumed must not bring the last client's name along
    assert [service.fetch(sni=name).json["sni"] for name in names] == names
    assert fetch_h2(service.url, sni="c.example").json["sni"] == "c.example"
    with service.connect(sni="a.example") as first, service.connect(sni="b.example") as second:
        for _ in range(2):
            assert first.request("/", host="b.example").json["sni"] == "a.example"
            assert second.request("/").json["sni"] == "b.example"
    with tls_rig.without_reload():
        service.add(tls_two).wait_until("up")
        service.server(tls_one).remove()
        replies = [service.fetch(sni=name) for name in names]
    assert [(reply.name, reply.json["sni"]) for reply in replies] == [("tls-two", name) for name in names]


def test_a_fixed_name_is_asked_for_whatever_the_client_asked(tls_rig: Rig, tls_one: Origin) -> None:
    service = tls_rig.http(
        tls_one, ssl_acceleration=True, ssl_reencrypt=True, pass_sni=True, reencrypt_sni="inner-1.example"
    )
    assert {service.fetch(sni=sni).json["sni"] for sni in ("a.example", "b.example", None)} == {"inner-1.example"}
    service.change(reencrypt_sni="")
    assert service.fetch(sni="a.example").json["sni"] == "a.example"
    service.change(pass_sni=False)
    assert service.fetch(sni="a.example").json["sni"] is None


def test_generic_services_encrypt_again_too(tls_rig: Rig, tls_one: Origin) -> None:
    both_sides = tls_rig.tcp(tls_one, ssl_acceleration=True, ssl_reencrypt=True, pass_sni=True, certificates=("first",))
    reply = both_sides.fetch(sni="first.example", ca=ROOT)
    assert (reply.fingerprint, reply.json["tls"], reply.json["sni"]) == (FIRST.fingerprint, True, "first.example")
    reverse = tls_rig.tcp(tls_one, ssl_reverse=True, reencrypt_sni="inner.example")
    assert reverse.fetch().json["sni"] == "inner.example"


def test_encryption_to_the_servers_is_switched_on(tls_rig: Rig, one: Origin, tls_one: Origin) -> None:
    service = tls_rig.http(one, ssl_acceleration=True)
    assert service.fetch().json["tls"] is False
    service.change(ssl_reencrypt=True)
    assert service.fetch().status == 503, "a server that speaks plain text cannot be reached"
    service.add(tls_one).wait_until("up")
    service.server(one).remove()
    assert service.fetch().json["tls"] is True


def test_a_stream_that_passes_through_keeps_its_name(tls_rig: Rig, tls_one: Origin) -> None:
    service = tls_rig.tcp(tls_one)
    for name in ("origin.example", "other.example", None):
        with service.connect(tls=True, sni=name) as connection:
            reply = connection.request("/")
        assert (reply.fingerprint, reply.json["sni"]) == (leaf("origin.example").fingerprint, name)
