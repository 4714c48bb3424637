"""STUN (RFC 5389): what an A/V edge says to a Binding request, over UDP 3478 and TCP 443.

The answer has the client's address as the server saw it, plain and XORed, so a balancer that hides it shows here.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from secrets import token_bytes

from steelyard.lab.connection import Connection, Place

COOKIE = 0x2112A442
_BINDING, _ANSWER, _ERROR = 0x0001, 0x0101, 0x0110
_MAPPED, _CODE, _XOR_MAPPED, _SOFTWARE = 0x0001, 0x0009, 0x0020, 0x8022
_HEAD = struct.Struct("!HHI12s")


@dataclass(frozen=True)
class Binding:
    """An answer: who gave it, and the client's address as that server saw it."""

    server: str
    address: str
    port: int
    transaction: bytes


def request(transaction: bytes | None = None) -> bytes:
    """A Binding request with a transaction of 12 bytes."""
    return _HEAD.pack(_BINDING, 0, COOKIE, transaction or token_bytes(12))


def respond(asked: bytes, server: str, peer: Place) -> bytes | None:
    """The answer to a STUN message; None for what is none. Other requests than Binding get error 420."""
    if len(asked) < _HEAD.size:
        return None
    kind, length, cookie, transaction = _HEAD.unpack_from(asked)
    if cookie != COOKIE or length != len(asked) - _HEAD.size or kind & 0xC000:
        return None
    software = _attribute(_SOFTWARE, server.encode())
    if kind != _BINDING:
        reason = b"only Binding is known here"
        attributes = _attribute(_CODE, struct.pack("!HBB", 0, 4, 20) + reason) + software
        return _HEAD.pack(kind & ~0x0110 | _ERROR, len(attributes), COOKIE, transaction) + attributes
    address = ipaddress.ip_address(peer[0])
    family = 1 if address.version == 4 else 2
    key = struct.pack("!I", COOKIE) + transaction
    hidden = bytes(a ^ b for a, b in zip(address.packed, key, strict=False))
    attributes = (
        _attribute(_XOR_MAPPED, struct.pack("!BBH", 0, family, peer[1] ^ (COOKIE >> 16)) + hidden)
        + _attribute(_MAPPED, struct.pack("!BBH", 0, family, peer[1]) + address.packed)
        + software
    )
    return _HEAD.pack(_ANSWER, len(attributes), COOKIE, transaction) + attributes


def read(answer: bytes) -> Binding:
    """What a Binding answer says.

    Raises:
        ValueError: it is no answer to a Binding request.
    """
    if len(answer) < _HEAD.size:
        raise ValueError("too short for STUN")
    kind, length, cookie, transaction = _HEAD.unpack_from(answer)
    if kind != _ANSWER or cookie != COOKIE or length != len(answer) - _HEAD.size:
        raise ValueError(f"no answer to a Binding request: {answer[:20].hex()}")
    found: dict[int, bytes] = {}
    place = _HEAD.size
    while place + 4 <= len(answer):
        name, size = struct.unpack_from("!HH", answer, place)
        found[name] = answer[place + 4 : place + 4 + size]
        place += 4 + size + -size % 4
    value = found.get(_XOR_MAPPED)
    if value is None:
        raise ValueError("the answer has no address")
    (port,) = struct.unpack_from("!H", value, 2)
    key = struct.pack("!I", COOKIE) + transaction
    address = ipaddress.ip_address(bytes(a ^ b for a, b in zip(value[4:], key, strict=False)))
    return Binding(found.get(_SOFTWARE, b"").decode(), str(address), port ^ (COOKIE >> 16), transaction)


async def over_tcp(connection: Connection) -> None:
    """STUN on a TCP connection, a message after the other; what is none ends it."""
    while True:
        head = await connection.reader.readexactly(_HEAD.size)
        body = await connection.reader.readexactly(struct.unpack_from("!H", head, 2)[0])
        answer = respond(head + body, connection.server, connection.peer)
        if answer is None:
            return
        connection.writer.write(answer)
        await connection.writer.drain()


def _attribute(name: int, value: bytes) -> bytes:
    return struct.pack("!HH", name, len(value)) + value + bytes(-len(value) % 4)
