"""A field of a form: one setting with everything a page needs to draw it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

#: switch: on or off; select: one of the choices; number, text, area (several lines), lines (a list, one a line), page
#: (a page of text, kept in base64), words (one text of words, one a line); picks: any of the choices, in their order;
#: bits: choices that are summed up; password: goes in and never comes out
Widget = Literal["switch", "select", "number", "text", "area", "lines", "page", "words", "picks", "bits", "password"]


@dataclass(frozen=True)
class Choice:
    """What can be chosen. `why_not` is why it cannot be at present; such a choice is greyed."""

    value: str
    label: str
    chosen: bool = False
    why_not: str = ""


@dataclass(frozen=True)
class Complaint:
    """What is wrong with a field, as a page says it."""

    message: str
    allowed: str = ""
    remedy: str = ""
    #: what the engine itself said
    words: str = ""


@dataclass(frozen=True)
class Field:
    """One setting in a form.

    `value` is as it is posted, `before` as it is kept, in words, where the two differ. `barred` says why it cannot be
    changed, `notice` why it has no effect at present. `range` is what may be given, in words.
    """

    name: str
    widget: Widget
    label: str
    help: str
    value: str
    unit: str = ""
    range: str = ""
    default: str = ""
    max_length: int | None = None
    rows: int = 0
    required: bool = False
    choices: tuple[Choice, ...] = ()
    #: every character counts
    mono: bool = False
    #: the page where what can be chosen is made
    made_at: str = ""
    wire: str = ""
    changed: bool = False
    before: str = ""
    barred: str = ""
    notice: str = ""
    error: Complaint | None = None

    @property
    def reasons(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Why choices are greyed, each reason with the choices it is for."""
        found: dict[str, list[str]] = {}
        for choice in self.choices:
            if choice.why_not:
                why = choice.why_not.removeprefix(f"“{choice.label}” ").removeprefix(f"{self.label}={choice.value} ")
                found.setdefault(why, []).append(choice.label)
        return tuple((why, tuple(labels)) for why, labels in found.items())

    @property
    def is_on(self) -> bool:
        """Whether a switch is on."""
        return self.value == ON


@dataclass(frozen=True)
class Section:
    """Some fields under a title. `state` says in a few words how things stand; `open` whether it is unfolded."""

    key: str
    title: str
    fields: tuple[Field, ...]
    state: str = ""
    open: bool = True
    hint: str = ""

    @property
    def changes(self) -> int:
        """How many fields are changed."""
        return sum(one.changed for one in self.fields)

    @property
    def has_error(self) -> bool:
        """Whether a field is complained about."""
        return any(one.error is not None for one in self.fields)


@dataclass(frozen=True)
class Offer:
    """Objects that a setting may name: values with labels."""

    choices: tuple[tuple[str, str], ...] = ()
    #: where they are made
    made_at: str = ""
    empty: str = field(default="none there yet")


#: a switch that is on is posted as this
ON = "1"

__all__ = ["ON", "Choice", "Complaint", "Field", "Offer", "Section", "Widget"]
