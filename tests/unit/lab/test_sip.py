"""SIP: a registration is one server's; a Director redirects; an edge passes on."""

from __future__ import annotations

import socket
import ssl
from dataclasses import replace

import pytest
from tests.unit.lab.direct import Direct

from steelyard.lab import sip
from steelyard.lab.names import Names
from steelyard.lab.organisation import Account
from steelyard.lab.sip_client import SipClient


def client(direct: Direct, address: str) -> SipClient:
    made = direct.lync.client(inside=True).sip()
    return replace(made, names=Names({"pool.lync.example": address}), timeout=5)


def test_a_registration_is_kept_on_new_connections_by_its_server_alone(direct: Direct) -> None:
    port = direct.lync.ports.of(5061)
    one, other = direct.lync.front_ends
    known = client(direct, one)
    with known.connect("pool.lync.example", port) as connection:
        answer = known.register(connection)
        assert (answer.status, answer.header("X-Lab-Server")) == (200, "fe1")
        assert connection.ask(known.request("MESSAGE")).status == 202
    with known.connect("pool.lync.example", port) as connection:
        assert known.refresh(connection).status == 200
    known.names = Names({"pool.lync.example": other})
    with known.connect("pool.lync.example", port) as connection:
        assert known.refresh(connection).status == 481
        assert connection.ask(known.request("MESSAGE")).status == 481


def test_a_wrong_password_is_forbidden(direct: Direct) -> None:
    known = replace(client(direct, direct.lync.front_ends[0]), account=Account("alice", "wrong"))
    with known.connect("pool.lync.example", direct.lync.ports.of(5061)) as connection:
        assert known.register(connection).status == 403


def test_a_director_redirects_to_the_home_pool(direct: Direct) -> None:
    known = client(direct, direct.lync.directors[1])
    with known.connect("pool.lync.example", direct.lync.ports.of(5061)) as connection:
        answer = known.register(connection)
    assert answer.first == "SIP/2.0 301 Redirect request to Home Server"
    assert answer.header("Contact") == f"<sip:pool.lync.example:{direct.lync.ports.of(5061)};transport=tls>"


def test_an_edge_passes_on_and_takes_its_own_via_off_again(direct: Direct) -> None:
    known = client(direct, direct.lync.edges_outside("access")[0])
    with known.connect("pool.lync.example", direct.lync.ports.of(443)) as connection:
        answer = known.register(connection)
    assert (answer.status, answer.header("X-Lab-Server")) == (200, "fe1")
    assert len(answer.every("Via")) == 1
    assert answer.every("X-Lab-Through") == ["dir1", "edge1"]


def test_via_comes_back_as_it_was_with_where_it_came_from(direct: Direct) -> None:
    known = client(direct, direct.lync.front_ends[0])
    with known.connect("pool.lync.example", direct.lync.ports.of(5060), tls=False) as connection:
        asked = known.request("OPTIONS")
        answer = connection.ask(asked)
    assert answer.status == 200
    assert answer.header("Via").startswith(f"{asked.header('Via')};received=127.")


def test_what_is_no_sip_ends_the_connection(direct: Direct) -> None:
    place = (direct.lync.front_ends[0], direct.lync.ports.of(5061))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(place, 5) as plain, context.wrap_socket(plain) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(100).startswith(b"SIP/2.0 400")
        assert connection.recv(100) == b""


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.1", b"OPTIONS x SIP/2.0\r\nno colon", b"OPTIONS x SIP/2.0\r\nContent-Length: -1"]
)
def test_heads_that_are_none_are_refused(head: bytes) -> None:
    with pytest.raises(ValueError):
        sip.read(head)
