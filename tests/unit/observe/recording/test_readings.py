"""How figures are packed, and what condensing makes of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from steelyard.observe.recording.readings import NOTHING, Figures, Key, Reading, condensed, pack, reading_of, unpack

FIGURES = st.tuples(*[st.floats(0, 1e15)] * 5)
KEYS = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
READINGS = st.dictionaries(KEYS, st.builds(Reading, FIGURES, FIGURES), max_size=5)


def flat(*values: float) -> Reading:
    figures: Figures = (values + (0.0,) * 5)[:5]  # type: ignore[assignment] - always five
    return Reading(figures, figures)


def near(one: float, other: float) -> bool:
    return abs(one - other) <= 0.001 * (1 + max(one, other))


@given(READINGS)
def test_what_is_packed_comes_back_a_thousandth_exact(readings: dict[Key, Reading]) -> None:
    found = dict(unpack(pack(readings)))
    assert found.keys() == readings.keys()
    for key, reading in readings.items():
        pairs = zip(reading.mean + reading.peak, found[key].mean + found[key].peak, strict=True)
        assert all(near(one, other) for one, other in pairs)
        assert reading_of(pack(readings), key) == found[key]


def test_an_object_that_is_not_there_carried_nothing() -> None:
    assert reading_of(pack({(1, 0): flat(5)}), (2, 0)) == NOTHING
    assert reading_of(b"", (2, 0)) == NOTHING


def test_a_key_is_not_mistaken_for_figures_of_others() -> None:
    data = pack({(9, 9): flat(*[0.0] * 5), (7, 0): flat(3.0)})
    assert reading_of(data, (0, 0)) == NOTHING


def test_condensing_averages_over_all_steps_and_keeps_the_peak() -> None:
    steps = [[((1, 0), flat(10.0, 2.0))], [((1, 0), flat(20.0))], []]
    found = condensed(steps, len(steps))[1, 0]
    assert found.mean[:2] == (10.0, 2.0 / 3)
    assert found.peak[:2] == (20.0, 2.0)
