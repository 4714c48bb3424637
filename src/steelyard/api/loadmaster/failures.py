"""Errors as LoadMaster answers them: a status and a text.

The texts of `reference/loadmaster-api/01`, 1.5 are literal, clients compare them. 409 does not exist in LoadMaster: a
conflict is 422 like everything that was understood and cannot be carried out.
"""

from __future__ import annotations

import logging

from steelyard.model.acme_problem import AuthorityRefused
from steelyard.model.errors import (
    ConflictError,
    EngineRefused,
    HostLacks,
    InternalError,
    NotFound,
    OperatorError,
    SteelyardError,
)
from steelyard.model.setting import GIVE_ALLOWED, LEAVE_OUT

_log = logging.getLogger(__name__)

INTERNAL = "Internal error; the log of the appliance has the details"


class Refusal(Exception):
    """A request this interface answers with an error of its own. `text` is what the client sees."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class NotSignedIn(Exception):
    """The request has no valid credentials; answered by the HTML page with 401."""


def missing(name: str, kind: str = "String") -> Refusal:
    """The complaint about a mandatory parameter that is not there, or has the wrong type."""
    return Refusal(400, f"{name}: {kind} Value missing")


def not_built(what: str, remedy: str | None = None) -> Refusal:
    """The complaint about something LoadMaster knows and Steelyard does not have yet."""
    text = f"{what} is known but not built in Steelyard yet"
    return Refusal(422, f"{text}; {remedy}" if remedy else text)


def explained(error: Exception) -> tuple[int, str]:
    """Status and text of an error.

    What is no error of the model is a bug: it is logged, and the client is told no more.
    """
    if isinstance(error, Refusal):
        return error.status, error.text
    if isinstance(error, SteelyardError) and not isinstance(error, InternalError):
        return _status(error), _text(error)
    _log.error("a LoadMaster API command failed by a bug", exc_info=error)
    return 500, INTERNAL


def _status(error: SteelyardError) -> int:
    return 403 if isinstance(error, OperatorError) and error.field == "permission" else 422


def _text(error: SteelyardError) -> str:
    if isinstance(error, NotFound):
        return f"Unknown {error.what}"
    if isinstance(error, OperatorError):
        told = error.remedy is None or error.remedy in error.message
        repeated = error.allowed is not None and error.allowed in error.message
        nothing_new = repeated and error.remedy in (GIVE_ALLOWED, LEAVE_OUT)
        return error.message if told or nothing_new else _with_remedy(error.message, error.remedy)
    if isinstance(error, ConflictError):
        return error.message
    if isinstance(error, AuthorityRefused):
        # its words are a whole document; its message has what they say
        return _with_remedy(error.message, error.remedy) if error.remedy else error.message
    if isinstance(error, EngineRefused):
        return error.message if error.words in error.message else f"{error.message}: {error.words}"
    if isinstance(error, HostLacks):
        return error.message if error.remedy in error.message else _with_remedy(error.message, error.remedy)
    return error.message


def _with_remedy(message: str, remedy: str | None) -> str:
    return f"{message.rstrip('.')}. {remedy}"
