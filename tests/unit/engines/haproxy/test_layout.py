"""Where HAProxy's files may be: a path it cannot take is refused before anything is made."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from steelyard.engines.haproxy.layout import Layout
from steelyard.model.errors import OperatorError


@pytest.mark.parametrize("name", ["with blank", "quote'", "dollar$", "newline\n", "hash#"])
def test_a_path_that_haproxy_cannot_read_is_refused_and_not_made(tmp_path: Path, name: str) -> None:
    with pytest.raises(OperatorError, match="state directory") as refusal:
        Layout(tmp_path / name).make()
    assert refusal.value.field == "state-dir"
    assert not (tmp_path / name).exists()


def test_a_path_too_long_for_sockets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="too long"):
        Layout(tmp_path / ("x" * 90)).make()


def test_the_directories_are_for_the_owner_only() -> None:
    with tempfile.TemporaryDirectory(prefix="sy") as directory:
        layout = Layout(Path(directory) / "state")
        layout.make()
        for path in (layout.root, layout.engine, layout.run, layout.log, layout.staging):
            assert path.stat().st_mode & 0o777 == 0o700
