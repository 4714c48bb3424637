"""Backups of certificates and intermediates with their keys, encrypted by a pass phrase.

    STEELYARD-CERTIFICATES 1
    {"made": "2026-01-01T00:00:00Z", "kdf": "scrypt", "n": 65536, "r": 8, "p": 1, "salt": ..., "nonce": ...}
    the content, encrypted

Two lines of text, then bytes. The key is scrypt's of the pass phrase (RFC 7914; 64 MiB, a tenth of a second), the
content JSON under AES-256-GCM, with both lines authenticated: nothing of the file can be changed unnoticed. A wrong
pass phrase and a damaged content are the same to it, so one complaint names both.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError

MAGIC = b"STEELYARD-CERTIFICATES "
VERSION = b"1"
LEAST_PASS_PHRASE, MOST_PASS_PHRASE = 7, 64
SALT_BYTES, NONCE_BYTES = 16, 12
_KEY_BYTES = 32
_COST = {"n": 2**16, "r": 8, "p": 1}
#: what a file may ask for: 256 MiB, so that a forged one cannot exhaust this host
_MOST_N = 2**18
_MOST_HEADER = 4096

#: what is restored: LoadMaster's words for everything, the intermediates ("third party"), those of virtual services
Part = Literal["full", "third", "vs"]
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True)
class SavedCertificate:
    """One certificate with its key."""

    name: str
    chain_pem: str
    key_pem: bytes = field(repr=False)


@dataclass(frozen=True)
class CertificateBackup:
    """What a backup holds; intermediates by name, in PEM."""

    certificates: Sequence[SavedCertificate] = ()
    intermediates: Mapping[str, str] = field(default_factory=dict)


def gather(configuration: Configuration, keys: Mapping[str, bytes]) -> CertificateBackup:
    """Everything there is to save; `keys` by digest. The temporary certificate is every appliance's own."""
    certificates = tuple(
        SavedCertificate(one.name, one.chain_pem, keys[one.key_id])
        for one in configuration.certificates.values()
        if not one.temporary
    )
    return CertificateBackup(certificates, {one.name: one.pem for one in configuration.intermediates.values()})


def check_pass_phrase(pass_phrase: str) -> str:
    """The pass phrase, if it is as long as it has to be. Raises `OperatorError`, which never repeats it."""
    if not LEAST_PASS_PHRASE <= len(pass_phrase) <= MOST_PASS_PHRASE:
        raise OperatorError(
            f"The pass phrase has {len(pass_phrase)} characters",
            field="password",
            allowed=f"{LEAST_PASS_PHRASE} to {MOST_PASS_PHRASE} characters",
            remedy=f"Choose one of {LEAST_PASS_PHRASE} to {MOST_PASS_PHRASE} characters",
        )
    return pass_phrase


def seal(
    backup: CertificateBackup, pass_phrase: str, *, salt: bytes, nonce: bytes, at: datetime, n: int = _COST["n"]
) -> bytes:
    """The file. `salt` and `nonce` have to be random and new each time. `n` is what scrypt costs."""
    cost = {**_COST, "n": n}
    header = {
        "made": at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "kdf": "scrypt",
        **cost,
        "salt": base64.b64encode(salt).decode(),
        "nonce": base64.b64encode(nonce).decode(),
    }
    head = MAGIC + VERSION + b"\n" + json.dumps(header).encode() + b"\n"
    content = {
        "certificates": [
            {"name": one.name, "chain_pem": one.chain_pem, "key_pem": one.key_pem.decode()}
            for one in backup.certificates
        ],
        "intermediates": [{"name": name, "pem": pem} for name, pem in backup.intermediates.items()],
    }
    key = _key(check_pass_phrase(pass_phrase), salt, **cost)
    return head + AESGCM(key).encrypt(nonce, json.dumps(content).encode(), head)


def _key(pass_phrase: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return Scrypt(salt=salt, length=_KEY_BYTES, n=n, r=r, p=p).derive(pass_phrase.encode())


def unseal(data: bytes, pass_phrase: str) -> CertificateBackup:
    """The content of a file. Raises `OperatorError` for a foreign or damaged file, and for a wrong pass phrase."""
    if not data.startswith(MAGIC):
        raise OperatorError(
            "The file is no backup of certificates made by Steelyard",
            field="data",
            remedy="Send a file that `steelyard cert backup` or backupcert has made; LoadMaster's are closed to others",
        )
    first, _, rest = data.partition(b"\n")
    if first.removeprefix(MAGIC) != VERSION:
        raise OperatorError(
            "The backup of certificates is of a newer kind", field="data", remedy="Restore it with a newer Steelyard"
        )
    line, _, sealed = rest.partition(b"\n")
    cost, salt, nonce = _header(line)
    try:
        content = AESGCM(_key(pass_phrase, salt, **cost)).decrypt(nonce, sealed, first + b"\n" + line + b"\n")
    except InvalidTag:
        raise OperatorError(
            "The pass phrase does not open the backup, or the file is damaged",
            field="password",
            remedy="Give the pass phrase it was made with, or another copy of the file",
        ) from None
    try:
        return _content(json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _damaged() from None


def _damaged() -> OperatorError:
    return OperatorError(
        "The backup of certificates is damaged: its head cannot be read", field="data", remedy="Send another copy of it"
    )


def _header(line: bytes) -> tuple[dict[str, int], bytes, bytes]:
    if len(line) > _MOST_HEADER:
        raise _damaged()
    try:
        header = json.loads(line)
        cost = {name: header[name] for name in _COST}
        salt, nonce = (base64.b64decode(header[name], validate=True) for name in ("salt", "nonce"))
    except (ValueError, TypeError, KeyError, binascii.Error, RecursionError):
        raise _damaged() from None
    whole = all(isinstance(value, int) and not isinstance(value, bool) for value in cost.values())
    n = cost["n"] if whole else 0
    allowed = whole and 1 < n <= _MOST_N and n & (n - 1) == 0 and cost["r"] == _COST["r"] and 1 <= cost["p"] <= 4
    if not allowed or len(salt) != SALT_BYTES or len(nonce) != NONCE_BYTES:
        raise _damaged()
    return cost, salt, nonce


def _content(content: Mapping[str, Any]) -> CertificateBackup:
    """What `seal` has written. Who knows the pass phrase may have sealed something else."""
    certificates = tuple(
        SavedCertificate(one["name"], one["chain_pem"], one["key_pem"].encode()) for one in content["certificates"]
    )
    return CertificateBackup(certificates, {one["name"]: one["pem"] for one in content["intermediates"]})
