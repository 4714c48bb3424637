"""Bad input: each gets a clear error naming field and remedy; nothing is committed and no traceback leaves."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.support.bad_values import CONTROLS, WRONG
from tests.unit.api.native.memory_appliance import MemoryAppliance

from steelyard.api.native.bodies import MAX_BODY_BYTES
from steelyard.model.errors import EngineRefused, HostLacks, InternalError
from steelyard.model.virtual_service import VirtualService

VALID: dict[str, Any] = {"address": "127.0.0.1", "port": 80}


def error_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    error: dict[str, Any] = answer.json()["error"]
    assert error["message"] and "Traceback" not in answer.text
    return error


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"address": "127.0.0.300"}, "address"),
        ({"address": "localhost"}, "address"),
        ({"address": 7}, "address"),
        ({"address": None}, "address"),
        ({"port": -1}, "port"),
        ({"port": 65536}, "port"),
        ({"port": "http"}, "port"),
        ({"port": 10**400}, "port"),
        ({"port": [80]}, "port"),
        ({"name": "two\nlines"}, "name"),
        ({"name": "nul\0"}, "name"),
        ({"check_url": "/x\r\nHost: evil"}, "check_url"),
        ({"schedule": "fastest"}, "schedule"),
        ({"schedule": ["rr"]}, "schedule"),
        ({"idle_time": 86401}, "idle_time"),
        ({"extra_ports": ["81", "x"]}, "extra_ports"),
        ({"extra_ports": "81"}, "extra_ports"),
        ({"certificates": ["nope"]}, "certificates"),
        ({"multi_connect": True}, "multi_connect"),
        ({"servers": [{"address": "127.0.0.1", "port": 99999}]}, "port"),
        ({"servers": {}}, "servers"),
        ({"servers": ["127.0.0.1:80"]}, "servers"),
        ({"index": 7}, "index"),
        ({"status": "Up"}, "status"),
    ],
)
async def test_a_bad_value_is_refused_by_name(
    api: httpx.AsyncClient, appliance: MemoryAppliance, body: dict[str, Any], field: str
) -> None:
    before = appliance.snapshot()
    error = error_of(await api.post("/virtual-services", json={**VALID, **body}), 422)
    assert (error["kind"], error["field"]) == ("operator", field)
    assert error.get("remedy") or error.get("allowed")
    assert appliance.snapshot() == before


async def test_no_setting_takes_a_control_character(
    api: httpx.AsyncClient, appliance: MemoryAppliance, web: int
) -> None:
    before = appliance.snapshot()
    for name in VirtualService.declared():
        for control in CONTROLS:
            answer = await api.patch(f"/virtual-services/{web}", json={name: f"a{control}b"})
            assert answer.status_code in (400, 422), (name, control, answer.text)
            error = error_of(answer, answer.status_code)
            assert name in str(error), (name, error)
            assert control not in error["message"], error
    assert appliance.snapshot() == before


async def test_no_setting_makes_a_fault_of_a_wrong_type_or_range(api: httpx.AsyncClient, web: int) -> None:
    """Whatever is given for any setting: it is carried out, or refused with the setting's name."""
    for name in VirtualService.declared():
        for value in WRONG:
            body = json.dumps({name: value}).encode()
            answer = await api.patch(f"/virtual-services/{web}", params={"dry_run": "true"}, content=body)
            assert answer.status_code < 500, (name, value, answer.text)
            if answer.status_code != 200:
                named = (name, VirtualService.wire_name(name), "JSON")
                assert any(word in answer.text for word in named), (name, value, answer.text)
            assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/virtual-services", {**VALID, "shedule": "lc"}),
        ("PATCH", "/virtual-services/1", {"shedule": "lc"}),
        ("PUT", "/configuration", {"services": [{**VALID, "shedule": "lc"}]}),
        ("POST", "/batch", {"commands": [{"op": "change-service", "index": 1, "changes": {"shedule": "lc"}}]}),
    ],
)
async def test_an_unknown_setting_is_refused_with_the_nearest_one(
    api: httpx.AsyncClient, web: int, method: str, path: str, body: Any
) -> None:
    error = error_of(await api.request(method, path, json=body), 422)
    assert (error["field"], error["remedy"]) == ("shedule", "Did you mean 'schedule'?")


