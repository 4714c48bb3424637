"""Settings that make health: whose verdict a member takes, the minimum, further checks."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from tests.unit.model.making import HTTP, apply

from steelyard.appliance.differences import differences
from steelyard.model.commands import (
    AddFurtherCheck,
    AddServer,
    AddService,
    ChangeFurtherCheck,
    ChangeServer,
    ChangeService,
    ChangeSlot,
    CreateSubService,
    DuplicateService,
    RemoveFurtherCheck,
    RemoveServer,
    RemoveService,
    ReplaceFurtherChecks,
)
from steelyard.model.configuration import Configuration, from_documents, objects_of, stored_document
from steelyard.model.errors import ConflictError, NotFound, OperatorError


def _server(last: int, **settings: Any) -> dict[str, Any]:
    return {"address": f"10.0.0.{last}", "port": 8080, **settings}


#: real servers 1 and 2 of service 1, real server 3 of service 2
BASE = apply(
    AddService({**HTTP, "servers": [_server(1), _server(2)]}),
    AddService({**HTTP, "port": 81, "servers": [_server(3)]}),
)


class TestFollow:
    def test_a_server_follows_any_other_or_itself(self) -> None:
        made = apply(ChangeServer(2, 3, {"follow": 1}), ChangeServer(1, 2, {"follow": 2}), to=BASE)
        assert made.services[2].servers[0].checked_as == 1
        assert made.services[1].servers[1].checked_as == 0

    def test_one_that_does_not_exist_is_refused(self) -> None:
        with pytest.raises(OperatorError, match="no such real server") as caught:
            ChangeServer(2, 3, {"follow": 9}).apply(BASE)
        assert (caught.value.field, caught.value.value) == ("follow", 9)
        with pytest.raises(OperatorError, match="no such real server"):
            AddServer(1, _server(4, follow=77)).apply(BASE)

    def test_loops_are_refused_and_shown(self) -> None:
        made = apply(ChangeServer(1, 1, {"follow": 2}), ChangeServer(1, 2, {"follow": 3}), to=BASE)
        with pytest.raises(OperatorError, match="3 -> 1 -> 2 -> 3"):
            ChangeServer(2, 3, {"follow": 1}).apply(made)

    def test_a_loop_over_a_sub_service_is_refused_whichever_end_closes_it(self) -> None:
        made = apply(AddService({**HTTP, "port": 82}), CreateSubService(3, {"servers": [_server(5)]}), to=BASE)
        slot, server = made.services[3].slots[0].index, made.services[4].servers[0].index
        with pytest.raises(OperatorError, match="circle"):
            ChangeServer(4, server, {"follow": slot}).apply(made)
        made = apply(ChangeSlot(3, slot, {"follow": 1}), ChangeServer(4, server, {"follow": slot}), to=made)
        with pytest.raises(OperatorError, match="circle"):
            ChangeSlot(3, slot, {"follow": 0}).apply(made)
        with pytest.raises(OperatorError, match="circle"):
            ChangeServer(1, 1, {"follow": server}).apply(made)

    def test_who_followed_a_server_that_goes_is_checked_itself(self) -> None:
        made = apply(ChangeServer(2, 3, {"follow": 1}), to=BASE)
        assert apply(RemoveServer(1, 1), to=made).services[2].servers[0].follow == 0
        assert apply(RemoveService(1), to=made).services[2].servers[0].follow == 0
        assert apply(RemoveServer(1, 2), to=made).services[2].servers[0].follow == 1

    def test_a_copy_follows_what_its_original_follows_but_never_the_original(self) -> None:
        made = apply(ChangeServer(1, 1, {"follow": 3}), ChangeServer(1, 2, {"follow": 2}), to=BASE)
        made = apply(DuplicateService(1, port=99), to=made)
        assert [server.follow for server in made.services[3].servers] == [3, 0]


class TestMinimum:
    MADE = apply(ChangeService(1, {"enhanced_checks": True, "minimum_servers": 2}), to=BASE)

    def test_it_is_clamped_to_the_servers_there_are_and_one_is_kept_as_none(self) -> None:
        made = apply(ChangeService(1, {"enhanced_checks": True, "minimum_servers": 9}), to=BASE)
        assert made.services[1].minimum_servers == 2
        assert apply(ChangeService(1, {"minimum_servers": 1}), to=made).services[1].minimum_servers == 0

    def test_it_shrinks_with_the_servers_and_does_not_grow_again(self) -> None:
        made = apply(RemoveServer(1, 1), to=self.MADE)
        assert (made.services[1].minimum_servers, made.services[1].needed_members) == (0, 0)
        made = apply(AddServer(1, _server(7)), AddServer(1, _server(8)), to=made)
        assert made.services[1].needed_members == 0

    def test_it_shrinks_with_sub_services_too(self) -> None:
        parent = {**HTTP, "port": 82, "enhanced_checks": True, "minimum_servers": 3}
        made = apply(AddService({**parent, "sub_services": [{"name": name} for name in "abc"]}), to=BASE)
        assert made.services[3].needed_members == 3
        assert apply(RemoveService(5), to=made).services[3].minimum_servers == 2

    def test_it_needs_enhanced_options_and_goes_with_them(self) -> None:
        with pytest.raises(OperatorError, match="EnhancedHealthchecks") as caught:
            ChangeService(1, {"minimum_servers": 2}).apply(BASE)
        assert caught.value.field == "minimum_servers"
        off = apply(ChangeService(1, {"enhanced_checks": False}), to=self.MADE).services[1]
        assert (off.minimum_servers, off.needed_members) == (0, 0)


class TestFurtherChecks:
    READY: ClassVar[dict[str, Any]] = {"name": "ready", "check_type": "http", "check_url": "/ready", "check_port": 8081}
    MADE = apply(AddFurtherCheck(1, READY), to=BASE)

    def test_they_are_added_changed_and_removed_by_name(self) -> None:
        made = apply(ChangeFurtherCheck(1, "ready", {"check_url": "/alive"}), to=self.MADE)
        assert made.services[1].further_checks[0].check_url == "/alive"
        assert apply(RemoveFurtherCheck(1, "ready"), to=made).services[1].further_checks == ()
        with pytest.raises(NotFound):
            RemoveFurtherCheck(1, "other").apply(made)

    @pytest.mark.parametrize(
        ("settings", "field"),
        [
            ({"name": "main"}, "name"),
            ({"name": "a b"}, "name"),
            ({"name": "x", "check_type": "none"}, "check_type"),
            ({"name": "x", "check_type": "gopher"}, "check_type"),
            ({"name": "x", "check_post_data": "a=b"}, "check_post_data"),
            ({"name": "x", "check_port": 70000}, "check_port"),
            ({"name": "x", "ldap_endpoint": "staff"}, "ldap_endpoint"),
        ],
    )
    def test_what_cannot_be_asked_is_refused_with_its_field(self, settings: dict[str, Any], field: str) -> None:
        with pytest.raises(OperatorError) as caught:
            AddFurtherCheck(1, settings).apply(BASE)
        assert caught.value.field == field

    def test_names_are_unique_and_there_are_not_too_many(self) -> None:
        with pytest.raises(ConflictError, match="ready"):
            AddFurtherCheck(1, self.READY).apply(self.MADE)
        many = [{"name": f"c{number}"} for number in range(9)]
        with pytest.raises(OperatorError, match="more than a service may have"):
            ReplaceFurtherChecks(1, many).apply(BASE)

    def test_a_service_without_checks_has_none_to_add_to(self) -> None:
        with pytest.raises(OperatorError, match="checks off"):
            AddFurtherCheck(1, self.READY).apply(apply(ChangeService(1, {"check_type": "none"}), to=BASE))

    def test_a_change_of_the_own_check_keeps_them(self) -> None:
        changed = apply(ChangeService(1, {"check_url": "/x", "check_method": 1}), to=self.MADE)
        assert changed.services[1].further_checks == self.MADE.services[1].further_checks
        with pytest.raises(OperatorError, match="cannot be changed here"):
            ChangeService(1, {"further_checks": ()}).apply(self.MADE)

    def test_the_history_tells_what_changed(self) -> None:
        (added,) = differences(BASE, self.MADE)
        assert added.lines == ("further check ready: added (check_type: http, check_port: 8081, check_url: /ready)",)
        changed = apply(ChangeFurtherCheck(1, "ready", {"check_url": "/alive"}), to=self.MADE)
        (change,) = differences(self.MADE, changed)
        assert change.lines == ("further check ready: check_url: /ready -> /alive",)
        (gone,) = differences(self.MADE, apply(RemoveFurtherCheck(1, "ready"), to=self.MADE))
        assert gone.lines == ("further check ready: removed",)


def rich() -> Configuration:
    """A configuration with everything of this file."""
    return apply(
        AddFurtherCheck(1, TestFurtherChecks.READY),
        ChangeService(1, {"enhanced_checks": True, "minimum_servers": 2, "check_rise": 3, "check_mode": "any"}),
        ChangeServer(1, 1, {"follow": 3, "critical": True}),
        ChangeServer(1, 2, {"standby_below": 1}),
        AddService({**HTTP, "port": 82}),
        CreateSubService(3, {"servers": [_server(5)]}, {"follow": 2, "standby_below": 4}),
        to=BASE,
    )


def test_a_stored_configuration_comes_back() -> None:
    made = rich()
    documents: dict[str, dict[str, Any]] = {}
    for kind, key, value in objects_of(made):
        found = stored_document(kind, value)
        if found is not None:
            documents.setdefault(kind, {})[key] = found
    assert from_documents(documents).services == made.services
