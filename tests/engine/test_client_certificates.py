"""Clients that have to show a certificate, and what real servers hear of it (`reference/behaviour.md`, section 10)."""

from __future__ import annotations

import base64
import itertools
import ssl
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from tests.engine.rig import Rig, Service, eventually
from tests.support.certificates import Certified, authority, forged, leaf, revocation_list
from tests.support.clients import Headers, Http2Client, Reply
from tests.support.origin import Origin, TcpOrigin
from tests.support.tls_client import client_context, tls_hello_fetch

from steelyard.model.commands import (
    AddIntermediates,
    CreateSubService,
    PutRevocationList,
    RemoveIntermediate,
    RemoveRevocationList,
    SetParameters,
)
from steelyard.model.revocation_list import read_revocation_list
from steelyard.plan.trust import SENT_BYTES

pytestmark = pytest.mark.engine

ROOT = authority("Clients Root")
STAFF = authority("Clients Staff", issuer=ROOT)
GUESTS = authority("Clients Guests", issuer=ROOT)
ELSEWHERE = authority("Clients Elsewhere")
ANN = leaf("ann.example", issuer=STAFF, kind="ec")
BOB = leaf("bob.example", issuer=STAFF, kind="ec")
GUEST = leaf("guest.example", issuer=GUESTS, kind="ec")
STRANGER = leaf("stranger.example", issuer=ELSEWHERE, kind="ec")
EXPIRED = leaf("late.example", issuer=STAFF, kind="ec", days=(-30, -1))
#: signed with another key by somebody who calls himself Staff
FORGED = forged("ann.example", as_issuer=STAFF)
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
_numbers = itertools.count(1)


def import_authority(rig: Rig, certified: Certified, name: str | None = None, *, replace: bool = False) -> str:
    name = name or f"ca{next(_numbers)}"
    rig.do(AddIntermediates(name, (certified.certificate,), replace=replace))
    return name


def import_list(rig: Rig, pem: bytes, name: str = "crl", *, replace: bool = False) -> None:
    rig.do(PutRevocationList(name, read_revocation_list(pem), replace=replace))


@pytest.fixture
def staff(rig: Rig) -> Iterator[str]:
    """The name of the authority that signs staff; nothing of it stays behind."""
    name = import_authority(rig, STAFF)
    yield name
    rig.clean()
    configuration = rig.started.appliance.snapshot().configuration
    for one in configuration.revocation_lists:
        rig.do(RemoveRevocationList(one))
    for one in configuration.intermediates:
        rig.do(RemoveIntermediate(one))


def context_of(
    certified: Certified | None, *, version: ssl.TLSVersion | None = None, tickets: bool = True
) -> ssl.SSLContext:
    """A client that shows this certificate with its chain."""
    context = client_context(lowest=version, highest=version, tickets=tickets)
    if certified is not None:
        with tempfile.TemporaryDirectory() as directory:
            context.load_cert_chain(certified.write(Path(directory), "client"))
    return context


def asked_by(service: Service, certified: Certified | None, headers: Headers = ()) -> Reply | None:
    """The answer to a client with that certificate; None when the handshake is refused."""
    try:
        return service.fetch(context=context_of(certified), headers=headers)
    except (ssl.SSLError, ConnectionError):
        return None


def let_in(service: Service, certified: Certified | None) -> bool:
    return asked_by(service, certified) is not None


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_only_clients_of_an_accepted_authority_are_let_in(
    rig: Rig, one: Origin, staff: str, version: ssl.TLSVersion
) -> None:
    service = rig.http(one, ssl_acceleration=True, client_certificates=1)
    everybody = {"ann": ANN, "guest": GUEST, "stranger": STRANGER, "late": EXPIRED, "forged": FORGED, "nobody": None}

    def admitted() -> set[str]:
        found = set()
        for name, certified in everybody.items():
            try:
                service.fetch(context=context_of(certified, version=version))
            except (ssl.SSLError, ConnectionError):
                continue
            found.add(name)
        return found

    assert admitted() == {"ann"}, "an intermediate alone is enough, and its siblings are strangers"
    with rig.without_reload():
        guests = import_authority(rig, GUESTS)
    assert admitted() == {"ann", "guest"}, "every authority that is here counts where none is named"
    service.change(intermediate_certificates=(guests,))
    assert admitted() == {"guest"}
    service.change(client_certificates_optional=True)
    assert admitted() == {"guest", "nobody"}, "what is shown has to be good"
    service.change(client_certificates=0)
    assert admitted() == set(everybody)


