"""HTTP as a lab's clients speak it: to the address a name has here, trusting one authority, a connection at a time.

Everything blocks, so that a thread in a network namespace is there with all its connections.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection as _HttpConnection
from http.client import HTTPException, HTTPResponse
from http.cookies import SimpleCookie
from typing import Any, Self
from urllib.parse import urlsplit

from steelyard.lab.names import Names

#: (address, port), seconds, source address or None: a TCP connection
Dial = Callable[[tuple[str, int], float, str | None], socket.socket]


def dial(place: tuple[str, int], timeout: float, source: str | None) -> socket.socket:
    """A TCP connection. Raises `OSError`."""
    return socket.create_connection(place, timeout, None if source is None else (source, 0))


@dataclass(frozen=True)
class Reply:
    """An answer to a client."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header of that name, whatever its case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def json(self) -> Any:
        """The body as JSON. Raises `ValueError` when it is none."""
        return json.loads(self.body)

    @property
    def server(self) -> str:
        """Which server of the lab answered; empty when none did."""
        return self.header("X-Lab-Server") or ""

    @property
    def site(self) -> str:
        """Which web site of it: internal or external."""
        return self.header("X-Lab-Site") or ""

    def cookies(self) -> dict[str, str]:
        """What it sets."""
        found: SimpleCookie = SimpleCookie()
        for key, value in self.headers:
            if key.lower() == "set-cookie":
                found.load(value)
        return {name: morsel.value for name, morsel in found.items()}


@dataclass
class Browser:
    """A client with a jar of cookies. Each request has a connection of its own, as after a pause in the pocket.

    `trust` is the root it believes, in PEM; without one it takes any certificate.
    """

    names: Names
    trust: bytes | None = None
    agent: str = "Lync/15"
    source: str | None = None
    timeout: float = 10.0
    dial: Dial = dial
    jar: dict[str, str] = field(default_factory=dict)

    def get(self, url: str, **headers: str) -> Reply:
        """GET; names of headers are written with _ for -."""
        return self.ask("GET", url, headers={key.replace("_", "-"): value for key, value in headers.items()})

    def ask(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Reply:
        """One request on a new connection.

        Raises:
            OSError: no connection, or it broke; a certificate that is not believed is `ssl.SSLCertVerificationError`.
            NoSuchName: the URL's name has no address.
        """
        with self.opened(method, url, headers=headers, body=body) as answer:
            return answer.whole()

    def opened(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Streaming:
        """The same, with the body still to come."""
        parts = urlsplit(url)
        name, address, port = self.names.place(url)
        connection = _Connection(address, port, name, self._context(parts.scheme), self)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        sent = {"User-Agent": self.agent, **(headers or {})}
        if self.jar:
            sent["Cookie"] = "; ".join(f"{key}={value}" for key, value in self.jar.items())
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", parts.netloc)
            for key, value in sent.items():
                connection.putheader(key, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
        except HTTPException as broken:
            connection.close()
            raise ConnectionError(f"{name}: {str(broken) or type(broken).__name__}") from broken
        except BaseException:
            connection.close()
            raise
        reply = Streaming(connection, answer)
        self.jar |= reply.head.cookies()
        return reply

    def _context(self, scheme: str) -> ssl.SSLContext | None:
        if scheme != "https":
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.trust is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            context.load_verify_locations(cadata=self.trust.decode())
        return context


class Streaming:
    """An answer whose body is still to come."""

    def __init__(self, connection: _HttpConnection, answer: HTTPResponse) -> None:
        self._connection = connection
        self._answer = answer
        self.head = Reply(answer.status, tuple(answer.getheaders()), b"")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def lines(self) -> Iterator[bytes]:
        """Lines as they come. Raises `OSError` when the body breaks off."""
        try:
            while line := self._answer.readline():
                yield line
        except HTTPException as broken:
            raise ConnectionError(f"the answer broke off: {broken}") from broken

    def whole(self) -> Reply:
        """The answer with its body. Raises `OSError` when that breaks off."""
        try:
            return Reply(self.head.status, self.head.headers, self._answer.read())
        except HTTPException as broken:
            raise ConnectionError(f"the answer broke off: {broken}") from broken


class _Connection(_HttpConnection):
    """To an address, under another name."""

    def __init__(self, address: str, port: int, name: str, tls: ssl.SSLContext | None, browser: Browser) -> None:
        super().__init__(address, port, timeout=browser.timeout)
        self._name, self._tls, self._browser = name, tls, browser

    def connect(self) -> None:
        made = self._browser.dial((self.host, self.port), self._browser.timeout, self._browser.source)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.sock = made if self._tls is None else self._tls.wrap_socket(made, server_hostname=self._name)
        except BaseException:
            made.close()
            raise
