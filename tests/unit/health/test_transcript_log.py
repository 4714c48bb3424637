"""What checks said outlives the process, in a file that does not grow for ever."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest

from steelyard.health import transcript_log
from steelyard.health.known import KEPT, Probe, probe_name
from steelyard.health.probe import Prepared
from steelyard.health.transcript import Outcome, Transcript
from steelyard.health.transcript_log import TranscriptLog, cut_down, last_of
from steelyard.plan.health import Check

CHECK = Check(kind="tcp", interval=9, timeout=4, attempts=2)


def _probe(port: int, check: Check = CHECK) -> Probe:
    key = (check, "192.0.2.1", port)
    return Probe(key, cast(Prepared, None), probe_name(key))


def _said(number: int) -> Transcript:
    return Transcript(1000.0 + number, 1.5, None, "SYN", "", Outcome.BAD, f"refused {number}\n", 1, 2)


async def _kept(log: TranscriptLog) -> None:
    """Let it write what it has."""
    task = asyncio.create_task(log.run())
    while log._waiting:  # noqa: ASYNC110 - a file is waited for
        await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.wait({task})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcript_log, "FLUSH_SECONDS", 0.0)


async def test_a_later_process_finds_the_last_twenty_of_a_check_alone(tmp_path: Path) -> None:
    one, two = _probe(80), _probe(8080)
    log = TranscriptLog(tmp_path, list)
    for number in range(30):
        log.note(one, [_said(number)])
        log.note(two, [_said(-number)])
    await _kept(log)
    log.note(one, [_said(30)])
    log.finish()
    assert (tmp_path / "transcripts.log").stat().st_mode & 0o777 == 0o600

    again = _probe(80)
    await TranscriptLog(tmp_path, list).recall(again)
    assert list(again.transcripts) == [_said(number) for number in range(11, 31)]
    other = _probe(80, Check(kind="tcp", interval=9, timeout=4, attempts=3))
    await TranscriptLog(tmp_path, list).recall(other)
    assert not other.transcripts


async def test_what_is_in_memory_is_not_doubled(tmp_path: Path) -> None:
    log = TranscriptLog(tmp_path, list)
    log.note(_probe(80), map(_said, range(5)))
    log.finish()
    again = _probe(80)
    again.transcripts.extend([_said(4), _said(5)])
    await TranscriptLog(tmp_path, list).recall(again)
    assert list(again.transcripts) == [_said(number) for number in range(6)]
    # once is enough
    log.note(again, [_said(3)])
    log.finish()
    await TranscriptLog(tmp_path, list).recall(again)
    assert len(again.transcripts) == 6


async def test_the_file_is_cut_down_to_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcript_log, "SMALL_BYTES", 10_000)
    monkeypatch.setattr(transcript_log, "CUT_SECONDS", 0.0)
    one, gone = _probe(80), _probe(81)
    log = TranscriptLog(tmp_path, lambda: [one.name])
    for number in range(400):
        log.note(one, [_said(number)])
        log.note(gone, [_said(number)])
    task = asyncio.create_task(log.run())
    async with asyncio.timeout(5):
        while not log.path.exists() or log.path.stat().st_size > 10_000:  # noqa: ASYNC110 - a file is waited for
            await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.wait({task})
    log.note(one, [_said(400)])
    log.finish()
    assert len([line for line in log.path.read_text().splitlines() if line]) <= KEPT + 1
    assert [said.reason for said in last_of(log.path, one.name)][-1] == "refused 400\n"
    assert not last_of(log.path, gone.name)


def test_a_large_file_is_searched_from_its_end_over_the_borders_of_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcript_log, "_BLOCK", 100)
    probes = [_probe(port) for port in range(1, 8)]
    log = TranscriptLog(tmp_path, list)
    for number in range(50):
        for probe in probes:
            log.note(probe, [_said(number)])
    log.finish()
    for probe in probes:
        assert last_of(log.path, probe.name) == [_said(number) for number in range(30, 50)]
    cut_down(log.path, [probes[0].name])
    assert last_of(log.path, probes[0].name) == [_said(number) for number in range(30, 50)]


def test_a_line_that_was_cut_off_costs_itself_alone(tmp_path: Path) -> None:
    probe = _probe(80)
    log = TranscriptLog(tmp_path, list)
    log.note(probe, [_said(1)])
    log.finish()
    with log.path.open("a") as file:
        file.write(f"{probe.name} [1,2")
    again = TranscriptLog(tmp_path, list)
    again.note(probe, [_said(2)])
    again.finish()
    assert last_of(log.path, probe.name) == [_said(1), _said(2)]


def test_a_disk_that_takes_nothing_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = TranscriptLog(tmp_path / "missing", list)
    for number in range(3):
        log.note(_probe(80), [_said(number)])
        log.finish()
    assert caplog.text.count("cannot be written") == 1
