"""The small vocabularies that several settings share: what a name, a token, an address or a port may look like."""

from __future__ import annotations

import ipaddress

#: header and cookie names: an HTTP token (RFC 9110, 5.6.2) without the characters HAProxy's expressions use
TOKEN = r"[A-Za-z0-9!#$&*+.^_`|~-]+"
TOKEN_SAYS = "letters, digits and the signs ! # $ & * + . ^ _ ` | ~ -"

#: one label of a DNS name (RFC 1035, 2.3.4: 63 characters); longer or empty ones no TLS library takes as a server name
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"

#: a DNS name or an address literal, with an optional port
HOST = rf"{_LABEL}(\.{_LABEL})*(:[0-9]{{1,5}})?|\[[0-9A-Fa-f:.]+\](:[0-9]{{1,5}})?"
HOST_SAYS = "a host name or address, with an optional :port"

HOST_NAME = rf"(\*\.)?{_LABEL}(\.{_LABEL})*"
HOST_NAME_SAYS = "a host name"

#: identifiers of certificates and the like
IDENTIFIER = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
IDENTIFIER_SAYS = "letters, digits, _ - and . (not first)"

PRINTABLE_PATH = r"/[!-~]*"
PRINTABLE_PATH_SAYS = "a path that starts with / and holds no blanks"


def canonical_address(text: str) -> str:
    """The address in its one canonical spelling.

    Raises `ValueError` when it is none, or is a scoped or multicast one.
    """
    address = ipaddress.ip_address(text.strip().strip("[]"))
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise ValueError("an address with a zone is not allowed")
    if address.is_multicast:
        raise ValueError("a multicast address is not allowed")
    return str(address)


def parse_port_ranges(items: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """("5061", "5070-5076") -> ((5061, 5061), (5070, 5076)), merged and sorted.

    Raises `ValueError` naming the bad item.
    """
    ranges: list[tuple[int, int]] = []
    for item in items:
        low, _, high = item.partition("-")
        if not low.isdigit() or (high and not high.isdigit()):
            raise ValueError(f"{item!r} is neither a port nor a range like 5070-5076")
        first, last = int(low), int(high or low)
        if not 1 <= first <= last <= 65535:
            raise ValueError(f"{item!r} is outside 1-65535 or backwards")
        ranges.append((first, last))
    ranges.sort()
    merged: list[tuple[int, int]] = []
    for first, last in ranges:
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)


def format_port_ranges(ranges: tuple[tuple[int, int], ...]) -> tuple[str, ...]:
    """The opposite of `parse_port_ranges`."""
    return tuple(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


#: headers that say where a message ends or what its connection does: written by hand they would break both
FRAMING_HEADERS = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
