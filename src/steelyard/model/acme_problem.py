"""What an ACME authority objects to (RFC 8555, 6.7), and what an operator can do about each."""

from __future__ import annotations

from typing import Any

from steelyard.model.errors import EngineRefused

_REMEDIES = {
    "accountDoesNotExist": "Register the account (again)",
    "badCSR": "Choose another type of key, or other names",
    "badPublicKey": "Choose another type of key",
    "badSignatureAlgorithm": "Register with a key of another kind",
    "caa": "Let the CAA records of the zone name this authority",
    "dnssec": "Mend the zone's DNSSEC",
    "externalAccountRequired": "Set kid and hmac as the authority gave them to you, and register again",
    "invalidContact": "Give another e-mail address, or none",
    "malformed": "Check kid and hmac, names and e-mail address",
    "orderNotReady": "It is tried again later by itself",
    "rateLimited": "Wait as long as the authority says; try things out with a dry run against a staging directory",
    "rejectedIdentifier": "Leave out the names that this authority issues no certificates for",
    "serverInternal": "It is the authority's trouble; it is tried again later by itself",
    "unauthorized": "Check kid and hmac; if the account was closed, register a new one",
    "unsupportedContact": "Give an e-mail address, or none",
    "unsupportedIdentifier": "Give host names alone",
    "userActionRequired": "Do what the authority asks, at the address it names",
}
_HTTP = (
    "See that the name leads to the address of the challenge service, that port 80 there is open to everybody, and that"
    " no access list keeps the authority out"
)
_DNS = "See that the record is made in the zone that the world sees, and that every server of the zone shows it"
_CHALLENGE = frozenset({"connection", "dns", "incorrectResponse", "unauthorized", "tls", "malformed"})


def remedy_for(code: str, challenge: str = "") -> str:
    """What to do about a problem; `challenge` is the kind of challenge it came of, if of one."""
    if challenge and code in _CHALLENGE:
        return _HTTP if challenge == "http-01" else _DNS
    return _REMEDIES.get(code, "Read what the authority says")


class AuthorityRefused(EngineRefused):
    """An ACME authority said no. `words` is its problem document, `code` the kind of problem."""

    def __init__(self, message: str, *, words: str = "", remedy: str = "", code: str = "") -> None:
        super().__init__(message, words=words)
        self.remedy = remedy
        self.code = code

    def details(self) -> dict[str, Any]:
        return {**super().details(), "remedy": self.remedy} if self.remedy else super().details()
