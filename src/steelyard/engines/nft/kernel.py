"""What is read from the kernel's netfilter, and the cutting of connections, by netlink.

Elements are read this way because libnftables would first read those of every table there is. Connections of a server
are cut by one message that names its mark; the kernel looks through its whole table for each, so many servers are
looked for together.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NamedTuple

from steelyard.engines.nft import messages as m
from steelyard.model.errors import EngineRefused, HostLacks
from steelyard.plan.nft import CONNECTION_MARK, CONNECTION_MASK, TABLE

#: a netlink message of a dump is at most this long (kernel, `NLMSG_GOODSIZE` and 32 KB for large readers)
_READ_BYTES = 1 << 18
_SECONDS = 10.0
#: servers whose connections are cut by a message each; more are found in one reading of all connections
_ONE_BY_ONE = 8

# attributes of set elements
_SET_TABLE, _SET_NAME, _SET_ELEMENTS = 1, 2, 3
_KEY, _DATA, _EXPIRES, _EXPRESSION, _EXPRESSIONS = 1, 2, 5, 7, 11
_VALUE = 1
_EXPRESSION_DATA, _COUNTED_BYTES, _COUNTED_PACKETS = 2, 1, 2
# attributes of chains
_CHAIN_TABLE, _CHAIN_NAME = 1, 3
# attributes of connections
_ORIGINAL, _PROTOCOL_STATE, _MARK, _ID, _MARK_MASK = 1, 4, 8, 12, 21
_ADDRESSES, _PROTOCOL = 1, 2
_TCP, _TCP_STATE = 1, 1
#: LAST_ACK, TIME_WAIT and CLOSE (`nf_conntrack_tcp.h`): what is left of a connection that has ended
_ENDED = frozenset({6, 7, 8})


class Counted(NamedTuple):
    """A counter: packets and bytes."""

    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class KeptRecord:
    """A persistence record: the service's mark, the client, the server's mark, and how long it holds."""

    service: int
    client: str
    server: int
    seconds: float


class Netfilter:
    """A netlink socket to netfilter. Not to be used by two threads at once."""

    def __init__(self) -> None:
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, m.NETFILTER)
            self._socket.bind((0, 0))
        except OSError as failure:
            raise HostLacks(
                f"This host's kernel has no netfilter to speak to: {failure.strerror}",
                lacks="netfilter",
                remedy="Load the kernel module nfnetlink",
            ) from None
        self._socket.settimeout(_SECONDS)
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def chains(self) -> frozenset[str]:
        """The names of the chains in our table; empty when there is none."""
        found = set()
        for _, body in self._dump(m.GET_CHAIN, m.INET, m.text(_CHAIN_TABLE, TABLE)):
            values = dict(m.attributes(body, 4))
            if values.get(_CHAIN_TABLE) == TABLE.encode() + b"\0":
                found.add(values[_CHAIN_NAME].rstrip(b"\0").decode())
        return frozenset(found)

    def sets(self) -> frozenset[str]:
        """The names of the sets and maps in our table."""
        found = set()
        for _, body in self._dump(m.GET_SET, m.INET, m.text(_SET_TABLE, TABLE)):
            values = dict(m.attributes(body, 4))
            if values.get(_SET_TABLE) == TABLE.encode() + b"\0":
                found.add(values[_SET_NAME].rstrip(b"\0").decode())
        return frozenset(found)

    def counters(self, name: str) -> dict[int, Counted]:
        """The counters of a set of marks."""
        found: dict[int, Counted] = {}
        for listed in self._listed(name):
            found.update(counted(listed))
        return found

    def marks(self, name: str) -> frozenset[int]:
        """The elements of a set of marks."""
        return frozenset(_mark(one[_KEY]) for one in self._elements(name))

    def records(self, name: str) -> Iterator[KeptRecord]:
        """The elements of a map of persistence records."""
        for one in self._elements(name):
            key = _value(one[_KEY])
            expires = struct.unpack(">Q", one[_EXPIRES])[0] / 1000 if _EXPIRES in one else 0.0
            service, client = _native(key[:4]), str(ip_address(key[4:]))
            yield KeptRecord(service, client, _mark(one[_DATA]), expires)

    def active(self) -> Counter[int]:
        """How many connections are open, by mark."""
        found: Counter[int] = Counter()
        for connection in self._connections(CONNECTION_MARK, CONNECTION_MASK):
            values = dict(m.attributes(connection, 4))
            if not _has_ended(values.get(_PROTOCOL_STATE, b"")):
                found[struct.unpack(">I", values[_MARK])[0]] += 1
        return found

    def cut(self, marks: Collection[int]) -> None:
        """Forget every connection that has one of these marks."""
        if len(marks) <= _ONE_BY_ONE:
            for mark in marks:
                self._cut(mark, 0xFFFFFFFF)
            return
        for connection in self._connections(CONNECTION_MARK, CONNECTION_MASK):
            values = dict(m.attributes(connection, 4))
            if struct.unpack(">I", values[_MARK])[0] in marks:
                self._forget(connection[0], values)

    def cut_all(self) -> None:
        """Forget every connection of every server."""
        self._cut(CONNECTION_MARK, CONNECTION_MASK)

    def forget_strangers(self, places: Collection[tuple[str, int, int | None]]) -> None:
        """Forget connections without a mark to these places: address, protocol number, port or None for any.

        A client that has sent UDP to a service's address before there was a service would otherwise stay what it was.
        """
        for connection in self._connections(0, 0xFFFFFFFF):
            values = dict(m.attributes(connection, 4))
            address, protocol, port = _target(values[_ORIGINAL])
            if (address, protocol, port) in places or (address, protocol, None) in places:
                self._forget(connection[0], values)

    def _cut(self, mark: int, mask: int) -> None:
        wanted = _marked(mark, mask)
        self._ask(m.message(m.DELETE_CONNECTIONS, m.REQUEST | m.ACKNOWLEDGE, m.UNSPECIFIED, self._next(), wanted))

    def _forget(self, family: int, values: dict[int, bytes]) -> None:
        body = m.nested(_ORIGINAL, values[_ORIGINAL])
        if _ID in values:
            body += m.attribute(_ID, values[_ID])
        self._ask(m.message(m.DELETE_CONNECTIONS, m.REQUEST | m.ACKNOWLEDGE, family, self._next(), body))

    def _connections(self, mark: int, mask: int) -> list[bytes]:
        """Connections of that mark, as bodies of messages."""
        dump = self._dump(m.GET_CONNECTIONS, m.UNSPECIFIED, _marked(mark, mask))
        return [body for _, body in dump]

    def _elements(self, name: str) -> Iterator[dict[int, bytes]]:
        for listed in self._listed(name):
            for _, element in m.attributes(listed):
                yield dict(m.attributes(element))

    def _listed(self, name: str) -> Iterator[bytes]:
        """The elements of a set, as lists of attributes."""
        wanted = m.text(_SET_TABLE, TABLE) + m.text(_SET_NAME, name)
        for _, body in self._dump(m.GET_ELEMENTS, m.INET, wanted):
            yield from (value for kind, value in m.attributes(body, 4) if kind == _SET_ELEMENTS)

    def _dump(self, kind: int, family: int, body: bytes) -> Iterator[tuple[int, bytes]]:
        """Everything the kernel tells to a request; nothing when what is asked for is not there."""
        sequence = self._next()
        self._send(m.message(kind, m.REQUEST | m.DUMP, family, sequence, body))
        while True:
            for told, number, rest in m.messages(self._receive()):
                if number != sequence:
                    continue
                if told == m.DONE:
                    return
                if told == m.ERROR:
                    failure = m.error_number(rest)
                    if failure in (0, errno.ENOENT):
                        return
                    raise _refused(failure)
                yield told, rest

    def _ask(self, request: bytes) -> None:
        """Send a request and wait for its receipt. What is gone already need not be removed."""
        self._send(request)
        while True:
            for told, number, rest in m.messages(self._receive()):
                if number == self._sequence and told == m.ERROR:
                    failure = m.error_number(rest)
                    if failure not in (0, errno.ENOENT):
                        raise _refused(failure)
                    return

    def _send(self, request: bytes) -> None:
        try:
            self._socket.send(request)
        except OSError as failure:
            raise _refused(failure.errno or errno.EIO) from None

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(_READ_BYTES)
        except OSError as failure:
            raise _refused(failure.errno or errno.ETIMEDOUT) from None

    def _next(self) -> int:
        self._sequence = (self._sequence + 1) & 0x7FFFFFFF
        return self._sequence


def _refused(number: int) -> Exception:
    if number == errno.EPERM:
        return HostLacks(
            "Netfilter may be changed only with the capability CAP_NET_ADMIN, which this process does not have",
            lacks="CAP_NET_ADMIN",
            remedy="Run it as root, or give it the capability",
        )
    return EngineRefused("The kernel's netfilter refused a request", words=os.strerror(number))


def _marked(mark: int, mask: int) -> bytes:
    return m.attribute(_MARK, struct.pack(">I", mark)) + m.attribute(_MARK_MASK, struct.pack(">I", mask))


def _value(data: bytes) -> bytes:
    return dict(m.attributes(data))[_VALUE]


def _native(data: bytes) -> int:
    """nftables keeps marks in the host's byte order."""
    return int(struct.unpack("=I", data)[0])


