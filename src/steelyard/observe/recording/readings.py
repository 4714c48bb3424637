"""What is recorded of one object in one step, and how it is packed.

Figures are kept as 16-bit logarithms: 0.07 % exact over all that a rate can be, which is finer than a pixel of a graph,
in a quarter of the space of doubles. An object without traffic is not written: absence in a recorded step means zero.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log2

#: (service index, index of a real server or slot); 0 for the service itself
Key = tuple[int, int]
#: the host itself, and all virtual services together: no service has the index 0
HOST: Key = (0, 0)
EVERYTHING: Key = (0, 1)

#: what the figures of a service, a real server or a slot are
TRAFFIC_FIGURES = (
    "connections_per_second",
    "requests_per_second",
    "bytes_in_per_second",
    "bytes_out_per_second",
    "active_connections",
)
#: what the figures of the host are
HOST_FIGURES = (
    "processor_percent",
    "memory_percent",
    "tls_per_second",
    "received_bytes_per_second",
    "sent_bytes_per_second",
)
Figures = tuple[float, float, float, float, float]
NO_FIGURES: Figures = (0.0, 0.0, 0.0, 0.0, 0.0)

#: codes per doubling; 64 doublings fit
_FINENESS = 1024
_MOST = 65535
_RECORD = struct.Struct("<II10H")


@dataclass(frozen=True, slots=True)
class Reading:
    """The averages of one step and the highest figures that any finest step within it had."""

    mean: Figures
    peak: Figures


NOTHING = Reading(NO_FIGURES, NO_FIGURES)


def figure_names(key: Key) -> tuple[str, ...]:
    """What the figures of an object are called."""
    return HOST_FIGURES if key == HOST else TRAFFIC_FIGURES


def pack(readings: Mapping[Key, Reading]) -> bytes:
    """The objects of one step as bytes."""
    return b"".join(
        _RECORD.pack(*key, *map(_coded, reading.mean), *map(_coded, reading.peak)) for key, reading in readings.items()
    )


def unpack(data: bytes) -> Iterator[tuple[Key, Reading]]:
    """The objects of one step."""
    for service, member, *codes in _RECORD.iter_unpack(data):
        yield (service, member), _reading(codes)


def reading_of(data: bytes, key: Key) -> Reading:
    """One object's reading of one step."""
    wanted = struct.pack("<II", *key)
    at = data.find(wanted)
    while at >= 0:
        if at % _RECORD.size == 0:
            return _reading(_RECORD.unpack_from(data, at)[2:])
        at = data.find(wanted, at + 1)
    return NOTHING


def condensed(steps: Iterable[Iterable[tuple[Key, Reading]]], recorded: int) -> dict[Key, Reading]:
    """So many recorded steps as one: the average of the averages, the highest of the peaks."""
    sums: dict[Key, list[float]] = {}
    peaks: dict[Key, Figures] = {}
    for step in steps:
        for key, reading in step:
            total = sums.setdefault(key, [0.0] * 5)
            for place, value in enumerate(reading.mean):
                total[place] += value
            peaks[key] = _figures(map(max, peaks.get(key, NO_FIGURES), reading.peak))
    return {key: Reading(_figures(value / recorded for value in total), peaks[key]) for key, total in sums.items()}


def _coded(value: float) -> int:
    return min(round(log2(1 + max(value, 0.0)) * _FINENESS), _MOST)


def _reading(codes: Sequence[int]) -> Reading:
    values = [2 ** (code / _FINENESS) - 1 for code in codes]
    return Reading(_figures(values[:5]), _figures(values[5:]))


def _figures(values: Iterable[float]) -> Figures:
    first, second, third, fourth, fifth = values
    return (first, second, third, fourth, fifth)