def test_why_a_client_was_refused_is_told(rig: Rig, one: Origin, staff: str) -> None:
    import_list(rig, revocation_list(STAFF, BOB))
    service = rig.http(one, ssl_acceleration=True, client_certificates=1)
    assert let_in(service, ANN)
    for certified in (BOB, GUEST, STRANGER, EXPIRED, FORGED, None):
        assert not let_in(service, certified)
    assert service.fetch("/?fail", context=context_of(ANN)).status == 200
    told = rig.await_(rig.started.appliance.refused_clients(service.index))
    assert [(one.subject, one.reason) for one in reversed(told)] == [
        ("CN=bob.example", "it is revoked"),
        ("CN=guest.example", "its authority is not accepted"),
        ("CN=stranger.example", "its authority is not accepted"),
        ("CN=late.example", "it has expired"),
        ("CN=ann.example", "its signature is wrong"),
        ("", "it showed no certificate"),
    ]
    assert {one.client for one in told} == {"127.0.0.1"}
    assert abs(told[0].at - time.time()) < 10
    public = rig.http(one, ssl_acceleration=True)
    assert rig.await_(rig.started.appliance.refused_clients(public.index)) == ()


def test_an_authority_is_exchanged_at_run_time(rig: Rig, one: Origin, staff: str) -> None:
    service = rig.http(one, ssl_acceleration=True, client_certificates=1, intermediate_certificates=(staff,))
    assert let_in(service, ANN)
    with rig.without_reload():
        import_authority(rig, ELSEWHERE, staff, replace=True)
    assert not let_in(service, ANN)
    assert let_in(service, STRANGER)
    service.change(add_via=6)
    assert (let_in(service, ANN), let_in(service, STRANGER)) == (False, True), "a reload keeps it"


def test_many_authorities_still_change_at_run_time_and_more_by_a_reload(rig: Rig, one: Origin, staff: str) -> None:
    service = rig.http(one, ssl_acceleration=True, client_certificates=1)
    many = [authority(f"Clients Many {number}") for number in range(24)]
    size = sum(len(certified.pem) for certified in (STAFF, *many))
    fitting = many[: int(len(many) * (SENT_BYTES - 700) / size)]
    with rig.without_reload():
        rig.do(AddIntermediates("many", [certified.certificate for certified in fitting]))
    assert let_in(service, leaf("many.example", issuer=fitting[-1], kind="ec"))
    rig.do(AddIntermediates("more", [certified.certificate for certified in many[len(fitting) :]]))
    assert let_in(service, leaf("more.example", issuer=many[-1], kind="ec"))
    assert let_in(service, ANN)


def test_real_servers_are_given_the_certificate_and_never_the_client_s_word(rig: Rig, one: Origin, staff: str) -> None:
    service = rig.http(one, ssl_acceleration=True, allow_http2=True, client_certificates=3, pass_cipher=True)
    lies = [
        ("SSL-CLIENT-CERT", "lie"),
        ("X-Client-Cert", "lie"),
        ("ssl_client_cert", "lie"),
        ("X_CLIENT_CERT", "lie"),
        ("X-SSL-ClientSubject", "lie"),
        ("X_SSL_ClientSerialid", "lie"),
    ]

    def heard(certified: Certified | None = ANN) -> dict[str, list[str]]:
        reply = asked_by(service, certified, headers=lies)
        assert reply is not None
        return {
            name: values
            for name, values in reply.seen_headers.items()
            if name.replace("_", "-") in {lie.lower().replace("_", "-") for lie, _ in lies} | {"x-ssl-clientissuer"}
        }

    serial = f"{ANN.serial:X}"
    serial = serial if len(serial) % 2 == 0 else f"0{serial}"
    for mode, header in ((3, "ssl-client-cert"), (4, "x-client-cert")):
        service.change(client_certificates=mode)
        seen = heard()
        (value,) = seen.pop(header)
        assert x509.load_der_x509_certificate(base64.b64decode(value)) == ANN.certificate
        assert not {"ssl-client-cert", "x-client-cert", "ssl_client_cert", "x_client_cert"} & set(seen)
    for mode, header in ((5, "ssl-client-cert"), (6, "x-client-cert")):
        service.change(client_certificates=mode)
        (value,) = heard()[header]
        begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
        assert value.startswith(begin + " ") and value.endswith(" " + end)
        lines = [begin, *value.removeprefix(begin).removesuffix(end).split(), end]
        assert "\n".join(lines) == ANN.pem.decode().strip(), "blanks are the line ends of the PEM text"
    with Http2Client(context=context_of(ANN)) as client:
        reply = client.request(f"{service.url}/", headers=[("x-client-cert", "lie")])
        assert reply.version == "2"
        assert reply.seen_headers["x-client-cert"] == [value]
        assert reply.seen_headers["x-ssl-clientserialid"] == [serial]
    service.change(client_certificates=2, pass_cipher=False)
    seen = heard()
    assert seen["x-ssl-clientsubject"] == ["CN=ann.example"]
    assert seen["x-ssl-clientissuer"] == ["CN=Clients Staff"]
    assert seen["x-ssl-clientserialid"] == [serial]
    assert "x_ssl_clientserialid" not in seen
    service.change(client_certificates=5, client_certificates_optional=True)
    assert not {name for name in heard(None) if "client-cert" in name.replace("_", "-")}, "none was shown"
    service.change(client_certificates=1)
    assert heard()["ssl-client-cert"] == ["lie"], "a service that adds nothing leaves headers alone"


