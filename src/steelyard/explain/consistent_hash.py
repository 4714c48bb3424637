"""HAProxy's consistent hash, to say which server a source address or a URL goes to.

As in HAProxy 2.6 and 2.8 (`lb_chash.c`, `full_hash`, `backend.c`, `gen_hash` with sdbm): each server has 16 points on a
ring of 32 bits for each unit of weight, placed by its number; the nearest point decides, and of two at the same
distance the one before. `hash-type consistent` without more puts the avalanche on what is hashed, too.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address

_BITS = 0xFFFFFFFF
#: points of a server a unit of weight (`BE_WEIGHT_SCALE`), and the numbers each server may have (`SRV_EWGHT_RANGE`)
_SCALE = 16
_RANGE = 256 * _SCALE


def _spread(a: int) -> int:
    """Bob Jenkins' full avalanche of 32 bits, times a prime near three quarters of the ring."""
    a = (a + 0x7ED55D16 + (a << 12)) & _BITS
    a = (a ^ 0xC761C23C ^ (a >> 19)) & _BITS
    a = (a + 0x165667B1 + (a << 5)) & _BITS
    a = ((a + 0xD3A2646C) ^ (a << 9)) & _BITS
    a = (a + 0xFD7046C5 + (a << 3)) & _BITS
    a = (a ^ 0xB55A4F09 ^ (a >> 16)) & _BITS
    return (a * 3221225473) & _BITS


def of_source(address: str) -> int:
    """The hash of `balance source`: the words of the address, exclusive or."""
    packed = ip_address(address).packed
    found = 0
    for start in range(0, len(packed), 4):
        found ^= int.from_bytes(packed[start : start + 4])
    return _spread(found)


def of_uri(uri: str) -> int:
    """The hash of `balance uri whole`: sdbm over all of it."""
    found = 0
    for byte in uri.encode("utf-8", "surrogateescape"):
        found = (byte + (found << 6) + (found << 16) - found) & _BITS
    return _spread(found)


@lru_cache(maxsize=64)
def _ring(servers: tuple[int, ...], weight: int) -> tuple[list[int], list[int]]:
    """Points and the numbers of their servers, in order. Of equal points the one that came first stays first."""
    points = [
        (_spread((number * _RANGE + place) & _BITS), number) for number in servers for place in range(weight * _SCALE)
    ]
    points.sort(key=lambda point: point[0])
    return [point for point, _ in points], [number for _, number in points]


def nearest(value: int, servers: Sequence[int], weight: int) -> int:
    """The number of the server that a hash goes to; all servers have the same weight."""
    points, numbers = _ring(tuple(sorted(servers)), weight)
    after = bisect_left(points, value) % len(points)
    before = after - 1
    distance_before = (value - points[before]) & _BITS
    distance_after = (points[after] - value) & _BITS
    return numbers[before] if distance_before <= distance_after else numbers[after]
