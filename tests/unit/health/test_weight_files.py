"""The durable files of weights that move."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from steelyard.health.files import write_whole
from steelyard.health.weigher import External
from steelyard.health.weight_files import WeightFiles


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    files = WeightFiles(tmp_path)
    assert (files.externals(), files.shares()) == ({}, {})
    externals = {("vs1", "rs2"): External(500, 1_700_000_000.5)}
    shares = {("vs1", "rs2"): ("10.0.0.1", 0.05), ("vs1", "rs3"): ("2001:db8::1", 1.0)}
    files.write_externals(externals)
    write_whole(files.shares_path, files.shares_content(shares))
    assert (files.externals(), files.shares()) == (externals, shares)
    assert files.external_path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"vs1/rs1": 5}',
        '{"vs1/rs1": {}}',
        '{"vs1": {"weight": 1, "until": 1, "address": "a", "share": 1}}',
        '{"vs1/rs1": {"weight": 0, "until": 1, "address": "a", "share": 0}}',
        '{"vs1/rs1": {"weight": 1, "until": NaN, "address": "a", "share": NaN}}',
        '{"vs1/rs1": {"weight": "x", "until": 1, "address": "a", "share": "x"}}',
    ],
)
def test_what_cannot_be_read_is_told_and_left_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    files = WeightFiles(tmp_path)
    files.external_path.write_text(content)
    files.shares_path.write_text(content)
    with caplog.at_level(logging.ERROR):
        assert (files.externals(), files.shares()) == ({}, {})
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
