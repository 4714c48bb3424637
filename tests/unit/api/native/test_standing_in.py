"""Error pages and redirectors through the native API."""

from __future__ import annotations

import base64

import httpx


async def _service(api: httpx.AsyncClient, **settings: object) -> None:
    made = await api.post(
        "/virtual-services", json={"address": "127.0.0.1", "port": 443, "service_type": "http"} | settings
    )
    assert made.status_code == 201, made.text


async def test_a_page_is_set_shown_and_removed(api: httpx.AsyncClient) -> None:
    await _service(api)
    assert (await api.get("/virtual-services/1/error-page")).status_code == 404
    put = await api.put("/virtual-services/1/error-page", json={"text": "<!doctype html>Größe"})
    assert put.json()["object"]["media_type"] == "text/html; charset=utf-8"
    shown = await api.get("/virtual-services/1/error-page")
    assert shown.headers["content-type"] == "application/json", "a page must not run in this API's origin"
    assert base64.b64decode(shown.json()["data"]).decode() == "<!doctype html>Größe"
    binary = base64.b64encode(bytes(range(256))).decode()
    await api.put("/virtual-services/1/error-page", json={"data": binary})
    assert (await api.get("/virtual-services/1")).json()["error_page"] == binary
    removed = await api.delete("/virtual-services/1/error-page")
    assert removed.json()["object"] is None
    assert (await api.get("/virtual-services/1/error-page")).status_code == 404


async def test_pages_that_are_refused(api: httpx.AsyncClient) -> None:
    await _service(api)
    for body in (
        {},
        {"text": "a", "data": "YQ=="},
        {"data": "<p>"},
        {"text": ""},
        {"page": "a"},
        {"text": "x" * 15_001},
    ):
        refused = await api.put("/virtual-services/1/error-page", json=body)
        assert refused.status_code == 422, body
        assert refused.json()["error"]["message"]
    assert (await api.put("/virtual-services/9/error-page", json={"text": "a"})).status_code == 404


async def test_a_redirector_is_made(api: httpx.AsyncClient) -> None:
    await _service(api, ssl_acceleration=True)
    made = await api.post("/virtual-services/1/redirector")
    assert (made.status_code, made.headers["location"]) == (201, "/api/v1/virtual-services/2")
    assert made.json()["object"]["error_url"] == "https://%h%s"
    shown = (await api.get("/virtual-services/2")).json()
    assert (shown["port"], shown["status"]) == (80, "Redirect")
    again = await api.post("/virtual-services/1/redirector", json={"port": 80})
    assert again.status_code == 409
    assert (await api.post("/virtual-services/1/redirector", json={"port": 0})).status_code == 422
    assert (await api.post("/virtual-services/9/redirector")).status_code == 404
