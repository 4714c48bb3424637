"""Which tables a backend looks at: its own, those of its service, of its siblings, of the service it follows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.part import Family
from steelyard.compile.haproxy.persistence import compile_persistence
from steelyard.compile.haproxy.sharing import shared_tables
from steelyard.model.real_server import RealServer
from steelyard.model.slot import Slot
from steelyard.model.virtual_service import VirtualService

CONTEXT = ServiceContext(0, 300, None, lua=True)
SHARING = replace(CONTEXT, share_persistence=True)


def _servers(first: int, *hosts: int, port: int = 80) -> tuple[RealServer, ...]:
    return tuple(
        RealServer.make({"index": first + number, "address": f"10.0.0.{host}", "port": port})
        for number, host in enumerate(hosts)
    )


def _sub(index: int, servers: tuple[RealServer, ...], **settings: Any) -> VirtualService:
    data = {"index": index, "address": "", "port": 0, "parent": 1, "service_type": "http", "servers": servers}
    return VirtualService.make(data | {"persistence": "src", "persistence_timeout": 360} | settings)


def _family(*subs: VirtualService) -> tuple[VirtualService, Family]:
    slots = tuple(Slot.make({"index": 90 + sub.index, "service": sub.index}) for sub in subs)
    parent = VirtualService.make(
        {"index": 1, "address": "10.0.1.1", "port": 80, "service_type": "http", "slots": slots}
    )
    return parent, Family(parent=parent, siblings=subs)


def _text(service: VirtualService, family: Family, context: ServiceContext, backend: str = "") -> str:
    made = compile_persistence(service, family, context, backend or service.engine_name)
    return "\n".join(" ".join(rule.words) for rule in made.directives)


def test_sub_services_of_the_same_persistence_share_one_table_that_their_parent_keeps() -> None:
    first, second = _sub(2, _servers(11, 1, 2)), _sub(3, _servers(21, 2, 1))
    parent, family = _family(first, second)
    (table,) = shared_tables(parent, Family(subs=(first, second)), SHARING)
    name, kept = table
    assert (kept.kind, kept.expire_seconds) == ("ip", 360)
    for sub in (first, second):
        made = compile_persistence(sub, family, SHARING, sub.engine_name)
        assert made.table is None
        assert f"table steelyard/{name}" in _text(sub, family, SHARING)
        assert f"steelyard/{sub.engine_name}" not in _text(sub, family, SHARING)
    # a server of the other is this one's server of the same address
    made = compile_persistence(second, family, SHARING, "vs3")
    assert dict(made.lookups[0].entries) == {"11": "rs22", "12": "rs21", "21": "rs21", "22": "rs22"}


def test_sub_services_that_differ_in_persistence_share_nothing() -> None:
    for difference in (
        {"persistence": "url"},
        {"persistence_timeout": 600},
        {"persistence_mask": 24},
        {"persistence": "none", "persistence_timeout": 0},
    ):
        first, second = _sub(2, _servers(11, 1)), _sub(3, _servers(21, 1), **difference)
        parent, family = _family(first, second)
        assert shared_tables(parent, Family(subs=(first, second)), SHARING) == ()
        assert compile_persistence(first, family, SHARING, "vs2").table is not None


def test_off_each_sub_service_has_its_own_table() -> None:
    first, second = _sub(2, _servers(11, 1)), _sub(3, _servers(21, 1))
    parent, family = _family(first, second)
    assert shared_tables(parent, Family(subs=(first, second)), CONTEXT) == ()
    assert "shared" not in _text(first, family, CONTEXT)
    assert compile_persistence(first, family, CONTEXT, "vs2").lookups == ()


def test_a_sub_service_is_known_by_its_parents_kind_of_address() -> None:
    sub = _sub(2, _servers(11, 1))
    parent, _ = _family(sub)
    wide = parent.changed({"address": "2001:db8::1"})
    made = compile_persistence(sub, Family(parent=wide), CONTEXT, "vs2")
    assert made.table is not None
    assert made.table.kind == "ipv6"


def test_a_group_has_a_table_of_its_own_and_looks_into_its_service_s() -> None:
    service = VirtualService.make(
        {"index": 7, "address": "10.0.1.1", "port": 80, "service_type": "http", "persistence": "src"}
        | {"servers": _servers(11, 1, 2), "persistence_timeout": 360}
    )
    made = compile_persistence(service, Family(), CONTEXT, "vs7-images")
    assert made.table is not None
    matches = [rule.words for rule in made.directives if rule.words[:2] == ("stick", "match")]
    assert [words[4] for words in matches] == ["steelyard/vs7-images", "steelyard/vs7"]
    assert "sess.vs7_images" in _text(service, Family(), CONTEXT, "vs7-images")


def test_the_lookup_prefers_the_same_port_and_leaves_out_what_is_not_here() -> None:
    leader = VirtualService.make(
        {"index": 1, "address": "10.0.1.1", "port": 80, "persistence": "src", "persistence_timeout": 360}
        | {"servers": (*_servers(11, 1, 2), *_servers(13, 1, port=81), *_servers(14, 9))}
    )
    mine = (*_servers(21, 1, port=82), *_servers(22, 1, port=81), *_servers(23, 2, port=443))
    follower = leader.changed({"index": 2, "port": 443, "servers": mine, "follow_vs": 1})
    made = compile_persistence(follower, Family(leader=leader), CONTEXT, "vs2")
    assert dict(made.lookups[0].entries) == {"11": "rs21", "12": "rs23", "13": "rs22"}
