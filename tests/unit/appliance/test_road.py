"""The road of a change: what is refused changes nothing, what fails is taken back, what is in force is said to be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.unit.appliance.rig import HTTP, SERVER, Rig, running

from steelyard.appliance import reloads
from steelyard.appliance.contract import Outcome, Preview
from steelyard.model.commands import (
    AddServer,
    AddService,
    Batch,
    ChangeServer,
    ChangeService,
    RemoveServer,
    RemoveService,
    SetParameters,
)
from steelyard.model.errors import ConflictError, EngineRefused, HostLacks, NotFound, OperatorError, SteelyardError
from steelyard.plan.operations import AddServer as AddServerOperation
from steelyard.plan.operations import RemoveServer as RemoveServerOperation
from steelyard.plan.operations import SetMaxConnections, SetWeight

WEIGHTED = {**HTTP, "schedule": "wrr", "servers": [SERVER, {**SERVER, "port": 81, "weight": 2000}]}


@pytest.fixture(autouse=True)
def _short_spacing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reloads are spaced by a tenth of what they are."""
    monkeypatch.setattr(reloads, "SPACING", 0.1)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with running() as made:
        yield made


@pytest.fixture
async def served(rig: Rig) -> Rig:
    """One service with two real servers, in force."""
    await rig.do(AddService(WEIGHTED))
    rig.haproxy.ran.clear()
    rig.haproxy.checked.clear()
    return rig


def everything(rig: Rig) -> tuple[Any, ...]:
    """All that a refused change must leave as it was."""
    return (
        rig.store.load(),
        rig.appliance.snapshot(),
        rig.dataplane.wanted,
        rig.haproxy.has(),
        len(rig.haproxy.reloads),
        list(rig.haproxy.ran),
        rig.statuses(),
    )


class TestDryRun:
    async def test_it_says_what_would_be_done_and_does_nothing(self, served: Rig) -> None:
        before = everything(served)
        found = await served.appliance.preview(ChangeServer(1, 1, {"limit": 9, "weight": 2000}), served.actor())
        assert found.operations == (
            "set maxconn server vs1/rs1 9",
            "set server vs1/rs2 weight 1",
        )
        assert not found.reload
        (difference,) = found.differences
        assert difference.title == "virtual service 1 tcp/192.0.2.10:8080"
        assert difference.lines == (
            "real server 1 10.0.0.1:80: weight: 1000 -> 2000",
            "real server 1 10.0.0.1:80: limit: 0 -> 9",
        )
        assert everything(served) == before

    async def test_it_says_why_a_reload_is_needed(self, served: Rig) -> None:
        found = await served.appliance.preview(AddService({**HTTP, "port": 8081}), served.actor())
        assert found.reload
        assert found.reload_reasons == ("virtual service vs2 is new",)
        assert found.key == 2

    async def test_it_is_refused_as_the_change_would_be(self, served: Rig) -> None:
        served.haproxy.refuses_check = "[ALERT] no"
        with pytest.raises(EngineRefused):
            await served.appliance.preview(AddService({**HTTP, "port": 8081}), served.actor())

    async def test_what_it_shows_is_what_is_then_run(self, served: Rig) -> None:
        command = ChangeServer(1, 1, {"limit": 9})
        found = await served.appliance.preview(command, served.actor())
        await served.do(command)
        assert served.haproxy.describe(served.haproxy.ran) == found.operations


