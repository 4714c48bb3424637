"""Errors that say whose fault it is.

Five kinds, and no other kind reaches a caller: the operator's input (`OperatorError`), a stale or duplicate request
(`ConflictError`), the engine's refusal (`EngineRefused`), something this host lacks (`HostLacks`), and our own bugs
(`InternalError`). Only `api/` and `web/` turn them into HTTP status codes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class SteelyardError(Exception):
    """Base of every error a caller can see. `message` is one sentence a person can act on.

    `position` says which part of a request that holds several is meant, such as "services[3].servers[0]".
    """

    kind = "error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.position: str | None = None

    def details(self) -> dict[str, Any]:
        """The error as plain data: always `kind` and `message`, `position` if there is one, plus what the kind adds."""
        found = {"kind": self.kind, "message": self.message}
        return found if self.position is None else {**found, "position": self.position}


@contextmanager
def located(position: str) -> Iterator[None]:
    """Errors raised inside say that they belong to this part of the request; inner positions are kept, dot between."""
    try:
        yield
    except SteelyardError as failure:
        failure.position = position if failure.position is None else f"{position}.{failure.position}"
        raise


class OperatorError(SteelyardError):
    """Bad input: names the field, the value given, what is allowed and the remedy.

    `value` must never be a secret: callers pass `None` for passwords, keys and pass phrases.
    """

    kind = "operator"

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        value: object = None,
        allowed: str | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message)
        self.field = field
        self.value = value
        self.allowed = allowed
        self.remedy = remedy

    def details(self) -> dict[str, Any]:
        found = super().details()
        for name in ("field", "value", "allowed", "remedy"):
            attribute = getattr(self, name)
            if attribute is not None:
                found[name] = attribute if isinstance(attribute, (str, int, float, bool)) else str(attribute)
        return found


class NotFound(OperatorError):
    """The operator named an object that does not exist. `what` is its kind: "VS", "RS", "certificate", "user"."""

    kind = "not_found"

    def __init__(self, what: str, name: object) -> None:
        super().__init__(f"Unknown {what} {name!s}", field=what.lower(), value=str(name))
        self.what = what


class ConflictError(SteelyardError):
    """The request is stale (based on an older revision) or collides with something that exists."""

    kind = "conflict"

    def __init__(self, message: str, *, field: str | None = None, with_what: str | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.with_what = with_what

    def details(self) -> dict[str, Any]:
        found = super().details()
        if self.field is not None:
            found["field"] = self.field
        if self.with_what is not None:
            found["with"] = self.with_what
        return found


class EngineRefused(SteelyardError):
    """An engine said no. `words` holds what the engine itself printed, secrets excluded."""

    kind = "engine_refused"

    def __init__(self, message: str, *, words: str = "") -> None:
        super().__init__(message)
        self.words = words

    def details(self) -> dict[str, Any]:
        return {**super().details(), "words": self.words}


class HostLacks(SteelyardError):
    """This host has no such binary, kernel feature or privilege; `remedy` says how to get it."""

    kind = "host_lacks"

    def __init__(self, message: str, *, lacks: str, remedy: str) -> None:
        super().__init__(message)
        self.lacks = lacks
        self.remedy = remedy

    def details(self) -> dict[str, Any]:
        return {**super().details(), "lacks": self.lacks, "remedy": self.remedy}


class InternalError(SteelyardError):
    """A bug in Steelyard. The caller sees this sentence; the traceback goes to the log."""

    kind = "internal"
