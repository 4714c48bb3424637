"""Persistence where content rules select among real servers, and where sub-services share it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.engine.rig import Rig, Service, member
from tests.support.origin import Origin

from steelyard.model.commands import AddRule, ChangeServer, CreateSubService

pytestmark = pytest.mark.engine


@pytest.fixture
def four() -> Iterator[list[Origin]]:
    """Four hosts."""
    made = [Origin(str(number), address=f"127.0.95.{number}") for number in range(1, 5)]
    yield made
    for origin in made:
        origin.stop()


@pytest.fixture
def switched(rig: Rig, four: list[Origin]) -> Service:
    """/a goes to one and two, /b to three and four."""
    for name in ("a", "b"):
        rig.do(AddRule({"name": name, "match_type": "prefix", "pattern": f"/{name}"}))
    rules = [["a"], ["a"], ["b"], ["b"]]
    servers = [member(origin, rules=rule) for origin, rule in zip(four, rules, strict=True)]
    return rig.service((), service_type="http", persistence="src", persistence_timeout=120, servers=servers)


def test_each_group_keeps_its_client(switched: Service) -> None:
    for n in range(1, 7):
        source = f"127.0.96.{n}"
        names = [switched.name(path, source=source) for path in ("/a", "/b")]
        assert names[0] in "12"
        assert names[1] in "34"
        for _ in range(2):
            # going to and fro on connections of their own
            assert [switched.name(path, source=source) for path in ("/a", "/b")] == names
    assert len({switched.name("/a", source=f"127.0.96.{n}") for n in range(1, 7)}) == 2


@pytest.mark.parametrize("always", [0, 1, 2])
def test_going_to_and_fro_in_one_connection_each_group_keeps_its_server(
    rig: Rig, switched: Service, always: int
) -> None:
    rig.layer7(always_check_persistence=always)
    for n in range(1, 5):
        with switched.connect(source=f"127.0.96.{n}") as connection:
            names = [connection.request(path).name for path in ("/a", "/b")]
            for _ in range(3):
                assert [connection.request(path).name for path in ("/a", "/b")] == names
        assert [switched.name(path, source=f"127.0.96.{n}") for path in ("/a", "/b")] == names


@pytest.mark.parametrize("always", [0, 1, 2])
def test_a_changed_key_inside_a_connection(rig: Rig, four: list[Origin], always: int) -> None:
    """0 keeps the connection's server, 1 follows a record that is there, 2 also makes one."""
    rig.layer7(always_check_persistence=always)
    for name in ("a", "b"):
        rig.do(AddRule({"name": name, "match_type": "prefix", "pattern": f"/{name}"}))
    rules = [["a"], ["a"], ["b"], ["b"]]
    servers = [member(origin, rules=rule) for origin, rule in zip(four, rules, strict=True)]
    service = rig.service((), service_type="http", persistence="header", cookie="X-User", servers=servers)
    ann, bob = (service.name("/a", headers={"X-User": user}) for user in ("ann", "bob"))
    assert ann != bob
    with service.connect() as connection:
        assert connection.request("/a", headers={"X-User": "ann"}).name == ann
        connection.request("/b", headers={"X-User": "ann"})
        assert connection.request("/a", headers={"X-User": "bob"}).name == (ann if always == 0 else bob)
        connection.request("/a", headers={"X-User": "ann"})
        assert connection.request("/a", headers={"X-User": "new"}).name == ann
    again = {service.name("/a", headers={"X-User": "new"}) for _ in range(2)}
    assert len(again) == 1
    if always == 2:
        assert again == {ann}


def test_a_server_that_both_groups_have_is_kept_from_one_to_the_other(rig: Rig, four: list[Origin]) -> None:
    for name in ("a", "b"):
        rig.do(AddRule({"name": name, "match_type": "prefix", "pattern": f"/{name}"}))
    rules = [["a", "b"], ["a", "b"], ["b"], []]
    servers = [member(origin, rules=rule) for origin, rule in zip(four, rules, strict=True)]
    service = rig.service((), service_type="http", persistence="src", servers=servers)
    for n in range(1, 7):
        assert service.name("/a", source=f"127.0.96.{n}") == service.name("/b", source=f"127.0.96.{n}")


