"""Sub-services: made, changed and removed with their parents, and what the two demand of each other."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from tests.unit.model.making import HTTP, SERVER, TCP, apply

from steelyard.model.commands import (
    AddServer,
    AddServerToAll,
    AddService,
    Batch,
    ChangeService,
    ChangeSlot,
    CreateSubService,
    Declare,
    DuplicateService,
    RemoveService,
    Restore,
)
from steelyard.model.configuration import Configuration, from_documents, objects_of, stored_document
from steelyard.model.errors import NotFound, OperatorError

PARENT = apply(AddService({**HTTP, "idle_time": 100}))
FAMILY = apply(CreateSubService(1, {"name": "blue"}), CreateSubService(1, {"name": "green"}), to=PARENT)


def names(configuration: Configuration) -> list[str]:
    """The names of the sub-services of service 1, in the order of its slots."""
    return [sub.name for sub in configuration.subs(configuration.services[1])]


class TestMaking:
    def test_it_takes_the_type_the_check_and_the_idle_time_of_its_parent(self) -> None:
        sub = FAMILY.services[2]
        assert (sub.service_type, sub.check_type, sub.idle_time) == ("http", "http", 100)
        assert (sub.address, sub.port, sub.parent, sub.is_sub) == ("", 0, 1, True)

    def test_it_takes_the_lowest_free_index_and_its_slot_the_next_number_of_real_servers(self) -> None:
        made = apply(
            AddService(HTTP),
            AddService({**TCP, "servers": [SERVER]}),
            AddService({**TCP, "port": 5433}),
            RemoveService(2),
            CreateSubService(1),
            AddServer(2, SERVER),
        )
        (slot,) = made.services[1].slots
        assert (slot.service, slot.index) == (2, 2)
        assert [server.index for server in made.services[2].servers] == [3]

    def test_it_is_the_last_of_the_slots_and_the_command_gives_its_index(self) -> None:
        change = CreateSubService(1, {"name": "red"}, {"weight": 5}).apply(FAMILY)
        assert change.key == 4
        assert change.configuration.services[1].slots[-1].weight == 5
        assert names(change.configuration) == ["blue", "green", "red"]

    def test_not_on_a_service_with_real_servers_and_not_below_a_sub_service(self) -> None:
        with pytest.raises(OperatorError, match="never both"):
            apply(AddService({**HTTP, "servers": [SERVER]}), CreateSubService(1))
        with pytest.raises(OperatorError, match="no sub-services of its own"):
            apply(CreateSubService(2), to=FAMILY)
        with pytest.raises(NotFound):
            apply(CreateSubService(9), to=FAMILY)

    def test_a_parent_takes_no_real_server(self) -> None:
        with pytest.raises(OperatorError, match=r"Couldn't create RS.*sub-services"):
            apply(AddServer(1, SERVER), to=FAMILY)

    def test_a_service_can_be_made_with_its_sub_services(self) -> None:
        made = apply(AddService({**HTTP, "sub_services": [{"name": "a", "servers": [SERVER], "slot": {"weight": 7}}]}))
        assert names(made) == ["a"]
        assert made.services[1].slots[0].weight == 7
        assert len(made.services[2].servers) == 1

    def test_what_is_wrong_with_a_nested_one_is_placed(self) -> None:
        with pytest.raises(OperatorError) as caught:
            apply(AddService({**HTTP, "sub_services": [{}, {"servers": [{**SERVER, "weight": 0}]}]}))
        assert caught.value.position == "sub_services[1].servers[0]"
        with pytest.raises(OperatorError) as caught:
            apply(CreateSubService(1, {}, {"weight": 0}), to=PARENT)
        assert caught.value.position == "slot"


class TestWhatBelongsToTheParent:
    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"enabled": False}, "slot in the parent"),
            ({"address": "192.0.2.9"}, "VSAddress.*parent"),
            ({"port": 81}, "VSPort.*parent"),
            ({"extra_ports": ["90"]}, "ExtraPorts.*parent"),
            ({"ssl_acceleration": True}, "SSLAcceleration.*parent"),
            ({"certificates": ["site"]}, "CertFile.*parent"),
            ({"ssl_reencrypt": True}, "SSLReencrypt.*parent"),
        ],
    )
    def test_is_refused_by_name(self, changes: dict[str, Any], says: str) -> None:
        with pytest.raises(OperatorError, match=says) as caught:
            apply(ChangeService(2, changes), to=FAMILY)
        assert caught.value.field in changes
        with pytest.raises(OperatorError, match=says):
            apply(CreateSubService(1, changes), to=FAMILY)

    def test_the_value_it_has_anyway_is_no_change(self) -> None:
        unchanged = {"address": "", "port": 0, "extra_ports": [], "ssl_acceleration": False, "protocol": "tcp"}
        assert apply(ChangeService(2, unchanged), to=FAMILY) == FAMILY

    def test_its_own_settings_are_changed_as_any_service_s(self) -> None:
        made = apply(ChangeService(2, {"schedule": "wlc", "persistence": "src"}), to=FAMILY)
        assert (made.services[2].schedule, made.services[2].persistence_timeout) == ("wlc", 360)


class TestSlots:
    def test_weight_limit_state_and_importance(self) -> None:
        made = apply(ChangeSlot(1, 1, {"weight": 3, "limit": 9, "enabled": False, "critical": True}), to=FAMILY)
        slot = made.services[1].slot(1)
        assert slot is not None
        assert (slot.weight, slot.limit, slot.enabled, slot.critical) == (3, 9, False, True)
        assert made.services[2] is FAMILY.services[2]

    def test_what_it_is_cannot_be_changed(self) -> None:
        for name in ("index", "service"):
            with pytest.raises(OperatorError):
                apply(ChangeSlot(1, 1, {name: 3}), to=FAMILY)
        with pytest.raises(NotFound):
            apply(ChangeSlot(1, 7, {"weight": 3}), to=FAMILY)
        with pytest.raises(OperatorError, match="ratelimit"):
            apply(ChangeSlot(1, 1, {"rate_limit": 3}), to=FAMILY)


class TestRemoving:
    def test_a_sub_service_goes_with_its_slot(self) -> None:
        made = apply(RemoveService(2), to=FAMILY)
        assert sorted(made.services) == [1, 3]
        assert [slot.service for slot in made.services[1].slots] == [3]

    def test_a_parent_goes_with_its_sub_services(self) -> None:
        assert not apply(RemoveService(1), to=FAMILY).services

    def test_after_the_last_the_parent_may_have_real_servers(self) -> None:
        made = apply(RemoveService(2), RemoveService(3), AddServer(1, SERVER), to=FAMILY)
        assert len(made.services[1].servers) == 1


class TestCopying:
    def test_a_parent_is_copied_with_all_below_it(self) -> None:
        before = apply(AddServer(2, SERVER), ChangeSlot(1, 2, {"weight": 5}), to=FAMILY)
        made = apply(DuplicateService(1, port=81), to=before)
        copy = made.services[4]
        assert [slot.service for slot in copy.slots] == [5, 6]
        assert [slot.weight for slot in copy.slots] == [1000, 5]
        assert made.services[5].parent == 4
        numbers = [slot.index for s in made.services.values() for slot in s.slots]
        numbers += [server.index for s in made.services.values() for server in s.servers]
        assert len(numbers) == len(set(numbers)) == 6
        assert made.services[1].slots == before.services[1].slots

    def test_a_sub_service_is_copied_within_its_parent(self) -> None:
        made = apply(DuplicateService(2), to=apply(AddServer(2, SERVER), to=FAMILY))
        assert names(made) == ["blue", "green", "blue"]
        assert len(made.services[4].servers) == 1
        with pytest.raises(OperatorError, match="no address"):
            apply(DuplicateService(2, port=81), to=FAMILY)


class TestAddToAll:
    @pytest.mark.parametrize("named", [1, 2, 3])
    def test_every_sub_service_gets_the_server(self, named: int) -> None:
        change = AddServerToAll(named, SERVER).apply(FAMILY)
        assert [len(change.configuration.services[index].servers) for index in (2, 3)] == [1, 1]
        mine = change.configuration.services[3 if named == 3 else 2].servers[0]
        assert change.key == mine.index

    def test_one_that_has_it_refuses_all_and_a_plain_service_has_none(self) -> None:
        with pytest.raises(OperatorError) as caught:
            apply(AddServer(3, SERVER), AddServerToAll(2, SERVER), to=FAMILY)
        assert caught.value.position == "sub-service 3"
        with pytest.raises(OperatorError, match="no sub-services"):
            apply(AddServerToAll(1, SERVER), to=PARENT)


class TestTogether:
    def test_a_server_that_leads_back_to_the_parent_is_refused(self) -> None:
        circle = {"address": HTTP["address"], "port": HTTP["port"]}
        with pytest.raises(OperatorError, match="leads back"):
            apply(AddServer(2, circle), to=FAMILY)
        other = apply(AddService({**TCP, "servers": [circle]}), to=FAMILY)
        with pytest.raises(OperatorError, match="leads back"):
            apply(AddServer(2, {"address": TCP["address"], "port": TCP["port"]}), to=other)

    def test_both_may_issue_a_cookie_under_names_of_their_own(self) -> None:
        both = apply(
            ChangeService(1, {"persistence": "active-cookie"}),
            ChangeService(2, {"persistence": "active-cookie"}),
            to=FAMILY,
        )
        assert both.services[1].active_cookie != both.services[2].active_cookie
        with pytest.raises(OperatorError, match="cookie 'steelyard'"):
            apply(ChangeService(2, {"cookie": "steelyard"}), to=both)

    def test_one_that_reads_requests_does_not_switch_to_one_that_does_not(self) -> None:
        switching = apply(ChangeSlot(1, 1, {"rules": ("default",)}), to=FAMILY)
        with pytest.raises(OperatorError, match="selects by content"):
            apply(ChangeService(3, {"service_type": "gen", "check_type": "tcp"}), to=switching)


class TestWhole:
    DOCUMENT: ClassVar[dict[str, Any]] = {
        **HTTP,
        "sub_services": [
            {"name": "blue", "servers": [SERVER], "slot": {"weight": 10}},
            {"name": "green", "servers": [SERVER]},
        ],
    }

    def test_declaring_it_twice_changes_nothing(self) -> None:
        once = apply(Declare((self.DOCUMENT,)))
        twice = apply(Declare((self.DOCUMENT,)), to=once)
        assert twice == once
        assert all(twice.services[index] is once.services[index] for index in once.services)

    def test_what_is_declared_again_keeps_its_numbers_and_new_ones_come_where_they_stand(self) -> None:
        once = apply(AddService(TCP), Declare((self.DOCUMENT, TCP)))
        document = {**self.DOCUMENT, "sub_services": [{"name": "red"}, *reversed(self.DOCUMENT["sub_services"])]}
        made = apply(Declare((document, TCP)), to=once)
        parent = made.service_at(HTTP["address"], HTTP["port"], "tcp")
        assert parent is not None
        before = once.services[parent.index]
        assert [made.services[slot.service].name for slot in parent.slots] == ["red", "green", "blue"]
        assert [slot.service for slot in parent.slots][1:] == [slot.service for slot in before.slots][::-1]
        assert [slot.index for slot in parent.slots][1:] == [slot.index for slot in before.slots][::-1]
        blue = before.slots[0].service
        assert made.services[blue].servers == once.services[blue].servers
        assert len({*made.services}) == 5

    def test_what_is_not_declared_goes(self) -> None:
        once = apply(Declare((self.DOCUMENT,)))
        made = apply(Declare(({**HTTP, "servers": [SERVER]},)), to=once)
        assert sorted(made.services) == [1]
        assert not made.services[1].slots

    def test_an_error_says_where(self) -> None:
        once = apply(Declare((self.DOCUMENT,)))
        for before in (once, None):
            with pytest.raises(OperatorError) as caught:
                broken = {**self.DOCUMENT, "sub_services": [{"name": "blue", "servers": [{**SERVER, "weight": 0}]}]}
                apply(Declare((broken,)), to=before)
            assert caught.value.position == "services[0].sub_services[0].servers[0]"

    def test_a_batch_and_a_rollback_hold_whole_families(self) -> None:
        made = apply(Batch((AddService(HTTP), CreateSubService(1), AddServer(2, SERVER))))
        gone = apply(RemoveService(1), to=made)
        back = apply(Restore(3, made), to=gone)
        assert back.services == made.services
        assert back.counters == gone.counters

    def test_stored_documents_give_the_same_back(self) -> None:
        documents: dict[str, dict[str, Any]] = {}
        for kind, key, value in objects_of(FAMILY):
            found = stored_document(kind, value)
            if found is not None:
                documents.setdefault(kind, {})[key] = found
        assert from_documents(documents) == FAMILY
