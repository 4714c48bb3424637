"""Certificates: PEM in any order, PKCS#12 with a password, keys never come out."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest
from tests.support import certificates

SHOP = certificates.leaf("shop.test", kind="ec")
OTHER = certificates.leaf("other.test", kind="ec")


def pem(certified: certificates.Certified = SHOP) -> str:
    return certified.bundle("leaf key chain").decode()


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


async def test_pem_is_imported_shown_replaced_and_removed(api: httpx.AsyncClient) -> None:
    made = await api.post("/certificates", json={"name": "shop", "pem": pem()})
    assert (made.status_code, made.headers["location"]) == (201, "/api/v1/certificates/shop")
    shown = (await api.get("/certificates/shop")).json()
    assert shown["sha256"] == SHOP.fingerprint.replace(":", "").lower()
    assert (shown["names"], shown["key_type"], shown["used_by"]) == (["shop.test"], "ECC", [])
    again = await api.post("/certificates", json={"name": "shop", "pem": pem(OTHER)})
    assert again.status_code == 409
    replaced = await api.put("/certificates/shop", json={"pem": pem(OTHER)})
    assert replaced.json()["object"]["names"] == ["other.test"]
    listing = await api.get("/certificates")
    assert "PRIVATE KEY" not in listing.text
    assert [c["name"] for c in listing.json() if not c["temporary"]] == ["shop"]
    assert (await api.delete("/certificates/shop")).status_code == 200
    assert (await api.get("/certificates/shop")).status_code == 404


async def test_pkcs12_is_opened_by_its_password(api: httpx.AsyncClient) -> None:
    body = {"name": "shop", "data": encoded(SHOP.pkcs12(b"open sesame")), "password": "open sesame"}
    made = await api.post("/certificates", json=body)
    assert made.json()["object"]["names"] == ["shop.test"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"data": encoded(SHOP.pkcs12(b"open sesame")), "password": "sesame street"}, "password"),
        ({"data": encoded(SHOP.pkcs12(b"open sesame"))}, "password"),
        ({"data": encoded(b"junk")}, "data"),
        ({"data": "not base64!"}, "data"),
        ({"data": 7}, "data"),
        ({"pem": "junk"}, "pem"),
        ({"pem": SHOP.pem.decode()}, "pem"),
        ({"pem": SHOP.pem.decode() + OTHER.key_pem.decode()}, "pem"),
        ({"pem": pem()[:-30]}, "pem"),
        ({"pem": pem(), "data": ""}, "pem"),
        ({}, "pem"),
        ({"pem": pem(), "passwort": "x"}, "passwort"),
        ({"pem": pem(), "name": "../../etc"}, "name"),
        ({"pem": pem(), "name": "a\nb"}, "name"),
    ],
)
async def test_what_is_wrong_with_an_upload_is_named_and_no_secret_repeated(
    api: httpx.AsyncClient, body: dict[str, Any], field: str
) -> None:
    answer = await api.post("/certificates", json={"name": "shop", **body})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)
    assert answer.json()["error"]["message"]
    assert "sesame" not in answer.text and "BEGIN" not in answer.text


async def test_a_certificate_in_use_stays(api: httpx.AsyncClient) -> None:
    await api.post("/certificates", json={"name": "shop", "pem": pem()})
    service = {"address": "127.0.0.1", "port": 443, "ssl_acceleration": True, "certificates": ["shop"]}
    await api.post("/virtual-services", json=service)
    assert (await api.get("/certificates/shop")).json()["used_by"] == [1]
    refused = await api.delete("/certificates/shop")
    assert (refused.status_code, refused.json()["error"]["with"]) == (409, "tcp/127.0.0.1:443")


async def test_only_what_there_is_can_be_replaced(api: httpx.AsyncClient) -> None:
    assert (await api.put("/certificates/typo", json={"pem": pem()})).status_code == 404
    temporary = next(c["name"] for c in (await api.get("/certificates")).json() if c["temporary"])
    assert (await api.put(f"/certificates/{temporary}", json={"pem": pem()})).status_code == 404
