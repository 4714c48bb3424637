"""The ping: one ICMP echo request and its reply.

It uses the kernel's ping sockets (`SOCK_DGRAM`, Linux 3.0 and 3.11 for IPv6), which need no privilege but a group
inside `net.ipv4.ping_group_range`; that holds for IPv6 too, and for root. The kernel numbers each socket, fills in
the checksum and gives a socket only the replies to its own requests.
"""

from __future__ import annotations

import secrets
import socket
import struct

from steelyard.health import waiting
from steelyard.health.attempt import Line, attempt
from steelyard.health.transcript import Answer, Outcome, Transcript
from steelyard.plan.health import Check

_REQUEST, _REPLY = 8, 0
_REQUEST_6, _REPLY_6 = 128, 129
_HEADER = struct.Struct(">BBHHH")
_PAYLOAD_BYTES = 32
NOT_ALLOWED = "this host may not send pings: no group of this process is in net.ipv4.ping_group_range"


class IcmpCheck:
    """A prepared check of one address; it has no port."""

    __slots__ = ("_address", "_check", "_sent")

    def __init__(self, check: Check, address: str, port: int) -> None:
        self._check = check
        self._address = address
        self._sent = f"ICMP echo request to {address}"

    async def ask(self, number: int) -> Transcript:
        """One attempt, the `number`th of its cycle."""
        return await attempt(
            Line(self._address, None),
            self._check.timeout,
            self._sent,
            self._exchange,
            number=number,
            attempts=self._check.attempts,
        )

    async def _exchange(self, line: Line) -> Answer:
        new = ":" in self._address
        try:
            sock = await line.connect(socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6 if new else socket.IPPROTO_ICMP)
        except PermissionError:
            return Answer(Outcome.UNASKED, "", NOT_ALLOWED)
        try:
            payload = secrets.token_bytes(_PAYLOAD_BYTES)
            await waiting.send(sock, _HEADER.pack(_REQUEST_6 if new else _REQUEST, 0, 0, 0, 1) + payload)
            while True:
                data = await waiting.receive(sock, 1500)
                if data[:1] == bytes((_REPLY_6 if new else _REPLY,)) and data[_HEADER.size :] == payload:
                    return Answer(Outcome.GOOD, f"ICMP echo reply, {len(data)} bytes", "answered the ping")
        finally:
            sock.close()