async def test_an_unknown_setting_of_a_real_server_says_which_one(api: httpx.AsyncClient) -> None:
    servers = [{"address": "127.0.0.1", "port": 1}, {"address": "127.0.0.1", "port": 2, "wieght": 5}]
    error = error_of(await api.post("/virtual-services", json={**VALID, "servers": servers}), 422)
    assert (error["position"], error["field"]) == ("servers[1]", "wieght")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"address": "127.0.', "not JSON"),
        (b"", "empty"),
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'{"port": NaN}', "NaN"),
        (b'{"port": 1, "port": 2}', "given twice"),
        (b'{"name": "\xff"}', "UTF-8"),
        (b'{"name": "\\ud800"}', "UTF-8"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"port": ' + b"9" * 5000 + b"}", "cannot be read"),
        (b"address=127.0.0.1&port=80", "not JSON"),
    ],
)
async def test_half_a_json_and_the_like_are_bad_requests(api: httpx.AsyncClient, content: bytes, says: str) -> None:
    error = error_of(await api.post("/virtual-services", content=content), 400)
    assert says in error["message"]
    assert error["remedy"]


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_over_ten_megabytes_is_refused_without_being_kept(
    api: httpx.AsyncClient, appliance: MemoryAppliance, declared: bool
) -> None:
    before = appliance.snapshot()

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * 1024 * 1024

    content = b" " * (MAX_BODY_BYTES + 1) if declared else chunks()
    error = error_of(await api.post("/virtual-services", content=content), 413)
    assert "10 MB" in error["message"]
    assert appliance.snapshot() == before


async def test_a_body_that_says_it_is_huge_is_not_read_at_all(api: httpx.AsyncClient) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    headers = {"Content-Length": str(10**12)}
    error_of(await api.post("/virtual-services", content=nothing(), headers=headers), 413)


async def test_ten_megabytes_of_valid_json_are_read(api: httpx.AsyncClient) -> None:
    text = json.dumps({**VALID, "name": "x"})
    body = text.encode() + b" " * (MAX_BODY_BYTES - len(text))
    assert (await api.post("/virtual-services", content=body)).status_code == 201


@pytest.mark.parametrize("path", ["/virtual-services/x", "/virtual-services/1/real-servers/x", "/history?limit=0"])
async def test_a_malformed_path_or_query_is_named(api: httpx.AsyncClient, path: str) -> None:
    assert error_of(await api.get(path), 422)["field"] in ("index", "rs", "limit")


async def test_places_and_methods_there_are_not(api: httpx.AsyncClient) -> None:
    assert error_of(await api.get("/nothing"), 404)["kind"] == "not_found"
    assert error_of(await api.put("/status"), 405)["kind"] == "method_not_allowed"
    assert error_of(await api.get("/docs"), 404)["kind"] == "not_found"


@pytest.mark.parametrize(
    ("failure", "status", "member"),
    [
        (EngineRefused("HAProxy refused the plan", words="line 7: unknown keyword"), 422, "words"),
        (HostLacks("The disk is full", lacks="room", remedy="Make room"), 503, "remedy"),
        (InternalError("The records contradict each other"), 500, "kind"),
        (RuntimeError("secret internals"), 500, "kind"),
    ],
)
async def test_failures_further_down_say_whose_fault_they_are(
    api: httpx.AsyncClient, appliance: MemoryAppliance, failure: Exception, status: int, member: str
) -> None:
    appliance.broken = failure
    answer = await api.post("/virtual-services", json=VALID)
    assert error_of(answer, status)[member]
    assert "secret internals" not in answer.text
    assert answer.headers["cache-control"] == "no-store"


async def test_the_real_servers_of_a_service_are_not_patched_with_it(api: httpx.AsyncClient, web: int) -> None:
    error = error_of(await api.patch(f"/virtual-services/{web}", json={"servers": []}), 422)
    assert "/real-servers" in error["remedy"]