def _mark(data: bytes) -> int:
    return _native(_value(data)[:4])


def counted(listed: bytes) -> Iterator[tuple[int, Counted]]:
    """Marks with their counters, from a list of elements.

    Ten thousand of them are read every few seconds. All have the same shape, so the places of the numbers are looked up
    once in the list; elements of another shape, if ever there are any, are read one by one.
    """
    if len(listed) < 4:
        return
    size = struct.unpack_from("=H", listed)[0]
    head, count = listed[:4], len(listed) // size
    places = _places(listed[:size])
    if places is None or len(listed) % size or any(listed[n * size : n * size + 4] != head for n in range(count)):
        for _, element in m.attributes(listed):
            values = dict(m.attributes(element))
            yield _mark(values[_KEY]), _counter(values)
        return
    mark, octets, packets = places
    for start in range(0, len(listed), size):
        yield (
            int.from_bytes(listed[start + mark : start + mark + 4], sys.byteorder),
            Counted(
                int.from_bytes(listed[start + packets : start + packets + 8], "big"),
                int.from_bytes(listed[start + octets : start + octets + 8], "big"),
            ),
        )


def _places(element: bytes) -> tuple[int, int, int] | None:
    """Where an element, with its head, has the mark, the bytes and the packets; None when that is not clear."""
    name = element.find(b"counter\0")
    octets = element.find(struct.pack("=HH", 12, _COUNTED_BYTES), name)
    packets = element.find(struct.pack("=HH", 12, _COUNTED_PACKETS), octets)
    mark = element.find(struct.pack("=HH", 8, _VALUE))
    return None if -1 in (name, octets, packets, mark) else (mark + 4, octets + 4, packets + 4)


