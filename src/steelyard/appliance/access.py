"""Passwords and API keys.

Passwords are kept as salted scrypt hashes, whose cost would dominate every call; so a credential that was right once is
remembered by a keyed digest for the life of the process, together with the hash it was right for.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string

from steelyard.model.errors import OperatorError
from steelyard.model.user import User

SHORTEST_PASSWORD = 8
_KEY_LENGTH = 44
_ALPHABET = string.ascii_letters + string.digits
_COST = {"n": 2**14, "r": 8, "p": 1}
_REMEMBERED = 1000


def new_password(length: int = 20) -> str:
    """A random password of letters and digits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def hash_password(password: str) -> str:
    """Salted, as scrypt$salt$hash. Raises `OperatorError` when it is too short or holds control characters."""
    if len(password) < SHORTEST_PASSWORD:
        raise OperatorError(
            f"The password is shorter than {SHORTEST_PASSWORD} characters",
            field="password",
            remedy="Choose a longer one",
        )
    if any(ord(character) < 32 for character in password):
        raise OperatorError("The password holds a control character", field="password")
    salt = secrets.token_bytes(16)
    return f"scrypt${salt.hex()}${hashlib.scrypt(password.encode(), salt=salt, **_COST).hex()}"


def _matches(password: str, stored: str) -> bool:
    kind, salt, digest = stored.split("$")
    if kind != "scrypt":
        return False
    made = hashlib.scrypt(password.encode("utf-8", "surrogatepass"), salt=bytes.fromhex(salt), **_COST)
    return hmac.compare_digest(made, bytes.fromhex(digest))


def key_digest(key: str) -> str:
    """How an API key is known in the configuration."""
    return hashlib.sha256(key.encode()).hexdigest()


def new_api_key() -> tuple[str, str, bytes]:
    """A random key of 44 letters and digits, its digest, and the bytes to keep."""
    key = "".join(secrets.choice(_ALPHABET) for _ in range(_KEY_LENGTH))
    return key, key_digest(key), key.encode()


class Verifier:
    """Checks passwords and remembers those that were right."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._right: dict[bytes, str] = {}

    def verify(self, user: User, password: str) -> bool:
        """Whether that is the user's password now."""
        if self.remembers(user, password):
            return True
        if not _matches(password, user.password_hash):
            return False
        if len(self._right) >= _REMEMBERED:
            self._right.clear()
        self._right[self._mark(user, password)] = user.password_hash
        return True

    def remembers(self, user: User, password: str) -> bool:
        """Whether that was the user's password before and still is. Costs next to nothing."""
        return self._right.get(self._mark(user, password)) == user.password_hash

    def waste(self) -> None:
        """As much work as the check of a password that is not remembered."""
        hashlib.scrypt(b"no such user", salt=self._secret[:16], **_COST)

    def _mark(self, user: User, password: str) -> bytes:
        return hmac.digest(self._secret, f"{user.name}\0{password}".encode("utf-8", "surrogatepass"), "sha256")
