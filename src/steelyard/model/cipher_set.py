"""Cipher sets: the built-in ones, an operator's own, and whether one fits a service.

LoadMaster documents the names and purposes of its sets and, of FIPS alone, the members. The other lists are put
together here for those purposes; docs/guides/tls.md says which has what and why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from steelyard.model.ciphers import authentication, checked_ciphers, works_with
from steelyard.model.errors import NotFound, OperatorError
from steelyard.model.setting import Setting, Settings
from steelyard.model.text import IDENTIFIER, IDENTIFIER_SAYS

_AEAD = ("AES256-GCM-SHA384", "CHACHA20-POLY1305", "AES128-GCM-SHA256")
_BLOCKS = ("AES256-SHA384", "AES128-SHA256", "AES256-SHA", "AES128-SHA")


def _ecdhe(*rests: str) -> tuple[str, ...]:
    return tuple(f"ECDHE-{key}-{rest}" for rest in rests for key in ("ECDSA", "RSA"))


_BEST = _ecdhe(*_AEAD)
_DEFAULT = _BEST + _ecdhe(*_BLOCKS)
_RSA_EXCHANGE = (
    *("AES256-GCM-SHA384", "AES128-GCM-SHA256"),
    *("AES256-SHA256", "AES128-SHA256", "AES256-SHA", "AES128-SHA"),
)
_INTERMEDIATE = (
    *_BEST,
    *(f"DHE-RSA-{rest}" for rest in _AEAD),
    *_ecdhe(*_BLOCKS),
    *(f"DHE-RSA-{rest}" for rest in ("AES256-SHA256", "AES128-SHA256", "AES256-SHA", "AES128-SHA")),
    *_RSA_EXCHANGE,
)


def _for_ecdsa(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if authentication(name) == "ECC")


#: name -> members, strongest first, which is the order in which they are preferred
BUILT_IN: Mapping[str, tuple[str, ...]] = {
    "Default": _DEFAULT,
    "Default_NoRc4": _DEFAULT,
    "BestPractices": _BEST,
    "Intermediate_compatibility": _INTERMEDIATE,
    "Backward_compatibility": (
        *_INTERMEDIATE,
        *("DHE-RSA-CAMELLIA256-SHA", "DHE-RSA-CAMELLIA128-SHA", "CAMELLIA256-SHA", "CAMELLIA128-SHA"),
        *_ecdhe("DES-CBC3-SHA"),
        *("EDH-RSA-DES-CBC3-SHA", "DES-CBC3-SHA"),
    ),
    # the interface has scripts of all ages for clients
    "WUI": _DEFAULT,
    # the members LoadMaster documents, those with forward secrecy first
    "FIPS": (
        *("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"),
        *("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
        *("DHE-RSA-AES256-GCM-SHA384", "DHE-RSA-AES128-GCM-SHA256"),
        *("DHE-DSS-AES256-GCM-SHA384", "DHE-DSS-AES128-GCM-SHA256"),
        *("ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-SHA256"),
        *("DHE-RSA-AES256-SHA256", "DHE-RSA-AES128-SHA256", "DHE-DSS-AES256-SHA256", "DHE-DSS-AES128-SHA256"),
        *("AES256-GCM-SHA384", "AES128-GCM-SHA256", "AES256-SHA256", "AES128-SHA256"),
    ),
    "Legacy": (
        *("DHE-RSA-AES256-SHA", "DHE-RSA-AES128-SHA", "AES256-SHA", "AES128-SHA"),
        *("EDH-RSA-DES-CBC3-SHA", "DES-CBC3-SHA", "RC4-SHA", "RC4-MD5"),
    ),
    "Null_Ciphers": (*_ecdhe("NULL-SHA"), "NULL-SHA256", "NULL-SHA", "NULL-MD5"),
    "ECDSA_Default": _for_ecdsa(_DEFAULT),
    "ECDSA_BestPractices": _for_ecdsa(_BEST),
}


class CipherSet(Settings):
    """A cipher set of the operator's own."""

    noun: ClassVar[str] = "cipher set"

    name: Annotated[
        str,
        Setting(
            "name",
            "cipher set",
            "Name",
            "What services name it by; upper and lower case differ.",
            max_length=127,
            pattern=IDENTIFIER,
            pattern_says=IDENTIFIER_SAYS,
            filled=True,
        ),
    ]
    ciphers: Annotated[
        tuple[str, ...],
        Setting(
            "value",
            "cipher set",
            "Ciphers",
            "Ciphers of TLS 1.0 to 1.2 by their OpenSSL names, the preferred one first.",
            separator=":",
        ),
    ]

    @field_validator("name")
    @classmethod
    def _not_built_in(cls, value: str) -> Any:
        if value in BUILT_IN:
            why = {"why": "is a built-in cipher set, which never changes", "allowed": "any other name"}
            raise PydanticCustomError("setting", "{why}", why)
        return value

    @field_validator("ciphers")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> Any:
        try:
            return checked_ciphers(value, "ciphers")
        except OperatorError as failure:
            why = {"why": f"holds what cannot be: {failure.message}", "allowed": failure.allowed or ""}
            raise PydanticCustomError("setting", "{why}", {**why, "remedy": failure.remedy or ""}) from None


CipherSets = Mapping[str, CipherSet]


def custom_name(service: int) -> str:
    """The name of the set that a service's setting `ciphers` makes."""
    return f"Custom_{service}"


def members(sets: CipherSets, name: str) -> tuple[str, ...]:
    """The ciphers of a set, the preferred one first. Raises `NotFound`."""
    built_in = BUILT_IN.get(name)
    if built_in is not None:
        return built_in
    try:
        return sets[name].ciphers
    except KeyError:
        raise NotFound("cipher set", name) from None


def refuse_misfit(
    ciphers: Iterable[str], *, name: str, offered: tuple[str, ...], tls_type: int, key_types: frozenset[str]
) -> None:
    """Raise `OperatorError` where a set leaves a protocol on offer that no client could use.

    `key_types` are those of the assigned certificates; with none the temporary certificate is not held against it.
    """
    ciphers = tuple(ciphers)
    for protocol in offered:
        if protocol == "TLSv1.3":
            continue
        fitting = [one for one in ciphers if works_with(one, protocol)]
        title = protocol.replace("v", " ")
        if not fitting:
            kept = tuple(one for one in offered if one == "TLSv1.3" or any(works_with(c, one) for c in ciphers))
            raise OperatorError(
                f"CipherSet {name!r} has no cipher for {title}, which TLSType={tls_type} leaves on",
                field="cipher_set",
                value=name,
                allowed=f"a set with a cipher for each of {_titles(offered)}",
                remedy=f"Leave only {_titles(kept)} on in TLSType, or choose another set"
                if kept
                else "Choose another set",
            )
        if key_types and not key_types & {authentication(one) for one in fitting}:
            wanted = " or ".join(sorted({_KEYS[authentication(one)] for one in fitting}))
            has = " and ".join(sorted(_KEYS[one] for one in key_types))
            raise OperatorError(
                f"CipherSet {name!r} has for {title} only ciphers for {wanted} keys; the assigned certificates have"
                f" {has} keys",
                field="cipher_set",
                value=name,
                allowed=f"a set with ciphers for {has} keys",
                remedy=f"Assign a certificate with an {wanted} key too, or choose another set",
            )


_KEYS = {"RSA": "RSA", "ECC": "ECDSA", "DSS": "DSA"}


def _titles(protocols: tuple[str, ...]) -> str:
    return ", ".join(one.replace("v", " ") for one in protocols)
