"""Whose settings say what clients get without a real server, and what they become in HAProxy."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.model.making import added

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.part import Family
from steelyard.compile.haproxy.unavailable import handler, sorry_server, unavailable_part
from steelyard.model.virtual_service import VirtualService

CONTEXT = ServiceContext(0, 300, None, True)
SORRY = {"standby_address": "10.0.0.9", "standby_port": 81}
CODE = {"error_code": 404}


def sub(**settings: Any) -> VirtualService:
    return VirtualService.make({"index": 2, "parent": 1, "address": "", "port": 0, "service_type": "http"} | settings)


@pytest.mark.parametrize("own", [SORRY, CODE, {"error_page": "YQ=="}])
def test_a_sub_service_with_any_setting_of_its_own_follows_its_own(own: dict[str, Any]) -> None:
    service, family = sub(**own), Family(parent=added(**SORRY, error_code=503))
    assert handler(service, family) is service
    assert (sorry_server(service, family, CONTEXT) is not None) == (own is SORRY)


def test_a_sub_service_without_any_does_as_its_parent() -> None:
    family = Family(parent=added(**SORRY, **CODE))
    found = sorry_server(sub(), family, CONTEXT)
    assert found is not None and (found.address, found.port, found.standby) == ("10.0.0.9", 81, True)
    assert unavailable_part(sub(), family, CONTEXT) == unavailable_part(family.parent or sub(), Family(), CONTEXT)


def test_a_service_without_settings_costs_nothing() -> None:
    assert unavailable_part(added(), Family(), CONTEXT).backend == ()
    assert sorry_server(added(), Family(), CONTEXT) is None


def test_a_page_is_named_by_its_content() -> None:
    (one,) = unavailable_part(added(error_page="YQ=="), Family(), CONTEXT).pages
    (same,) = unavailable_part(added(error_page="YQ==", error_code=404), Family(), CONTEXT).pages
    (other,) = unavailable_part(added(error_page="Yg=="), Family(), CONTEXT).pages
    assert one == same and one.content == b"a"
    assert one.name != other.name


def test_only_what_a_redirect_names_is_kept_of_a_request() -> None:
    def variables(url: str) -> str:
        part = unavailable_part(added(error_code=302, error_url=url), Family(), CONTEXT)
        return " ".join(word for item in part.backend for word in item.words)

    assert "asked" not in variables("https://shop.example/")
    assert "asked_host" in variables("https://%h/") and "asked_target" not in variables("https://%h/")
    assert "asked_target" in variables("https://shop.example%s")
