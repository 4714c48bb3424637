"""Services that work as they are set, but hardly as they are meant."""

from __future__ import annotations

from typing import Any

import pytest

from steelyard.model.commands import AddService
from steelyard.model.configuration import Configuration
from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service.remarks import remarks


def service(**settings: Any) -> VirtualService:
    server = {"address": "10.0.0.1", "port": 80}
    data = {"address": "192.0.2.1", "port": 80, "service_type": "http", "check_type": "http", "servers": [server]}
    return next(iter(AddService(data | settings).apply(Configuration()).configuration.services.values()))


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        ({}, []),
        ({"service_type": "gen", "check_type": "tcp"}, []),
        ({"port": 443, "ssl_acceleration": True}, ["certificates"]),
        ({"esp_enabled": True}, ["allowed_hosts"]),
        ({"check_type": "https"}, ["check_type"]),
        ({"check_type": "https", "check_port": 8443}, []),
        ({"check_type": "https", "ssl_acceleration": True, "ssl_reencrypt": True}, ["certificates"]),
        ({"check_type": "none", "check_fall": 3}, ["check_fall"]),
        ({"cookie": "id"}, ["cookie"]),
        ({"cookie": "id", "persistence": "cookie"}, []),
        ({"tls13_cipher_set": ("TLS_AES_128_GCM_SHA256",)}, ["tls13_cipher_set"]),
    ],
)
def test_what_is_remarked(settings: dict[str, Any], fields: list[str]) -> None:
    found = list(remarks(service(**settings)))
    assert [one.field for one in found] == fields
    assert all(one.says and one.remedy and "Remedy: " in str(one) for one in found)


def test_a_remark_says_why() -> None:
    (one,) = remarks(service(check_type="none", check_fall=3))
    assert one.says.endswith("has no effect: real servers are not checked")
