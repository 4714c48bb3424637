"""Files that a pass phrase seals.

    STEELYARD-<WHAT> 1
    {"made": "2026-01-01T00:00:00Z", "bytes": 1234, "kdf": "scrypt", "n": 65536, "r": 8, "p": 1, "salt", "nonce"}
    the content, encrypted

Two lines of text, then bytes. The key is scrypt's of the pass phrase (RFC 7914; 64 MiB, a tenth of a second), the
content is under AES-256-GCM, with both lines authenticated: nothing of the file can be changed unnoticed. A wrong pass
phrase and damaged content are the same to it, so one complaint names both; a file that is cut off is known by `bytes`.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from steelyard.model.errors import OperatorError

LEAST_PASS_PHRASE, MOST_PASS_PHRASE = 7, 64
SALT_BYTES, NONCE_BYTES = 16, 12
_KEY_BYTES = 32
_VERSION = b"1"
_COST = {"n": 2**16, "r": 8, "p": 1}
#: what a file may ask for: 256 MiB, so that a forged one cannot exhaust this host
_MOST_N = 2**18
_MOST_HEADER = 4096


@dataclass(frozen=True)
class Kind:
    """A kind of sealed file: how it begins, what messages call it, and what to do with a file that is none."""

    magic: bytes
    noun: str
    remedy: str

    def begins(self, data: bytes) -> bool:
        """Whether that is how a file of this kind begins."""
        return data.startswith(self.magic)

    def refused(self, why: str, remedy: str) -> OperatorError:
        """The complaint about a file of this kind."""
        return OperatorError(f"The {self.noun} {why}", field="data", remedy=remedy)


def check_pass_phrase(pass_phrase: str) -> str:
    """The pass phrase, if it is as long as it has to be. Raises `OperatorError`, which never repeats it."""
    if not LEAST_PASS_PHRASE <= len(pass_phrase) <= MOST_PASS_PHRASE:
        raise OperatorError(
            f"The pass phrase has {len(pass_phrase)} characters",
            field="password",
            allowed=f"{LEAST_PASS_PHRASE} to {MOST_PASS_PHRASE} characters",
            remedy=f"Choose one of {LEAST_PASS_PHRASE} to {MOST_PASS_PHRASE} characters",
        )
    try:
        pass_phrase.encode()
    except UnicodeEncodeError:
        raise OperatorError(
            "The pass phrase is no Unicode text", field="password", remedy="Choose another one"
        ) from None
    return pass_phrase


def seal_file(
    kind: Kind, content: bytes, pass_phrase: str, *, salt: bytes, nonce: bytes, at: datetime, n: int = _COST["n"]
) -> bytes:
    """The file. `salt` and `nonce` have to be random and new each time. `n` is what scrypt costs."""
    cost = {**_COST, "n": n}
    header = {
        "made": at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        # what AES-GCM adds is 16 bytes
        "bytes": len(content) + 16,
        "kdf": "scrypt",
        **cost,
        "salt": base64.b64encode(salt).decode(),
        "nonce": base64.b64encode(nonce).decode(),
    }
    head = kind.magic + _VERSION + b"\n" + json.dumps(header).encode() + b"\n"
    key = _key(check_pass_phrase(pass_phrase), salt, **cost)
    return head + AESGCM(key).encrypt(nonce, content, head)


def _key(pass_phrase: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return Scrypt(salt=salt, length=_KEY_BYTES, n=n, r=r, p=p).derive(pass_phrase.encode())


def unseal_file(kind: Kind, data: bytes, pass_phrase: str) -> bytes:
    """The content of a file. Raises `OperatorError` for a foreign or damaged file, and for a wrong pass phrase."""
    if not kind.begins(data):
        raise OperatorError(f"The file is no {kind.noun} made by Steelyard", field="data", remedy=kind.remedy)
    first, end, rest = data.partition(b"\n")
    if first.removeprefix(kind.magic) != _VERSION:
        if not end:
            raise damaged(kind)
        raise kind.refused("is of a newer kind", "Restore it with a newer Steelyard")
    line, end, sealed = rest.partition(b"\n")
    if not end:
        raise damaged(kind)
    cost, salt, nonce, length = _header(kind, line)
    if length is not None and length != len(sealed):
        raise kind.refused(
            f"is damaged: {len(sealed)} bytes follow its head, and there should be {length}", "Send another copy of it"
        )
    try:
        # a pass phrase that cannot be one is as wrong as any other
        key = _key(pass_phrase.encode("utf-8", "replace").decode(), salt, **cost)
        return AESGCM(key).decrypt(nonce, sealed, first + b"\n" + line + b"\n")
    except InvalidTag:
        raise OperatorError(
            f"The pass phrase does not open the {kind.noun}, or the file is damaged",
            field="password",
            remedy="Give the pass phrase it was made with, or another copy of the file",
        ) from None


def damaged(kind: Kind) -> OperatorError:
    """The complaint about a file of this kind whose head or content cannot be read."""
    return kind.refused("is damaged: its head cannot be read", "Send another copy of it")


def _header(kind: Kind, line: bytes) -> tuple[dict[str, int], bytes, bytes, int | None]:
    if len(line) > _MOST_HEADER:
        raise damaged(kind)
    try:
        header = json.loads(line)
        cost = {name: header[name] for name in _COST}
        salt, nonce = (base64.b64decode(header[name], validate=True) for name in ("salt", "nonce"))
        # files of before it was written do without
        length = header.get("bytes")
    except (ValueError, TypeError, KeyError, AttributeError, binascii.Error, RecursionError):
        raise damaged(kind) from None
    whole = all(isinstance(value, int) and not isinstance(value, bool) for value in cost.values())
    n = cost["n"] if whole else 0
    allowed = whole and 1 < n <= _MOST_N and n & (n - 1) == 0 and cost["r"] == _COST["r"] and 1 <= cost["p"] <= 4
    if not allowed or len(salt) != SALT_BYTES or len(nonce) != NONCE_BYTES:
        raise damaged(kind)
    if length is not None and (not isinstance(length, int) or isinstance(length, bool)):
        raise damaged(kind)
    return cost, salt, nonce, length
