"""What stays is taken out of the cycle collector's way."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from steelyard.cli import memory
from steelyard.cli.memory import settle_memory


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = list(gc.callbacks)
    yield
    gc.callbacks[:] = before
    gc.unfreeze()


def test_what_is_there_is_frozen_and_what_grows_is_frozen_once_collections_are_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settle_memory()
    frozen = gc.get_freeze_count()
    assert frozen > 0
    grown = [[number] for number in range(1000)]
    gc.collect()
    # what is frozen may still end; nothing joins it
    assert gc.get_freeze_count() <= frozen
    monkeypatch.setattr(memory, "_SLOW_SECONDS", 0.0)
    gc.collect()
    assert gc.get_freeze_count() > frozen + len(grown) // 2


def test_settling_twice_watches_once() -> None:
    before = len(gc.callbacks)
    settle_memory()
    settle_memory()
    assert len(gc.callbacks) <= before + 1
