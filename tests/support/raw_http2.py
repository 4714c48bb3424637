"""An HTTP/2 client that sends whatever headers it is told to, in whatever shape.

with RawHttp2("127.0.0.1", 8443) as client:
    status = client.ask([(b":method", b"GET"), (b":path", b"/..%2f"), (b":authority", b"a"), (b":scheme", b"https")])
"""

from __future__ import annotations

import socket
from typing import Self

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from tests.support.tls_client import client_context

_BYTES = 64 * 1024


class RawHttp2:
    """One connection over TLS. The certificate is not looked at."""

    def __init__(self, address: str, port: int, timeout: float = 5.0) -> None:
        plain = socket.create_connection((address, port), timeout)
        self._socket = client_context(alpn=("h2",)).wrap_socket(plain)
        free = h2.config.H2Configuration(
            validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding=None
        )
        self._connection = h2.connection.H2Connection(free)
        self._connection.initiate_connection()
        self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _flush(self) -> None:
        self._socket.sendall(self._connection.data_to_send())

    def ask(self, headers: list[tuple[bytes, bytes]], body: bytes = b"") -> int | None:
        """The status; None when the stream or the connection was cut instead."""
        stream = self._connection.get_next_available_stream_id()
        self._connection.send_headers(stream, headers, end_stream=not body)
        if body:
            self._connection.send_data(stream, body, end_stream=True)
        self._flush()
        status: int | None = None
        while True:
            try:
                data = self._socket.recv(_BYTES)
            except ConnectionResetError:
                return status
            if not data:
                return status
            for event in self._connection.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived) and event.headers:
                    status = int(dict(event.headers)[b":status"])
                if isinstance(event, h2.events.StreamEnded | h2.events.StreamReset | h2.events.ConnectionTerminated):
                    return status
            self._flush()
