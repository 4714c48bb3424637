"""The file of ticket keys: three, never older than they may be, never guessable."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from steelyard.engines.haproxy.ticket_keys import ensure_keys, new_key, read_keys, rotate

HOUR = 3600.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "tickets.keys"
    ensure_keys(found)
    os.utime(found, (1000.0, 1000.0))
    return found


def test_there_are_three_of_full_length_for_the_owner_alone(path: Path) -> None:
    keys = read_keys(path)
    assert len(set(keys)) == 3
    assert {len(base64.b64decode(key)) for key in keys} == {80}
    assert path.stat().st_mode & 0o777 == 0o600
    ensure_keys(path)
    assert read_keys(path) == keys, "what is there stays"


@pytest.mark.parametrize(
    ("hours", "fresh"), [(0.0, 0), (0.99, 0), (1.0, 1), (1.99, 1), (2.0, 2), (3.0, 3), (500.0, 3), (-1.0, 0)]
)
def test_as_many_are_new_as_are_due(path: Path, hours: float, fresh: int) -> None:
    before, now = read_keys(path), 1000.0 + hours * HOUR
    made = rotate(path, HOUR, now)
    assert len(made) == fresh
    assert read_keys(path) == (*before, *made)[-3:]
    assert path.stat().st_mtime == (now if fresh else 1000.0)
    assert rotate(path, HOUR, now) == (), "done once"


@pytest.mark.parametrize("content", ["", "too short\n", f"{new_key()}\n" * 2, "ä" * 300])
def test_a_broken_file_is_made_anew(path: Path, content: str) -> None:
    path.write_text(content)
    assert read_keys(path) == ()
    assert len(rotate(path, HOUR, 1000.0)) == 3
    path.unlink()
    ensure_keys(path)
    assert len(read_keys(path)) == 3
