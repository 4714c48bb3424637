"""What was recorded is kept, condensed, bounded, and there after a restart."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from tests.unit.observe.recording.test_readings import flat

from steelyard.observe.recording.file import RecordFile
from steelyard.observe.recording.readings import HOST, NOTHING, Key, Reading
from steelyard.observe.recording.tiers import FINEST, TIERS, tier_of

#: a multiple of every step
NOON = 43_200 * 40_000
SERVICE: Key = (7, 0)


@pytest.fixture
def file(tmp_path: Path) -> RecordFile:
    return RecordFile(tmp_path / "statistics.db")


def mean(readings: dict[int, Reading]) -> dict[int, float]:
    return {begin: round(one.mean[0], 1) for begin, one in readings.items()}


def test_a_step_nobody_recorded_is_absent_and_silence_is_zero(file: RecordFile) -> None:
    file.write(FINEST, NOON, {SERVICE: flat(5.0)})
    file.write(FINEST, NOON + 20, {HOST: flat(50.0)})
    assert mean(file.read(FINEST, SERVICE, NOON + 30)) == {NOON: 5.0, NOON + 20: 0.0}
    assert mean(file.read(FINEST, HOST, NOON + 30)) == {NOON: 0.0, NOON + 20: 50.0}


def test_objects_of_one_row_are_kept_apart(file: RecordFile) -> None:
    others: list[Key] = [(7, 1), (7, 2), (23, 0)]
    file.write(FINEST, NOON, {SERVICE: flat(1.0)} | {key: flat(9.0) for key in others})
    assert mean(file.read(FINEST, SERVICE, NOON + 10)) == {NOON: 1.0}
    assert file.read(FINEST, (7, 3), NOON + 10) == {NOON: NOTHING}


def test_coarser_tiers_are_made_when_their_step_is_over(file: RecordFile) -> None:
    for step in range(12):
        file.write(FINEST, NOON + step * 10, {SERVICE: flat(float(step))})
    file.condense(NOON + 119)
    assert file.read(tier_of("day"), SERVICE, NOON + 119) == {}
    file.condense(NOON + 120)
    (reading,) = file.read(tier_of("day"), SERVICE, NOON + 120).values()
    assert (round(reading.mean[0], 1), round(reading.peak[0], 1)) == (5.5, 11.0)


def test_condensing_catches_up_after_a_pause_and_does_nothing_twice(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "statistics.db")
    for step in range(0, 360):
        file.write(FINEST, NOON + step * 10, {SERVICE: flat(4.0)})
    file.close()
    again = RecordFile(tmp_path / "statistics.db")
    for _ in range(2):
        again.condense(NOON + 3600)
    assert len(again.read(tier_of("day"), SERVICE, NOON + 3600)) == 30
    assert len(again.read(tier_of("week"), SERVICE, NOON + 3600)) == 6
    assert mean(again.read(tier_of("month"), SERVICE, NOON + 3600)) == {NOON: 4.0}
    assert again.read(tier_of("year"), SERVICE, NOON + 3600) == {}


def test_space_is_bounded(file: RecordFile) -> None:
    for step in range(FINEST.steps + 50):
        file.write(FINEST, NOON + step * 10, {SERVICE: flat(1.0)})
    last = NOON + (FINEST.steps + 49) * 10
    rows = file._connection.execute("SELECT count(*) FROM steps WHERE tier = 0 AND shard = 7").fetchone()[0]
    assert rows <= FINEST.steps + 1
    assert len(file.read(FINEST, SERVICE, last + 10)) == FINEST.steps


def test_every_tier_condenses_the_one_before_it() -> None:
    for finer, tier in pairwise(TIERS):
        assert tier.step % finer.step == 0
        # a step is condensed at the latest when Steelyard runs again, from what is still there by then
        assert finer.steps * finer.step > tier.step


def test_a_damaged_file_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "statistics.db"
    path.write_bytes(b"no database" * 100)
    file = RecordFile(path)
    file.write(FINEST, NOON, {SERVICE: flat(1.0)})
    assert file.trouble == ""
    assert len(list(tmp_path.glob("statistics.db.damaged-*"))) == 1
