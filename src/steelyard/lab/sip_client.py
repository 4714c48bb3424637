"""SIP as a lab's clients speak it: one connection, a REGISTER dialog, requests in it. Everything blocks."""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Self

from steelyard.lab.fetching import Dial, dial
from steelyard.lab.names import Names
from steelyard.lab.organisation import Account, Organisation
from steelyard.lab.sip import Message, proof, read

_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_LARGEST = 64 * 1024


@dataclass
class SipClient:
    """A user's client. `call` is the Call-ID of its registration, which outlives connections."""

    organisation: Organisation
    account: Account
    names: Names
    trust: bytes | None = None
    source: str | None = None
    timeout: float = 10.0
    dial: Dial = dial
    call: str = field(default_factory=lambda: token_hex(12))
    _sequence: int = 0

    def connect(self, name: str, port: int, *, tls: bool = True) -> SipConnection:
        """A connection to a server by its name.

        Raises:
            OSError: no connection; a certificate that is not believed is `ssl.SSLCertVerificationError`.
            NoSuchName: the name has no address.
        """
        made = self.dial((self.names.address(name), port), self.timeout, self.source)
        if not tls:
            return SipConnection(made)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.trust is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            context.load_verify_locations(cadata=self.trust.decode())
        try:
            return SipConnection(context.wrap_socket(made, server_hostname=name))
        except BaseException:
            made.close()
            raise

    def register(self, connection: SipConnection) -> Message:
        """REGISTER, with the answer to the challenge: the last response (200, 301 to a home pool, 403, 481)."""
        first = connection.ask(self.request("REGISTER"))
        if first.status != 401:
            return first
        return connection.ask(self.request("REGISTER", authorization=self._answer(first)))

    def refresh(self, connection: SipConnection) -> Message:
        """REGISTER again in the same dialog, without a proof."""
        return connection.ask(self.request("REGISTER"))

    def begin_anew(self) -> None:
        """A new dialog, as after a redirect or when a server has forgotten the old one."""
        self.call, self._sequence = token_hex(12), 0

    def request(self, method: str, *, authorization: str = "") -> Message:
        """A request of this client; those that are no REGISTER name the registration."""
        self._sequence += 1
        who = f"sip:{self.account.user}@{self.organisation.domain}"
        headers = [
            ("Via", f"SIP/2.0/TLS client.{self.organisation.domain};branch=z9hG4bK{token_hex(8)}"),
            ("Max-Forwards", "70"),
            ("From", f"<{who}>;tag={self.call[:10]};epid={self.call[-10:]}"),
            ("To", f"<{who}>"),
            ("Call-ID", self.call if method == "REGISTER" else token_hex(12)),
            ("CSeq", f"{self._sequence} {method}"),
            ("Contact", f"<sip:{self.account.user}@client.{self.organisation.domain};transport=tls>"),
        ]
        if method != "REGISTER":
            headers.append(("ms-registration", self.call))
        if authorization:
            headers.append(("Authorization", authorization))
        return Message(f"{method} {self._target} SIP/2.0", tuple(headers))

    @property
    def _target(self) -> str:
        return f"sip:{self.organisation.domain}"

    def _answer(self, challenge: Message) -> str:
        nonce = dict(_PARAMETER.findall(challenge.header("WWW-Authenticate"))).get("nonce", "")
        said = proof(self.account.user, self.account.password, nonce, "REGISTER", self._target)
        return f'Digest username="{self.account.user}", nonce="{nonce}", uri="{self._target}", response="{said}"'


class SipConnection:
    """One TCP or TLS connection."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        self._socket.close()

    @property
    def certificate(self) -> bytes:
        """What the server presented, in DER; empty without TLS."""
        if not isinstance(self._socket, ssl.SSLSocket):
            return b""
        return self._socket.getpeercert(binary_form=True) or b""

    def ask(self, message: Message) -> Message:
        """Send a request and read its response. Raises `OSError` when the connection ends, or says what is no SIP."""
        self._socket.sendall(message.wire())
        head = self._until(b"\r\n\r\n")
        try:
            answer, length = read(head)
        except ValueError as strange:
            raise ConnectionError(str(strange)) from strange
        while len(self._rest) < length:
            self._more()
        body, self._rest = self._rest[:length], self._rest[length:]
        return Message(answer.first, answer.headers, body)

    def _until(self, end: bytes) -> bytes:
        while end not in self._rest:
            if len(self._rest) > _LARGEST:
                raise ConnectionError("this is no SIP")
            self._more()
        head, _, self._rest = self._rest.partition(end)
        return head

    def _more(self) -> None:
        got = self._socket.recv(65536)
        if not got:
            raise ConnectionResetError("the connection was closed without an answer")
        self._rest += got
