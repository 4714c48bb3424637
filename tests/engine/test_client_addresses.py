"""Client addresses in headers, at the borders: IPv6, HTTP/2, old clients, generic services (AddVia)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from tests.engine.rig import Rig, Service, member
from tests.support.clients import Reply, fetch_h2
from tests.support.origin import Origin
from tests.support.ports import free_port

from steelyard.model.commands import AddService, Batch

pytestmark = pytest.mark.engine

FORWARDED_VIA, NOTHING, CLIENT_SIDE, FORWARDED = 1, 2, 4, 5
CLIENT = "127.0.0.77"
_ADDED = ("x-forwarded-for", "x-clientside", "via")


def _services(rig: Rig, origin: Origin, variants: Iterable[dict[str, Any]]) -> list[Service]:
    """One service for each variant of the settings, all made at once."""
    plans = [{"service_type": "http", "servers": [member(origin)]} | variant for variant in variants]
    rig.do(Batch([AddService(plan) for plan in plans]))
    configuration = rig.started.appliance.snapshot().configuration
    by_port = {service.port: index for index, service in configuration.services.items()}
    services = [Service(rig, by_port[plan["port"]]) for plan in plans]
    for service in services:
        for server in service.servers:
            server.wait_until("up")
    return services


def _added(reply: Reply) -> dict[str, list[str]]:
    return {name: values for name, values in reply.seen_headers.items() if name in _ADDED}


def _client_side(reply: Reply, service: Service) -> str:
    """X-ClientSide as it has to be: client -> virtual service, both with port."""
    assert reply.local is not None
    return f"{reply.local[0]}:{reply.local[1]} -> {service.address}:{service.port}"


def test_an_x_forwarded_for_of_any_form_is_continued(rig: Rig, one: Origin) -> None:
    service = rig.http(one, add_via=FORWARDED)

    def seen(*lines: str, name: str = "X-Forwarded-For") -> list[str]:
        headers = [(name, line) for line in lines]
        return service.fetch(headers=headers, source=CLIENT).seen_headers["x-forwarded-for"]

    assert seen("192.0.2.1", name="x-FORWARDED-for") == [f"192.0.2.1, {CLIENT}"]
    assert seen("unknown, [2001:db8::1]:4711") == [f"unknown, [2001:db8::1]:4711, {CLIENT}"]
    assert seen("192.0.2.1", "192.0.2.2, 192.0.2.3") == ["192.0.2.1", "192.0.2.2, 192.0.2.3", CLIENT]


def test_old_clients_and_bodies(rig: Rig, one: Origin) -> None:
    service = rig.http(one, add_via=FORWARDED_VIA)
    with service.connect(source=CLIENT) as connection:
        old = connection.request("/", version="1.0", headers={"Connection": "keep-alive"})
        assert _added(old) == {"x-forwarded-for": [CLIENT], "via": ["1.0 steelyard"]}
        posted = connection.request("/", method="POST", body=b"X-Forwarded-For: 192.0.2.1")
        assert posted.json["body"] == "X-Forwarded-For: 192.0.2.1"
        assert _added(posted) == {"x-forwarded-for": [CLIENT], "via": ["1.1 steelyard"]}


def test_http2_clients(rig: Rig, one: Origin) -> None:
    service = rig.http(one, add_via=FORWARDED_VIA, ssl_acceleration=True, allow_http2=True)
    reply = fetch_h2(service.url, source=CLIENT, headers={"x-forwarded-for": "192.0.2.1"})
    assert _added(reply) == {"x-forwarded-for": [f"192.0.2.1, {CLIENT}"], "via": ["2.0 steelyard"]}


def test_a_generic_service_leaves_the_stream_alone(rig: Rig, one: Origin) -> None:
    service = rig.tcp(one, add_via=FORWARDED_VIA)
    assert _added(service.fetch(headers={"X-Forwarded-For": "192.0.2.1"})) == {"x-forwarded-for": ["192.0.2.1"]}


def test_a_change_of_the_setting_holds_for_the_next_connection(rig: Rig, one: Origin) -> None:
    service = rig.http(one, add_via=FORWARDED)
    assert _added(service.fetch(source=CLIENT)) == {"x-forwarded-for": [CLIENT]}
    service.change(add_via=NOTHING)
    assert _added(service.fetch(source=CLIENT)) == {}


def test_ipv6_clients_services_and_servers(rig: Rig) -> None:
    with Origin("six", address="::1") as six:
        variants = [
            {"address": "::1", "port": free_port("::1"), "add_via": value}
            for value in (FORWARDED_VIA, CLIENT_SIDE, FORWARDED)
        ]
        with_via, client_side, forwarded = _services(rig, six, variants)
        reply = with_via.fetch()
        assert _added(reply) == {"x-forwarded-for": ["::1"], "via": ["1.1 steelyard"]}
        assert reply.json["peer"][0] == "::1"
        reply = client_side.fetch()
        assert _added(reply) == {"x-clientside": [_client_side(reply, client_side)]}
        continued = forwarded.fetch(headers={"X-Forwarded-For": "192.0.2.1"})
        assert _added(continued) == {"x-forwarded-for": ["192.0.2.1, ::1"]}
