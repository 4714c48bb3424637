"""Netlink messages to the kernel's netfilter, as bytes: made and read, nothing sent.

The layouts are those of `linux/netfilter/nfnetlink.h`, `nf_tables.h` and `nfnetlink_conntrack.h`. An attribute is two
16-bit numbers, its length with this head and its kind, then its value, padded to four bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

NETFILTER = 12
#: subsystems, as the upper byte of a message's type
CONNTRACK, TABLES = 1 << 8, 10 << 8
#: of connection tracking
GET_CONNECTIONS, DELETE_CONNECTIONS = CONNTRACK | 1, CONNTRACK | 2
#: of nftables
GET_CHAIN, GET_SET, GET_ELEMENTS = TABLES | 4, TABLES | 10, TABLES | 13

REQUEST, ACKNOWLEDGE, DUMP = 0x1, 0x4, 0x300
ERROR, DONE = 2, 3
INET, UNSPECIFIED = 1, 0

_NESTED = 0x8000
_KIND = 0x3FFF
_HEAD = struct.Struct("=IHHII")
_FAMILY = struct.Struct(">BBH")
_ATTRIBUTE = struct.Struct("=HH")

HEAD_BYTES = _HEAD.size
BODY = _HEAD.size + _FAMILY.size


def message(kind: int, flags: int, family: int, sequence: int, body: bytes = b"") -> bytes:
    """A whole message."""
    head = _HEAD.pack(BODY + len(body), kind, flags, sequence, 0)
    return head + _FAMILY.pack(family, 0, 0) + body


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute."""
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def nested(kind: int, *inside: bytes) -> bytes:
    """An attribute of attributes."""
    return attribute(kind | _NESTED, b"".join(inside))


def text(kind: int, value: str) -> bytes:
    """A text, which ends with a zero."""
    return attribute(kind, value.encode("ascii") + b"\0")


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The messages in what was received: type, sequence, and what follows the head."""
    start = 0
    while start + HEAD_BYTES <= len(data):
        length, kind, _, sequence, _ = _HEAD.unpack_from(data, start)
        if length < HEAD_BYTES:
            return
        yield kind, sequence, data[start + HEAD_BYTES : start + length]
        start += length + (-length % 4)


def attributes(data: bytes, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """The attributes in a stretch of bytes: kind and value."""
    end = len(data)
    while start + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        if length < 4:
            return
        yield kind & _KIND, data[start + 4 : start + length]
        start += length + (-length % 4)


def error_number(body: bytes) -> int:
    """What an error message says: 0 is a receipt, otherwise a positive error number."""
    return int(-struct.unpack_from("=i", body)[0])
