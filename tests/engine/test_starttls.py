"""Services whose clients begin TLS by STARTTLS: SMTP, IMAP and POP3 with Python's own clients."""

from __future__ import annotations

import contextlib
import imaplib
import poplib
import smtplib
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.engine.rig import Rig, Service, eventually
from tests.support import daemons
from tests.support.certificates import authority, leaf
from tests.support.ports import free_port

from steelyard.model.commands import SetParameters
from steelyard.model.errors import OperatorError

pytestmark = pytest.mark.engine

ROOT = authority()
MAIL = leaf("mail.example", issuer=ROOT)
MODES = {"smtp": 2, "imap": 4, "pop3": 6}


GREETINGS = {
    "smtp": [b"220-mx.example hel", b"lo\r\n220 ", b"mx.example\r\n"],
    "imap": [b"* OK [CAPABILITY IMAP4rev1] ready\r\n"],
    "pop3": [b"+OK <1@mx.example>\r\n"],
}


class MailServer:
    """Says what a mail server would, in plain text, and notes what it hears; `greeting` is said in pieces."""

    @staticmethod
    def at(protocol: str, port: int) -> MailServer:
        """A stand-in for one that runs on a port of this host."""
        found = MailServer.__new__(MailServer)
        found.protocol, found.address, found.port = protocol, "127.0.0.1", port
        return found

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol
        self.greeting = GREETINGS[protocol]
        self.heard: list[bytes] = []
        self._listening = socket.create_server(("127.0.0.1", free_port()))
        self.address, self.port = "127.0.0.1", self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._listening.accept()[0],), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            for piece in self.greeting:
                connection.sendall(piece)
                time.sleep(0.02)
            for text in connection.makefile("rb"):
                self.heard.append(text)
                connection.sendall(self._answer(text.split() or [b""]))

    def _answer(self, words: list[bytes]) -> bytes:
        match self.protocol:
            case "smtp":
                verbs = {b"EHLO": b"250-mx.example\r\n250 SIZE 1000\r\n", b"QUIT": b"221 bye\r\n"}
                return verbs.get(words[0].upper(), b"250 real\r\n")
            case "imap":
                if words[1:2] == [b"CAPABILITY"]:
                    return b"* CAPABILITY IMAP4rev1 REAL\r\n" + words[0] + b" OK done\r\n"
                return words[0] + b" OK real\r\n"
            case _:
                return b"+OK real\r\n"

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def server() -> Iterator[Callable[[str], MailServer]]:
    made: list[MailServer] = []

    def make(protocol: str) -> MailServer:
        made.append(MailServer(protocol))
        return made[-1]

    yield make
    for one in made:
        one.close()


def mail_service(rig: Rig, server: MailServer, **settings: object) -> Service:
    names = rig.started.appliance.snapshot().configuration.certificates
    rig.certificate("mail", MAIL, replace="mail" in names)
    data = {"service_type": "tls", "starttls_mode": MODES[server.protocol], "certificates": ("mail",)}
    members = [{"address": server.address, "port": server.port}]
    return rig.service((), servers=members, ssl_acceleration=True, **{**data, **settings})


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cadata=ROOT.pem.decode())


class Smtp(smtplib.SMTP):
    """Asks for `mail.example` wherever it connects to."""

    def __init__(self, service: Service) -> None:
        super().__init__(service.address, service.port, timeout=8)
        self._host = "mail.example"


def test_smtp(rig: Rig, server: Callable[[str], MailServer]) -> None:
    real = server("smtp")
    service = mail_service(rig, real)
    with Smtp(service) as client:
        assert client.ehlo()[1] == b"[127.0.0.1]\nSTARTTLS"
        assert client.docmd("MAIL", "FROM:<a@b.example>")[0] == 530
        assert client.docmd("STARTTLS", "now")[0] == 501
        assert client.starttls(context=trusting())[0] == 220
        assert client.ehlo()[1] == b"mx.example\nSIZE 1000", "the real server's own answer, without its greeting"
        assert client.docmd("NOOP") == (250, b"real")
        assert isinstance(client.sock, ssl.SSLSocket)
        assert client.sock.version() == "TLSv1.3"
    assert not any(text.startswith(b"MAIL") for text in real.heard), "nothing in plain text gets through"