def test_a_subject_with_line_ends_stays_one_header(rig: Rig, one: Origin, staff: str) -> None:
    service = rig.http(one, ssl_acceleration=True, client_certificates=2)
    reply = asked_by(service, leaf("a\r\nX-Admin: yes", issuer=STAFF, kind="ec"))
    assert reply is not None
    assert "x-admin" not in reply.seen_headers
    (subject,) = reply.seen_headers["x-ssl-clientsubject"]
    assert subject == r"CN=a\0D\0AX-Admin: yes"


def test_sub_services_and_services_without_http_are_behind_the_same_door(
    rig: Rig, one: Origin, line_one: TcpOrigin, staff: str
) -> None:
    parent = rig.http(ssl_acceleration=True, client_certificates=6, servers=[])
    sub = rig.do(CreateSubService(parent.index, {"servers": [{"address": one.address, "port": one.port}]}))
    assert sub.key is not None

    def answered() -> Reply | None:
        found = asked_by(parent, ANN)
        return found if found is not None and found.status == 200 else None

    reply = eventually(answered, "the sub-service answers")
    assert reply is not None
    assert reply.seen_headers["x-client-cert"][0].startswith("-----BEGIN CERTIFICATE-----")
    assert not let_in(parent, STRANGER)
    lines = rig.tcp(line_one, ssl_acceleration=True, client_certificates=1)
    with lines.connect(context=context_of(ANN)) as connection:
        connection.socket.sendall(b"hello\n")
        assert connection.socket.recv(64) == b"one: hello\n"
    with pytest.raises((ssl.SSLError, ConnectionError)), lines.connect(context=context_of(STRANGER)) as connection:
        connection.socket.sendall(b"hello\n")
        connection.socket.recv(64)


def test_revoked_certificates_are_refused_and_lists_change_at_run_time(rig: Rig, one: Origin, staff: str) -> None:
    import_authority(rig, ELSEWHERE)
    import_list(rig, revocation_list(STAFF))
    service = rig.http(one, ssl_acceleration=True, client_certificates=1)
    assert let_in(service, ANN) and let_in(service, BOB)
    assert let_in(service, STRANGER), "an authority without a list is not asked for one"
    with rig.without_reload():
        import_list(rig, revocation_list(STAFF, BOB, days=(-0.5, 5)), replace=True)
    assert let_in(service, ANN)
    assert not let_in(service, BOB)
    service.change(add_via=6)
    assert not let_in(service, BOB), "a reload keeps it"
    with rig.without_reload():
        import_list(rig, revocation_list(STAFF, days=(-0.4, -0.1)), replace=True)
    assert not let_in(service, ANN), "a list that is too old says nothing, so nobody of its authority is let in"
    assert let_in(service, STRANGER)
    assert any("crl" in problem for problem in rig.started.appliance.health().problems)
    rig.do(RemoveRevocationList("crl"))
    assert let_in(service, BOB)
    assert not any("crl" in problem for problem in rig.started.appliance.health().problems)


@pytest.mark.parametrize("version", [TLS12, TLS13])
@pytest.mark.parametrize("tickets", [True, False])
def test_no_session_begun_elsewhere_opens_the_door(
    rig: Rig, one: Origin, staff: str, version: ssl.TLSVersion, tickets: bool
) -> None:
    rig.do(SetParameters("tls", {"session_tickets": tickets}))
    try:
        public = rig.http(one, ssl_acceleration=True)
        other = import_authority(rig, ELSEWHERE)
        others = rig.http(one, ssl_acceleration=True, client_certificates=1, intermediate_certificates=(other,))
        service = rig.http(one, ssl_acceleration=True, client_certificates=1, intermediate_certificates=(staff,))
        for door, shown in ((public, None), (others, STRANGER)):
            for own_tickets in (True, False):
                context = context_of(shown, version=version, tickets=own_tickets)
                with door.connect(context=context) as connection:
                    assert connection.request("/").status == 200
                    session = connection.tls_session
                # a session can be resumed with the context it began with; what that shows is not accepted here
                with (
                    pytest.raises((ssl.SSLError, ConnectionError)),
                    service.connect(context=context, session=session) as connection,
                ):
                    connection.request("/")
    finally:
        rig.do(SetParameters("tls", {"session_tickets": True}))


def test_a_revoked_client_cannot_stay_by_resuming(rig: Rig, one: Origin, staff: str) -> None:
    import_list(rig, revocation_list(STAFF))
    service = rig.http(one, ssl_acceleration=True, client_certificates=1)
    for version in (TLS12, TLS13):
        context = context_of(BOB, version=version)
        with service.connect(context=context) as connection:
            connection.request("/")
            session = connection.tls_session
        with service.connect(context=context, session=session) as connection:
            connection.request("/")
            assert isinstance(connection.socket, ssl.SSLSocket)
            assert not connection.socket.session_reused
        assert tls_hello_fetch(service.address, service.port, context=context).resumed is False
