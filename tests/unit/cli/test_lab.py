"""`steelyard lab`: what it refuses, and what it makes of the shipped templates."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from steelyard.appliance.shipped_templates import shipped_templates
from steelyard.cli.lab import app
from steelyard.cli.lab_exchange import exchange_deployed
from steelyard.cli.lab_lync import CERTIFICATE, lync_deployed
from steelyard.cli.lab_templates import moved
from steelyard.lab.exchange import ExchangePool
from steelyard.lab.lync import Lync
from steelyard.lab.ports import Ports
from steelyard.model.configuration import Configuration
from steelyard.model.virtual_service import VirtualService

LYNC = Lync(Ports(20_000), "127.9")


def services(*, affinity: bool = True, ports: bool = True) -> dict[str, VirtualService]:
    made = lync_deployed(LYNC, affinity=affinity, ports=ports).apply(Configuration()).configuration
    return {one.name: one for one in made.services.values()}


@pytest.mark.parametrize("net", ["10.0", "127", "127.256", "127.0.1", "127.x"])
def test_a_lab_stays_on_this_host(net: str) -> None:
    done = CliRunner().invoke(app, ["lync", "--net", net])
    assert done.exit_code == 1
    assert f"{net!r} is no part of the loopback network" in done.output and "127.1" in done.output


def test_a_protocol_nobody_knows_is_refused() -> None:
    done = CliRunner().invoke(app, ["exchange", "--unwell", "gopher"])
    assert done.exit_code == 1 and "activesync" in done.output


def test_the_lync_lab_is_the_shipped_templates_on_moved_ports() -> None:
    made = services()
    proxy = made["Lync Reverse Proxy HTTPS"]
    assert (proxy.address, proxy.port) == ("127.9.3.44", 20_443)
    assert {server.port for server in proxy.servers} == {24_443} and proxy.check_port == 24_443
    assert proxy.persistence == "super-src" and proxy.certificates == (CERTIFICATE,)
    web = made["Lync Internal WebSvc HTTPS HLB Only"]
    assert (web.port, web.extra_ports, web.check_port) == (20_443, ("20444", "24443"), 25_061)
    assert made["Lync Internal Front-End SIP"].extra_ports[1] == "25070-25073"
    # loopback has neither UDP balancing nor transparency
    assert not [one.name for one in made.values() if one.protocol == "udp" or one.transparent]


def test_mistakes_are_built_in_where_they_are_asked_for() -> None:
    assert {one.persistence for one in services(affinity=False).values()} == {"none"}
    proxy = services(ports=False)["Lync Reverse Proxy HTTPS"]
    assert {server.port for server in proxy.servers} == {20_443} and proxy.check_port == 0


def test_the_exchange_lab_has_a_sub_service_for_each_protocol() -> None:
    made = exchange_deployed(ExchangePool(Ports(), "127.9")).apply(Configuration()).configuration
    subs = {one.name for one in made.services.values() if one.is_sub}
    assert {"ActiveSync", "OWA", "EWS"} <= subs
    assert {one.port for one in made.services.values() if not one.is_sub} == {443, 80, 25, 143, 110}


def test_a_template_keeps_what_is_no_port() -> None:
    template = shipped_templates()["Lync Office Web Apps Server 2013"]
    (https, plain) = moved(template, Ports(20_000), "", lambda service: {}).content.services
    assert (https.settings["persistence"], https.settings["check_url"]) == ("super", "/hosting/discovery")
    assert (plain.settings["port"], plain.real_servers) == (20_080, False)