def test_imap_and_pop3(rig: Rig, server: Callable[[str], MailServer]) -> None:
    imap = mail_service(rig, server("imap"))
    with imaplib.IMAP4(imap.address, imap.port, timeout=8) as client:
        assert "LOGINDISABLED" in client.capabilities
        with pytest.raises(imaplib.IMAP4.error, match="STARTTLS first"):
            client.login("user", "secret")
        client.host = "mail.example"
        client.starttls(ssl_context=trusting())
        assert "REAL" in client.capabilities
        assert client.login("user", "secret")[0] == "OK"
    pop = mail_service(rig, server("pop3"))
    other = poplib.POP3(pop.address, pop.port, timeout=8)
    assert "STLS" in other.capa()
    with pytest.raises(poplib.error_proto, match="STLS first"):
        other.user("user")
    other.host = "mail.example"
    other.stls(context=trusting())
    assert other.user("user") == b"+OK real"
    other.quit()


def said(service: Service, *parts: bytes) -> bytes:
    """Everything the service says to a client that speaks in these parts, until it closes."""
    found = b""
    with socket.create_connection((service.address, service.port), timeout=8) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):
            for part in parts:
                connection.sendall(part)
                time.sleep(0.01)
            connection.shutdown(socket.SHUT_WR)
            while more := connection.recv(65536):
                found += more
    return found


def test_odd_clients(rig: Rig, server: Callable[[str], MailServer]) -> None:
    real = server("smtp")
    service = mail_service(rig, real)
    letters = [bytes([one]) for one in b"ehlo x\r\nquit\r\n"]
    assert said(service, *letters).endswith(b"250 STARTTLS\r\n221 2.0.0 Bye\r\n")
    assert b"530" not in said(service, b"EHLO x\r\nSTARTTLS\r\nMAIL FROM:<evil@example>\r\n"), "no command behind it"
    assert said(service, b"A" * 100_000).count(b"\r\n") <= 1, "no answer to what is no line"
    assert said(service, b"NOOP\r\n" * 100).count(b"250") == 25
    assert said(service) == b"220 [127.0.0.1] ESMTP\r\n"
    assert not real.heard


def test_what_the_real_server_says_instead_of_a_greeting_is_passed_on(
    rig: Rig, server: Callable[[str], MailServer]
) -> None:
    real = server("smtp")
    real.greeting = [b"421 too many\r\n"]
    service = mail_service(rig, real)
    with Smtp(service) as client:
        client.starttls(context=trusting())
        assert client.getreply() == (421, b"too many")
    service.change(enabled=False)
    service.change(enabled=True)


def test_the_client_is_known_behind_it(rig: Rig, server: Callable[[str], MailServer]) -> None:
    """Persistence, reloads, and nobody to go to."""
    real = server("smtp")
    service = mail_service(rig, real, persistence="src")
    with Smtp(service) as client:
        client.starttls(context=trusting())
        rig.do(SetParameters("layer7", {"drain_time": 301}))
        service.change(idle_time=service.setting("idle_time") + 1)
        assert client.ehlo()[0] == 250, "a connection goes on over a reload"
    eventually(lambda: "127.0.0.1" in set(service.records()), "the new worker has learnt the record")
    service.server(real).change(enabled=False)
    assert said(service) == b"", "no greeting without a real server"


def test_what_cannot_be_is_refused(rig: Rig, server: Callable[[str], MailServer]) -> None:
    service = mail_service(rig, server("imap"))
    for changes in ({"ssl_acceleration": False}, {"starttls_mode": 1}, {"starttls_mode": 3}):
        with pytest.raises(OperatorError) as refusal:
            service.change(**changes)
        assert refusal.value.field == "starttls_mode"
    service.change(service_type="gen")
    assert service.setting("starttls_mode") == 0


# one HAProxy is enough: what differs is the mail servers
@pytest.mark.parametrize("haproxy", ["system"], indirect=True)
@pytest.mark.needs("root", "smtpd", "dovecot")
def test_real_mail_servers(rig: Rig) -> None:
    with tempfile.TemporaryDirectory(prefix="sy", dir="/tmp") as folder:
        place = Path(folder)
        place.chmod(0o755)
        pem = place / "mail.pem"
        pem.write_bytes(MAIL.bundle())
        with daemons.opensmtpd(place) as port, Smtp(mail_service(rig, MailServer.at("smtp", port))) as client:
            client.starttls(context=trusting())
            assert client.ehlo()[0] == 250
            assert client.docmd("MAIL", "FROM:<a@mail.example>")[0] == 250
        with daemons.dovecot(place, pem) as ports:
            imap = mail_service(rig, MailServer.at("imap", ports["imap"]))
            with imaplib.IMAP4(imap.address, imap.port, timeout=8) as found:
                found.host = "mail.example"
                found.starttls(ssl_context=trusting())
                assert found.noop()[0] == "OK"
            pop = mail_service(rig, MailServer.at("pop3", ports["pop3"]))
            other = poplib.POP3(pop.address, pop.port, timeout=8)
            other.host = "mail.example"
            other.stls(context=trusting())
            assert other.capa()
            other.quit()