def _counter(element: dict[int, bytes]) -> Counted:
    expression = element.get(_EXPRESSION)
    if expression is None:
        several = element.get(_EXPRESSIONS)
        if several is None:
            return Counted(0, 0)
        expression = next(value for _, value in m.attributes(several))
    data = dict(m.attributes(dict(m.attributes(expression))[_EXPRESSION_DATA]))
    packets, size = (struct.unpack(">Q", data[kind])[0] for kind in (_COUNTED_PACKETS, _COUNTED_BYTES))
    return Counted(packets, size)


def _has_ended(protocol_state: bytes) -> bool:
    tcp = dict(m.attributes(protocol_state)).get(_TCP)
    if tcp is None:
        return False
    return dict(m.attributes(tcp)).get(_TCP_STATE, b"\0")[0] in _ENDED


def _target(original: bytes) -> tuple[str, int, int | None]:
    """Where the first packet of a connection went: address, protocol number, port."""
    values = dict(m.attributes(original))
    addresses = dict(m.attributes(values[_ADDRESSES]))
    protocol = dict(m.attributes(values[_PROTOCOL]))
    packed = addresses.get(2) or addresses.get(4) or b"\0\0\0\0"
    port = struct.unpack(">H", protocol[3])[0] if 3 in protocol else None
    return str(ip_address(packed)), protocol[1][0], port
