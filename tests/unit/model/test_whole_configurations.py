"""Batches, declarations, restores and stored documents: many objects at once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from tests.support.strategies import TEMPORARY, configurations, material
from tests.unit.model.making import HTTP, SERVER, TCP, apply

from steelyard.model.commands import (
    AddApiKey,
    AddServer,
    AddService,
    AddUser,
    Batch,
    ChangePassword,
    ChangeService,
    Declare,
    PutCertificate,
    RemoveService,
    Restore,
    SetParameters,
    required_permissions,
)
from steelyard.model.configuration import (
    Configuration,
    changed_objects,
    from_documents,
    objects_of,
    read_document,
    stored_document,
)
from steelyard.model.errors import ConflictError, OperatorError

SHOP = {**HTTP, "name": "shop", "servers": [SERVER, {**SERVER, "port": 8081}]}


class TestBatch:
    def test_all_parts_take_effect_together(self) -> None:
        made = apply(Batch((AddService(HTTP), AddServer(1, SERVER), ChangeService(1, {"name": "shop"}))))
        assert made.services[1].name == "shop"
        assert len(made.services[1].servers) == 1

    def test_one_refusal_refuses_all_and_says_which(self) -> None:
        with pytest.raises(OperatorError) as caught:
            apply(Batch((AddService(HTTP), AddServer(1, {**SERVER, "weight": 0}))))
        assert caught.value.position == "commands[1]"
        with pytest.raises(ConflictError) as conflict:
            apply(Batch((AddService(HTTP), Batch((AddService(HTTP),)))))
        assert conflict.value.position == "commands[1].commands[0]"

    def test_secrets_of_all_parts_are_kept(self) -> None:
        first, second = material(), material(generation=2)
        change = Batch((PutCertificate("a", first), PutCertificate("b", second))).apply(Configuration())
        assert set(change.secrets) == {f"key/{first.key_id}", f"key/{second.key_id}"}

    def test_it_needs_every_permission_of_its_parts(self) -> None:
        batch = Batch((AddService(HTTP), Batch((AddServer(1, SERVER), SetParameters("checks", {})))))
        assert required_permissions(batch) == {"vs", "real", "root"}

    def test_its_summary_names_what_it_holds(self) -> None:
        assert Batch((AddService(HTTP),)).summary == AddService(HTTP).summary
        assert Batch((AddService(HTTP), RemoveService(1))).summary.startswith("2 changes: add virtual service")


class TestDeclare:
    def test_declaring_twice_changes_nothing(self) -> None:
        once = apply(Declare([SHOP, TCP], {"shop": material()}, {"checks": {"interval": 30}}))
        twice = apply(Declare([SHOP, TCP], {"shop": None}, {"checks": {"interval": 30}}), to=once)
        assert twice == once
        assert all(twice.services[index] is service for index, service in once.services.items())
        assert list(changed_objects(once, twice)) == []

    def test_what_is_declared_again_keeps_its_index_whatever_the_order(self) -> None:
        once = apply(Declare([SHOP, TCP]))
        again = apply(Declare([TCP, {**HTTP, "port": 81}, {**SHOP, "name": "new"}]), to=once)
        assert [(i, s.port, s.name) for i, s in again.services.items()] == [(1, 80, "new"), (2, 5432, ""), (3, 81, "")]
        assert [server.index for server in again.services[1].servers] == [1, 2]

    def test_real_servers_keep_their_number_by_address_and_port(self) -> None:
        once = apply(Declare([SHOP]))
        other = {**SERVER, "port": 9}
        again = apply(Declare([{**SHOP, "servers": [other, {**SERVER, "weight": 5}]}]), to=once)
        assert [(s.index, s.port, s.weight) for s in again.services[1].servers] == [(3, 9, 1000), (1, 8080, 5)]

    def test_addresses_and_ports_are_recognised_however_they_are_written(self) -> None:
        once = apply(Declare([{"address": "2001:db8::1", "port": 80}]))
        again = apply(Declare([{"address": "2001:DB8:0::1", "port": "80"}]), to=once)
        assert again == once

    def test_what_is_left_out_is_removed_and_settings_take_their_defaults(self) -> None:
        once = apply(Declare([{**SHOP, "idle_time": 5}, TCP], {"shop": material()}, {"checks": {"interval": 30}}))
        again = apply(Declare([HTTP]), to=once)
        assert list(again.services) == [1]
        assert again.services[1].idle_time == 660
        assert again.services[1].name == ""
        assert again.services[1].servers == ()
        assert again.checks.interval == 9
        assert list(again.certificates) == [TEMPORARY]

    def test_users_stay(self) -> None:
        base = apply(AddUser("ann", "-"))
        assert apply(Declare([]), to=base).users == base.users

    def test_a_service_may_move_into_the_place_of_one_that_goes(self) -> None:
        once = apply(Declare([{**HTTP, "extra_ports": ["90"]}]))
        again = apply(Declare([{**HTTP, "port": 90}]), to=once)
        assert [(index, service.port) for index, service in again.services.items()] == [(1, 90)]

    @pytest.mark.parametrize(
        ("services", "position"),
        [
            ([HTTP, HTTP], "services[1]"),
            ([HTTP, {**TCP, "schedule": "no"}], "services[1]"),
            ([{**HTTP, "servers": [SERVER, {"address": "x", "port": 1}]}], "services[0].servers[1]"),
            ([{"port": 80}], "services[0]"),
            ([{"address": "x", "port": 80}], "services[0]"),
            ([{**HTTP, "nonsense": 1}], "services[0]"),
        ],
    )
    def test_errors_say_where_they_are(self, services: list[dict[str, Any]], position: str) -> None:
        for base in (apply(), apply(AddService({**HTTP, "servers": [SERVER]}), AddService(TCP))):
            with pytest.raises((OperatorError, ConflictError)) as caught:
                apply(Declare(services), to=base)
            assert caught.value.position == position

    def test_sections_and_certificates_must_exist(self) -> None:
        with pytest.raises(OperatorError) as caught:
            apply(Declare([], {}, {"layer9": {}}))
        assert "layer7" in str(caught.value.allowed)
        with pytest.raises(OperatorError) as caught:
            apply(Declare([], {"nowhere": None}))
        assert caught.value.value == "nowhere"
        with pytest.raises(OperatorError) as caught:
            apply(Declare([], {}, {"checks": {"interval": 0}}))
        assert caught.value.position == "parameters.checks"

    def test_the_temporary_certificate_cannot_be_declared_over(self) -> None:
        with pytest.raises(ConflictError):
            apply(Declare([], {TEMPORARY: material()}))


class TestRestore:
    def test_everything_comes_back_but_users_and_counters(self) -> None:
        then = apply(AddUser("ann", "old"), AddService(SHOP))
        now = apply(
            RemoveService(1),
            AddService({**TCP, "servers": [SERVER]}),
            ChangePassword("ann", "new"),
            AddUser("bob", "-"),
            AddApiKey("ann", "digest", b"key"),
            SetParameters("layer7", {"drain_time": 60}),
            to=then,
        )
        back = apply(Restore(7, then), to=now)
        assert back.services == then.services
        assert back.layer7 == then.layer7
        assert back.users == now.users
        assert back.counters == now.counters == then.counters.model_copy(update={"next_server": 4})

    def test_the_temporary_certificate_stays(self) -> None:
        back = apply(Restore(1, Configuration()), to=apply(AddService(HTTP)))
        assert list(back.certificates) == [TEMPORARY]

    def test_numbers_given_meanwhile_are_not_given_again(self) -> None:
        then = apply(AddService(HTTP))
        now = apply(AddServer(1, SERVER), to=then)
        back = apply(Restore(1, then), AddServer(1, SERVER), to=now)
        assert back.services[1].servers[0].index == 2


class TestDocuments:
    @settings(max_examples=25)
    @given(configurations(most=2))
    def test_every_object_is_read_back_as_it_was(self, configuration: Configuration) -> None:
        documents: dict[str, dict[str, Any]] = {}
        for kind, key, value in objects_of(configuration):
            document = stored_document(kind, value)
            assert read_document(kind, key, document) == value
            if document is not None:
                documents.setdefault(kind, {})[key] = document
        assert from_documents(documents) == configuration

    def test_only_what_differs_from_the_defaults_is_stored(self) -> None:
        made = apply(AddService({**HTTP, "servers": [SERVER]}))
        assert stored_document("service", made.services[1]) == {
            "index": 1,
            "address": "192.0.2.1",
            "port": 80,
            "service_type": "http",
            "check_type": "http",
            "servers": [{"index": 1, **SERVER}],
        }
        assert stored_document("parameters", made.checks) is None

    def test_a_document_that_is_not_valid_is_refused(self) -> None:
        with pytest.raises(OperatorError):
            from_documents({"service": {"1": {"index": 1, "address": "x", "port": 80}}})

    def test_what_differs_is_told_once_and_by_key(self) -> None:
        before = apply(AddService(HTTP), AddService(TCP))
        after = apply(
            RemoveService(1),
            ChangeService(2, {"name": "db"}),
            AddService({**HTTP, "port": 8}),
            AddUser("ann", "-"),
            to=before,
        )
        found = [(kind, key, old is None, new is None) for kind, key, old, new in changed_objects(before, after)]
        assert found == [("service", "1", False, False), ("service", "2", False, False), ("user", "ann", True, False)]


class TestParameters:
    def test_the_interval_of_checks_covers_their_attempts(self) -> None:
        made = apply(SetParameters("checks", {"timeout": 60, "retries": 15}))
        assert made.checks.interval == 901

    def test_a_change_that_changes_nothing_gives_the_very_same_configuration(self) -> None:
        base = apply()
        assert SetParameters("layer7", {"drain_time": "300"}).apply(base).configuration is base

    def test_a_drain_time_is_none_or_at_least_a_minute(self) -> None:
        assert apply(SetParameters("layer7", {"drain_time": 0})).layer7.drain_time == 0
        with pytest.raises(OperatorError) as caught:
            apply(SetParameters("layer7", {"drain_time": 59}))
        assert caught.value.allowed == "0 or 60 to 86400 seconds"
