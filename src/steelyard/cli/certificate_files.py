"""Certificate files on their way to the API."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

from steelyard.cli.failures import Misuse


def material(content: bytes, password: str | None) -> dict[str, Any]:
    """The members of the API that carry a certificate file."""
    found: dict[str, Any] = {} if password is None else {"password": password}
    if b"-----BEGIN " in content:
        try:
            return {**found, "pem": content.decode("utf-8")}
        except UnicodeDecodeError:  # comments in another encoding stand between the blocks
            pass
    return {**found, "data": base64.b64encode(content).decode("ascii")}


def read_file(file: Path) -> bytes:
    """The bytes of a file; `-` is standard input. Raises `Misuse`."""
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as failure:
        raise Misuse(f"{file} cannot be read: {failure.strerror or failure}") from None
