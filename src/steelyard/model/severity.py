"""How grave an event is, in LoadMaster's six levels with the numbers of RFC 5424 (6.2.1): lower is graver."""

from __future__ import annotations

from enum import IntEnum


class Severity(IntEnum):
    """A level. Who is told from a level on is told of everything that is as grave or graver."""

    EMERGENCY = 0
    CRITICAL = 2
    ERROR = 3
    WARN = 4
    NOTICE = 5
    INFO = 6

    @property
    def word(self) -> str:
        """The level as operators write it."""
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> Severity:
        """The level of that name. Raises `KeyError`."""
        return cls[word.upper()]


#: the names, gravest first
LEVELS = tuple(level.word for level in Severity)