class TestRefusedBeforeCommit:
    @pytest.mark.parametrize(
        "command",
        [
            ChangeService(1, {"idle_time": -1}),
            ChangeService(9, {}),
            AddService(HTTP),
            AddService({**HTTP, "address": "203.0.113.1"}),
            AddService({**HTTP, "port": 80}),
            Batch((ChangeServer(1, 1, {"weight": 7}), ChangeServer(1, 9, {}))),
        ],
        ids=["range", "unknown", "duplicate", "address not on this host", "port not allowed", "half a batch"],
    )
    async def test_nothing_has_changed(self, served: Rig, command: Any) -> None:
        before = everything(served)
        with pytest.raises(SteelyardError):
            await served.do(command)
        assert everything(served) == before

    async def test_haproxys_objections_come_before_the_commit(self, served: Rig) -> None:
        before = everything(served)
        served.haproxy.refuses_check = "[ALERT] unknown keyword"
        with pytest.raises(EngineRefused) as caught:
            await served.do(AddService({**HTTP, "port": 8081}))
        assert "unknown keyword" in caught.value.words
        assert everything(served) == before

    async def test_only_the_part_that_changes_is_read_by_haproxy(self, served: Rig) -> None:
        await served.do(AddService({**HTTP, "port": 8081}))
        assert [list(plan.services) for plan in served.haproxy.checked] == [["vs2"]]
        await served.do(ChangeServer(1, 1, {"weight": 9}))
        assert len(served.haproxy.checked) == 1

    async def test_haproxy_reads_nothing_where_a_service_only_goes(self, served: Rig) -> None:
        await served.do(AddService({**HTTP, "port": 8081}))
        served.haproxy.checked.clear()
        await served.do(RemoveService(2))
        assert served.haproxy.checked == []

    async def test_a_full_disk(self, served: Rig) -> None:
        before = everything(served)
        served.store.refuses = HostLacks("Nothing was saved", lacks="disk space", remedy="Free some")
        with pytest.raises(HostLacks):
            await served.do(ChangeServer(1, 1, {"weight": 9}))
        served.store.refuses = None
        assert everything(served) == before
        served.haproxy.lacks_room = HostLacks("No room", lacks="disk space", remedy="Free some")
        with pytest.raises(HostLacks):
            await served.do(ChangeServer(1, 1, {"weight": 9}))
        assert everything(served) == before

    async def test_a_missing_permission_is_named(self, served: Rig) -> None:
        before = everything(served)
        for command in (
            AddService({**HTTP, "port": 8081}),
            Batch((ChangeServer(1, 1, {"weight": 7}), RemoveService(1))),
        ):
            with pytest.raises(OperatorError) as caught:
                await served.appliance.execute(command, served.actor("ann"))
            assert caught.value.field == "permission"
            assert caught.value.value == "vs"
        assert everything(served) == before
        assert (await served.appliance.execute(ChangeServer(1, 1, {"weight": 7}), served.actor("ann"))).applied == "now"

    async def test_refusals_are_in_the_audit_log(self, served: Rig) -> None:
        with pytest.raises(NotFound):
            await served.do(RemoveService(9))
        (entry, *_) = served.store.audit_log(1)
        assert entry.author == "bal"
        assert entry.action == "remove virtual service 9"
        assert entry.outcome == "Unknown VS 9"


class TestOptimisticConcurrency:
    async def test_a_stale_request_is_told_who_changed_what(self, served: Rig) -> None:
        based_on = served.appliance.snapshot().revision
        await served.appliance.execute(ChangeServer(1, 1, {"weight": 7}), served.actor("ann"))
        before = everything(served)
        for call in (served.appliance.execute, served.appliance.preview):
            with pytest.raises(ConflictError) as caught:
                await call(RemoveService(1), served.actor(), based_on=based_on)
            assert "by ann: change real server 1 of service 1: weight" in caught.value.message
            assert caught.value.with_what == str(based_on + 1)
        assert everything(served) == before

    async def test_a_request_on_the_newest_revision_is_carried_out(self, served: Rig) -> None:
        based_on = served.appliance.snapshot().revision
        assert (await served.do(ChangeServer(1, 1, {"weight": 7}), based_on=based_on)).revision == based_on + 1

    async def test_of_many_on_the_same_revision_one_is_carried_out(self, served: Rig) -> None:
        based_on = served.appliance.snapshot().revision
        told = await asyncio.gather(
            *(served.do(ChangeServer(1, 1, {"weight": n}), based_on=based_on) for n in range(1, 11)),
            return_exceptions=True,
        )
        assert sum(isinstance(one, Outcome) for one in told) == 1
        assert sum(isinstance(one, ConflictError) for one in told) == 9
        served.check_that_all_agree()


