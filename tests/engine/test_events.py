"""Events of a running appliance: they reach the log, the subscribers and whoever listens, over restarts too."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.engine.conftest import BINARIES
from tests.engine.rig import Rig, eventually, hold, member
from tests.support.certificates import leaf
from tests.support.origin import Origin
from tests.support.ports import free_port
from tests.support.receivers import Hooks, MailServer, Rsyslog

import steelyard.appliance.reloads
from steelyard.health.client import HealthClient
from steelyard.model.commands import SetParameters
from steelyard.model.errors import EngineRefused
from steelyard.model.severity import Severity
from steelyard.observe.events.event import Event
from steelyard.observe.events.log import Query
from steelyard.observe.status import ServiceState

pytestmark = [pytest.mark.engine, pytest.mark.needs("haproxy")]

NOBODY: dict[str, dict[str, Any]] = {
    "syslog": dict.fromkeys(("emergency", "critical", "error", "warn", "notice", "info"), ()),
    "email": {"enabled": False, "server": "", "port": 0, "warn": (), "critical": ()},
    "webhook": {"urls": ()},
    "events": {"flapping_changes": 6, "flapping_minutes": 10, "mail_wait": 5, "mail_pause": 60},
}


@pytest.fixture(scope="module")
def module_rig() -> Iterator[Rig]:
    """One appliance with one HAProxy: what is told does not depend on its version."""
    patch = pytest.MonkeyPatch()
    patch.setattr(steelyard.appliance.reloads, "SPACING", 0.02)
    rig = Rig(BINARIES["system"] or "")
    yield rig
    rig.close()
    patch.undo()


@pytest.fixture
def rig(module_rig: Rig) -> Iterator[Rig]:
    """The appliance without services; nobody is told of its events afterwards."""
    yield module_rig
    module_rig.clean()
    for section, changes in NOBODY.items():
        module_rig.do(SetParameters(section, changes, "x"), wait=False)  # type: ignore[arg-type]


def wait_for_verdict(rig: Rig, target: str, state: str) -> None:
    """What the checking process says, whether the control plane is there or not."""
    client = HealthClient(rig.directory / "run" / "health.sock")

    def says() -> bool:
        try:
            return rig._background.run(client.snapshot())[target].state == state
        except (EngineRefused, KeyError):
            # it is being started
            return False

    eventually(says, f"{target} is {state}")


def newest(rig: Rig) -> int:
    return rig.started.appliance.events().log.number


def events(rig: Rig, after: int, *kinds: str) -> list[Event]:
    return list(rig.started.appliance.events().log.find(Query(limit=10_000, kinds=kinds, after=after)))


def wait_for_event(rig: Rig, after: int, kind: str, timeout: float = 10.0) -> Event:
    return eventually(lambda: events(rig, after, kind), kind, timeout)[0]


@pytest.mark.needs("rsyslogd")
def test_what_happens_reaches_syslog_mail_and_webhook(rig: Rig, one: Origin, two: Origin) -> None:
    with Rsyslog() as rsyslog, MailServer() as mail, Hooks() as hooks:
        rig.do(SetParameters("syslog", {"info": ("127.0.0.1",), "port": rsyslog.port, "protocol": "tcp"}))
        rig.do(SetParameters("events", {"mail_wait": 1, "mail_pause": 0}))
        rig.do(
            SetParameters(
                "email",
                {"enabled": True, "server": "127.0.0.1", "port": mail.port, "critical": ("boss@example.com",)},
            )
        )
        rig.do(SetParameters("webhook", {"urls": (hooks.url,), "level": "warn", "secret": "s3cret"}, "place"))
        service = rig.http(one, two, name="shop")
        start = newest(rig)
        one.refuse()
        two.refuse()
        down = wait_for_event(rig, start, "service_down")
        assert down.severity == Severity.CRITICAL and "is down: no real server is available" in down.text
        gone = [event.text for event in events(rig, start, "server_down")]
        assert len(gone) == 2 and all("VS shop" in text and "removed: connection refused" in text for text in gone)
        one.resume()
        up = wait_for_event(rig, start, "service_up")
        assert up.service == service.index
        eventually(lambda: any(line["kind"] == "service_up" for line in rsyslog.lines), "syslog")
        kinds = [line["kind"] for line in rsyslog.lines]
        assert kinds.count("server_down") == 2 and "service_down" in kinds and "server_up" in kinds
        told = eventually(
            lambda: text if "is up again" in (text := "".join(m.text for m in mail.mails)) else "", "mail"
        )
        assert "is down" in told and "removed" not in told, "the boss is told of what is critical, and its end"
        eventually(lambda: any(event["kind"] == "service_up" for event in hooks.events), "webhook")
        assert {"server_down", "service_down"} <= {event["kind"] for event in hooks.events}
        assert "X-Steelyard-Signature" in hooks.calls[0].headers
        states = {state.key: state for state in rig.started.appliance.events().states()}
        assert set(states) == {"syslog 127.0.0.1", "email critical", f"webhook {hooks.url}"}
        # the receiver has it a moment before the sender hears that it has
        eventually(
            lambda: all(
                state.state == "working" and not state.waiting for state in rig.started.appliance.events().states()
            ),
            "every subscriber has all",
        )


def test_changes_certificates_and_restarts_are_events(rig: Rig, one: Origin) -> None:
    start = newest(rig)
    rig.certificate("old", leaf("old.example", days=(-30, -1)))
    rig.certificate("soon", leaf("soon.example", days=(-30, 5)))
    rig.certificate("fresh", leaf("fresh.example"))
    expired = wait_for_event(rig, start, "certificate_expired")
    assert expired.about == "old" and expired.severity == Severity.CRITICAL
    ending = wait_for_event(rig, start, "certificate_expiring")
    assert ending.about == "soon" and ending.severity == Severity.ERROR and "soon expires in" in ending.text
    assert any("by bal through test: " in event.text for event in events(rig, start, "configuration_changed"))
    service = rig.http(one)
    target = f"{service.key}/{service.servers[0].key}"
    health = rig.started.appliance.health()
    assert health.haproxy_pid and health.health_pid
    os.kill(health.haproxy_pid, signal.SIGKILL)
    assert wait_for_event(rig, start, "haproxy_restarted").severity == Severity.CRITICAL
    os.kill(health.health_pid, signal.SIGKILL)
    assert wait_for_event(rig, start, "checks_restarted").severity == Severity.ERROR

    # while the control plane is away, servers go and come, and its checks are not restarted
    wait_for_verdict(rig, target, "up")
    before = newest(rig)
    rig.let_go()
    one.refuse()
    wait_for_verdict(rig, target, "down")
    one.resume()
    wait_for_verdict(rig, target, "up")
    started = time.time()
    rig.start()
    up = wait_for_event(rig, before, "server_up")
    down = wait_for_event(rig, before, "server_down")
    assert down.at < up.at < started, "the times at which it happened"
    assert [event.kind for event in events(rig, before, "certificate_expired", "certificate_expiring")] == []
    assert len(events(rig, before, "server_down", "server_up")) == 2


def test_what_the_checking_process_has_forgotten_is_seen_by_comparing(rig: Rig, one: Origin, two: Origin) -> None:
    service = rig.http(one, two)
    target = f"{service.key}/{service.server(one).key}"
    before = newest(rig)
    health_pid = rig.started.appliance.health().health_pid
    assert health_pid
    rig.let_go()
    one.refuse()
    wait_for_verdict(rig, target, "down")
    os.kill(health_pid, signal.SIGKILL)
    rig.start()
    down = wait_for_event(rig, before, "server_down")
    assert down.service == service.index and f":{one.port} removed" in down.text
    assert not events(rig, before, "service_down")
    assert len(events(rig, before, "server_down")) == 1


def test_one_that_flaps_is_told_of_once_and_the_log_has_every_change(rig: Rig, one: Origin, two: Origin) -> None:
    with Hooks() as hooks:
        rig.do(SetParameters("webhook", {"urls": (hooks.url,), "level": "info"}))
        rig.do(SetParameters("events", {"flapping_changes": 2}))
        rig.http(one, two)
        start = newest(rig)
        for number in range(3):
            (one.resume if number % 2 else one.refuse)()
            kind = "server_up" if number % 2 else "server_down"
            eventually(lambda: len(events(rig, start, kind)) == number // 2 + 1, f"change {number}")  # noqa: B023
        assert len(events(rig, start, "server_flapping")) == 1
        found = events(rig, start, "server_down", "server_up")
        assert [event.damped for event in found] == [False, False, True]
        eventually(lambda: any(event["kind"] == "server_flapping" for event in hooks.events), "told")
        changes = [event for event in hooks.events if event["kind"] in ("server_up", "server_down")]
        assert len(changes) == 2
        rig.do(SetParameters("events", {"flapping_changes": 0}))
        assert wait_for_event(rig, start, "server_steady").text.endswith("is steady again, and down")


def test_a_subscriber_that_hangs_does_not_hold_up_changes(rig: Rig, one: Origin) -> None:
    with Hooks() as hanging, Hooks() as well:
        hanging.hangs.set()
        rig.do(SetParameters("webhook", {"urls": (hanging.url, well.url), "level": "info"}))
        service = rig.http(one)
        began = time.monotonic()
        for number in range(10):
            service.servers[0].change(weight=10 + number)
        assert time.monotonic() - began < 4
        eventually(lambda: any("change" in event["text"] for event in well.events), "the other is told")
        assert not hanging.calls


def _told_in(text: str) -> int:
    """How many real servers a mail tells of, shown or counted."""
    counted = re.search(r"(\d+) server_down", text)
    return text.count(" removed: ") + (int(counted[1]) if counted else 0)


def test_a_thousand_servers_that_go_down_at_once_are_few_messages(rig: Rig) -> None:
    with MailServer() as mail, Hooks() as hooks:
        rig.do(SetParameters("events", {"mail_wait": 2, "mail_pause": 2}))
        rig.do(
            SetParameters(
                "email", {"enabled": True, "server": "127.0.0.1", "port": mail.port, "warn": ("ops@example.com",)}
            )
        )
        rig.do(SetParameters("webhook", {"urls": (hooks.url,), "level": "warn"}))
        start = newest(rig)
        # nobody listens on any of these, so each goes down with its first check
        port = free_port()
        servers = [{"address": f"127.0.{20 + n // 250}.{1 + n % 250}", "port": port} for n in range(1000)]
        service = rig.service((), service_type="http", servers=servers, enabled=False)
        rig_began = time.monotonic()
        service.change(enabled=True)
        eventually(lambda: len(events(rig, start, "server_down")) == 1000, "every line is in the log", 30)
        asked = time.monotonic()
        state: ServiceState = rig.started.appliance.states()[service.index]
        service.change(name="still answers")
        assert state.status == "Down" and time.monotonic() - asked < 3
        assert time.monotonic() - rig_began < 30
        mail.wait(1, 15)
        eventually(lambda: len([e for e in hooks.events if e["kind"] == "server_down"]) == 1000, "webhook", 15)
        eventually(lambda: sum(_told_in(one.text) for one in mail.mails) == 1000, "mail", 15)
        assert len(mail.mails) <= 4
        assert len(hooks.calls) <= 15


def test_a_service_and_a_real_server_that_reach_their_limits_are_told(rig: Rig, one: Origin) -> None:
    service = rig.http(servers=[member(one, limit=1)], max_connections=1)
    start, watch = newest(rig), rig.started.appliance._limits_reached_watch
    rig.await_(watch.look())
    held = hold(service, (one,), 1)
    with pytest.raises((OSError, EOFError)):
        service.fetch()

    def told() -> list[Event]:
        rig.await_(watch.look())
        return found if len(found := events(rig, start, "limit_reached")) > 1 else []

    (of_service, of_server) = sorted(eventually(told, "both limits"), key=lambda event: event.server)
    assert (of_service.service, of_service.server) == (service.index, 0)
    assert "its limit of 1 connections at a time is reached, connections are refused" in of_service.text
    assert (of_server.server, of_server.severity) == (service.servers[0].index, Severity.WARN)
    assert "has reached its limit of 1 connections at a time" in of_server.text
    for connection in held:
        connection.close()
