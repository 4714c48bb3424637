"""Syslog (RFC 5424) over UDP (RFC 5426), TCP with octet counting (RFC 6587, 3.4.1) and TLS (RFC 5425).

A message is one line with the event's number as its sequence. TCP says nothing of what arrived: what was written just
before a connection broke may be lost, so a connection the other side has closed is noticed before anything is written.
"""

from __future__ import annotations

import os
import select
import socket
from typing import Literal

from steelyard import __version__
from steelyard.observe.events.channel import Undelivered
from steelyard.observe.events.event import Event, moment
from steelyard.observe.events.gathering import Batch
from steelyard.observe.events.trust import Trust, why_not

#: daemon (RFC 5424, 6.2.1)
_FACILITY = 3
#: RFC 5424, 6.2.4 to 6.2.6: at most 255 printable characters
_NIL = "-"
_MOST_SEQUENCE = 2_147_483_647
_TIMEOUT = 10.0
#: what any receiver of UDP must take is 480 bytes, and should take 2048 (RFC 5424, 6.1)
_DATAGRAM = 2048

Protocol = Literal["udp", "tcp", "tls"]


def message(event: Event, host: str, process: str) -> bytes:
    """An event as a syslog message."""
    priority = _FACILITY * 8 + event.severity
    name = "".join(c for c in host if "!" <= c <= "~")[:255] or _NIL
    sequence = event.number % _MOST_SEQUENCE or 1
    data = f'[meta sequenceId="{sequence}"][origin software="steelyard" swVersion="{__version__}"]'
    head = f"<{priority}>1 {moment(event.at)} {name} steelyard {process} {event.kind} {data} "
    # RFC 5424, 6.4: text in UTF-8 says so by a mark of byte order; plain ASCII needs none
    text = event.text.encode()
    mark = b"" if event.text.isascii() else b"\xef\xbb\xbf"
    return head.encode() + mark + text


class SyslogSender:
    """Sends to one host."""

    def __init__(self, host: str, port: int, protocol: Protocol, trust: Trust) -> None:
        self._host, self._port, self._protocol, self._trust = host, port, protocol, trust
        self._name = socket.gethostname()
        self._process = str(os.getpid())
        self._socket: socket.socket | None = None

    def deliver(self, batch: Batch) -> None:
        """Send each event as a message. Raises `Undelivered`."""
        done = 0
        try:
            for event in batch.events:
                self._send(message(event, self._name, self._process))
                done += 1
        except OSError as failure:
            self.close()
            raise Undelivered(f"{self._host}:{self._port} ({self._protocol}): {why_not(failure)}", done) from failure

    def close(self) -> None:
        """End the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, text: bytes) -> None:
        if self._socket is not None and self._protocol != "udp" and _has_ended(self._socket):
            self.close()
        if self._socket is None:
            self._socket = self._connected()
        if self._protocol == "udp":
            self._socket.send(text if len(text) <= _DATAGRAM else _cut(text))
        else:
            self._socket.sendall(b"%d %b" % (len(text), text))

    def _connected(self) -> socket.socket:
        if self._protocol == "udp":
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)[0]
            made = socket.socket(found[0], found[1], found[2])
            # connected, so that a port nobody listens on is told of
            made.connect(found[4])
            return made
        made = socket.create_connection((self._host, self._port), _TIMEOUT)
        if self._protocol == "tcp":
            return made
        try:
            return self._trust.context().wrap_socket(made, server_hostname=self._host)
        except BaseException:
            made.close()
            raise


def _cut(text: bytes) -> bytes:
    """What fits a datagram, without half a character at its end."""
    return text[:_DATAGRAM].decode("utf-8", "ignore").encode()


def _has_ended(connection: socket.socket) -> bool:
    """Whether the other side has closed: syslog receivers never send anything, so readable means ended."""
    waiting = select.poll()
    waiting.register(connection, select.POLLIN)
    return bool(waiting.poll(0))
