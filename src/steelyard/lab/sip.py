"""SIP over TLS (5061) and TCP (5060): messages, and a registrar that keeps a dialog in one server's memory.

A REGISTER is challenged with a nonce; the answer, and each refresh of the same Call-ID, is for the server that has the
dialog, and any other says 481. A Director authenticates in the same way and then answers 301 with the home pool; what
came through an edge it passes on there instead, since those outside cannot reach the pool.
The proof is Digest with SHA-256 (RFC 8760), in the place of Lync's TLS-DSK, NTLM and Kerberos.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from secrets import token_hex

from steelyard.lab.connection import Connection
from steelyard.lab.memory import Memory
from steelyard.lab.organisation import Account, Organisation

_LARGEST = 64 * 1024
_REASONS = {
    200: "OK",
    202: "Accepted",
    301: "Redirect request to Home Server",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    481: "Call Leg/Transaction Does Not Exist",
    501: "Not Implemented",
    504: "Server Time-out",
}
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
REALM = "SIP Communications Service"


@dataclass(frozen=True)
class Message:
    """A request or a response: first line, headers in their order, body."""

    first: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    def header(self, name: str) -> str:
        """The first header of that name, empty when there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def every(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def method(self) -> str:
        return self.first.split(" ", 1)[0]

    @property
    def status(self) -> int:
        """Of a response; 0 for a request."""
        words = self.first.split(" ")
        return int(words[1]) if words[0] == "SIP/2.0" and words[1].isdecimal() else 0

    def wire(self) -> bytes:
        lines = [self.first, *(f"{key}: {value}" for key, value in self.headers if key.lower() != "content-length")]
        lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


def read(head: bytes) -> tuple[Message, int]:
    """A message without its body, and how long that is.

    Raises:
        ValueError: it is no SIP.
    """
    lines = head.decode("utf-8", "replace").strip("\r\n").split("\r\n")
    if "SIP/2.0" not in lines[0]:
        raise ValueError(f"this is no SIP: {lines[0][:60]!r}")
    headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(f"this is no header: {line[:60]!r}")
        headers.append((name.strip(), value.strip()))
    message = Message(lines[0], tuple(headers))
    length = message.header("Content-Length") or "0"
    if not length.isdecimal() or int(length) > _LARGEST:
        raise ValueError(f"a length of {length[:20]}")
    return message, int(length)


async def receive(reader: asyncio.StreamReader) -> Message | None:
    """The next message; None at the end. Raises `ValueError` when it is no SIP."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        # keep-alives between messages (RFC 5626)
        while not head.strip():
            head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return None
    message, length = read(head)
    return Message(message.first, message.headers, await reader.readexactly(length) if length else b"")


def proof(user: str, password: str, nonce: str, method: str, target: str) -> str:
    """The answer to a challenge: Digest with SHA-256, without quality of protection."""
    who = hashlib.sha256(f"{user}:{REALM}:{password}".encode()).hexdigest()
    what = hashlib.sha256(f"{method}:{target}".encode()).hexdigest()
    return hashlib.sha256(f"{who}:{nonce}:{what}".encode()).hexdigest()


@dataclass(frozen=True)
class SipServer:
    """Answers SIP. `redirect` is the Contact of the home pool, which a Director names after it has asked who it is.

    `beyond` takes connections over whose first request came through another server.
    """

    organisation: Organisation
    memory: Memory
    redirect: str = ""
    beyond: Callable[[Connection, Message], Awaitable[None]] | None = None

    async def __call__(self, connection: Connection) -> None:
        while True:
            try:
                message = await receive(connection.reader)
            except ValueError:
                connection.writer.write(b"SIP/2.0 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                return
            if message is None:
                return
            if self.beyond is not None and len(message.every("Via")) > 1:
                await self.beyond(connection, message)
                return
            if message.method != "ACK" and not message.status:
                connection.writer.write(self._answer(message, connection).wire())
                await connection.writer.drain()

    def _answer(self, message: Message, connection: Connection) -> Message:
        known: dict[str, Callable[[Message], tuple[int, dict[str, str]]]] = {
            "REGISTER": self._register,
            "SUBSCRIBE": self._in_dialog,
            "MESSAGE": self._in_dialog,
            "SERVICE": self._in_dialog,
            "INVITE": self._in_dialog,
            "BYE": self._in_dialog,
            "OPTIONS": lambda _: (200, {}),
        }
        handler = known.get(message.method)
        status, more = (501, {}) if handler is None else handler(message)
        headers = [("Via", one) for one in message.every("Via")]
        if headers:
            headers[0] = ("Via", f"{headers[0][1]};received={connection.peer[0]};ms-received-port={connection.peer[1]}")
        headers += [(one, message.header(one)) for one in ("From", "To", "Call-ID", "CSeq") if message.header(one)]
        headers += [("Server", "RTC/5.0"), ("X-Lab-Server", connection.server)]
        headers.append(("X-Lab-Peer", f"{connection.peer[0]}:{connection.peer[1]}"))
        headers.append(("X-Lab-Port", str(connection.local[1])))
        return Message(f"SIP/2.0 {status} {_REASONS[status]}", (*headers, *more.items()))

    def _register(self, message: Message) -> tuple[int, dict[str, str]]:
        call = message.header("Call-ID")
        if not call:
            return 400, {}
        if call in self.memory.registrations:
            return 200, self._registered(message, self.memory.registrations[call])
        given = dict(_PARAMETER.findall(message.header("Authorization")))
        if not given:
            if _number(message.header("CSeq")) > 1:
                return 481, {"ms-diagnostics": '1029;reason="this server has no such dialog"'}
            nonce = token_hex(16)
            self.memory.challenges[call] = nonce
            challenge = f'Digest realm="{REALM}", nonce="{nonce}", algorithm=SHA-256'
            return 401, {"WWW-Authenticate": challenge}
        nonce = self.memory.challenges.pop(call, "")
        if not nonce or nonce != given.get("nonce"):
            return 481, {"ms-diagnostics": '1029;reason="this server has not asked that"'}
        account = self.organisation.known(given.get("username", ""))
        if account is None or given.get("response") != self._expected(account, nonce, message):
            return 403, {"ms-diagnostics": '4005;reason="unknown user or wrong password"'}
        if self.redirect:
            return 301, {"Contact": f"<{self.redirect}>"}
        self.memory.registrations[call] = account.user
        return 200, self._registered(message, account.user)

    def _expected(self, account: Account, nonce: str, message: Message) -> str:
        target = message.first.split(" ")[1]
        return proof(account.user, account.password, nonce, "REGISTER", target)

    def _registered(self, message: Message, user: str) -> dict[str, str]:
        return {
            "Contact": message.header("Contact"),
            "Expires": "7200",
            "ms-keep-alive": "UAS; tcp=no; hop-hop=yes; end-end=no; timeout=300",
            "X-Lab-User": user,
        }

    def _in_dialog(self, message: Message) -> tuple[int, dict[str, str]]:
        """What a registered client asks; the registration's Call-ID stands in `ms-registration`."""
        if message.header("ms-registration") in self.memory.registrations:
            return (202 if message.method == "MESSAGE" else 200), {}
        return 481, {"ms-diagnostics": '1029;reason="this server has no such registration"'}


def _number(text: str) -> int:
    first = text.split(" ", 1)[0]
    return int(first) if first.isdecimal() else 0
