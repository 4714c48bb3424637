"""TCP options for every service: keep-alives, and resets towards real servers."""

from __future__ import annotations

import contextlib
import socket
import subprocess

import pytest
from tests.engine.rig import Rig, Service
from tests.support.origin import TcpOrigin
from tests.support.ports import free_port

from steelyard.model.commands import SetParameters

pytestmark = [pytest.mark.engine, pytest.mark.needs("ss")]


def _timers(*ports: int) -> list[bool]:
    """Whether the connections to each port have a keep-alive timer at the end that made them or took them."""
    found = []
    for port in ports:
        command = ["ss", "-Htno", "state", "established", f"( sport = :{port} or dport = :{port} )"]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        assert lines
        found.append(any("timer:(keepalive" in line for line in lines))
    return found


def test_keep_alives_on_both_sides(rig: Rig, line_one: TcpOrigin) -> None:
    service = rig.tcp(line_one)
    for switched in (False, True):
        rig.do(SetParameters("network", {"keepalive": switched}))
        rig.only_one_worker()
        with service.connect() as connection:
            connection.socket.sendall(b"hello\n")
            assert connection.socket.recv(100) == b"one: hello\n"
            assert _timers(service.port, line_one.port) == [switched, switched]


def _end_of_server_connection(rig: Rig, service: Service, listener: socket.socket) -> str:
    """How the connection to the real server ends when the client leaves."""
    with service.connect() as client:
        server, _ = listener.accept()
        client.socket.sendall(b"hello")
        assert server.recv(100) == b"hello"
    with contextlib.closing(server):
        server.settimeout(5)
        try:
            return "farewell" if server.recv(100) == b"" else "data"
        except ConnectionResetError:
            return "reset"


def test_real_servers_are_reset_when_set_so(rig: Rig) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        listener.settimeout(5)
        service = rig.service(
            (),
            service_type="gen",
            check_type="none",
            servers=[{"address": "127.0.0.1", "port": listener.getsockname()[1]}],
        )
        ends = []
        for switched in (False, True):
            rig.do(SetParameters("network", {"reset_on_close": switched}))
            rig.only_one_worker()
            ends.append(_end_of_server_connection(rig, service, listener))
    assert ends == ["farewell", "reset"]
