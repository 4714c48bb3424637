"""Quoting of HAProxy words, for configuration lines and for runtime commands.

Configuration (HAProxy 2.6 manual, section 2.2): a word is cut by spaces; inside double quotes a backslash escapes,
and `$` starts an environment variable; inside single quotes nothing is special. Runtime commands know only the
backslash, and `;` starts a new command. A control character could end the line in both, so it is refused, never
escaped.
"""

from __future__ import annotations

import re

from steelyard.model.errors import InternalError

_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_PLAIN = re.compile(r"[A-Za-z0-9_./:,@%=+()\[\]{}|!?*^~<>&-]+")


def _refuse_control(word: str) -> None:
    if _CONTROL.search(word):
        raise InternalError("A control character reached the engine text; it should have been refused as input")


def quote(word: str) -> str:
    """The word as one configuration word. Raises `InternalError` on a control character."""
    if _PLAIN.fullmatch(word):
        return word
    _refuse_control(word)
    return "'" + word.replace("'", "'\\''") + "'"


def quote_command(word: str) -> str:
    """The word as one word of a runtime command. Raises `InternalError` on a control character."""
    _refuse_control(word)
    return re.sub(r"([\\ ;])", r"\\\1", word)


def quote_entry(word: str) -> str:
    """The word as part of a line of a lookup file, which knows no quotes. Raises `InternalError` if it cannot stand."""
    _refuse_control(word)
    if not word or " " in word or word.startswith("#"):
        raise InternalError(f"{word!r} cannot stand in a lookup; it should have been refused as input")
    return word
