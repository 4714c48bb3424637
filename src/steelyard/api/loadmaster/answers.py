"""What a command answers, before it is XML or JSON: one form for both versions, with the places where they differ
marked.

A record maps each response name, spelled as LoadMaster spells it, to a value. Order is kept. Rules of
`reference/loadmaster-api/01`, 1.4 and 1.6: a list with one element is one element in v1 and an array in v2; an empty
list and an unset string are absent in both, never null.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import TypeAlias

COMPLETED = "Command completed ok"


class Absent(Enum):
    """The value of a member that does not exist in one of the versions."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


@dataclass(frozen=True)
class YesNo:
    """A boolean of the areas that say yes and no instead of Y and N in v1 (`reference/loadmaster-api/01`, 1.6)."""

    value: bool


@dataclass(frozen=True)
class Items:
    """A list that v1 wraps into an element of its own, one `tag` an item, and v2 shows as a plain array."""

    tag: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class PerVersion:
    """A value whose shape differs between the versions."""

    v1: Value
    v2: Value


#: A string is text in both versions: numbers that v2 answers as strings are strings here. A bool is Y or N in v1.
#: A `Decimal` keeps its decimals in v1. A tuple is a repeated element in v1 and an array in v2.
Value: TypeAlias = (
    "str | int | Decimal | bool | YesNo | Items | PerVersion | Absent | tuple[str, ...] | tuple[Record, ...] | Record"
)
Record: TypeAlias = Mapping[str, Value]


@dataclass(frozen=True)
class Data:
    """Success with data: `Data` in v1, members of the envelope in v2."""

    members: Record


@dataclass(frozen=True)
class Message:
    """Success with a text."""

    text: str = COMPLETED


@dataclass(frozen=True)
class MessageWithData:
    """A text in v1; in v2 text and members together (`reference/loadmaster-api/03`, 3.6, for modrs)."""

    members: Record
    text: str = COMPLETED


@dataclass(frozen=True)
class Download:
    """A file, which is the whole answer in both versions (`reference/loadmaster-api/01`, 1.10)."""

    content: bytes
    media_type: str = "application/octet-stream"


#: what has the envelope of its version
Enveloped: TypeAlias = Data | Message | MessageWithData
Answer: TypeAlias = Enveloped | Download
