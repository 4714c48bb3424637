"""A DNS query for an address and what its answer says (RFC 1035, 4). Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_A, _NS, _IN = 1, 2, 1
_RESPONSE, _TRUNCATED, _RECURSION_DESIRED, _CODE = 0x8000, 0x0200, 0x0100, 0x000F
#: RFC 1035, 4.1.1 and RFC 2136, 2.2
CODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 9: "NOTAUTH"}
NOERROR, SERVFAIL = 0, 2
_HEADER = struct.Struct(">HHHHHH")
_RECORD = struct.Struct(">HHLH")


class NotDns(ValueError):
    """The bytes are no answer to the query."""


@dataclass(frozen=True, slots=True)
class DnsAnswer:
    """An answer. `addresses` are those of the A records, whatever alias they stand under."""

    code: int
    truncated: bool
    addresses: tuple[str, ...]

    def code_name(self) -> str:
        """The response code as tools print it."""
        return CODES.get(self.code, f"response code {self.code}")


def encoded_name(name: str) -> bytes:
    """A name as labels. Raises `ValueError` for one that cannot be asked."""
    labels = [] if name in ("", ".") else name.removesuffix(".").split(".")
    parts = [label.encode("ascii") for label in labels]
    if any(not 1 <= len(part) <= 63 for part in parts) or sum(len(part) + 1 for part in parts) > 254:
        raise ValueError(f"{name!r} is no name")
    return b"".join(bytes((len(part),)) + part for part in parts) + b"\0"


def question_of(name: str) -> bytes:
    """The question: the addresses of a name, or without one the servers of the root."""
    return encoded_name(name) + struct.pack(">HH", _A if name else _NS, _IN)


def query(identifier: int, question: bytes) -> bytes:
    """The message that asks."""
    return _HEADER.pack(identifier, _RECURSION_DESIRED, 1, 0, 0, 0) + question


def read(data: bytes, identifier: int, question: bytes) -> DnsAnswer:
    """The answer to that query. Raises `NotDns`."""
    if len(data) < _HEADER.size:
        raise NotDns("too short")
    found, flags, questions, answers, _, _ = _HEADER.unpack_from(data)
    if found != identifier or not flags & _RESPONSE:
        raise NotDns("not the answer to this query")
    at = _HEADER.size
    # Servers may leave out the question of a query they refuse.
    if questions:
        if data[at : at + len(question)].lower() != question.lower():
            raise NotDns("the answer to another question")
        at += len(question)
    addresses = []
    truncated = bool(flags & _TRUNCATED)
    for _ in range(0 if truncated else answers):
        at = _after_name(data, at)
        if len(data) < at + _RECORD.size:
            raise NotDns("broken off")
        kind, _, _, size = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        if len(data) < at + size:
            raise NotDns("broken off")
        if kind == _A and size == 4:
            addresses.append(".".join(map(str, data[at : at + 4])))
        at += size
    return DnsAnswer(flags & _CODE, truncated, tuple(addresses))


def _after_name(data: bytes, at: int) -> int:
    """The place behind a name; a pointer ends it."""
    while at < len(data):
        size = data[at]
        if size & 0xC0 == 0xC0:
            return at + 2
        if size == 0:
            return at + 1
        at += 1 + size
    raise NotDns("broken off")
