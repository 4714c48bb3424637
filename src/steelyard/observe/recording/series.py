"""Recorded figures as lists over time, for graphs and programs: one value for each step of a span, oldest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from steelyard.model.configuration import Configuration
from steelyard.model.errors import NotFound, OperatorError
from steelyard.observe.recording.readings import EVERYTHING, HOST, Key, Reading, figure_names
from steelyard.observe.recording.tiers import Span, tier_of

Values = list[float | None]

#: objects that can be compared at once: a graph of more is unreadable
MOST_OBJECTS = 20
FORMS = "host, services, service/INDEX, or service/INDEX/MEMBER for a real server or slot"

_WORDS: dict[str, Key] = {"host": HOST, "services": EVERYTHING}
#: significant digits: what is recorded is exact to 0.07 %
_DIGITS = 5


@dataclass(frozen=True)
class Steps:
    """The steps of a span: the first begins at `first`, seconds since the epoch; each takes `step` seconds."""

    span: Span
    first: int
    step: int
    count: int

    @classmethod
    def of(cls, span: Span, now: float) -> Steps:
        """Those that are over at a moment."""
        tier = tier_of(span)
        return cls(span, tier.oldest(now), tier.step, tier.steps)

    def begins(self) -> range:
        """When each begins."""
        return range(self.first, self.first + self.count * self.step, self.step)


@dataclass(frozen=True)
class Series:
    """The figures of one object by name. None stands for a step that nobody recorded."""

    about: str
    averages: Mapping[str, Values]
    peaks: Mapping[str, Values]


def key_of(about: str, configuration: Configuration) -> Key:
    """What is meant. Raises `OperatorError` for another form, `NotFound` for what is not there."""
    if about in _WORDS:
        return _WORDS[about]
    kind, *numbers = about.split("/")
    if kind != "service" or not 1 <= len(numbers) <= 2 or not all(one.isdecimal() and len(one) < 10 for one in numbers):
        raise OperatorError(f"{about!r} names nothing that is recorded", field="object", value=about, allowed=FORMS)
    service = configuration.service(int(numbers[0]))
    if len(numbers) == 1:
        return service.index, 0
    member = int(numbers[1])
    if member not in {one.index for one in service.members}:
        raise NotFound("RS", member)
    return service.index, member


def series(about: str, key: Key, readings: Mapping[int, Reading], steps: Steps) -> Series:
    """An object's readings, step by step."""
    found = [readings.get(begin) for begin in steps.begins()]
    names = figure_names(key)
    return Series(
        about,
        {
            name: [None if one is None else _rounded(one.mean[place]) for one in found]
            for place, name in enumerate(names)
        },
        {
            name: [None if one is None else _rounded(one.peak[place]) for one in found]
            for place, name in enumerate(names)
        },
    )


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
