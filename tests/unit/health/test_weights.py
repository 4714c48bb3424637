"""The arithmetic of weights that move: nothing is ever 0, steps are bounded, aims are reached, order is kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from steelyard.health.weights import (
    LEAST_SHARE,
    MOST,
    STEP,
    engine_weight,
    moved,
    share_of_load,
    shares_of_times,
)

SHARES = st.floats(LEAST_SHARE, 1.0)
STATIC = st.integers(1, 65535)
TIMES = st.dictionaries(st.sampled_from([f"rs{n}" for n in range(9)]), st.floats(0.01, 60_000), min_size=1)


@given(st.floats(0, 102), STATIC, STATIC, st.floats(LEAST_SHARE, 1.0))
def test_no_load_takes_a_server_out(load: float, static: int, other: int, share: float) -> None:
    assert LEAST_SHARE <= share_of_load(load) <= 1
    largest = max(static, other)
    assert 1 <= engine_weight(static * share, largest) <= MOST
    assert engine_weight(largest, largest) == MOST


@given(st.floats(0, 102), st.floats(0, 102))
def test_more_load_never_means_more_clients(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert share_of_load(low) >= share_of_load(high)


@given(TIMES)
def test_the_fastest_has_all_of_its_weight_and_nobody_less_than_the_least_share(times: dict[str, float]) -> None:
    shares = shares_of_times(times)
    assert shares.keys() == times.keys()
    assert max(shares.values()) == 1
    assert all(LEAST_SHARE <= share <= 1 for share in shares.values())
    in_order = sorted(times, key=lambda name: times[name])
    assert [shares[name] for name in in_order] == sorted(shares.values(), reverse=True)


def test_times_that_only_differ_by_this_hosts_noise_count_alike() -> None:
    assert shares_of_times({"a": 0.2, "b": 4.9}) == {"a": 1.0, "b": 1.0}
    assert shares_of_times({"a": 10.0, "b": 20.0, "c": 40.0}) == {"a": 1.0, "b": 0.5, "c": 0.25}


@given(SHARES, SHARES)
def test_a_step_is_bounded_and_goes_towards_its_aim(share: float, aim: float) -> None:
    after = moved(share, aim)
    assert abs(after - share) <= STEP + 1e-12
    assert abs(after - aim) <= abs(share - aim)
    assert min(share, aim) <= after <= max(share, aim)


@given(SHARES, SHARES)
def test_every_aim_is_reached_and_kept(share: float, aim: float) -> None:
    for _ in range(5):
        share = moved(share, aim)
    assert share == aim
    assert moved(share, aim) == aim


@given(SHARES, SHARES, SHARES, SHARES)
def test_steps_keep_the_order_of_servers_whose_aims_have_it(
    one: float, other: float, aim: float, beyond: float
) -> None:
    low, high = sorted((one, other))
    lower, higher = sorted((aim, beyond))
    assert moved(low, lower) <= moved(high, higher)


@given(st.lists(STATIC, min_size=1, max_size=8), SHARES)
def test_engine_weights_keep_the_order_of_static_weights(statics: list[int], share: float) -> None:
    found = [engine_weight(static * share, max(statics)) for static in sorted(statics)]
    assert found == sorted(found)
