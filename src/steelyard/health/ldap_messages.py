"""The few messages of LDAP (RFC 4511) that a check needs, in BER. Pure.

Four requests (bind, StartTLS, a search of one entry, unbind) and the result at the start of each answer: no library of
LDAP is made for asynchronous reading, and a whole one for these bytes would be the larger risk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

#: Most bytes of one message: an entry of a search may carry attributes although none are asked for.
MESSAGE_BYTES = 65_536

_INTEGER, _OCTETS, _ENUMERATED, _SEQUENCE, _BOOLEAN = 0x02, 0x04, 0x0A, 0x30, 0x01
_BIND, _UNBIND, _SEARCH, _EXTENDED = 0x60, 0x42, 0x63, 0x77
BIND_ANSWER, SEARCH_ENTRY, SEARCH_DONE, SEARCH_REFERENCE, EXTENDED_ANSWER = 0x61, 0x64, 0x65, 0x73, 0x78
_SIMPLE, _PRESENT, _REQUEST_NAME = 0x80, 0x87, 0x80
_START_TLS = b"1.3.6.1.4.1.1466.20037"

#: RFC 4511, 4.1.9
RESULTS = {
    0: "success",
    1: "operations error",
    2: "protocol error",
    3: "time limit exceeded",
    7: "authentication method not supported",
    8: "stronger authentication required",
    10: "referral",
    13: "confidentiality required",
    14: "SASL bind in progress",
    32: "no such object",
    34: "invalid distinguished name",
    48: "inappropriate authentication",
    49: "invalid credentials",
    50: "insufficient access rights",
    51: "busy",
    52: "unavailable",
    53: "unwilling to perform",
    80: "other error",
}


class NotLdap(ValueError):
    """The bytes are no LDAP message."""


@dataclass(frozen=True, slots=True)
class Message:
    """An answer. `code` and `words` are its result; None and empty for an entry of a search."""

    kind: int
    code: int | None
    words: str

    def result(self) -> str:
        """The result as people read it."""
        name = "none" if self.code is None else f"{RESULTS.get(self.code, 'result')} ({self.code})"
        return f"{name}: {self.words}" if self.words else name


def _element(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def _integer(value: int, tag: int = _INTEGER) -> bytes:
    return _element(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _message(number: int, operation: bytes) -> bytes:
    return _element(_SEQUENCE, _integer(number) + operation)


def bind(number: int, user: str, password: str) -> bytes:
    """A simple bind of version 3; both empty is an anonymous one."""
    content = _integer(3) + _element(_OCTETS, user.encode()) + _element(_SIMPLE, password.encode())
    return _message(number, _element(_BIND, content))


def start_tls(number: int) -> bytes:
    """The request to change to TLS (RFC 4511, 4.14)."""
    return _message(number, _element(_EXTENDED, _element(_REQUEST_NAME, _START_TLS)))


def search_entry(number: int, base: str) -> bytes:
    """A search for one entry by its name, without its attributes ("1.1": RFC 4511, 4.5.1.8)."""
    content = (
        _element(_OCTETS, base.encode())
        + _integer(0, _ENUMERATED)
        + _integer(0, _ENUMERATED)
        + _integer(1)
        + _integer(0)
        + _element(_BOOLEAN, b"\0")
        + _element(_PRESENT, b"objectClass")
        + _element(_SEQUENCE, _element(_OCTETS, b"1.1"))
    )
    return _message(number, _element(_SEARCH, content))


def unbind(number: int) -> bytes:
    """The farewell; it has no answer."""
    return _message(number, _element(_UNBIND, b""))


def _header(data: bytes, at: int) -> tuple[int, int, int] | None:
    """(tag, start of the content, end of the content); None while the header is not there whole."""
    if len(data) < at + 2:
        return None
    size, start = data[at + 1], at + 2
    if size & 0x80:
        octets = size & 0x7F
        if not 1 <= octets <= 4:
            raise NotLdap("a length of no LDAP message")
        if len(data) < start + octets:
            return None
        size, start = int.from_bytes(data[start : start + octets], "big"), start + octets
    if size > MESSAGE_BYTES:
        raise NotLdap(f"a message of {size} bytes")
    return data[at], start, start + size


def length(data: bytes) -> int | None:
    """How long the first message is; None while that is not known. Raises `NotLdap`."""
    if data and data[0] != _SEQUENCE:
        raise NotLdap("no LDAP message")
    found = _header(data, 0)
    return None if found is None else found[2]


def _elements(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    while at < end:
        found = _header(data[:end], at)
        if found is None or found[2] > end:
            raise NotLdap("a broken LDAP message")
        yield found
        at = found[2]


def read(data: bytes) -> Message:
    """A whole message. Raises `NotLdap`."""
    end = length(data)
    if end is None or end > len(data):
        raise NotLdap("half an LDAP message")
    (_, start, _), *_ = _elements(data, 0, end)
    parts = list(_elements(data, start, end))
    if len(parts) < 2 or parts[0][0] != _INTEGER:
        raise NotLdap("a broken LDAP message")
    kind, start, end = parts[1]
    if kind in (SEARCH_ENTRY, SEARCH_REFERENCE):
        return Message(kind, None, "")
    inside = list(_elements(data, start, end))
    if len(inside) < 3 or inside[0][0] != _ENUMERATED:
        raise NotLdap("an answer without a result")
    code = int.from_bytes(data[inside[0][1] : inside[0][2]], "big")
    return Message(kind, code, data[inside[2][1] : inside[2][2]].decode("utf-8", "replace"))
