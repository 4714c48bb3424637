"""Clients whose certificates an OCSP responder is asked about (OCSPVerify), with a real responder."""

from __future__ import annotations

import os
import signal
import ssl
from collections.abc import Iterator

import pytest
from tests.engine.rig import Rig, Service, eventually
from tests.engine.test_client_certificates import context_of, import_authority
from tests.support.certificates import Certified, authority, leaf
from tests.support.clients import Http2Client
from tests.support.ocsp_responder import OcspResponder
from tests.support.origin import Origin, TcpOrigin
from tests.support.ports import free_port

from steelyard.model.commands import RemoveIntermediate, SetParameters

pytestmark = [pytest.mark.engine, pytest.mark.needs("openssl")]

STAFF = authority("OCSP Staff")
NOBODY_ASKED = {"ocsp_server": "", "ocsp_port": 0, "ocsp_allow_on_failure": False}


@pytest.fixture
def staff(rig: Rig) -> Iterator[str]:
    name = import_authority(rig, STAFF)
    yield name
    rig.clean()
    rig.do(SetParameters("tls", NOBODY_ASKED))
    rig.do(RemoveIntermediate(name))


def let_in(service: Service, certified: Certified | None) -> bool:
    """TLS is there before the connection is closed, so it is the request that fails."""
    try:
        return service.fetch(context=context_of(certified)).status == 200
    except (ssl.SSLError, ConnectionError, EOFError):
        return False


def ask(rig: Rig, responder: OcspResponder | int, *, allow: bool = False) -> None:
    port = responder if isinstance(responder, int) else responder.port
    where = {"ocsp_server": "127.0.0.1", "ocsp_port": port, "ocsp_allow_on_failure": allow}
    rig.do(SetParameters("tls", where))


def test_revoked_and_unknown_clients_are_refused_and_nobody_else(rig: Rig, one: Origin, staff: str) -> None:
    ann, bob, eve = (leaf(name, issuer=STAFF, kind="ec") for name in ("ann.example", "bob.example", "eve.example"))
    with OcspResponder(STAFF) as responder:
        responder.revokes(bob)
        responder.knows(ann)
        ask(rig, responder)
        service = rig.http(one, ssl_acceleration=True, client_certificates=1)
        assert let_in(service, ann) and let_in(service, bob) and let_in(service, eve), "nobody asks yet"
        service.change(ocsp_verify=True)
        assert let_in(service, ann)
        assert not let_in(service, bob), "revoked"
        assert not let_in(service, eve), "the responder does not know it"
        with Http2Client(context=context_of(ann)) as client:
            assert [client.request(f"{service.url}/").status for _ in range(3)] == [200] * 3
        # what was said is remembered, also by a new process of HAProxy: the responder is not needed again
        responder.stop()
        service.change(name="reloaded", client_certificates_optional=True)
        assert let_in(service, ann) and not let_in(service, bob)
        assert let_in(service, None), "who shows none is not asked about"
        service.change(ocsp_verify=False)
        assert let_in(service, bob)


def test_a_responder_named_in_the_certificate_is_asked_where_none_is_set(rig: Rig, one: Origin, staff: str) -> None:
    with OcspResponder(STAFF) as responder:
        ann = leaf("ann.example", issuer=STAFF, kind="ec", responder=responder.url)
        bob = leaf("bob.example", issuer=STAFF, kind="ec", responder=responder.url)
        silent = leaf("silent.example", issuer=STAFF, kind="ec")
        responder.knows(ann, silent)
        responder.revokes(bob)
        service = rig.http(one, ssl_acceleration=True, client_certificates=1, ocsp_verify=True)
        assert let_in(service, ann)
        assert not let_in(service, bob)
        assert not let_in(service, silent), "it names none, so nobody can be asked"


def test_without_an_answer_the_parameter_decides(
    rig: Rig, one: Origin, staff: str, request: pytest.FixtureRequest
) -> None:
    ann, bob = (leaf(name, issuer=STAFF, kind="ec") for name in ("ann.example", "bob.example"))
    nobody = free_port()
    service = rig.http(one, ssl_acceleration=True, client_certificates=1, ocsp_verify=True)
    ask(rig, nobody)
    assert not let_in(service, ann)
    ask(rig, nobody, allow=True)
    assert let_in(service, ann)
    # an answer that somebody else has signed is none
    with OcspResponder(STAFF, signer=leaf("impostor.example", issuer=authority("Elsewhere"))) as impostor:
        impostor.knows(bob)
        ask(rig, impostor)
        assert not let_in(service, bob)


def test_without_the_checking_process_nobody_answers_and_it_comes_back(rig: Rig, one: Origin, staff: str) -> None:
    ann, bob = (leaf(name, issuer=STAFF, kind="ec") for name in ("ann.example", "bob.example"))
    with OcspResponder(STAFF) as responder:
        responder.knows(ann, bob)
        ask(rig, responder)
        service = rig.http(one, ssl_acceleration=True, client_certificates=1, ocsp_verify=True)
        assert let_in(service, ann)
        process = rig.started.appliance.health().health_pid
        assert process is not None
        os.kill(process, signal.SIGSTOP)
        try:
            assert let_in(service, ann), "HAProxy remembers"
        finally:
            os.kill(process, signal.SIGCONT)
        os.kill(process, signal.SIGKILL)
        eventually(lambda: let_in(service, bob), "the checking process answers again")


def test_a_generic_service_asks_too(rig: Rig, line_one: TcpOrigin, staff: str) -> None:
    ann, bob = (leaf(name, issuer=STAFF, kind="ec") for name in ("ann.example", "bob.example"))
    with OcspResponder(STAFF) as responder:
        responder.revokes(bob)
        responder.knows(ann)
        ask(rig, responder)
        service = rig.tcp(line_one, ssl_acceleration=True, client_certificates=1, ocsp_verify=True)

        def answered(certified: Certified) -> bool:
            with service.connect(context=context_of(certified)) as connection:
                try:
                    connection.socket.sendall(b"hello\n")
                    return connection.socket.recv(100) != b""
                except (ssl.SSLError, ConnectionError):
                    return False

        assert answered(ann)
        assert not answered(bob)
