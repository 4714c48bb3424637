"""Layer 4 or 7: the table of the reference, the reason people are told, and what goes together with what."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.model.making import SERVER, added, apply, changed

from steelyard.model.commands import AddServer, AddService, ChangeService, Declare
from steelyard.model.errors import OperatorError
from steelyard.model.layer import layer_of
from steelyard.model.setting import Settings
from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service.checks import CheckSettings
from steelyard.model.virtual_service.esp import EspSettings
from steelyard.model.virtual_service.layers import _LAYER_7_SETTINGS
from steelyard.model.virtual_service.tls import TlsSettings
from steelyard.model.virtual_service.waf import WafSettings

L4: dict[str, Any] = {"service_type": "gen", "force_l4": True}


class TestTheTable:
    @pytest.mark.parametrize(
        ("settings", "number", "why"),
        [
            ({}, 7, "TCP services do, unless ForceL4 is set"),
            ({"ssl_acceleration": True}, 7, "SSLAcceleration needs layer 7"),
            ({"protocol": "udp"}, 4, "UDP services run at layer 4"),
            ({"port": 0}, 4, "a service of the wildcard port runs at layer 4"),
            (L4, 4, "ForceL4 is set"),
        ],
    )
    def test_a_service_has_its_layer_and_the_reason(self, settings: dict[str, Any], number: int, why: str) -> None:
        found = layer_of(added(**settings), ipvs=False)
        assert (found.number, found.reason) == (number, why)
        assert found.title == f"Operating at Layer {number}"

    def test_what_counts_connections_is_ipvs_or_haproxy_and_says_so(self) -> None:
        counting = added(**L4, schedule="lc")
        assert (layer_of(counting, ipvs=True).carrier, layer_of(counting, ipvs=True).number) == ("ipvs", 4)
        instead = layer_of(counting, ipvs=False)
        assert (instead.number, instead.carrier, instead.lacks) == (7, "haproxy", "")
        assert "IPVS" in instead.reason

    @pytest.mark.parametrize("settings", [{"protocol": "udp"}, {"port": 0}, {**L4, "layer4_source_nat": True}])
    def test_what_haproxy_cannot_stand_in_for_says_what_is_missing(self, settings: dict[str, Any]) -> None:
        found = layer_of(added(**settings, schedule="wlc"), ipvs=False)
        assert "IPVS" in found.lacks


class TestTheTwoSwitches:
    def test_they_are_each_others_opposite(self) -> None:
        assert (added(**L4).force_l7, added(**L4).force_l4) == (False, True)
        assert changed(L4, force_l7=True).force_l4 is False
        assert changed(L4, force_l4=False).force_l7 is True
        assert changed({"service_type": "gen"}, force_l7=False).force_l4 is True

    def test_udp_and_the_wildcard_have_neither(self) -> None:
        for service in (added(protocol="udp"), added(port=0)):
            assert (service.force_l4, service.force_l7) == (False, False)
        assert changed({"protocol": "udp"}, enabled=False).force_l7 is False

    def test_both_at_once_are_refused(self) -> None:
        with pytest.raises(OperatorError) as refusal:
            added(**L4, force_l7=True)
        assert refusal.value.field == "force_l4"


class TestRefusedAtLayer4:
    @pytest.mark.parametrize(
        ("settings", "field"),
        [
            ({"ssl_acceleration": True}, "ssl_acceleration"),
            ({"bandwidth": 100}, "bandwidth"),
            ({"max_connections": 5}, "max_connections"),
            ({"add_via": 5}, "add_via"),
            ({"persistence": "ssl"}, "persistence"),
            ({"schedule": "random"}, "schedule"),
            ({"address": "0.0.0.0"}, "address"),
            ({"standby_address": "2001:db8::9"}, "standby_address"),
            ({"servers": [{**SERVER, "address": "2001:db8::9"}]}, "servers"),
            ({"servers": [{**SERVER, "port": 0}]}, "servers"),
        ],
    )
    def test_by_the_name_of_what_needs_layer_7(self, settings: dict[str, Any], field: str) -> None:
        with pytest.raises(OperatorError) as refusal:
            added(**L4, **settings)
        assert refusal.value.field == field

    @pytest.mark.parametrize(
        ("settings", "field"),
        [
            ({"protocol": "udp", "service_type": "http"}, "service_type"),
            ({"protocol": "udp", "check_type": "tcp"}, "check_type"),
            ({"protocol": "udp", "force_l7": True}, "force_l7"),
            ({"port": 0, "extra_ports": ("81",)}, "extra_ports"),
            ({"layer4_source_nat": True}, "layer4_source_nat"),
        ],
    )
    def test_what_does_not_go_together(self, settings: dict[str, Any], field: str) -> None:
        with pytest.raises(OperatorError) as refusal:
            added(**settings)
        assert refusal.value.field == field

    def test_a_service_that_has_such_a_thing_cannot_be_forced(self) -> None:
        made = apply(AddService({"address": "192.0.2.1", "port": 443, "ssl_acceleration": True}))
        with pytest.raises(OperatorError) as refusal:
            apply(ChangeService(1, {"force_l4": True}), to=made)
        assert refusal.value.field == "ssl_acceleration"
        assert "ForceL4" in refusal.value.message

    def test_a_check_needs_a_port_where_every_port_is_served(self) -> None:
        wild = apply(AddService({"address": "192.0.2.1", "port": 0, "check_type": "tcp", "check_port": 80}))
        assert apply(AddServer(1, {"address": "10.0.0.1", "port": 0}), to=wild).services[1].servers[0].port == 0
        with pytest.raises(OperatorError) as refusal:
            apply(
                AddService({"address": "192.0.2.1", "port": 0, "check_type": "tcp"}),
                AddServer(1, {"address": "10.0.0.1", "port": 0}),
            )
        assert refusal.value.field == "check_port"


def test_every_setting_is_kept_at_layer_4_or_refused_there() -> None:
    """A setting that is new has to be put into one of these: nothing is accepted and ignored."""
    kept = {
        "address",
        "port",
        "protocol",
        "enabled",
        "name",
        "service_type",
        "force_l7",
        "force_l4",
        "layer4_source_nat",
        "extra_ports",
        "idle_time",
        "persistence",
        "persistence_timeout",
        "persistence_mask",
        "schedule",
        "adaptive_interval",
        "adaptive_url",
        "adaptive_port",
        "adaptive_min_percent",
        "standby_address",
        "standby_port",
        "default_gateway",
        "enhanced_checks",
        "minimum_servers",
        "check_rise",
        "check_fall",
        "check_mode",
        "use_for_snat",
        "non_local",
        "non_local_sorry_server",
        "qos",
    }
    # always so at layer 4, or said of what another setting switches on
    without_effect = {
        "transparent",
        "subnet_originating",
        "server_init",
        "cookie",
        "query_tag",
        "cache_percent",
        "copy_header_to",
        "extra_header_value",
        "requests_per_second",
        "alternate_address",
        "port_follow",
        "response_status_remap",
        "response_remap_format",
        "response_remap_codes",
        "response_remap_messages",
    }
    inert = set[str]()
    sections: tuple[type[Settings], ...] = (TlsSettings, EspSettings, WafSettings)
    for section in sections:
        inert |= set(section.declared())
    known = kept | without_effect | inert | set(CheckSettings.declared()) | set(_LAYER_7_SETTINGS)
    assert set(VirtualService.declared()) <= known


@pytest.mark.parametrize(
    "settings",
    [
        {"protocol": "udp", "check_type": "none"},
        {"port": 0, "check_type": "none"},
        {"force_l4": True, "service_type": "gen", "check_type": "none"},
        {"force_l7": False, "service_type": "gen", "check_type": "none"},
        {"protocol": "udp", "force_l7": False, "force_l4": False, "check_type": "none"},
    ],
)
def test_a_declaration_says_the_same_twice(settings: dict[str, Any]) -> None:
    wanted = Declare(services=[{"address": "192.0.2.1", "port": 53, **settings}])
    once = apply(wanted)
    assert apply(wanted, to=once).services == once.services
    assert layer_of(once.services[1], ipvs=False).number == 4