class TestAtRunTime:
    async def test_a_weight_is_in_force_when_the_call_returns(self, served: Rig) -> None:
        outcome = await served.do(ChangeServer(1, 1, {"weight": 4000}), wait=None)
        assert outcome.applied == "now"
        assert served.haproxy.server("vs1", "rs1").weight == 2
        assert len(served.haproxy.reloads) == 1
        assert served.statuses()[outcome.revision] == "applied"
        served.check_that_all_agree()

    async def test_a_new_server_gets_traffic_when_it_was_found_up(self, served: Rig) -> None:
        served.health.states["vs1/rs4"] = "down"
        for number in (3, 4):
            await served.do(AddServer(1, {**SERVER, "port": number}))
        assert (served.haproxy.server("vs1", "rs3").admin, served.haproxy.server("vs1", "rs3").up) == ("ready", True)
        assert (served.haproxy.server("vs1", "rs4").admin, served.haproxy.server("vs1", "rs4").up) == ("ready", False)
        assert served.appliance.states()[1].servers[4].status == "Down"
        assert len(served.haproxy.reloads) == 1

    async def test_what_changes_nothing_makes_no_revision(self, served: Rig) -> None:
        before = everything(served)
        outcome = await served.do(ChangeServer(1, 1, {"weight": 1000}))
        assert outcome.applied == "unchanged"
        assert everything(served) == before

    async def test_what_the_engine_does_not_see_makes_a_revision_and_no_operation(self, served: Rig) -> None:
        outcome = await served.do(ChangeService(1, {"name": "shop"}))
        assert (outcome.applied, served.haproxy.ran) == ("now", [])
        assert served.statuses()[outcome.revision] == "applied"

    async def test_a_server_whose_connections_linger_is_removed_by_a_reload(self, served: Rig) -> None:
        served.haproxy.server("vs1", "rs1").lingering = 1
        outcome = await served.do(RemoveServer(1, 1))
        assert outcome.applied == "now"
        assert len(served.haproxy.reloads) == 2
        served.check_that_all_agree()
        assert served.statuses()[outcome.revision] == "applied"

    async def test_an_operation_that_haproxy_refuses_takes_the_change_back(self, served: Rig) -> None:
        before = served.appliance.snapshot().configuration
        head = served.appliance.snapshot().revision
        served.haproxy.refuses_operation = lambda operation: (
            "Out of memory." if isinstance(operation, SetMaxConnections) else None
        )
        with pytest.raises(EngineRefused) as caught:
            await served.do(Batch((ChangeServer(1, 1, {"weight": 4000}), ChangeServer(1, 2, {"limit": 9}))))
        assert caught.value.words == "Out of memory."
        assert served.appliance.snapshot().configuration == before
        assert served.statuses()[head + 1] == "failed"
        assert served.haproxy.server("vs1", "rs1").weight == 1
        served.haproxy.refuses_operation = lambda _: None
        served.check_that_all_agree()
        assert (await served.do(ChangeServer(1, 1, {"weight": 7}))).revision == head + 2
        served.check_that_all_agree()

    async def test_a_state_that_the_checks_could_not_be_told_is_no_failure(self, served: Rig) -> None:
        served.health.refuses = "gone"
        outcome = await served.do(ChangeServer(1, 1, {"weight": 7}))
        assert outcome.applied == "now"
        assert served.appliance.health().problems
        served.health.refuses = None
        await _until(lambda: not served.appliance.health().problems)
        assert served.health.plan.services["vs1"].targets[0].weight == 7


