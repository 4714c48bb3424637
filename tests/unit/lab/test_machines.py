"""Servers of a lab: what they do when they stop, lose a port, or are told to answer otherwise."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.unit.lab.direct import Direct

from steelyard.lab import stun
from steelyard.lab.certificates import ServerCertificate
from steelyard.lab.fetching import Browser
from steelyard.lab.laboratory import Laboratory, Server
from steelyard.lab.lync import Lync
from steelyard.lab.names import Names
from steelyard.lab.roles import FrontEnd


@pytest.fixture
def server(lync: Lync) -> Iterator[Server]:
    """A Front End of its own, away from those all tests of a module share."""
    certificate = lync.authority.issue(*lync.certified)
    with Laboratory() as lab:
        yield lab.start(FrontEnd("fe9", f"{lync.net}.7.{os.getpid() % 200 + 1}", lync.organisation, certificate))


def browser(server: Server) -> Browser:
    assert isinstance(server.role, FrontEnd)
    return Browser(Names({"web.lync.example": server.role.address}), timeout=5)


def url(lync: Lync, path: str, port: int = 443) -> str:
    return f"http{'s' if port in (443, 4443) else ''}://web.lync.example:{lync.ports.of(port)}{path}"


def test_a_server_that_stops_forgets(server: Server, lync: Lync) -> None:
    known = browser(server)
    known.ask("POST", url(lync, "/dialin"), body=b"user=alice&password=Wonderland1")
    assert known.get(url(lync, "/dialin")).status == 200
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        known.get(url(lync, "/dialin"))
    server.start()
    assert known.get(url(lync, "/dialin")).status == 440


def test_one_port_can_stop_and_come_back(server: Server, lync: Lync) -> None:
    known = browser(server)
    server.close_port(lync.ports.of(80))
    with pytest.raises(ConnectionRefusedError):
        known.get(url(lync, "/", 80))
    assert known.get(url(lync, "/")).status == 200
    server.open_port(lync.ports.of(80))
    assert known.get(url(lync, "/", 80)).status == 200


def test_what_was_asked_is_noted_and_statuses_can_be_told(server: Server, lync: Lync) -> None:
    server.statuses["/meet/blank.html"] = 503
    assert browser(server).get(url(lync, "/Meet/Blank.html", 80)).status == 503
    (asked,) = server.seen
    assert (asked.request.url, asked.status) == ("/Meet/Blank.html", 503)
    server.forget()
    assert server.seen == []


def test_open_connections_are_reset_with_the_server(server: Server, lync: Lync) -> None:
    assert isinstance(server.role, FrontEnd)
    with socket.create_connection((server.role.address, lync.ports.of(135)), 5) as connection:
        connection.sendall(b"bind")
        assert b'"server": "fe9"' in connection.recv(1000)
        assert server.connections == 1
        server.stop()
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1000) == b""


def test_a_port_that_is_taken_is_named(server: Server, lync: Lync) -> None:
    assert isinstance(server.role, FrontEnd)
    address = server.role.address
    with Laboratory() as other, pytest.raises(OSError, match=rf"TCP {re.escape(address)}:\d+ cannot be listened on"):
        other.start(FrontEnd("fe8", address, lync.organisation, ServerCertificate(lync.authority.issue("x").pem)))


def test_ports_of_roles_that_are_not_installed_are_closed(lync: Lync) -> None:
    address = f"{lync.net}.8.{os.getpid() % 200 + 1}"
    with Laboratory() as lab:
        lab.start(FrontEnd("fe7", address, lync.organisation, None, unused=frozenset({448})))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address, lync.ports.of(448)), 5)
        with pytest.raises(ConnectionRefusedError):  # and without a certificate there is no TLS
            socket.create_connection((address, lync.ports.of(443)), 5)
        socket.create_connection((address, lync.ports.of(80)), 5).close()


def test_an_edge_says_by_udp_and_tcp_where_it_sees_one(direct: Direct) -> None:
    place = (direct.lync.edges_outside("av")[0], direct.lync.ports.of(3478))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.connect(place)
        client.send(stun.request(b"t" * 12))
        found = stun.read(client.recv(2000))
        assert (found.server, found.address, found.port) == ("edge1", *client.getsockname())
        assert found.transaction == b"t" * 12
        client.send(b"hello")
        assert b'"server": "edge1"' in client.recv(2000)
    with socket.create_connection((place[0], direct.lync.ports.of(443)), 5) as connection:
        connection.sendall(stun.request())
        assert stun.read(connection.recv(2000)).port == connection.getsockname()[1]


def test_a_server_as_a_process(lync: Lync) -> None:
    address = f"{lync.net}.9.{os.getpid() % 200 + 1}"
    command = [sys.executable, "-m", "steelyard.lab", "serve", "--role", "front-end", "--name", "fe6"]
    command += ["--address", address, "--shift", str(lync.ports.shift)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "fe6 ready\n"
            known = Browser(Names({"web.lync.example": address}), timeout=5)
            assert known.get(url(lync, "/abs/handler")).status == 401
        finally:
            process.terminate()
        assert process.wait(10) == 0
