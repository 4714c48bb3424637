from __future__ import annotations

from pathlib import Path

import pytest

from steelyard.engines import privilege
from steelyard.engines.privilege import lacked_by


def _process(proc: Path, effective: int) -> None:
    (proc / "7").mkdir()
    (proc / "7" / "status").write_text(f"Name:\thaproxy\nCapPrm:\t0000000000000000\nCapEff:\t{effective:016x}\n")


@pytest.mark.parametrize(
    ("effective", "lacks"),
    [(1 << 10, {"CAP_NET_ADMIN", "CAP_NET_RAW"}), (1 << 13, {"CAP_NET_ADMIN"}), (1 << 12 | 1 << 13, set())],
)
def test_what_another_process_lacks_of_ours(
    effective: int, lacks: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privilege, "held", lambda: frozenset({"CAP_NET_ADMIN", "CAP_NET_RAW"}))
    _process(tmp_path, effective)
    assert lacked_by(7, tmp_path) == lacks


def test_what_we_lack_ourselves_nobody_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privilege, "held", frozenset)
    _process(tmp_path, 0)
    assert lacked_by(7, tmp_path) == frozenset()


def test_a_process_that_has_ended_lacks_nothing(tmp_path: Path) -> None:
    assert lacked_by(8, tmp_path) == frozenset()
