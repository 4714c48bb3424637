"""Clients that were refused in the handshake, from the lines of `compile.haproxy.refused_clients`. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from steelyard.compile.haproxy.refused_clients import MARK

#: OpenSSL's verification errors (x509_vfy.h) that a client's certificate can have
_WORDS = {
    2: "its authority is not accepted",
    7: "its signature is wrong",
    9: "it is not valid yet",
    10: "it has expired",
    11: "the revocation list is not valid yet",
    12: "the revocation list of its authority has expired",
    18: "it is signed by itself",
    19: "its authority is not accepted",
    20: "its authority is not accepted",
    21: "its authority is not accepted",
    23: "it is revoked",
    24: "it is signed by one that is no authority",
    26: "it is not made for clients",
    32: "it is signed by one that may sign no certificates",
    66: "its key is too weak",
    68: "it is signed with a digest that is too weak",
}
#: errors that a listener lets pass
_LET_PASS = frozenset({0, 2, 3})
#: the reason in an error code of OpenSSL 3, and those that say that there was no certificate
_REASON_BITS = 0x7FFFFF
_NONE_SHOWN = frozenset({199})


@dataclass(frozen=True, slots=True)
class RefusedClient:
    """One client, when it came (seconds since the epoch), the subject of its certificate (empty for none), and why."""

    at: float
    client: str
    subject: str
    reason: str


def refused_clients(events: str) -> tuple[RefusedClient, ...]:
    """Newest first. Lines of other kinds, and those cut off, are passed over."""
    return tuple(_read(events))[::-1]


def _read(events: str) -> Iterator[RefusedClient]:
    for line in events.splitlines():
        mark, _, rest = line.partition(" ")
        words = rest.split(" ", 5)
        if mark != MARK or len(words) != 6 or not all(word.isdecimal() for word in (words[0], *words[2:5])):
            continue
        certificate, above, handshake = map(int, words[2:5])
        if not (certificate or above or handshake):
            # it went away by itself
            continue
        subject = "" if words[5] == "-" else words[5]
        yield RefusedClient(float(words[0]), words[1], subject, _reason(certificate, above, handshake))


def _reason(certificate: int, above: int, handshake: int) -> str:
    if certificate not in _LET_PASS:
        return _WORDS.get(certificate, f"OpenSSL's verification error {certificate}")
    if above not in _LET_PASS:
        words = _WORDS.get(above, f"OpenSSL's verification error {above}")
        return words if above in (19, 20, 21) else f"of an authority above it: {words}"
    reason = handshake & _REASON_BITS
    return "it showed no certificate" if reason in _NONE_SHOWN else f"the handshake failed, OpenSSL's reason {reason}"
