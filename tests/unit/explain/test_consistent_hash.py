"""HAProxy's ring. The expected servers were read from HAProxy 2.6; tests/engine/test_explain.py asks it anew."""

from __future__ import annotations

from collections import Counter

from steelyard.explain.consistent_hash import nearest, of_source, of_uri


def test_sources() -> None:
    found = [nearest(of_source(f"127.0.94.{n}"), [17, 18], 100) for n in range(1, 8)]
    assert found == [17, 18, 17, 17, 17, 17, 17]


def test_the_order_of_servers_does_not_matter_and_all_get_a_share() -> None:
    found = Counter(nearest(of_uri(f"/item/{n}?q={n}"), [5, 9, 2], 100) for n in range(3000))
    assert found == Counter(nearest(of_uri(f"/item/{n}?q={n}"), [2, 5, 9], 100) for n in range(3000))
    assert set(found) == {2, 5, 9}
    assert min(found.values()) > 800


def test_a_server_that_goes_moves_only_its_own_clients() -> None:
    values = [of_source(f"10.{n % 7}.{n // 7 % 200}.{n % 251}") for n in range(2000)]
    before = [nearest(value, [1, 2, 3], 100) for value in values]
    after = [nearest(value, [1, 3], 100) for value in values]
    assert all(one == two for one, two in zip(before, after, strict=True) if one != 2)
