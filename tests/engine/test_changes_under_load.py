"""Two hundred changes of every kind while clients of every kind go on: not one request fails."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator

import pytest
from tests.engine.rig import Rig, Service, member
from tests.support.certificates import authority, leaf
from tests.support.load import Load
from tests.support.load_worker.settings import Kind
from tests.support.origin import Origin
from tests.support.ports import free_port

from steelyard.model.commands import (
    AddServer,
    AddService,
    ChangeServer,
    ChangeService,
    Command,
    DuplicateService,
    EnableAddress,
    RemoveServer,
    RemoveService,
    SetParameters,
)

pytestmark = [pytest.mark.engine, pytest.mark.slow]

CHANGES = 200
#: longer than any request takes: a server that was disabled so long has no request left
REQUEST_SECONDS = 0.3


class Operator:
    """Changes things, and counts."""

    def __init__(self, rig: Rig, plain: Service, secure: Service, spare: Origin, moved: Origin) -> None:
        self._rig = rig
        self._services = (plain, secure)
        self._spare = spare
        self._moved = moved
        self._chance = random.Random(7)
        self.done = 0
        self.reloads: set[int] = set()

    def _do(self, command: Command) -> int | str | None:
        outcome = self._rig.do(command, wait=None)
        self.done += 1
        return outcome.key

    def run(self) -> None:
        """Every kind of change in turn until there were enough."""
        kinds: list[Callable[[Service], None]] = [
            self._weights,
            self._headers,
            self._drain,
            self._certificate,
            self._schedule,
            self._add_and_remove_server,
            self._persistence,
            self._names_and_times,
            self._other_service,
            self._move,
            self._parameters,
            self._ports,
            self._everywhere,
        ]
        while self.done < CHANGES:
            for kind in kinds:
                for service in self._services:
                    kind(service)
                    self.reloads.add(self._rig.worker)

    def _weights(self, service: Service) -> None:
        for server in service.servers:
            weight = self._chance.randint(1, 65535)
            self._do(ChangeServer(service.index, server.index, {"weight": weight, "limit": weight % 3 * 1000}))

    def _headers(self, service: Service) -> None:
        self._do(ChangeService(service.index, {"add_via": self._chance.randint(1, 6)}))

    def _drain(self, service: Service) -> None:
        server = service.servers[0]
        self._do(ChangeServer(service.index, server.index, {"enabled": False}))
        self._do(ChangeServer(service.index, server.index, {"enabled": True}))

    def _certificate(self, service: Service) -> None:
        self.done += 1
        self._rig.certificate("load", leaf("load.example", issuer=authority(), generation=self.done), replace=True)

    def _schedule(self, service: Service) -> None:
        methods = ("rr", "wrr", "lc", "wlc", "fixed", "sh", "uhash", "random")
        self._do(ChangeService(service.index, {"schedule": self._chance.choice(methods)}))

    def _add_and_remove_server(self, service: Service) -> None:
        added = self._do(AddServer(service.index, member(self._spare)))
        assert isinstance(added, int)
        time.sleep(REQUEST_SECONDS)
        self._do(ChangeService(service.index, {"persistence": "none"}))
        self._do(ChangeServer(service.index, added, {"enabled": False}))
        time.sleep(1.2 + REQUEST_SECONDS)
        self._do(RemoveServer(service.index, added))

    def _persistence(self, service: Service) -> None:
        mode = self._chance.choice(("src", "cookie-hash-src", "active-cookie", "super", "host", "url", "none"))
        self._do(ChangeService(service.index, {"persistence": mode}))

    def _names_and_times(self, service: Service) -> None:
        self._do(ChangeService(service.index, {"name": f"name {self.done}"}))
        self._do(ChangeService(service.index, {"idle_time": 300 + self.done}))

    def _other_service(self, service: Service) -> None:
        settings = {
            "address": "127.0.0.1",
            "port": free_port(),
            "service_type": "http",
            "servers": [member(self._spare)],
        }
        added = self._do(AddService(settings))
        copy = self._do(DuplicateService(service.index, port=free_port()))
        assert isinstance(added, int)
        assert isinstance(copy, int)
        self._do(ChangeService(added, {"enabled": False}))
        self._do(RemoveService(added))
        self._do(RemoveService(copy))

    def _move(self, service: Service) -> None:
        server = service.servers[1]
        before = {"address": server.setting("address"), "port": server.setting("port")}
        self._do(ChangeServer(service.index, server.index, member(self._moved)))
        server.wait_until("up")
        self._do(ChangeServer(service.index, server.index, before))
        server.wait_until("up")

    def _parameters(self, service: Service) -> None:
        self._do(SetParameters("layer7", {"always_check_persistence": self._chance.choice((0, 1, 2))}))
        self._do(SetParameters("layer7", {"drain_time": self._chance.choice((60, 300, 900))}))
        self._do(SetParameters("layer7", {"drop_at_drain_end": self._chance.choice((True, False))}))

    def _ports(self, service: Service) -> None:
        self._do(ChangeService(service.index, {"extra_ports": (str(free_port()),)}))
        self._do(ChangeService(service.index, {"extra_ports": ()}))

    def _everywhere(self, service: Service) -> None:
        self._do(EnableAddress("127.0.0.3", False))
        self._do(EnableAddress("127.0.0.3", True))


@pytest.fixture
def origins() -> Iterator[list[Origin]]:
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(Origin(name, address=address))
            for name, address in (
                ("one", "127.0.0.1"),
                ("two", "127.0.0.2"),
                ("three", "127.0.0.3"),
                ("spare", "127.0.0.4"),
                ("moved", "127.0.0.5"),
            )
        ]


@pytest.mark.requirement("X-05")
@pytest.mark.timeout(180)
def test_no_request_fails_during_two_hundred_changes(own_rig: Rig, origins: list[Origin]) -> None:
    one, two, three, spare, moved = origins
    # a machine that is busy with all this must not take a slow check for a dead server
    own_rig.do(SetParameters("checks", {"interval": 5, "timeout": 4, "retries": 1}))
    own_rig.certificate("load", leaf("load.example", issuer=authority()))
    plain = own_rig.http(one, two, three)
    secure = own_rig.http(one, two, three, ssl_acceleration=True, certificates=("load",), allow_http2=True)
    operator = Operator(own_rig, plain, secure, spare, moved)
    sources = tuple(f"127.0.4.{number}" for number in range(1, 9))
    clients: list[tuple[Kind, Service, str | None]] = [
        ("http1", plain, None),
        ("http1-new", plain, None),
        ("https1", secure, "load.example"),
        ("h2", secure, "load.example"),
    ]
    with contextlib.ExitStack() as stack:
        loads = [
            stack.enter_context(
                Load(kind, service.address, service.port, sni=sni, workers=3, pause=0.04, sources=sources)
            )
            for kind, service, sni in clients
        ]
        started = time.monotonic()
        operator.run()
        seconds = time.monotonic() - started
        for load in loads:
            load.wait_for_more(20)
    for load in loads:
        load.result().assert_clean(at_least=200)
    assert operator.done >= CHANGES
    assert len(operator.reloads) <= seconds + 2, "at most one reload a second"
    assert own_rig.started.appliance.health().problems == ()
