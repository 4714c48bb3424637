"""What people type becomes what the API takes."""

from __future__ import annotations

from typing import Any

import pytest

from steelyard.cli import values
from steelyard.cli.failures import Misuse
from steelyard.model.virtual_service import VirtualService


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("schedule=lc", {"schedule": "lc"}),
        ("idle-time=60", {"idle_time": 60}),
        ("idle_time=soon", {"idle_time": "soon"}),
        ("enabled=no", {"enabled": False}),
        ("enabled=ON", {"enabled": True}),
        ("enabled=perhaps", {"enabled": "perhaps"}),
        ("extra_ports=81,90-95", {"extra_ports": ["81", "90-95"]}),
        ("extra_ports=81 90-95", {"extra_ports": ["81", "90-95"]}),
        ("certificates=", {"certificates": []}),
        ("check_headers=X-One: a, b|X-Two:c", {"check_headers": ["X-One: a, b", "X-Two:c"]}),
        ("check_pattern=a=b", {"check_pattern": "a=b"}),
        ("no_such=1", {"no_such": "1"}),
    ],
)
def test_settings_get_the_types_of_the_catalogue(word: str, expected: dict[str, Any]) -> None:
    assert values.settings(VirtualService, [word]) == expected


@pytest.mark.parametrize("words", [["schedule"], ["=lc"], ["name=a", "name=b"]])
def test_what_is_no_setting_is_misuse(words: list[str]) -> None:
    with pytest.raises(Misuse):
        values.settings(VirtualService, words)


@pytest.mark.parametrize(
    ("word", "address", "port"),
    [("127.0.0.1:80", "127.0.0.1", 80), ("[2001:db8::1]:443", "2001:db8::1", 443), ("x:99999", "x", 99999)],
)
def test_endpoints_are_read(word: str, address: str, port: int) -> None:
    assert values.endpoint(word) == {"address": address, "port": port}


@pytest.mark.parametrize(
    "word", ["127.0.0.1", ":80", "127.0.0.1:", "127.0.0.1:x", "2001:db8::1:443", "", "a:-1", "a:²"]
)
def test_what_is_no_endpoint_is_misuse(word: str) -> None:
    with pytest.raises(Misuse):
        values.endpoint(word)
