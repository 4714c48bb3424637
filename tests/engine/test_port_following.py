"""Port following: a client known to one service goes to the same real server in another (behaviour.md, 5.5)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from tests.engine.rig import Rig, Service, eventually, member
from tests.support.origin import Origin, TcpOrigin
from tests.support.tcp_origin import rdp_connection_request

from steelyard.model.commands import AddServer, ChangeService, RemoveService
from steelyard.model.errors import ConflictError, OperatorError

pytestmark = pytest.mark.engine

ADDRESSES = ("127.0.91.1", "127.0.91.2", "127.0.91.3")


@contextlib.contextmanager
def _hosts() -> Iterator[list[Origin]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Origin(address[-1], address=address)) for address in ADDRESSES]


@pytest.fixture
def web() -> Iterator[list[Origin]]:
    with _hosts() as made:
        yield made


@pytest.fixture
def other() -> Iterator[list[Origin]]:
    """Other ports of the same hosts."""
    with _hosts() as made:
        yield made


KEYS: list[tuple[str, dict[str, Any], Any]] = [
    ("src", {}, lambda n: {"source": f"127.0.92.{n}"}),
    ("active-cookie", {}, lambda n: {"cookies": {"steelyard": f"c{n}"}}),
    ("cookie-src", {"cookie": "JSESSIONID"}, lambda n: {"source": f"127.0.92.{n}"}),
    ("header", {"cookie": "X-User"}, lambda n: {"headers": {"X-User": f"user {n}"}}),
    ("super", {}, lambda n: {"headers": {"User-Agent": f"agent {n}"}}),
]


@pytest.mark.parametrize(("mode", "settings", "request_of"), KEYS, ids=[key[0] for key in KEYS])
def test_a_client_known_there_goes_to_the_same_server_here(
    rig: Rig, web: list[Origin], other: list[Origin], mode: str, settings: dict[str, Any], request_of: Any
) -> None:
    leader = rig.http(*web, persistence=mode, **settings)
    # in another order and with other numbers
    follower = rig.http(*reversed(other), persistence=mode, follow_vs=leader.index, **settings)
    known = {n: leader.name(**request_of(n)) for n in range(1, 10)}
    assert set(known.values()) == {"1", "2", "3"}
    for n, name in known.items():
        assert [follower.name(**request_of(n)) for _ in range(2)] == [name] * 2
    # who is not known there is scheduled, and the leader follows nobody
    fresh = {n: follower.name(**request_of(n)) for n in range(11, 20)}
    assert len(set(fresh.values())) == 3
    assert {n: leader.name(**request_of(n)) for n in fresh} != fresh


def test_set_on_both_it_works_in_both_directions(rig: Rig, web: list[Origin], other: list[Origin]) -> None:
    first = rig.http(*web, persistence="src")
    second = rig.http(*reversed(other), persistence="src", follow_vs=first.index)
    first.change(follow_vs=second.index)
    for n in range(1, 10):
        one, then = (first, second) if n % 2 else (second, first)
        assert one.name(source=f"127.0.92.{n}") == then.name(source=f"127.0.92.{n}")


def test_services_of_bytes_follow_services_of_requests(rig: Rig, web: list[Origin], line: list[TcpOrigin]) -> None:
    leader = rig.http(*web[:2], persistence="src")
    follower = rig.tcp(*reversed(line), persistence="src", follow_vs=leader.index)
    for n in range(1, 9):
        known = leader.name(source=f"127.0.92.{n}")
        with follower.connect(source=f"127.0.92.{n}") as connection:
            connection.socket.sendall(b"hello\n")
            assert connection.socket.recv(64).decode().split(":")[0] == known


@pytest.fixture
def line() -> Iterator[list[TcpOrigin]]:
    with TcpOrigin("1", address=ADDRESSES[0]) as one, TcpOrigin("2", address=ADDRESSES[1]) as two:
        yield [one, two]


@pytest.fixture
def other_line() -> Iterator[list[TcpOrigin]]:
    with TcpOrigin("1", address=ADDRESSES[0]) as one, TcpOrigin("2", address=ADDRESSES[1]) as two:
        yield [one, two]


def test_rdp_users_are_followed(rig: Rig, line: list[TcpOrigin], other_line: list[TcpOrigin]) -> None:
    for origin in (*line, *other_line):
        origin.rdp = True

    def user(service: Service, name: str) -> str:
        with service.connect() as connection:
            connection.socket.sendall(rdp_connection_request(name))
            got = b""
            while not got.endswith(b"\n"):
                data = connection.socket.recv(64)
                assert data
                got += data
            return got[11:].decode().strip()

    leader = rig.tcp(*line, service_type="ts", persistence="rdp")
    follower = rig.tcp(*reversed(other_line), service_type="ts", persistence="rdp", follow_vs=leader.index)
    for name in ("ann", "bob", "cid", "dan"):
        assert user(leader, name) == user(follower, name)


def test_a_client_with_a_record_of_its_own_here_keeps_it(rig: Rig, web: list[Origin], other: list[Origin]) -> None:
    leader = rig.http(*web, persistence="src")
    follower = rig.http(*other, persistence="src", follow_vs=leader.index)
    # known here first, then there, where the scheduler gives it another server
    leader.name(source="127.0.92.100")
    mine, there = follower.name(source="127.0.92.1"), leader.name(source="127.0.92.1")
    assert mine != there
    assert follower.names(3, source="127.0.92.1") == [mine] * 3


@pytest.mark.parametrize("always", [1, 2])
def test_a_proxy_s_connection_follows_for_each_of_its_clients(
    rig: Rig, web: list[Origin], other: list[Origin], always: int
) -> None:
    rig.layer7(always_check_persistence=always)
    leader = rig.http(*web, persistence="header", cookie="X-User")
    follower = rig.http(*reversed(other), persistence="header", cookie="X-User", follow_vs=leader.index)
    known = {f"user {n}": leader.name(headers={"X-User": f"user {n}"}) for n in range(6)}
    assert set(known.values()) == {"1", "2", "3"}
    with follower.connect() as connection:
        for _ in range(2):
            assert {user: connection.request("/", headers={"X-User": user}).name for user in known} == known


def test_the_record_of_a_server_that_is_down_here_is_not_followed(
    rig: Rig, web: list[Origin], other: list[Origin]
) -> None:
    leader = rig.http(*web, persistence="src")
    follower = rig.http(*other, persistence="src", follow_vs=leader.index)
    name = leader.name(source="127.0.92.1")
    gone = next(origin for origin in other if origin.name == name)
    gone.refuse()
    follower.server(gone).wait_until("down")
    now = follower.name(source="127.0.92.1")
    assert now != name
    assert follower.name(source="127.0.92.1") == now
    assert leader.name(source="127.0.92.1") == name


def test_servers_come_and_go_without_a_reload(rig: Rig, web: list[Origin], other: list[Origin]) -> None:
    leader = rig.http(*web[:2], persistence="src")
    follower = rig.http(*other[:2], persistence="src", follow_vs=leader.index)
    with rig.without_reload():
        added = rig.do(AddServer(follower.index, member(other[2])))
        leader.add(web[2])
        leader.server(web[2]).wait_until("up")
        follower.server(other[2]).wait_until("up")
        known = {n: leader.name(source=f"127.0.92.{n}") for n in range(1, 13)}
        assert set(known.values()) == {"1", "2", "3"}
        assert {n: follower.name(source=f"127.0.92.{n}") for n in known} == known
        assert isinstance(added.key, int)
        follower.server(other[2]).remove()
        eventually(lambda: len(follower.servers) == 2, "the server is gone")
        left = {n: follower.name(source=f"127.0.92.{n}") for n, name in known.items() if name != "3"}
        assert all(known[n] == name for n, name in left.items())


def test_what_cannot_be_followed_is_refused_with_its_reason(rig: Rig, web: list[Origin], other: list[Origin]) -> None:
    leader = rig.http(*web, persistence="src")
    follower = rig.http(*other, persistence="src")
    stranger = rig.http(*other[:2], persistence="src")

    def refused(index: int, because: str, **changes: Any) -> None:
        with pytest.raises(OperatorError, match=because):
            rig.do(ChangeService(index, changes))

    refused(follower.index, "cannot follow itself", follow_vs=follower.index)
    refused(follower.index, "no such virtual service", follow_vs=4711)
    refused(stranger.index, "127.0.91.3 in one alone", follow_vs=leader.index)
    refused(follower.index, "same persistence mode", follow_vs=leader.index, persistence="super")
    refused(follower.index, "same persistence mode", follow_vs=leader.index, persistence_mask=24)
    refused(follower.index, "need persistence", follow_vs=leader.index, persistence="none")
    follower.change(follow_vs=leader.index)
    leader.change(follow_vs=follower.index)
    third = rig.http(*other, persistence="src", follow_vs=leader.index)
    leader.change(follow_vs=0)
    with pytest.raises(OperatorError, match="in a circle"):
        follower.change(follow_vs=0)
        rig.do(ChangeService(leader.index, {"follow_vs": follower.index}))
        rig.do(ChangeService(follower.index, {"follow_vs": third.index}))
    leader.change(follow_vs=0)
    for command in (ChangeService(leader.index, {"persistence": "url"}), RemoveService(leader.index)):
        with pytest.raises(ConflictError) as refusal:
            rig.do(command)
        assert str(third.port) in refusal.value.message
        assert str(leader.port) in refusal.value.message
