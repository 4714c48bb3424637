"""Messages of netlink: what is made is read back, and what is cut short is no trouble."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from steelyard.engines.nft import messages as m
from steelyard.engines.nft.kernel import counted


@given(st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=40)), max_size=6))
def test_attributes_are_read_as_they_were_made(pairs: list[tuple[int, bytes]]) -> None:
    made = b"".join(m.attribute(kind, value) for kind, value in pairs)
    assert list(m.attributes(made)) == pairs


def test_messages_are_read_as_they_were_made() -> None:
    one = m.message(m.GET_CHAIN, m.REQUEST, m.INET, 7, m.text(1, "vs1"))
    two = m.message(m.DONE, 0, m.INET, 8)
    assert [(kind, number) for kind, number, _ in m.messages(one + two)] == [(m.GET_CHAIN, 7), (m.DONE, 8)]
    assert [kind for kind, _, _ in m.messages(one[:10])] == []


@given(st.binary(max_size=60))
def test_any_bytes_end(data: bytes) -> None:
    list(m.messages(data))
    list(m.attributes(data))


def _element(mark: int, packets: int, size: int, *more: bytes) -> bytes:
    counter = m.nested(2, m.attribute(1, struct.pack(">Q", size)), m.attribute(2, struct.pack(">Q", packets)))
    expression = m.nested(7, m.text(1, "counter"), counter)
    return m.nested(1, m.nested(1, m.attribute(1, struct.pack("=I", mark))), expression, *more)


def test_counters_are_read_at_their_places() -> None:
    listed = b"".join(_element(0x4C000000 + number, number, number * 60) for number in range(1, 5))
    assert [(mark & 0xFF, *found) for mark, found in counted(listed)] == [(n, n, n * 60) for n in range(1, 5)]


def test_elements_of_another_shape_are_read_too() -> None:
    listed = _element(1, 2, 3) + _element(4, 5, 6, m.attribute(3, b"\0\0\0\1")) + _element(7, 8, 9)
    assert [(mark, *found) for mark, found in counted(listed)] == [(1, 2, 3), (4, 5, 6), (7, 8, 9)]
    assert list(counted(b"")) == []
