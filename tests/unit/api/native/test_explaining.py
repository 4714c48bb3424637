"""`/explain`: what may be asked, and what is answered."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.unit.api.native.memory_appliance import MemoryAppliance


async def test_a_request_is_explained_by_its_url(api: httpx.AsyncClient, appliance: MemoryAppliance, web: int) -> None:
    service = appliance.configuration.service(web)
    before = appliance.revision_number
    answer = await api.post("/explain", json={"url": f"http://{service.address}:{service.port}/a?b=1#c"})
    assert answer.status_code == 200
    found = answer.json()
    assert found["result"] == {
        "kind": "server",
        "why": "asked for GET /a?b=1",
        "servers": [{"service": web, "index": 1, "address": "10.0.0.1", "port": 8080}],
        "status": None,
        "location": None,
        "others": [],
    }
    assert found["steps"][0]["details"] == ["for 127.0.0.1"]
    assert found["revision"] == appliance.revision_number == before


@pytest.mark.parametrize(
    "headers", [{"Cookie": "a=b", "X": ["1", "2"]}, [["Cookie", "a=b"], ["X", "1"], ["X", "2"]], {}, []]
)
async def test_a_path_is_enough_with_a_service(api: httpx.AsyncClient, web: int, headers: Any) -> None:
    asked = {"url": "/x", "service": web, "client": "2001:DB8::1", "method": "PUT", "headers": headers, "body": "x"}
    found = (await api.post("/explain", json=asked)).json()
    assert found["result"]["why"] == "asked for PUT /x"
    assert found["steps"][0]["details"] == ["for 2001:db8::1"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"url": "/x", "service": 0}, "url"),
        ({"url": "shop"}, "url"),
        ({"url": "http://h:70000/"}, "url"),
        ({"url": "http://203.0.113.9/"}, "url"),
        ({"url": "/a b"}, "url"),
        ({"url": "/a\r\nX: y"}, "url"),
        ({"client": "me"}, "client"),
        ({"method": "GET /"}, "method"),
        ({"headers": {"X": "a\r\nY: b"}}, "headers"),
        ({"headers": {"X Y": "a"}}, "headers"),
        ({"headers": {"X": 1}}, "headers"),
        ({"headers": "X: 1"}, "headers"),
        ({"version": "3"}, "version"),
        ({"sevice": 1}, "sevice"),
        ({"service": "web"}, "service"),
    ],
)
async def test_what_cannot_be_asked_is_refused_by_name(
    api: httpx.AsyncClient, web: int, changes: dict[str, Any], field: str
) -> None:
    asked = {"url": "/", "service": web} | changes
    if not asked["url"].startswith("/"):
        del asked["service"]
    answer = await api.post("/explain", json=asked)
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["field"] == field


async def test_a_service_that_is_not_there(api: httpx.AsyncClient) -> None:
    assert (await api.post("/explain", json={"url": "/", "service": 77})).status_code == 404
