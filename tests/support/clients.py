"""HTTP clients for tests, with everything a test wants to choose: source address, SNI, version, raw headers.

    reply = fetch("http://127.0.0.1:8080/path", source="127.0.0.7", cookies={"session": "a"})
    reply.status, reply.name, reply.json["headers"], reply.header("x-origin")

    with Connection("127.0.0.1", 8443, tls=True, sni="shop.example") as connection:
        first, second = connection.request("/"), connection.request("/again")

Requests are written byte by byte as asked, so a test can send HTTP/1.0 or a broken header; h11 reads the answers.
HTTP/2 goes through httpx.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

import h11
import httpx
from cryptography import x509
from tests.support.certificates import Certified
from tests.support.tls_client import Hello, client_context, fingerprint, peer_certificate, say_goodbye, tls_hello_fetch

__all__ = ["Connection", "Hello", "Http2Client", "Reply", "fetch", "fetch_h2", "tls_hello_fetch"]

Headers = Mapping[str, str] | Iterable[tuple[str, str]]
_READ_BYTES = 64 * 1024


@dataclass(frozen=True)
class Reply:
    """A whole response. `headers` keeps order and duplicates, names as they were sent."""

    status: int
    reason: str
    version: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    seconds: float
    local: tuple[str, int] | None = None
    certificate: x509.Certificate | None = field(default=None, repr=False)
    tls_version: str | None = None
    alpn: str | None = None

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def name(self) -> str:
        """Which origin answered.

        Raises:
            LookupError: nothing an `Origin` sent, so the proxy itself answered; the message shows the answer.
        """
        name = self.header("x-origin")
        if name is None:
            raise LookupError(f"no origin answered: {self.status} {self.reason} {self.text[:200]!r}")
        return name

    @property
    def fingerprint(self) -> str | None:
        """SHA-256 of the server's certificate, hex; None without TLS."""
        return None if self.certificate is None else fingerprint(self.certificate)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def header_all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def cookies(self) -> dict[str, str]:
        """Names and values of the Set-Cookie headers, attributes dropped."""
        pairs = (value.split(";", 1)[0].partition("=") for value in self.header_all("set-cookie"))
        return {name.strip(): value for name, _, value in pairs}

    @property
    def seen_headers(self) -> dict[str, list[str]]:
        """The request headers the origin received, by lower-case name."""
        found: dict[str, list[str]] = {}
        for name, value in self.json["headers"]:
            found.setdefault(name.lower(), []).append(value)
        return found


def _pairs(headers: Headers) -> list[tuple[str, str]]:
    return list(headers.items() if isinstance(headers, Mapping) else headers)


