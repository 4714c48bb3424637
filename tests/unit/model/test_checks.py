"""Settings of checks: the usual check of a port, and rules between the settings."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.model.making import HTTP, SERVER, added, apply, changed

from steelyard.model.commands import AddService
from steelyard.model.errors import OperatorError


@pytest.mark.parametrize(
    ("settings", "check"),
    [
        ({"port": 21}, "ftp"),
        ({"port": 23}, "telnet"),
        ({"port": 25}, "smtp"),
        ({"port": 80}, "http"),
        ({"port": "80"}, "http"),
        ({"port": 110}, "pop3"),
        ({"port": 119}, "nntp"),
        ({"port": 143}, "imap"),
        ({"port": 389}, "ldap"),
        ({"port": 636}, "ldap"),
        ({"port": 443}, "https"),
        ({"port": 443, "service_type": "http", "ssl_acceleration": True}, "tcp"),
        ({"port": 443, "service_type": "http", "ssl_acceleration": True, "ssl_reencrypt": True}, "https"),
        ({"port": 53}, "tcp"),
        ({"port": 8080}, "tcp"),
        ({"port": 25, "check_type": "tcp"}, "tcp"),
    ],
)
def test_the_check_of_a_new_service_follows_its_port(settings: dict[str, Any], check: str) -> None:
    assert added(**settings).check_type == check


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"check_type": "bdata", "check_url": "/"}, "check_url"),
        ({"check_type": "bdata", "check_url": "0d0"}, "check_url"),
        ({"check_type": "bdata", "check_pattern": "0g"}, "check_pattern"),
        ({"check_type": "bdata", "check_pattern": "010203", "match_length": 2}, "match_length"),
        ({"check_type": "http", "check_url": "0d0a"}, "check_url"),
        ({"check_url": "/" + "x" * 126}, "check_url"),
        ({"check_post_data": "x" * 2048, "check_method": 2}, "check_post_data"),
        ({"check_pattern": "(a+)+$"}, "check_pattern"),
        ({"check_headers": ["A:1"] * 5}, "check_headers"),
        ({"check_codes": ["404"] * 33}, "check_codes"),
        ({"check_type": "dns", "check_host": "[2001:db8::1]"}, "check_host"),
        ({"check_type": "dns", "check_host": "www.example:53"}, "check_host"),
        ({"match_length": 8001}, "match_length"),
        ({"servers": [{**SERVER, "check_port": 65536}]}, "check_port"),
    ],
)
def test_what_makes_no_sense_is_refused_by_field(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(OperatorError) as refused:
        apply(AddService({**HTTP, **settings}))
    assert refused.value.field == field


def test_a_binary_check_takes_its_bytes_along_when_it_goes_and_nothing_else_does() -> None:
    binary = {"check_type": "bdata", "check_url": "0d0a", "check_pattern": "FF00"}
    assert changed(binary, check_type="tcp").check_url == ""
    assert changed(binary, check_interval=20).check_pattern == "FF00"
    assert changed(binary, check_type="http", check_url="/health").check_url == "/health"
    assert changed({"check_url": "/health", "check_pattern": "ok"}, check_type="bdata").check_pattern == ""
    assert changed({"check_url": "/health"}, check_type="https").check_url == "/health"
