"""How a command ends when it does not succeed: 1 refused, 2 not said right, 3 Steelyard cannot be reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Failure(Exception):
    """An end other than success. `error` is the API's error object, or one of the same shape."""

    code = 1

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(error.get("message", ""))
        self.error = dict(error)


class Refused(Failure):
    """Steelyard said no."""


class Misuse(Failure):
    """The command line, or a file it names, cannot be understood."""

    code = 2

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__({"kind": "usage", "message": message, **({"remedy": remedy} if remedy else {})})


class Unreachable(Failure):
    """No Steelyard answers."""

    code = 3

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__({"kind": "unreachable", "message": message, "remedy": remedy})
