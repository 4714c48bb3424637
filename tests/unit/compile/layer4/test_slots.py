"""Who gets which slot: turns are even, weights are kept, and a hash moves as few clients as it can."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from steelyard.compile.layer4.slots import MOST_WEIGHTED, hashed, interleaved

_WEIGHTS = st.lists(st.integers(1, 65535), min_size=1, max_size=12)
_KEYS = st.integers(1, 9).map(lambda count: tuple(f"rs{number}" for number in range(1, count + 1)))


def test_weights_are_interleaved_and_not_bunched() -> None:
    assert interleaved([5, 1, 1]) == (0, 0, 1, 0, 2, 0, 0)
    assert interleaved([1000, 1000]) == (0, 1)
    assert interleaved([2000, 1000]) == (0, 1, 0)


@given(_WEIGHTS)
def test_each_gets_its_share_and_nobody_is_left_out(weights: list[int]) -> None:
    slots = interleaved(weights)
    found = Counter(slots)
    assert set(found) == set(range(len(weights)))
    assert len(slots) <= max(MOST_WEIGHTED, 2 * len(weights)) + len(weights)
    for position, weight in enumerate(weights):
        # rounded to the share of a slot, and to one slot at least
        exact = len(slots) * weight / sum(weights)
        assert abs(found[position] - exact) <= 1 + len(weights) * 0.5 + exact * 0.02


@given(_KEYS, st.data())
def test_a_hash_moves_the_clients_of_those_that_failed_and_no_others(
    keys: tuple[str, ...], data: st.DataObject
) -> None:
    usable = frozenset(data.draw(st.sets(st.sampled_from(keys))))
    whole, left = hashed(keys, frozenset(keys)), hashed(keys, usable)
    if not usable:
        assert left == ()
        return
    assert set(left) == usable
    for before, after in zip(whole, left, strict=True):
        assert after == before or before not in usable


def test_what_a_failed_server_leaves_is_spread_over_all_others() -> None:
    keys = tuple(f"rs{number}" for number in range(1, 6))
    left = Counter(hashed(keys, frozenset(keys[1:])))
    assert max(left.values()) - min(left.values()) <= 8
