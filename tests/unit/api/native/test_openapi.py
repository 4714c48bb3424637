"""The OpenAPI document: valid, and the schemas of requests say what the model checks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.openapi.models import OpenAPI
from tests.unit.api.native.conftest import application, client_of
from tests.unit.api.native.memory_appliance import MemoryAppliance

from steelyard.api.native.batch import _READERS
from steelyard.api.native.batch_operations import MEMBERS
from steelyard.model.virtual_service import VirtualService

WRITES = ("post", "put", "patch", "delete")


@pytest.fixture
async def document(appliance: MemoryAppliance) -> dict[str, Any]:
    async with client_of(application(appliance), None) as client:
        found: dict[str, Any] = (await client.get("/openapi.json")).json()
        return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


async def test_the_document_is_valid(document: dict[str, Any]) -> None:
    OpenAPI.model_validate(document)
    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": "/api/v1"}]
    assert set(references(document)) <= {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    for path, method, operation in operations(document):
        inside = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
        assert inside == set(re.findall(r"{(\w+)}", path)), (method, path)
        assert operation["summary"] and "\n" not in operation["summary"], (method, path)
        assert "default" in operation["responses"], (method, path)
        assert "422" not in operation["responses"], (method, path)


async def test_every_write_has_the_options_of_a_write(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        names = {(p["in"], p["name"].lower()) for p in operation.get("parameters", ())}
        options = {("query", "dry_run"), ("query", "reason"), ("header", "if-match")}
        if path != "/rollback":
            options.add(("query", "wait"))
        # asking is by POST too, because a request does not fit into a query; weights from outside are no revision
        reads = path in ("/explain", "/certificate-backup") or path.endswith("/weights") or path.startswith("/events")
        # what an authority is asked to do is no change of its own
        reads |= path in ("/network/confirm", "/network/undo")
        # a file is made; a factory reset leaves no revision it could be made on
        reads |= path in ("/backup", "/reset")
        reads |= path.startswith("/acme/") and path.endswith(("/register", "/fetch", "/order", "/rehearse"))
        writes = method in WRITES and not reads
        assert (options <= names) == writes, (method, path)


async def test_schemas_are_those_of_the_catalogue(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    new = schemas["NewVirtualService"]
    assert new["required"] == ["address", "port"]
    assert new["additionalProperties"] is False
    visible = {name for name, d in VirtualService.declared().items() if not d.setting.secret}
    assert set(new["properties"]) == {*visible, "servers", "sub_services", "further_checks"}
    assert [one.get("maximum", one.get("const")) for one in new["properties"]["port"]["anyOf"]] == [0, 65535]
    assert "rdp-sb" not in new["properties"]["persistence"]["enum"]
    assert "Not built yet" in new["properties"]["persistence"]["description"]
    assert new["properties"]["multi_connect"]["const"] is False
    assert "required" not in schemas["VirtualServiceChanges"]
    assert schemas["Layer7Parameters"]["properties"]["drain_time"]["anyOf"][0]["const"] == 0


async def test_every_pattern_is_a_regular_expression_that_takes_its_default(document: dict[str, Any]) -> None:
    for schema in document["components"]["schemas"].values():
        for name, setting in schema.get("properties", {}).items():
            pattern = setting.get("pattern")
            if pattern is not None and "default" in setting:
                assert re.search(pattern, setting["default"]), name


async def test_how_to_sign_in_is_documented(document: dict[str, Any], appliance: MemoryAppliance) -> None:
    assert set(document["components"]["securitySchemes"]) == {"password", "bearer", "apiKey"}
    async with client_of(application(appliance, trusted_local=True), None) as local:
        assert "security" not in (await local.get("/openapi.json")).json()


async def test_no_page_loads_anything_from_elsewhere(api: httpx.AsyncClient) -> None:
    for path in ("/docs", "/redoc"):
        assert (await api.get(path)).status_code == 404


def test_every_operation_of_a_batch_is_documented() -> None:
    assert set(MEMBERS) == set(_READERS)
