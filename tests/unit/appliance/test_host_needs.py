"""What this host's HAProxy cannot do is refused by name, before anything is committed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from steelyard.appliance.host_needs import refuse_what_host_lacks
from steelyard.engines.host import FakeHost
from steelyard.model.commands import AddServer, AddService
from steelyard.model.configuration import Configuration
from steelyard.model.errors import HostLacks


def with_service(**settings: Any) -> Configuration:
    data = {"address": "127.0.0.1", "port": 443, "service_type": "http", **settings}
    return AddService(data).apply(Configuration()).configuration


@pytest.mark.parametrize(
    ("settings", "flag", "lacks"),
    [
        ({"ssl_acceleration": True}, "openssl", "TLS"),
        ({"ssl_reverse": True}, "openssl", "TLS"),
        ({"ssl_acceleration": True, "tls_type": 15}, "tls13", "TLS 1.3"),
        ({"ssl_acceleration": True, "allow_http2": True}, "http2", "HTTP/2"),
        ({"compress": True}, "compression", "compression"),
        ({"check_type": "icmp"}, "ping_socket", "pings"),
        ({"further_checks": [{"name": "p", "check_type": "icmp"}]}, "ping_socket", "pings"),
        ({"esp_enabled": True, "port": 80}, "pcre", "Perl's regular expressions"),
        ({"protocol": "udp", "service_type": "gen", "check_type": "none", "schedule": "lc"}, "ipvs", "IPVS"),
        (
            {"protocol": "udp", "service_type": "gen", "check_type": "none", "persistence": "udpsip"},
            "ipvs",
            "IPVS",
        ),
    ],
)
def test_a_setting_is_refused_only_where_its_capability_is_missing(
    settings: dict[str, Any], flag: str, lacks: str
) -> None:
    able = FakeHost().capabilities()
    configuration = with_service(**settings)
    refuse_what_host_lacks(Configuration(), configuration, able)
    with pytest.raises(HostLacks) as refusal:
        refuse_what_host_lacks(Configuration(), configuration, replace(able, **{flag: False}))
    assert refusal.value.lacks == lacks
    refuse_what_host_lacks(configuration, configuration, replace(able, **{flag: False}))


@pytest.mark.parametrize(("tls_type", "lacks"), [(1, "TLS 1.0"), (3, "TLS 1.1"), (27, "TLS 1.1"), (29, "TLS 1.0")])
def test_an_old_protocol_is_refused_only_where_haproxy_was_built_without(tls_type: int, lacks: str) -> None:
    able = FakeHost().capabilities()
    configuration = with_service(ssl_acceleration=True, tls_type=tls_type)
    refuse_what_host_lacks(Configuration(), configuration, able)
    without = replace(able, tls_versions=able.tls_versions - {lacks.replace(" ", "v")})
    with pytest.raises(HostLacks) as refusal:
        refuse_what_host_lacks(Configuration(), configuration, without)
    assert refusal.value.lacks == lacks
    assert f"TLSType={tls_type} " in refusal.value.message
    refuse_what_host_lacks(Configuration(), with_service(ssl_acceleration=True), without)


def test_tls_1_3_may_be_lacking_beside_tls_1_2() -> None:
    able = FakeHost().capabilities()
    without = replace(able, tls13=False, tls_versions=able.tls_versions - {"TLSv1.3"})
    refuse_what_host_lacks(Configuration(), with_service(ssl_acceleration=True), without)


def test_direct_server_return_needs_ipvs() -> None:
    settings = {"service_type": "gen", "check_type": "none", "force_l4": True}
    without = with_service(**settings)
    configuration = AddServer(1, {"address": "10.0.0.1", "port": 443, "forward": "route"}).apply(without).configuration
    able = FakeHost().capabilities()
    refuse_what_host_lacks(without, configuration, able)
    with pytest.raises(HostLacks, match="forwarding by route") as refused:
        refuse_what_host_lacks(without, configuration, replace(able, ipvs=False))
    assert "ip_vs" in refused.value.remedy