def test_a_group_leaves_a_server_that_is_disabled_when_its_drain_time_is_zero(rig: Rig, switched: Service) -> None:
    rig.layer7(drain_time=0)
    first = switched.name("/a", source="127.0.96.1")
    index = next(s.index for s in switched.setting("servers") if s.address == f"127.0.95.{first}")
    rig.do(ChangeServer(switched.index, index, {"enabled": False}))
    other = switched.name("/a", source="127.0.96.1")
    assert {first, other} == {"1", "2"}


# --- sub-services
# ------------------------------------------------------------------------------------------------------


def _parent(rig: Rig, four: list[Origin], *, balanced: bool, **settings: Any) -> Service:
    """Two sub-services with the same hosts in another order, chosen by /a and /b or by turns."""
    parent = rig.service((), service_type="http", check_type="none")
    for name, origins in (("a", four), ("b", list(reversed(four)))):
        if not balanced:
            rig.do(AddRule({"name": name, "match_type": "prefix", "pattern": f"/{name}"}))
        data = {"servers": [member(origin) for origin in origins], "persistence_timeout": 120, "check_type": "http"}
        outcome = rig.do(CreateSubService(parent.index, data | settings, {"rules": [] if balanced else [name]}))
        assert isinstance(outcome.key, int)
        for server in (sub := Service(rig, outcome.key)).servers:
            server.wait_until("up")
        assert sub.setting("persistence") == settings["persistence"]
    return parent


KEYS: list[tuple[str, dict[str, Any], Any]] = [
    ("src", {}, lambda n: {"source": f"127.0.96.{n}"}),
    ("header", {"cookie": "X-User"}, lambda n: {"headers": {"X-User": f"user {n}"}}),
]


@pytest.mark.parametrize(("mode", "settings", "request_of"), KEYS, ids=[key[0] for key in KEYS])
@pytest.mark.parametrize("always", [0, 1, 2])
def test_sub_services_that_share_persistence_keep_the_address_of_a_client(
    rig: Rig, four: list[Origin], mode: str, settings: dict[str, Any], request_of: Any, always: int
) -> None:
    rig.layer7(always_check_persistence=always, share_subvs_persistence=True)
    parent = _parent(rig, four, balanced=False, persistence=mode, **settings)
    known = {n: parent.name("/a" if n % 2 else "/b", **request_of(n)) for n in range(1, 10)}
    assert set(known.values()) == {"1", "2", "3", "4"}
    for n, name in known.items():
        for path in ("/b", "/a", "/b"):
            assert parent.name(path, **request_of(n)) == name
        with parent.connect(source=request_of(n).get("source")) as connection:
            headers = request_of(n).get("headers", {})
            assert [connection.request(path, headers=headers).name for path in ("/a", "/b", "/a")] == [name] * 3


def test_sub_services_among_which_the_parent_balances_share_it_too(rig: Rig, four: list[Origin]) -> None:
    rig.layer7(share_subvs_persistence=True)
    parent = _parent(rig, four, balanced=True, persistence="src")
    for n in range(1, 7):
        assert len({parent.name(source=f"127.0.96.{n}") for _ in range(4)}) == 1


def test_without_sharing_each_sub_service_has_its_own_records(rig: Rig, four: list[Origin]) -> None:
    parent = _parent(rig, four, balanced=False, persistence="src")
    pairs = [tuple(parent.name(path, source=f"127.0.96.{n}") for path in ("/a", "/b")) for n in range(1, 7)]
    assert any(one != two for one, two in pairs)


def test_a_server_that_goes_down_in_both_is_left_by_both(rig: Rig, four: list[Origin]) -> None:
    rig.layer7(share_subvs_persistence=True)
    parent = _parent(rig, four, balanced=False, persistence="src")
    name = parent.name("/a", source="127.0.96.1")
    gone = next(origin for origin in four if origin.name == name)
    gone.refuse()
    subs = [slot.service for slot in parent.setting("slots")]
    for sub in subs:
        Service(rig, sub).server(gone).wait_until("down")
    now = parent.name("/b", source="127.0.96.1")
    assert now != name
    assert parent.name("/a", source="127.0.96.1") == now
