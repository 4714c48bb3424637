"""Real receivers of events: rsyslog, an SMTP server, snmptrapd, and an HTTPS server for webhooks."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from tests.support.ports import free_port

T = TypeVar("T")
_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))


def wait_for(condition: Callable[[], T], what: str, timeout: float = 10.0) -> T:
    """Wait until `condition` gives something true."""
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout} s")
        time.sleep(0.02)
    return found


@contextlib.contextmanager
def _process(arguments: list[str], output: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    program = shutil.which(arguments[0], path=_PATH)
    assert program is not None
    with output.open("wb") as file:
        running = subprocess.Popen(
            [program, *arguments[1:]], stdout=file, stderr=file, env={**os.environ, **environment}
        )
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(5)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


class Rsyslog:
    """rsyslog as a plain process that takes UDP and TCP on one port; `lines` are what it parsed, as JSON."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="rs"))
        self.port = free_port("127.0.0.1")
        self._file = self.directory / "messages"
        self._end = contextlib.ExitStack()
        self._end.callback(shutil.rmtree, self.directory, ignore_errors=True)
        (self.directory / "rsyslog.conf").write_text(f"""
            global(workDirectory="{self.directory}" maxMessageSize="64k")
            module(load="imudp") module(load="imtcp")
            template(name="parsed" type="list" option.jsonf="on") {{
                property(outname="severity" name="syslogseverity" format="jsonf")
                property(outname="facility" name="syslogfacility-text" format="jsonf")
                property(outname="host" name="hostname" format="jsonf")
                property(outname="program" name="app-name" format="jsonf")
                property(outname="kind" name="msgid" format="jsonf")
                property(outname="data" name="structured-data" format="jsonf")
                property(outname="at" name="timereported" dateFormat="rfc3339" format="jsonf")
                property(outname="text" name="msg" format="jsonf")
            }}
            ruleset(name="take") {{ action(type="omfile" file="{self._file}" template="parsed") }}
            input(type="imudp" address="127.0.0.1" port="{self.port}" ruleset="take")
            input(type="imtcp" address="127.0.0.1" port="{self.port}" ruleset="take")
        """)

    def __enter__(self) -> Rsyslog:
        arguments = ["rsyslogd", "-n", "-f", str(self.directory / "rsyslog.conf"), "-i", str(self.directory / "pid")]
        self._end.enter_context(_process(arguments, self.directory / "said"))
        wait_for(self._listens, "rsyslog listens")
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    @property
    def lines(self) -> list[dict[str, str]]:
        try:
            found = self._file.read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in found]

    def wait(self, count: int) -> list[dict[str, str]]:
        """At least so many lines."""
        return wait_for(lambda: found if len(found := self.lines) >= count else None, f"{count} messages") or []


class TlsFront:
    """A port that speaks TLS and hands what comes on to another one in clear."""

    def __init__(self, context: ssl.SSLContext, port: int) -> None:
        self._context, self._to = context, port
        self._listening = socket.create_server(("127.0.0.1", 0 if not port else free_port("127.0.0.1")))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _run(self) -> None:
        while True:
            try:
                accepted, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(accepted,), daemon=True).start()

    def _relay(self, accepted: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            accepted,
            self._context.wrap_socket(accepted, server_side=True) as inside,
            socket.create_connection(("127.0.0.1", self._to)) as onwards,
        ):
            while text := inside.recv(65536):
                onwards.sendall(text)


class Traps:
    """snmptrapd as a plain process; `lines` is what it printed of traps."""

    def __init__(self, *configuration: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="tr"))
        self.port = free_port("127.0.0.1", udp=True)
        self._output = self.directory / "said"
        self._end = contextlib.ExitStack()
        self._end.callback(shutil.rmtree, self.directory, ignore_errors=True)
        (self.directory / "snmptrapd.conf").write_text("\n".join(("authCommunity log public", *configuration, "")))

    def __enter__(self) -> Traps:
        arguments = ["snmptrapd", "-f", "-Lo", "-n", "-On", "-Oa", "-C", "-c", str(self.directory / "snmptrapd.conf")]
        arguments += [f"--persistentDir={self.directory}", f"udp:127.0.0.1:{self.port}"]
        self._end.enter_context(_process(arguments, self._output, MIBS="", MIBDIRS="/nonexistent"))
        wait_for(lambda: "NET-SNMP version" in self.said, "snmptrapd listens")
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()

    @property
    def said(self) -> str:
        try:
            return self._output.read_text("utf-8", "replace")
        except FileNotFoundError:
            return ""


@dataclass
class Mail:
    """One mail that came."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    encrypted: bool
    user: str

    @property
    def text(self) -> str:
        return str(self.message.get_content())


class MailServer:
    """An SMTP server; `mails` are what it took. `refused` are recipients it does not take."""

    def __init__(
        self,
        *,
        starttls: ssl.SSLContext | None = None,
        tls: ssl.SSLContext | None = None,
        must_encrypt: bool = False,
        account: tuple[str, str] | None = None,
    ) -> None:
        self.mails: list[Mail] = []
        self.refused: set[str] = set()
        self.port = free_port("127.0.0.1")
        self._account = account
        options: dict[str, Any] = {"tls_context": starttls, "require_starttls": must_encrypt}
        if account is not None:
            options |= {"authenticator": self._sign_in, "auth_required": True, "auth_require_tls": False}
        self._controller = Controller(self, "127.0.0.1", self.port, ssl_context=tls, **options)
        self._implicit = tls is not None

    def __enter__(self) -> MailServer:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    def _sign_in(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        given = (data.login.decode(), data.password.decode()) if isinstance(data, LoginPassword) else None
        return AuthResult(success=given == self._account, handled=False, auth_data=given and given[0])

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return "550 5.1.1 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes) and envelope.mail_from is not None
        message = message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        encrypted = self._implicit or session.ssl is not None
        self.mails.append(
            Mail(envelope.mail_from, list(envelope.rcpt_tos), message, encrypted, str(session.auth_data or ""))
        )
        return "250 taken"

    def wait(self, count: int = 1, timeout: float = 10.0) -> list[Mail]:
        return wait_for(lambda: self.mails if len(self.mails) >= count else None, f"{count} mails", timeout) or []


@dataclass
class Call:
    """One request that came."""

    headers: dict[str, str]
    body: bytes
    events: list[dict[str, Any]] = field(default_factory=list)


class Hooks:
    """An HTTP or HTTPS server that takes POSTs; `status` is what it answers, `hangs` makes it answer nothing."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.calls: list[Call] = []
        self.status = 204
        self.hangs = threading.Event()
        self._released = threading.Event()
        hooks = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if hooks.hangs.is_set():
                    hooks._released.wait(60)
                    return
                hooks.calls.append(Call(dict(self.headers), body, json.loads(body)["events"]))
                self.send_response(hooks.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", free_port("127.0.0.1")), Handler)
        self._server.daemon_threads = True
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self._server.server_port}/hook"

    def __enter__(self) -> Hooks:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for call in list(self.calls) for event in call.events]
