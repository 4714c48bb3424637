from __future__ import annotations

from steelyard.appliance.differences import differences
from steelyard.model.access_list import EVERY_SERVICE, Entries, ListName
from steelyard.model.commands import AddEntries, AddService, RemoveEntries, ReplaceList, SetParameters
from steelyard.model.configuration import Configuration

BEFORE = AddService({"address": "192.0.2.1", "port": 80}).apply(Configuration()).configuration


def added(configuration: Configuration, scope: int, which: ListName, *lines: str) -> Configuration:
    return AddEntries(scope, which, Entries.of_lines(lines)).apply(configuration).configuration


def test_a_few_entries_are_told_one_by_one() -> None:
    one = added(BEFORE, 1, "block", "10.0.0.1 # first", "10.0.0.2", "10.0.0.3")
    changed = RemoveEntries(1, "block", Entries.of_lines(["10.0.0.2"])).apply(one).configuration
    changed = added(changed, 1, "block", "10.0.0.1 # again")
    changed = added(changed, EVERY_SERVICE, "allow", "::1")
    for_all, of_one = differences(one, changed)
    assert (for_all.kind, for_all.key, for_all.title) == ("access", "all", "access lists for all services")
    assert for_all.lines == ("allow ::1/128: added",)
    assert (of_one.key, of_one.title) == ("1", "access lists of virtual service 1")
    assert of_one.lines == (
        "block 10.0.0.2/32: removed",
        "block 10.0.0.1/32: comment: first -> again",
    )


def test_many_entries_are_told_as_a_number_with_examples() -> None:
    many = added(BEFORE, EVERY_SERVICE, "block", *(f"10.0.{n // 256}.{n % 256} # a scanner" for n in range(5000)))
    (difference,) = differences(BEFORE, many)
    assert difference.lines == ("block: 5000 entries added: 10.0.0.0/32, 10.0.0.1/32, 10.0.0.10/32 and 4997 more",)
    empty = ReplaceList(EVERY_SERVICE, "block").apply(many).configuration
    (difference,) = differences(many, empty)
    assert difference.lines == ("block: 5000 entries removed: 10.0.0.0/32, 10.0.0.1/32, 10.0.0.10/32 and 4997 more",)


def test_the_switch_is_a_parameter_like_others() -> None:
    after = SetParameters("access", {"drop": False}).apply(BEFORE).configuration
    (difference,) = differences(BEFORE, after)
    assert (difference.kind, difference.lines) == ("parameters", ("drop: on -> off",))
