"""The words of nftables that values are made of. Every one is checked, so nothing else can get into a transaction."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_network

from steelyard.plan.nft import Data, Goto, Key, Leave, Mark

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_PROTOCOLS = frozenset({"tcp", "udp"})


def name(text: str) -> str:
    """A name of ours. Raises `ValueError` for anything that is not of letters, digits and underscores."""
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name for nftables")
    return text


def number(value: int, most: int = 0xFFFFFFFF) -> str:
    """A number from 0 to `most`."""
    if not 0 <= value <= most:
        raise ValueError(f"{value} is outside 0-{most}")
    return str(value)


def mark(value: Mark) -> str:
    """A connection mark."""
    number(value.number)
    return f"{value.number:#010x}"


def key(parts: Iterable[Key]) -> str:
    """The key of an element."""
    return " . ".join(_part(part) for part in parts)


def data(value: Data) -> str:
    """What an element of a map leads to."""
    if isinstance(value, Mark):
        return mark(value)
    if isinstance(value, Goto):
        return f"goto {name(value.chain)}"
    if isinstance(value, Leave):
        return "accept"
    if isinstance(value, tuple):
        address, port = value
        return f"{address} . {number(port, 65535)}"
    return str(value)


def source(*, ipv6: bool, prefix: int) -> str:
    """The client's address, cut to so many leading bits."""
    word = "ip6 saddr" if ipv6 else "ip saddr"
    whole = 128 if ipv6 else 32
    if not 1 <= prefix <= whole:
        raise ValueError(f"a prefix of {prefix} bits is outside 1-{whole}")
    if prefix == whole:
        return word
    # in parentheses, because a concatenation takes no `&` without them (nftables 1.0.6)
    return f"({word} & {ip_network(('::' if ipv6 else '0.0.0.0', prefix)).netmask})"


def _part(part: Key) -> str:
    if isinstance(part, Mark):
        return mark(part)
    if isinstance(part, int):
        return number(part)
    if isinstance(part, (IPv4Address, IPv6Address)):
        return str(part)
    if part not in _PROTOCOLS:
        raise ValueError(f"{part!r} is no protocol")
    return part
