"""`store` is each implementation in turn: what holds for one must hold for the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from steelyard.store.contract import Store
from steelyard.store.memory import MemoryStore
from steelyard.store.sqlite import SqliteStore


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "state" / "steelyard.db"


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, database: Path) -> Iterator[Store]:
    opened: Store = SqliteStore(database) if request.param == "sqlite" else MemoryStore()
    yield opened
    opened.close()
