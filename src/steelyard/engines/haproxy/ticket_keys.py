"""The keys that session tickets are encrypted with.

HAProxy (2.6 and 2.8) reads at least three from a file and keeps the last three: the last but one encrypts, all decrypt.
Without a file each process makes its own, and no client could resume over a reload. The file holds the same three the
worker has, so a reload and a restart go on with them. When a key's time is over, a new one is put at the end: what was
last now encrypts, what encrypted still decrypts, and the oldest is gone.

The file's time says since when its middle key encrypts, so no other record is kept. It is in the run directory,
readable by this account alone, and no key is ever logged or given to another program.
"""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

from steelyard.engines.haproxy.layout import write

#: AES with 256 bits and an HMAC of 256 bits (HAProxy 2.6 manual, `tls-ticket-keys`)
_KEY_BYTES = 80
KEYS = 3


def new_key() -> str:
    """A random key as HAProxy takes it."""
    return base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode("ascii")


def read_keys(path: Path) -> tuple[str, ...]:
    """The keys of the file, none when it is not there or broken."""
    try:
        keys = tuple(path.read_text("ascii").split())
        sound = len(keys) == KEYS and all(len(base64.b64decode(key, validate=True)) == _KEY_BYTES for key in keys)
    except (OSError, ValueError):
        return ()
    return keys if sound else ()


def ensure_keys(path: Path) -> None:
    """Make the file unless it is there and sound. Raises `HostLacks`."""
    if not read_keys(path):
        write(path, _text(tuple(new_key() for _ in range(KEYS))))


def age(path: Path, now: float) -> float:
    """For how many seconds the middle key has been the one that encrypts."""
    try:
        return max(0.0, now - path.stat().st_mtime)
    except OSError:
        return 0.0


def rotate(path: Path, seconds: float, now: float) -> tuple[str, ...]:
    """Put as many new keys into the file as are due when a key encrypts for `seconds`; the new ones, oldest first.

    Raises `HostLacks`.
    """
    due = min(KEYS, int(age(path, now) // seconds))
    keys = read_keys(path)
    if keys and not due:
        return ()
    fresh = tuple(new_key() for _ in range(due if keys else KEYS))
    write(path, _text((*keys, *fresh)[-KEYS:]))
    os.utime(path, (now, now))
    return fresh


def _text(keys: tuple[str, ...]) -> str:
    return "".join(f"{key}\n" for key in keys)