def _request_bytes(
    method: str, target: str, version: str, headers: list[tuple[str, str]], host: str, body: bytes
) -> bytes:
    named = {name.lower() for name, _ in headers}
    lines = [f"{method} {target} HTTP/{version}"]
    if "host" not in named:
        lines.append(f"Host: {host}")
    lines += [f"{name}: {value}" for name, value in headers]
    # browsers and the common libraries say so of an empty POST, too
    if (body or method == "POST") and not named & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class Connection:
    """One TCP (and TLS) connection that carries several requests. Opens on construction."""

    def __init__(
        self,
        address: str,
        port: int,
        *,
        tls: bool = False,
        sni: str | None = None,
        source: str | None = None,
        ca: Certified | None = None,
        context: ssl.SSLContext | None = None,
        session: ssl.SSLSession | None = None,
        timeout: float = 10.0,
    ) -> None:
        literal = f"[{address}]" if ":" in address else address
        self._host = sni or f"{literal}:{port}"
        bind = (source, 0) if source else None
        self.socket: socket.socket = socket.create_connection((address, port), timeout, source_address=bind)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls or context is not None:
            context = context or client_context(ca=ca)
            try:
                self.socket = context.wrap_socket(self.socket, server_hostname=sni, session=session)
            except BaseException:
                self.socket.close()
                raise
        self.local: tuple[str, int] = self.socket.getsockname()[:2]
        self.reusable = True
        """False once a response said the connection ends with it, or the server closed it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.reusable = False
        if isinstance(self.socket, ssl.SSLSocket):
            say_goodbye(self.socket)
        self.socket.close()

    @property
    def tls_session(self) -> ssl.SSLSession | None:
        """The TLS session, to resume on another connection with the same context."""
        return self.socket.session if isinstance(self.socket, ssl.SSLSocket) else None

    def closed_by_server(self, wait: float = 0.0) -> bool:
        """Whether the server has closed (FIN or RST) this idle connection, waiting up to `wait` seconds for it."""
        readable, _, _ = select.select([self.socket], [], [], wait)
        if not readable:
            return False
        before = self.socket.gettimeout()
        self.socket.settimeout(0.05)
        try:
            return self.socket.recv(1) == b""
        except (TimeoutError, ssl.SSLWantReadError):
            return False  # a TLS record that is not application data, such as a session ticket
        except OSError:
            return True
        finally:
            self.socket.settimeout(before)

    def request(
        self,
        target: str = "/",
        *,
        method: str = "GET",
        headers: Headers = (),
        cookies: Mapping[str, str] | None = None,
        body: bytes = b"",
        version: str = "1.1",
        host: str | None = None,
    ) -> Reply:
        """Send one request and read its whole response.

        Raises:
            ConnectionError: the server closed the connection before it had sent a whole response.
            TimeoutError: no answer in time.
        """
        pairs = _pairs(headers)
        if cookies:
            pairs.append(("Cookie", "; ".join(f"{name}={value}" for name, value in cookies.items())))
        host = host or self._host
        started = time.perf_counter()
        # A server may answer (413, 400) and close before it has read everything: read what it said.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(_request_bytes(method, target, version, pairs, host, body))
        return self._read_reply(method, version, started)

    def raw(self, request: bytes, *, method: str = "GET") -> Reply:
        """Send a request as it is and read its whole response. Raises what `request` raises."""
        started = time.perf_counter()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(request)
        return self._read_reply(method, "1.1", started)

    def _read_reply(self, method: str, version: str, started: float) -> Reply:
        parser = h11.Connection(h11.CLIENT)
        # h11 must know the method to know whether a response has a body. It only writes 1.1; what it writes is dropped.
        parser.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        parser.send(h11.EndOfMessage())
        head: h11.Response | None = None
        body = bytearray()
        while True:
            try:
                event = parser.next_event()
            except h11.RemoteProtocolError as error:
                self.reusable = False
                raise ConnectionError(f"broken response after {len(body)} bytes of body: {error}") from error
            if event is h11.NEED_DATA:
                data = self.socket.recv(_READ_BYTES)
                if not data and head is None:
                    self.reusable = False
                    raise ConnectionResetError("the server closed the connection without a response")
                parser.receive_data(data)
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
        assert head is not None
        keeps = parser.their_state is h11.DONE and parser.our_state is h11.DONE
        self.reusable = keeps and (version != "1.0" or _header(head, b"connection") == b"keep-alive")
        return self._reply(head, bytes(body), time.perf_counter() - started)

    def _reply(self, head: h11.Response, body: bytes, seconds: float) -> Reply:
        tls = self.socket if isinstance(self.socket, ssl.SSLSocket) else None
        return Reply(
            status=head.status_code,
            reason=head.reason.decode("latin-1"),
            version=head.http_version.decode(),
            headers=tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in head.headers.raw_items()),
            body=body,
            seconds=seconds,
            local=self.local,
            certificate=None if tls is None else peer_certificate(tls),
            tls_version=None if tls is None else tls.version(),
            alpn=None if tls is None else tls.selected_alpn_protocol(),
        )


def _header(head: h11.Response, name: bytes) -> bytes | None:
    return next((value.lower() for key, value in head.headers if key == name), None)


def fetch(
    url: str,
    *,
    method: str = "GET",
    headers: Headers = (),
    cookies: Mapping[str, str] | None = None,
    body: bytes = b"",
    version: str = "1.1",
    connect_to: tuple[str, int] | None = None,
    source: str | None = None,
    sni: str | None = None,
    ca: Certified | None = None,
    context: ssl.SSLContext | None = None,
    timeout: float = 10.0,
) -> Reply:
    """One request on a connection of its own.

    Args:
        connect_to: connect there instead of where the URL says; Host and SNI still follow the URL.
        source: the client's own address, any 127.x.y.z.
        sni: the name in the TLS hello. By default the URL's host when that is a name, none when it is an address.
        version: "1.1" or "1.0".
    """
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    host = parts.hostname or ""
    address, port = connect_to or (host, parts.port or (443 if tls else 80))
    if sni is None and any(letter.isalpha() for letter in host) and ":" not in host:
        sni = host
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with Connection(
        address, port, tls=tls, sni=sni, source=source, ca=ca, context=context if tls else None, timeout=timeout
    ) as connection:
        return connection.request(
            target, method=method, headers=headers, cookies=cookies, body=body, version=version, host=parts.netloc
        )


class Http2Client:
    """An HTTP/2 client over TLS that keeps its connection between requests."""

    def __init__(
        self,
        *,
        source: str | None = None,
        sni: str | None = None,
        timeout: float = 10.0,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._sni = sni
        transport = httpx.HTTPTransport(
            http2=True, http1=False, verify=context or client_context(), local_address=source
        )
        self._client = httpx.Client(transport=transport, timeout=timeout, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def request(self, url: str, *, method: str = "GET", headers: Headers = (), body: bytes = b"") -> Reply:
        started = time.perf_counter()
        extensions = {} if self._sni is None else {"sni_hostname": self._sni}
        response = self._client.request(
            method, url, headers=_pairs(headers), content=body or None, extensions=extensions
        )
        stream = response.extensions["network_stream"]
        tls = stream.get_extra_info("ssl_object")
        local = stream.get_extra_info("client_addr")
        return Reply(
            status=response.status_code,
            reason=response.reason_phrase,
            version=response.http_version.removeprefix("HTTP/"),
            headers=tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in response.headers.raw),
            body=response.content,
            seconds=time.perf_counter() - started,
            local=None if local is None else local[:2],
            certificate=None if tls is None else peer_certificate(tls),
            tls_version=None if tls is None else tls.version(),
            alpn=None if tls is None else tls.selected_alpn_protocol(),
        )


def fetch_h2(url: str, *, source: str | None = None, sni: str | None = None, headers: Headers = ()) -> Reply:
    """One HTTP/2 request over TLS on a connection of its own."""
    with Http2Client(source=source, sni=sni) as client:
        return client.request(url, headers=headers)
