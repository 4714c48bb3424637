from __future__ import annotations

from steelyard.compile.compiler import Compiler, EngineFacts
from steelyard.diff.haproxy import difference
from steelyard.model.access_list import EVERY_SERVICE, Entries, ListName
from steelyard.model.commands import AddEntries, AddServer, AddService, ChangeService, ReplaceList
from steelyard.model.configuration import Configuration
from steelyard.plan.operations import ChangeLookup, ReplaceLookup

FACTS = EngineFacts(threads=2, lua=True, open_files=20_000)


def configured() -> Configuration:
    server = {"address": "10.9.9.9", "port": 80}
    settings = {"address": "192.0.2.1", "port": 80, "servers": [server]}
    return AddService(settings).apply(Configuration()).configuration


def added(configuration: Configuration, scope: int, which: ListName, *lines: str) -> Configuration:
    return AddEntries(scope, which, Entries.of_lines(lines)).apply(configuration).configuration


def many() -> Configuration:
    entries = Entries({f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}/32": "" for n in range(30_000)})
    return ReplaceList(EVERY_SERVICE, "block", entries).apply(configured()).configuration


def test_real_servers_are_listed_while_there_is_a_list() -> None:
    compiler = Compiler(FACTS)
    servers, clients = compiler.compile(configured()).haproxy.lookups[:2]
    assert (servers.entries, clients.entries) == ((), ())
    servers, clients = compiler.compile(added(configured(), 1, "block", "10.0.0.1")).haproxy.lookups[:2]
    assert (servers.entries, clients.entries) == ((("10.9.9.9", ""),), ())


def test_other_changes_leave_the_lookups_the_very_same_objects() -> None:
    compiler = Compiler(FACTS)
    configuration = many()
    before = compiler.compile(configuration).haproxy
    changed = ChangeService(1, {"schedule": "lc"}).apply(configuration).configuration
    after = compiler.compile(changed).haproxy
    assert all(one is two for one, two in zip(after.lookups, before.lookups, strict=True))
    grown = AddServer(1, {"address": "10.9.9.8", "port": 80}).apply(configuration).configuration
    assert compiler.compile(grown).haproxy.lookups[1] is before.lookups[1]


def test_a_service_of_its_own_list_keeps_its_entries_when_it_changes() -> None:
    compiler = Compiler(FACTS)
    configuration = added(configured(), 1, "block", "10.0.0.1")
    (before,) = compiler.compile(configuration).haproxy.services["vs1"].lookups
    changed = ChangeService(1, {"idle_time": 99}).apply(configuration).configuration
    (after,) = compiler.compile(changed).haproxy.services["vs1"].lookups
    assert after.entries is before.entries


def test_one_entry_of_many_is_one_change() -> None:
    compiler = Compiler(FACTS)
    configuration = many()
    before = compiler.compile(configuration).haproxy
    after = compiler.compile(added(configuration, EVERY_SERVICE, "block", "203.0.113.1", "203.0.113.2")).haproxy
    (operation,) = difference(before, after).operations
    assert operation == ChangeLookup(
        "access", True, added=(("203.0.113.1/32", "block"), ("203.0.113.2/32", "block"))
    ) or operation == ChangeLookup("access", True, added=(("203.0.113.2/32", "block"), ("203.0.113.1/32", "block")))


def test_many_entries_at_once_are_in_force_together() -> None:
    compiler = Compiler(FACTS)
    before, after = compiler.compile(configured()).haproxy, compiler.compile(many()).haproxy
    found = difference(before, after)
    assert not found.reload_reasons
    assert [type(one) for one in found.operations] == [ChangeLookup, ReplaceLookup]


def test_what_nobody_listens_for_is_no_lookup() -> None:
    """HAProxy would not have it, and refuse to change it."""
    disabled = ChangeService(1, {"enabled": False}).apply(added(configured(), 1, "block", "10.0.0.1")).configuration
    plan = Compiler(FACTS).compile(disabled).haproxy
    assert [one.name for one in plan.all_lookups() if "access" in one.name] == []
