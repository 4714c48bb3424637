"""Cipher suites of TLS 1.0 to 1.2 by their OpenSSL names, and what a name tells.

The names are those of suites that authenticate the server with a certificate: anonymous ones let anybody stand between,
and those with passwords or shared keys need settings that no service has. Which of them a host has is another question:
OpenSSL 3 as distributions build it has neither RC4 nor 3DES.
"""

from __future__ import annotations

import difflib

from steelyard.model.errors import OperatorError

#: Suites of TLS 1.3; they say nothing of key exchange and authentication and are chosen apart.
TLS13_STANDARD = ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256")
TLS13_SUITES = (*TLS13_STANDARD, "TLS_AES_128_CCM_8_SHA256", "TLS_AES_128_CCM_SHA256")

#: what encrypts and authenticates the bytes; those of TLS 1.2 alone, then those of TLS 1.0 as well
_NEW = ("AES256-GCM-SHA384", "AES128-GCM-SHA256", "AES256-CCM8", "AES256-CCM", "AES128-CCM8", "AES128-CCM")
_OLD = ("AES256-SHA", "CAMELLIA256-SHA", "AES128-SHA", "CAMELLIA128-SHA")
#: key exchange and authentication -> what can stand behind them. RSA exchange has no prefix.
_FAMILIES = {
    "ECDHE-ECDSA-": (
        *_NEW,
        "CHACHA20-POLY1305",
        *("ARIA256-GCM-SHA384", "ARIA128-GCM-SHA256"),
        *("AES256-SHA384", "CAMELLIA256-SHA384", "AES128-SHA256", "CAMELLIA128-SHA256"),
        *("AES256-SHA", "AES128-SHA", "DES-CBC3-SHA", "RC4-SHA", "NULL-SHA"),
    ),
    "ECDHE-RSA-": (
        *("AES256-GCM-SHA384", "AES128-GCM-SHA256", "CHACHA20-POLY1305"),
        *("AES256-SHA384", "CAMELLIA256-SHA384", "AES128-SHA256", "CAMELLIA128-SHA256"),
        *("AES256-SHA", "AES128-SHA", "DES-CBC3-SHA", "RC4-SHA", "NULL-SHA"),
    ),
    "ECDHE-": ("ARIA256-GCM-SHA384", "ARIA128-GCM-SHA256"),
    "DHE-RSA-": (
        *_NEW,
        "CHACHA20-POLY1305",
        *("ARIA256-GCM-SHA384", "ARIA128-GCM-SHA256"),
        *("AES256-SHA256", "CAMELLIA256-SHA256", "AES128-SHA256", "CAMELLIA128-SHA256"),
        *(*_OLD, "SEED-SHA", "DES-CBC3-SHA"),
    ),
    "DHE-DSS-": (
        *("AES256-GCM-SHA384", "AES128-GCM-SHA256", "ARIA256-GCM-SHA384", "ARIA128-GCM-SHA256"),
        *("AES256-SHA256", "CAMELLIA256-SHA256", "AES128-SHA256", "CAMELLIA128-SHA256"),
        *(*_OLD, "SEED-SHA", "DES-CBC3-SHA"),
    ),
    "EDH-RSA-": ("DES-CBC3-SHA",),
    "EDH-DSS-": ("DES-CBC3-SHA",),
    "": (
        *_NEW,
        *("ARIA256-GCM-SHA384", "ARIA128-GCM-SHA256"),
        *("AES256-SHA256", "CAMELLIA256-SHA256", "AES128-SHA256", "CAMELLIA128-SHA256"),
        *(*_OLD, "SEED-SHA", "IDEA-CBC-SHA", "DES-CBC3-SHA", "RC4-SHA", "RC4-MD5"),
        *("NULL-SHA256", "NULL-SHA", "NULL-MD5"),
    ),
}
#: every name there is
CIPHERS = tuple(prefix + rest for prefix, rests in _FAMILIES.items() for rest in rests)
_KNOWN = frozenset(CIPHERS)

#: What OpenSSL takes only at security level 0 (its manual, SSL_CTX_set_security_level).
_WEAK = ("NULL", "RC4", "MD5")
_TLS12_ALONE = ("-SHA256", "-SHA384", "CHACHA20-POLY1305", "CCM", "CCM8")


def checked_ciphers(names: tuple[str, ...], field: str) -> tuple[str, ...]:
    """Those names, each once. Raises `OperatorError` that names the first one that is none."""
    names = tuple(dict.fromkeys(names))
    if not names:
        raise OperatorError(
            "A cipher set needs at least one cipher",
            field=field,
            allowed="names of OpenSSL, for example ECDHE-RSA-AES256-GCM-SHA384",
            remedy="Give names joined by colons",
        )
    for name in names:
        if name not in _KNOWN:
            raise _unknown(name, field)
    return names


def _unknown(name: str, field: str) -> OperatorError:
    shown = name if len(name) <= 80 else name[:77] + "..."
    if name in TLS13_SUITES:
        return OperatorError(
            f"{name} is a suite of TLS 1.3, which is chosen apart",
            field=field,
            value=shown,
            allowed="ciphers of TLS 1.0 to 1.2",
            remedy="Name it in Tls13CipherSet",
        )
    near = difflib.get_close_matches(name.upper(), CIPHERS, n=1)
    return OperatorError(
        f"{shown!r} is an unknown cipher",
        field=field,
        value=shown,
        allowed="names of OpenSSL, for example ECDHE-RSA-AES256-GCM-SHA384",
        remedy=f"Did you mean {near[0]}?" if near else "See docs/guides/tls.md for the names",
    )


def authentication(name: str) -> str:
    """The kind of key the server's certificate must have: "RSA", "ECC" or "DSS"."""
    if "-ECDSA-" in name:
        return "ECC"
    return "DSS" if "-DSS-" in name else "RSA"


def works_with(name: str, protocol: str) -> bool:
    """Whether a cipher can be used with a protocol ("TLSv1.0" to "TLSv1.2")."""
    return protocol == "TLSv1.2" or not name.endswith(_TLS12_ALONE)


def is_weak(name: str) -> bool:
    """Whether OpenSSL takes it only when it is told to take anything."""
    return any(part in name for part in _WEAK)