class TestReloads:
    async def test_the_first_change_after_a_quiet_time_reloads_at_once(self, rig: Rig) -> None:
        outcome = await rig.do(AddService(HTTP), wait=None)
        assert outcome.applied == "now"
        assert len(rig.haproxy.reloads) == 1
        assert rig.statuses()[outcome.revision] == "applied"

    async def test_changes_that_follow_share_the_next_one(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        # all fifty have to come before the next reload may, also on a busy machine
        monkeypatch.setattr(reloads, "SPACING", 2.0)
        outcomes = [await rig.do(AddService({**HTTP, "port": 8100 + n}), wait=None) for n in range(50)]
        assert {outcome.applied for outcome in outcomes[1:]} == {"queued"}
        assert rig.statuses()[outcomes[-1].revision] == "committed"
        assert rig.appliance.health().reload_pending
        await _until(lambda: not rig.dataplane.reload_pending)
        assert len(rig.haproxy.reloads) == 2
        assert set(rig.statuses().values()) == {"applied"}
        rig.check_that_all_agree()

    async def test_many_callers_at_once_share_it_too(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reloads, "SPACING", 1.0)
        await asyncio.gather(*(rig.do(AddService({**HTTP, "port": 8100 + n})) for n in range(50)))
        assert len(rig.haproxy.reloads) <= 3
        rig.check_that_all_agree()
        assert set(rig.statuses().values()) == {"applied"}

    async def test_a_weight_does_not_wait_for_a_reload_that_is_put_off(self, served: Rig) -> None:
        await served.do(AddService({**HTTP, "port": 8081, "servers": [SERVER]}), wait=None)
        await served.do(AddService({**HTTP, "port": 8082}), wait=None)
        assert served.dataplane.reload_pending
        outcome = await served.do(ChangeServer(1, 1, {"weight": 4000}), wait=None)
        assert outcome.applied == "now"
        assert served.haproxy.server("vs1", "rs1").weight == 2
        assert served.statuses()[outcome.revision] == "committed"
        await _until(lambda: not served.dataplane.reload_pending)
        served.check_that_all_agree()
        assert set(served.statuses().values()) == {"applied"}

    async def test_a_change_to_what_waits_for_the_reload_joins_it(self, served: Rig) -> None:
        await served.do(AddService({**HTTP, "port": 8081}), wait=None)
        added = await served.do(AddService({**HTTP, "port": 8082, "servers": [SERVER]}), wait=None)
        assert added.applied == "queued"
        outcome = await served.do(ChangeServer(3, 3, {"limit": 5}), wait=True)
        assert outcome.applied == "now"
        assert served.haproxy.server("vs3", "rs3").server.limit == 5
        served.check_that_all_agree()

    async def test_a_change_to_what_waits_in_another_way_goes_ahead(self, served: Rig) -> None:
        """One service waits for a reload of its time-out; its weight is changed at once all the same."""
        await served.do(ChangeService(1, {"idle_time": 5}), wait=None)
        await served.do(ChangeService(1, {"idle_time": 6}), wait=None)
        await served.do(ChangeServer(1, 1, {"weight": 4000}), wait=None)
        assert served.haproxy.server("vs1", "rs1").weight == 2
        await _until(lambda: not served.dataplane.reload_pending)
        served.check_that_all_agree()

    async def test_a_change_right_after_a_reload_is_marked_and_stays(self, served: Rig) -> None:
        """The reload is done, and the checks are just being told: what comes now does not belong to it."""
        served.health.hold_sync.clear()
        waiting = asyncio.create_task(served.do(AddService({**HTTP, "port": 8081})))
        await _until(lambda: len(served.haproxy.reloads) == 2)
        outcome = await served.do(ChangeServer(1, 1, {"weight": 4000}), wait=None)
        served.health.hold_sync.set()
        await waiting
        await _until(lambda: not served.dataplane.reload_pending)
        assert served.statuses()[outcome.revision] == "applied"
        served.haproxy.refuses_reload = "no"
        with pytest.raises(EngineRefused):
            await served.do(AddService({**HTTP, "port": 8082}))
        assert served.statuses()[outcome.revision] == "applied"
        assert served.haproxy.server("vs1", "rs1").weight == 2
        served.check_that_all_agree()

    async def test_a_change_while_the_reloaded_ones_are_being_marked_stays(
        self, served: Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mark = served.store.mark

        def slowly(*arguments: Any) -> None:
            time.sleep(0.03)
            mark(*arguments)

        monkeypatch.setattr(served.store, "mark", slowly)
        for port in (8081, 8082, 8083):
            await served.do(AddService({**HTTP, "port": port}), wait=None)
        await _until(lambda: not served.dataplane.behind)
        outcome = await served.do(ChangeServer(1, 1, {"weight": 4000}), wait=None)
        await _until(lambda: not served.dataplane.reload_pending)
        served.haproxy.refuses_reload = "no"
        with pytest.raises(EngineRefused):
            await served.do(AddService({**HTTP, "port": 8084}))
        assert served.statuses()[outcome.revision] == "applied"
        assert served.haproxy.server("vs1", "rs1").weight == 2
        served.check_that_all_agree()

    async def test_a_caller_may_go_away_while_it_waits(self, served: Rig) -> None:
        served.haproxy.hold.clear()
        waiting = asyncio.create_task(served.do(AddService({**HTTP, "port": 8081})))
        await _until(lambda: served.dataplane.reload_pending)
        waiting.cancel()
        served.haproxy.hold.set()
        await _until(lambda: not served.dataplane.reload_pending)
        served.check_that_all_agree()


class TestRefusedReload:
    async def test_the_revision_is_withdrawn_and_the_caller_told(self, served: Rig) -> None:
        before, head = served.appliance.snapshot().configuration, served.appliance.snapshot().revision
        served.haproxy.refuses_reload = "cannot bind socket"
        with pytest.raises(EngineRefused) as caught:
            await served.do(AddService({**HTTP, "port": 8081}))
        assert caught.value.words == "cannot bind socket"
        assert served.appliance.snapshot().configuration == before
        entry = served.appliance.revision(head + 1)
        assert entry.status == "failed"
        assert "refused the reload" in entry.detail
        assert any("refused" in problem for problem in served.appliance.health().problems)
        assert list(served.haproxy.has().services) == ["vs1"]
        served.check_that_all_agree()
        served.haproxy.refuses_reload = None
        assert (await served.do(AddService({**HTTP, "port": 8081}))).revision == head + 2
        assert served.appliance.health().problems == ()
        served.check_that_all_agree()

    async def test_all_that_waited_for_it_are_withdrawn(self, served: Rig) -> None:
        head, before = served.appliance.snapshot().revision, served.appliance.snapshot().configuration
        await served.do(AddService({**HTTP, "port": 8080 + 1}), wait=True)
        served.haproxy.refuses_reload = "no"
        numbers = [(await served.do(AddService({**HTTP, "port": 8090 + n}), wait=None)).revision for n in range(3)]
        weight = await served.do(ChangeServer(1, 1, {"weight": 4000}), wait=None)
        await _until(lambda: not served.dataplane.reload_pending)
        statuses = served.statuses()
        assert statuses[head + 1] == "applied"
        assert {statuses[number] for number in (*numbers, weight.revision)} == {"failed"}
        assert served.appliance.snapshot().configuration.services.keys() == {1, 2}
        assert served.appliance.snapshot().configuration.services[1] == before.services[1]
        served.haproxy.refuses_reload = None
        await served.do(ChangeService(1, {"idle_time": 7}))
        assert served.haproxy.server("vs1", "rs1").weight == 1
        served.check_that_all_agree()

    async def test_a_change_committed_while_it_fails_is_withdrawn_too(self, served: Rig) -> None:
        """It was made on a configuration that is taken away; memory, store and engine agree afterwards."""
        before, head = served.appliance.snapshot().configuration, served.appliance.snapshot().revision
        await _until(lambda: not served.dataplane.reload_pending)
        served.haproxy.refuses_reload = "no"
        served.haproxy.hold.clear()
        failing = asyncio.create_task(served.do(ChangeService(1, {"idle_time": 100})))
        await _until(lambda: served.haproxy.reloading)
        meanwhile = [
            asyncio.create_task(served.do(command, wait=None))
            for command in (
                ChangeServer(1, 2, {"limit": 5}),
                ChangeService(1, {"name": "shop"}),
                AddService({**HTTP, "port": 8081}),
            )
        ]
        await _until(lambda: served.store.head() == head + 2)
        served.haproxy.hold.set()
        with pytest.raises(EngineRefused):
            await failing
        told = await asyncio.gather(*meanwhile, return_exceptions=True)
        await _until(lambda: not served.dataplane.reload_pending)
        assert all(isinstance(one, (Outcome, EngineRefused)) for one in told), told
        assert served.statuses()[head + 1] == served.statuses()[head + 2] == "failed"
        now = served.appliance.snapshot().configuration
        assert now.services[1].idle_time == before.services[1].idle_time
        served.haproxy.refuses_reload = None
        await served.do(ChangeService(1, {"idle_time": 300}))
        served.check_that_all_agree()
        assert "committed" not in served.statuses().values()

    async def test_what_was_done_at_run_time_meanwhile_is_undone_at_run_time(self, served: Rig) -> None:
        """Reloads are refused still, so the way back must not need one."""
        await served.do(AddService({**HTTP, "port": 8081}), wait=True)
        served.haproxy.refuses_reload = "no"
        await served.do(ChangeService(1, {"idle_time": 100}), wait=None)
        await served.do(Batch((ChangeServer(1, 2, {"limit": 5}), AddServer(1, {**SERVER, "port": 90}))), wait=None)
        assert served.haproxy.server("vs1", "rs2").server.limit == 5
        await _until(lambda: not served.dataplane.reload_pending)
        assert served.haproxy.server("vs1", "rs2").server.limit == 0
        assert list(served.haproxy.servers("vs1")) == ["rs1", "rs2"]
        served.check_that_all_agree()

    async def test_a_previous_plan_that_cannot_be_put_back_is_a_problem_until_it_can(self, served: Rig) -> None:
        await served.do(AddService({**HTTP, "port": 8081}), wait=True)
        served.haproxy.refuses_reload = "no"
        served.haproxy.refuses_operation = lambda operation: (
            "Out of memory." if isinstance(operation, SetMaxConnections) else None
        )
        with pytest.raises(EngineRefused):
            await served.do(ChangeServer(1, 2, {"limit": 5}))
        assert any("could not be put back" in problem for problem in served.appliance.health().problems)
        served.haproxy.refuses_reload, served.haproxy.refuses_operation = None, lambda _: None
        await served.do(ChangeService(1, {"idle_time": 100}))
        assert served.appliance.health().problems == ()
        served.check_that_all_agree()


class TestClosing:
    async def test_what_is_pending_is_finished_and_nothing_more_is_taken(self, served: Rig) -> None:
        await served.do(AddService({**HTTP, "port": 8081}), wait=None)
        queued = await served.do(AddService({**HTTP, "port": 8082}), wait=None)
        assert queued.applied == "queued"
        closing = asyncio.create_task(served.appliance.close(stop_engines=False))
        await asyncio.sleep(0)
        with pytest.raises(HostLacks, match="stopping"):
            await served.do(AddService({**HTTP, "port": 8083}))
        await closing
        assert list(served.haproxy.has().services) == ["vs1", "vs2", "vs3"]

    async def test_a_reload_that_is_refused_meanwhile_does_not_hold_it_up(self, served: Rig) -> None:
        await served.do(AddService({**HTTP, "port": 8081}), wait=None)
        served.haproxy.refuses_reload = "no"
        await served.do(AddService({**HTTP, "port": 8082}), wait=None)
        async with asyncio.timeout(3):
            await served.appliance.close(stop_engines=False)
        assert served.haproxy.running


class TestRollback:
    async def test_an_earlier_configuration_becomes_the_newest_revision(self, served: Rig) -> None:
        then = served.appliance.snapshot()
        await served.do(ChangeServer(1, 1, {"weight": 4000}))
        await served.do(AddServer(1, {**SERVER, "port": 90}))
        found = await served.appliance.rollback(then.revision, served.actor(), reason="as before", dry_run=True)
        assert isinstance(found, Preview)
        assert not found.reload
        outcome = await served.appliance.rollback(then.revision, served.actor(), reason="as before")
        assert isinstance(outcome, Outcome)
        assert served.appliance.snapshot().configuration.services == then.configuration.services
        entry = served.appliance.revision(outcome.revision)
        assert (entry.rollback_of, entry.reason, entry.status) == (then.revision, "as before", "applied")
        assert served.appliance.difference(then.revision) == ()
        served.check_that_all_agree()

    async def test_it_needs_the_permission_and_a_revision_that_exists(self, served: Rig) -> None:
        with pytest.raises(OperatorError):
            await served.appliance.rollback(1, served.actor("ann"))
        with pytest.raises(NotFound):
            await served.appliance.rollback(99, served.actor())

    async def test_users_do_not_come_back(self, served: Rig) -> None:
        users = served.appliance.snapshot().configuration.users
        await served.appliance.rollback(1, served.actor())
        assert served.appliance.snapshot().configuration.users == users


class TestHistory:
    async def test_it_tells_who_when_why_and_what(self, served: Rig) -> None:
        await served.do(ChangeServer(1, 1, {"weight": 4000}), reason="canary")
        (entry, *older) = served.appliance.history()
        assert (entry.author, entry.origin, entry.reason) == ("bal", "test", "canary")
        assert entry.summary == "change real server 1 of service 1: weight"
        assert [one.number for one in older] == list(range(entry.number - 1, 0, -1))
        (difference,) = served.appliance.revision(entry.number).differences
        assert difference.lines == ("real server 1 10.0.0.1:80: weight: 1000 -> 4000",)
        assert served.appliance.difference(entry.number - 1, entry.number) == (difference,)


class TestProcesses:
    async def test_haproxy_is_started_again_on_what_is_wanted(self, served: Rig) -> None:
        served.health.states["vs1/rs1"] = "down"
        await served.do(ChangeServer(1, 2, {"limit": 7}))
        served.haproxy.end()
        await _until(lambda: served.haproxy.running and len(served.haproxy.starts) == 2)
        await _until(lambda: not served.haproxy.server("vs1", "rs1").up)
        served.check_that_all_agree()

    async def test_changes_while_haproxy_is_away_are_in_force_when_it_is_back(self, served: Rig) -> None:
        served.haproxy.refuses_start = "no"
        served.haproxy.end()
        await _until(lambda: bool(served.appliance.health().problems))
        task = asyncio.create_task(served.do(ChangeServer(1, 1, {"weight": 4000})))
        await asyncio.sleep(0.05)
        served.haproxy.refuses_start = None
        with_it = await asyncio.gather(task, return_exceptions=True)
        await _until(lambda: served.haproxy.running)
        await _until(lambda: not served.dataplane.reload_pending)
        served.check_that_all_agree()
        weight = served.appliance.snapshot().configuration.services[1].servers[0].weight
        assert (weight == 4000) == isinstance(with_it[0], Outcome)

    async def test_the_checking_process_is_started_again_and_told_everything(self, served: Rig) -> None:
        served.health.plan = type(served.health.plan)()
        served.process.end()
        await _until(lambda: served.process.starts == 2 and "vs1" in served.health.plan.services)

    async def test_a_checking_process_of_another_unit_is_waited_for(self, served: Rig) -> None:
        served.process.elsewhere = True
        served.health.plan = type(served.health.plan)()
        served.process.end()
        await _until(lambda: any("systemctl start" in each for each in served.appliance.health().problems))
        assert served.process.starts == 1
        served.process.comes_back.set()
        await _until(lambda: "vs1" in served.health.plan.services and not served.appliance.health().problems)
        assert served.process.starts == 1

    async def test_a_running_haproxy_with_this_very_plan_is_left_alone(self, served: Rig) -> None:
        await served.appliance.close(stop_engines=False)
        again = Rig()
        again.haproxy._worker, again.haproxy.saved = served.haproxy._worker, served.haproxy.saved
        assert await again.haproxy.adopt(served.dataplane.wanted)


class TestManyAtOnce:
    async def test_every_change_is_there_in_the_end(self, served: Rig) -> None:
        commands: list[Any] = []
        for n in range(20):
            commands += [
                AddService({**HTTP, "port": 8100 + n, "servers": [SERVER]}),
                ChangeServer(1, 1, {"weight": 100 + n}),
                ChangeServer(1, 2, {"limit": n}),
                AddServer(1, {**SERVER, "port": 200 + n}),
                ChangeService(1, {"name": f"n{n}"}),
                SetParameters("checks", {"interval": 10 + n}),
            ]
        outcomes = await asyncio.gather(*(served.do(command, wait=n % 3 == 0) for n, command in enumerate(commands)))
        await _until(lambda: not served.dataplane.reload_pending)
        changed = [outcome.revision for outcome in outcomes if outcome.applied != "unchanged"]
        assert sorted(changed) == list(range(min(changed), min(changed) + len(changed)))
        configuration = served.appliance.snapshot().configuration
        assert len(configuration.services) == 21
        assert len(configuration.services[1].servers) == 22
        assert set(served.statuses().values()) == {"applied"}
        served.check_that_all_agree()

    async def test_runtime_operations_are_run_one_at_a_time_and_in_order(self, served: Rig) -> None:
        await asyncio.gather(*(served.do(ChangeServer(1, 2, {"limit": n})) for n in range(1, 40)))
        limits = [operation.limit for operation in served.haproxy.ran if isinstance(operation, SetMaxConnections)]
        assert limits == list(range(1, 40))
        assert not [
            o for o in served.haproxy.ran if isinstance(o, (AddServerOperation, RemoveServerOperation, SetWeight))
        ]


async def _until(condition: Any, seconds: float = 5.0) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - anything may be waited for
            await asyncio.sleep(0.002)
