"""Access lists with real clients: source addresses of 127.0.0.0/8 and ::1."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterable

import pytest
from tests.engine.rig import Rig, Service, eventually
from tests.support.certificates import leaf
from tests.support.clients import fetch
from tests.support.load import Load
from tests.support.origin import Origin
from tests.support.ports import free_port

from steelyard.model.access_list import EVERY_SERVICE, Entries, ListName, decision
from steelyard.model.commands import (
    AddEntries,
    AddService,
    ChangeService,
    RemoveEntries,
    RemoveService,
    ReplaceList,
    SetParameters,
)

pytestmark = pytest.mark.engine

MANY = 100_000


def add(rig: Rig, scope: int, which: ListName, *lines: str) -> None:
    rig.do(AddEntries(scope, which, Entries.of_lines(lines)))


def remove(rig: Rig, scope: int, which: ListName, *lines: str) -> None:
    rig.do(RemoveEntries(scope, which, Entries.of_lines(lines)))


def answered(service: Service, source: str) -> bool:
    """Whether a client of that address is served; a refused one gets no byte."""
    try:
        return fetch(service.url + "/", source=source, timeout=1.0).status == 200
    except (OSError, TimeoutError):
        return False


def served(service: Service, sources: Iterable[str]) -> dict[str, bool]:
    return {source: answered(service, source) for source in sources}


def test_the_engine_does_what_the_decision_says(rig: Rig, one: Origin) -> None:
    service, other = rig.http(one), rig.http(one)
    add(rig, EVERY_SERVICE, "block", "127.1.0.0/16", "127.2.3.4", "127.3.0.0/24")
    add(rig, EVERY_SERVICE, "allow", "127.1.2.0/24", "127.3.0.0/24")
    add(rig, service.index, "block", "127.4.0.0/16", "127.1.2.9")
    sources = ["127.0.0.9", "127.1.0.1", "127.1.2.3", "127.1.2.9", "127.2.3.4", "127.2.3.5", "127.3.0.1", "127.4.0.1"]
    for asked in (service, other):
        configuration = rig.started.appliance.snapshot().configuration
        expected = {s: decision(configuration, configuration.service(asked.index), s).allowed for s in sources}
        assert served(asked, sources) == expected
    assert not answered(service, "127.4.0.1")
    assert answered(other, "127.4.0.1")


def test_entries_for_all_services_come_and_go_without_a_reload(rig: Rig, one: Origin) -> None:
    service = rig.http(one)
    with rig.without_reload():
        add(rig, EVERY_SERVICE, "block", "127.1.0.0/16")
        assert served(service, ["127.1.0.1", "127.2.0.1"]) == {"127.1.0.1": False, "127.2.0.1": True}
        add(rig, EVERY_SERVICE, "allow", "127.1.2.3")
        assert served(service, ["127.1.0.1", "127.1.2.3"]) == {"127.1.0.1": False, "127.1.2.3": True}
        remove(rig, EVERY_SERVICE, "block", "127.1.0.0/16")
        assert served(service, ["127.1.0.1", "127.1.2.3"]) == {"127.1.0.1": False, "127.1.2.3": True}
        remove(rig, EVERY_SERVICE, "allow", "127.1.2.3")
        assert served(service, ["127.1.0.1", "127.2.0.1"]) == {"127.1.0.1": True, "127.2.0.1": True}


def test_after_its_first_entry_the_lists_of_a_service_change_without_a_reload(rig: Rig, one: Origin) -> None:
    service = rig.http(one)
    add(rig, service.index, "allow", "127.5.0.0/16")
    with rig.without_reload():
        assert served(service, ["127.5.0.1", "127.6.0.1"]) == {"127.5.0.1": True, "127.6.0.1": False}
        add(rig, service.index, "allow", "127.6.0.1")
        add(rig, service.index, "block", "127.7.0.1")
        assert served(service, ["127.6.0.1", "127.7.0.1", "127.8.0.1"]) == {
            "127.6.0.1": True,
            "127.7.0.1": False,
            "127.8.0.1": True,
        }


def test_ipv6_clients_have_entries_of_their_own(rig: Rig, one: Origin) -> None:
    service, four = rig.http(one, address="::1"), rig.http(one)
    assert answered(service, "::1")
    add(rig, EVERY_SERVICE, "block", "::/0")
    assert not answered(service, "::1")
    assert answered(four, "127.1.0.1"), "an IPv6 entry must not touch IPv4 clients"
    add(rig, EVERY_SERVICE, "allow", "::1")
    assert answered(service, "::1")
    remove(rig, EVERY_SERVICE, "block", "::/0")
    assert answered(service, "::1")
    assert not answered(four, "127.1.0.1"), "the allow list alone has entries"


def test_real_servers_are_let_in_and_lose_that_when_they_go(rig: Rig, one: Origin) -> None:
    service = rig.http(one)
    with rig.without_reload():
        add(rig, EVERY_SERVICE, "block", "127.0.0.0/8", "127.0.0.1")
        assert served(service, ["127.0.0.1", "127.0.0.2"]) == {"127.0.0.1": True, "127.0.0.2": False}
        service.server(one).remove()
        with pytest.raises((OSError, TimeoutError)):
            fetch(service.url, source="127.0.0.1", timeout=1.0)
        service.add(one)
        eventually(lambda: answered(service, "127.0.0.1"), "a real server is let in again")


@pytest.mark.parametrize("drop", [True, False])
def test_generic_and_tls_services_refuse_too(rig: Rig, one: Origin, drop: bool) -> None:
    rig.certificate(f"access{drop}", leaf("access.example"), replace=True)
    rig.do(SetParameters("access", {"drop": drop}))
    services = [rig.tcp(one), rig.http(one, ssl_acceleration=True, certificates=(f"access{drop}",))]
    add(rig, EVERY_SERVICE, "block", "127.1.0.0/16")
    for service in services:
        assert served(service, ["127.1.0.1", "127.2.0.1"]) == {"127.1.0.1": False, "127.2.0.1": True}


def test_a_rejected_client_hears_of_it_at_once(rig: Rig, one: Origin) -> None:
    service = rig.http(one)
    rig.do(SetParameters("access", {"drop": False}))
    add(rig, EVERY_SERVICE, "block", "127.1.0.0/16")
    began = time.monotonic()
    heard = b""
    # the reset may come before the client has seen its own connection made
    with contextlib.suppress(ConnectionError):
        address = (service.address, service.port)
        with socket.create_connection(address, 5, source_address=("127.1.0.1", 0)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            heard = client.recv(1)
    assert heard == b""
    assert time.monotonic() - began < 1


def test_the_switch_lets_everybody_in(rig: Rig, one: Origin) -> None:
    service = rig.http(one)
    add(rig, service.index, "block", "127.1.0.0/16")
    rig.do(SetParameters("access", {"enabled": False}))
    assert answered(service, "127.1.0.1")
    add(rig, EVERY_SERVICE, "block", "127.2.0.0/16")
    assert answered(service, "127.2.0.1")
    rig.do(SetParameters("access", {"enabled": True}))
    assert served(service, ["127.1.0.1", "127.2.0.1"]) == {"127.1.0.1": False, "127.2.0.1": False}


def test_lists_can_be_changed_while_nothing_listens(rig: Rig, one: Origin) -> None:
    add(rig, EVERY_SERVICE, "block", "127.1.0.0/16")
    service = rig.http(one)
    add(rig, service.index, "block", "127.2.0.0/16")
    service.change(enabled=False)
    add(rig, EVERY_SERVICE, "block", "127.3.0.0/16")
    add(rig, service.index, "block", "127.4.0.0/16")
    service.change(enabled=True)
    sources = [f"127.{n}.0.1" for n in (1, 2, 3, 4, 5)]
    assert served(service, sources) == dict(zip(sources, (False, False, False, False, True), strict=True))


def test_an_index_used_again_does_not_inherit_lists(rig: Rig, one: Origin) -> None:
    rig.clean()  # what the test before left would take the index meanwhile
    service = rig.http(one)
    add(rig, service.index, "block", "127.1.0.0/16")
    rig.do(RemoveService(service.index))
    again = rig.http(one)
    assert again.index == service.index
    assert answered(again, "127.1.0.1")


def test_an_entry_right_after_the_first_service_is_in_force_when_that_is(rig: Rig, one: Origin) -> None:
    """The rule comes with a reload that is put off; the entry must not be said to be in force before it."""
    outcome = rig.do(AddService({"address": "127.0.0.1", "port": free_port(), "service_type": "http"}), wait=False)
    rig.do(AddEntries(EVERY_SERVICE, "block", Entries.of_lines(["127.1.0.0/16"])), wait=True)
    assert isinstance(outcome.key, int)
    service = Service(rig, outcome.key)
    with pytest.raises((OSError, TimeoutError)):
        fetch(service.url, source="127.1.0.1", timeout=1.0)
    assert fetch(service.url, source="127.2.0.1").status == 503


def _many() -> Entries:
    networks = [f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}/32" for n in range(MANY - 10)]
    networks += [f"127.200.0.{n}/32" for n in range(10)]
    return Entries(dict.fromkeys(networks, "scanner"))


@pytest.mark.slow
def test_a_hundred_thousand_entries_under_load(own_rig: Rig, one: Origin) -> None:
    rig = own_rig
    service = rig.http(one)
    worker = rig.worker
    entries = _many()
    assert len(entries) == MANY
    with (
        Load("http1", service.address, service.port, workers=2) as kept,
        Load("http1-new", service.address, service.port, workers=2, sources=["127.0.0.9", "127.0.0.10"]) as fresh,
    ):
        rig.do(ReplaceList(EVERY_SERVICE, "block", entries))
        assert served(service, ["127.200.0.3", "127.200.0.99"]) == {"127.200.0.3": False, "127.200.0.99": True}
        seconds = []
        for number in range(10):
            began = time.monotonic()
            add(rig, EVERY_SERVICE, "block", f"127.201.0.{number}")
            seconds.append(time.monotonic() - began)
            assert not answered(service, f"127.201.0.{number}")
        remove(rig, EVERY_SERVICE, "block", "127.201.0.3")
        assert answered(service, "127.201.0.3")
        kept.wait_for_more(100)
        fresh.wait_for_more(100)
    assert rig.worker == worker, "HAProxy was reloaded"
    kept.result().assert_clean(at_least=100)
    fresh.result().assert_clean(at_least=100)
    # the aim is well under 100 ms; the machine may be busy with other tests
    assert sorted(seconds)[len(seconds) // 2] < 0.1, seconds

    # a reload that something else needs keeps them
    rig.do(ChangeService(service.index, {"idle_time": 77}))
    assert served(service, ["127.200.0.3", "127.201.0.4", "127.201.0.3"]) == {
        "127.200.0.3": False,
        "127.201.0.4": False,
        "127.201.0.3": True,
    }
    # so does a restart of the control plane, which has no reason to reload
    eventually(lambda: not rig.started.appliance.health().reload_pending, "reloads are done")
    time.sleep(0.5)
    worker = rig.worker
    rig.let_go()
    rig.start()
    assert rig.worker == worker, "HAProxy was reloaded at a restart"
    with rig.without_reload():
        add(rig, EVERY_SERVICE, "block", "127.202.0.1")
        assert served(service, ["127.200.0.3", "127.202.0.1", "127.0.0.9"]) == {
            "127.200.0.3": False,
            "127.202.0.1": False,
            "127.0.0.9": True,
        }
    entry = rig.started.appliance.revision(rig.started.appliance.snapshot().revision)
    assert [line for each in entry.differences for line in each.lines] == ["block 127.202.0.1/32: added"]
