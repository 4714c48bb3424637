"""What holds for every deployment: errors that name the remedy, changes that disturb nobody, a start of the host."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from tests.scenarios.bed import wait_until
from tests.scenarios.site import kill
from tests.scenarios.two_arm import FRONT_ENDS, MIDDLE, POOL, PUBLIC, ROUTER, SERVICES, WEB, TwoArm

pytestmark = [pytest.mark.network, pytest.mark.needs("ip", "nft", "net_admin", "haproxy")]


@pytest.fixture(scope="module")
def bed() -> Iterator[TwoArm]:
    with TwoArm() as made:
        made.start()
        made.build()
        made.settle()
        for name in SERVICES:
            made.wait_for(made.named(name), "Up")
        yield made


# --- errors name the remedy

_SECURE = {"service_type": "http", "ssl_acceleration": True}


def remedied(error: dict[str, Any], *, field: str, says: str, remedy: str) -> None:
    assert error["field"] == field, error
    assert says in error["message"], error
    assert remedy in error["remedy"], error


@pytest.mark.requirement("X-04")
def test_x_04_server_nat_of_a_service_asks_for_the_global_option(bed: TwoArm) -> None:
    sip = bed.named("Lync Internal Front-End SIP")
    error = bed.refused("PATCH", f"/virtual-services/{sip}", {"use_for_snat": True})
    remedied(error, field="use_for_snat", says="needs server NAT", remedy="Network Options > Enable Server NAT")


@pytest.mark.requirement("X-04", "S4-30")
def test_x_04_a_certificate_without_its_key_is_refused(bed: TwoArm) -> None:
    error = bed.refused("POST", "/certificates", {"name": "alone", "pem": PUBLIC.pem.decode()})
    assert "private key" in error["message"], error
    assert error["remedy"], error
    said = bed.loadmaster_says("addcert", cert="alone", body=PUBLIC.pem)
    assert not said.ok
    assert "private key" in said.message


@pytest.mark.requirement("X-04")
def test_x_04_an_intermediate_in_der_is_refused(bed: TwoArm) -> None:
    data = base64.b64encode(MIDDLE.der).decode()
    status, found = bed.asked("POST", "/intermediates", {"name": "der", "data": data})
    assert status >= 400, found
    assert "PEM" in str(found["error"]), found


@pytest.mark.requirement("X-04")
def test_x_04_an_address_of_no_local_network_says_which_there_are(bed: TwoArm) -> None:
    error = bed.refused("POST", "/virtual-services", {"address": "172.30.0.5", "port": 443})
    remedied(error, field="address", says="192.168.1.0/24 (eth1)", remedy="interface")


@pytest.mark.requirement("X-04")
def test_x_04_transparency_that_cannot_be_says_what_it_conflicts_with(bed: TwoArm) -> None:
    with bed.service(WEB, 9443, ssl_reencrypt=True, transparent=True, **_SECURE) as index:
        found = bed.native("GET", f"/virtual-services/{index}")
        (said,) = (one for one in found["warnings"] if one["field"] == "transparent")
        assert "Reencrypt is on" in said["message"]
    body = {"address": WEB, "port": 9444, "transparent": True, "service_type": "http"}
    error = bed.refused("POST", "/virtual-services", {**body, "esp_enabled": True, "allowed_hosts": "a.example"})
    assert error["field"] == "transparent"
    assert "switch one of them off" in error["message"]


# --- changes disturb nobody


@pytest.mark.requirement("X-05")
def test_x_05_no_change_of_the_deployments_drops_a_connection_of_another_service(bed: TwoArm) -> None:
    """A request that is under way all the time, and a connection of signalling that says something after each change.

    That new requests of every kind go on is shown by tests/engine/test_changes_under_load.py.
    """
    farm = list(FRONT_ENDS.values())
    before = bed.native("GET", "/configuration")
    with ExitStack() as stack:
        stack.callback(bed.release)
        pool = stack.enter_context(ThreadPoolExecutor(1))
        under_way = pool.submit(bed.browse, bed.outside, "https://lyncweb.example.com/hold", timeout=60)
        wait_until(lambda: bed.held() == 1)
        sip = stack.enter_context(bed.office.connect(POOL, 5061))

        def both_go_on(after: str) -> None:
            assert not under_way.done(), after
            sip.sendall(b"still\n")
            assert sip.recv(100).endswith(b": still\n"), after

        other = bed.add(WEB, 8001, server=farm, service_type="http", server_port=8080, check_type="tcp")
        path = f"/virtual-services/{other}"
        changes: tuple[tuple[str, str, dict[str, Any] | None], ...] = (
            ("PATCH", "/parameters/layer7", {"drain_time": 600, "drop_on_failure": False}),
            ("PATCH", "/parameters/network", {"server_nat": True}),
            ("PATCH", path, {"use_for_snat": True}),
            ("PATCH", path, {"schedule": "lc", "persistence": "super-src", "persistence_timeout": 1200}),
            ("PATCH", path, {"persistence": "active-cookie", "cookie": "MS-WSMAN"}),
            ("PATCH", path, {"ssl_acceleration": True, "certificates": ["public"], "ssl_reencrypt": False}),
            ("PATCH", path, {"transparent": True}),
            ("PATCH", path, {"transparent": False, "default_gateway": "203.0.113.254"}),
            ("PATCH", path, {"check_type": "http", "check_url": "/meet/blank.html", "idle_time": 1800}),
            ("POST", f"{path}/real-servers", {"address": "192.168.1.46", "port": 443}),
            ("POST", "/certificates", {"name": "more", "pem": PUBLIC.bundle().decode()}),
            ("PATCH", path, {"certificates": ["public", "more"]}),
            ("POST", "/templates/HTTP/services", {"address": "203.0.113.45", "servers": farm}),
            ("POST", "/network/interfaces/eth1/addresses", {"address": "172.30.0.1/24"}),
            ("PATCH", "/parameters/checks", {"interval": 2}),
            ("POST", "/templates/Lync Internal 2013 HLB Only/prerequisites", None),
            ("DELETE", path, None),
        )
        for method, place, body in changes:
            bed.native(method, f"{place}?wait=true", body)
            both_go_on(f"{method} {place} {body}")
        bed.native("PUT", "/configuration?wait=true", before)
        both_go_on("the configuration it had")
        bed.release()
        assert under_way.result(10).status == 200


# --- the host starts again


@pytest.mark.requirement("X-06", "S4-20")
def test_x_06_after_a_start_of_the_host_everything_is_there_but_connections(bed: TwoArm) -> None:
    """What the kernel forgets is taken away: addresses, rules, processes."""
    assert bed.native("GET", "/parameters/layer7")["drain_time"] == 86400
    assert not bed.loadmaster_says("set", param="finalpersist", value=86401).ok
    agent = {"User-Agent": "Lync mobile"}
    url = "https://lyncweb.example.com/"
    bed.browse(bed.outside, url, headers=agent)
    configuration = bed.native("GET", "/configuration")
    held = bed.office.connect(POOL, 5061)
    assert bed.steelyard is not None
    bed.steelyard.stop_control_plane()
    kill(*(process.pid for process in bed.steelyard.processes()))
    for interface, own in (("eth0", "203.0.113.1/24"), ("eth1", "192.168.1.43/24")):
        bed.lb.ip(f"addr flush dev {interface}", f"addr add {own} dev {interface}")
    bed.lb.ip("rule flush", "rule add priority 32766 lookup main", "rule add priority 32767 lookup default")
    bed.lb.run("nft", "flush", "ruleset")
    bed.lb.ip("route replace default via 203.0.113.254")
    held.settimeout(5)
    with pytest.raises((ConnectionError, TimeoutError)):
        while held.recv(10):
            pass
        raise ConnectionResetError
    bed.restart()
    assert bed.native("GET", "/configuration") == configuration
    bed.settle()
    for name in SERVICES:
        bed.wait_for(bed.named(name), "Up")
    assert f"{POOL}/32" in bed.lb.addresses("eth1")
    assert bed.browse(bed.outside, url, headers=agent).status == 200
    assert bed.browse(bed.office, "https://lyncwebint.example.com/").status == 200, "by the service's own gateway"
    shown = bed.native("GET", "/parameters/layer7")
    assert (shown["drain_time"], shown["drop_on_failure"]) == (86400, True)
    assert bed.native("GET", f"/virtual-services/{bed.named(SERVICES[0])}")["default_gateway"] == ROUTER
    assert bed.native("GET", "/status")["problems"] == []
