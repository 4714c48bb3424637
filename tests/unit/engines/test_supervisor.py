from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from steelyard.engines.supervisor import say_ready


def _listen(address: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(address)
    listener.settimeout(2)
    return listener


def test_the_supervisor_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    with _listen(path) as listener:
        say_ready()
        assert listener.recv(100) == b"READY=1"
        # programs started later do not speak in its name
        assert "NOTIFY_SOCKET" not in os.environ
        say_ready()
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.recv(100)


def test_abstract_sockets_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"steelyard-test-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    with _listen(f"\0{name}") as listener:
        say_ready()
        assert listener.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "/nonexistent/notify"])
def test_nobody_there_is_no_fault(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    say_ready()
