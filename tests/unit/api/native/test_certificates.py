"""Certificates: PEM in any order, PKCS#12 with a password, keys never come out."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest
from tests.support import certificates

SHOP = certificates.leaf("shop.test", kind="ec")
OTHER = certificates.leaf("other.test", kind="ec")


#: an RSA key of 1024 bits with its certificate, for a hundred years
WEAK = """\
-----BEGIN PRIVATE KEY-----
MIICdwIBADANBgkqhkiG9w0BAQEFAASCAmEwggJdAgEAAoGBAMqCseddm+r37kET
qfosNNTU6GrSBjr+gkllgVfoSmE07hHmD0rvv+rbVWLLbEzbhbNKmF00jigWIhfs
4vWf1GV336HEI0r1D4NsTldIBcfFBM1kpkDhIijrjiOoRC9trKIMK2dYwKljMvBC
Utz668+T5KC9l0VbwPSlBpQd99jBAgMBAAECgYBJIzyHN9qY2OQWYriv3olSGHa8
JZAUfFink15MVluOkeQtWK5LPR1N/9rtrFQ3ycyWvSkb+GAjACNeCrLJTOkS+1m5
p3z9L8E6Z2WAOjY1X09rgN8c4Ns/t35At40vnSMSr5XA+n7ftvRvK4kuN6Y4x8iu
rEXWLZ3L1QPNvHqD5QJBAPdX2LDz9Ny3e6VtmhZ8+LbiNLNOolRFMh4fhxulxDkM
KIDIfbynBbyWrmsFkbOUVEVPBlssQwIKabrbdyxB+ysCQQDRmSfXSmlvw4b5ozvD
dPohCyDLyoeLmKfnW6Nl2Fi6h8BvZqucVvZ4MrF7fkremK+JXQrIeIChmGpqSTHQ
0RXDAkEA2wicB/fBu0Nw54orjgaVab7f1HmqHt44B5z71GvzXGF77K+fSVTPK7Z0
Nqnz4QdVqRrWEh8cJ8542tRGsJatiQJAM0HMH3dAH6fma0hDBkKmJMyO4aeOzFGx
xf+ADxkAYeVu5w9pqlsN/UkQZE33S0Z1rxcE2w+1DU+zvnhV6WYodwJBALxIoKG+
nzDnaETMr5yyEk2+rLJNfvICJiBj2eRTXh0GzndC4/vY+m6RWC4Gc7xsm7DY9brx
BxuxdymK6l20Feo=
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIICHDCCAYWgAwIBAgIUZ+kTKB/EQEjxMQvBYUARvCS+fbowDQYJKoZIhvcNAQEL
BQAwFDESMBAGA1UEAwwJd2Vhay50ZXN0MCAXDTI2MTEyMTE0NTQ1NloYDzIxMjYx
MDI4MTQ1NDU2WjAUMRIwEAYDVQQDDAl3ZWFrLnRlc3QwgZ8wDQYJKoZIhvcNAQEB
BQADgY0AMIGJAoGBAMqCseddm+r37kETqfosNNTU6GrSBjr+gkllgVfoSmE07hHm
D0rvv+rbVWLLbEzbhbNKmF00jigWIhfs4vWf1GV336HEI0r1D4NsTldIBcfFBM1k
pkDhIijrjiOoRC9trKIMK2dYwKljMvBCUtz668+T5KC9l0VbwPSlBpQd99jBAgMB
AAGjaTBnMB0GA1UdDgQWBBTOGoBMcwKd9rEy+U8WEgEBP06XwjAfBgNVHSMEGDAW
gBTOGoBMcwKd9rEy+U8WEgEBP06XwjAPBgNVHRMBAf8EBTADAQH/MBQGA1UdEQQN
MAuCCXdlYWsudGVzdDANBgkqhkiG9w0BAQsFAAOBgQAbLnHZLM2i+h6vilbFD91W
Hluc9dxX18ranugSkY+feVcdsa5OxuM7hTIfrchXUIkrRlttoXDOGHWbpLIe87m4
0+hdokWvm2TIJjn4ernjJvNHJ0dPSsdY9UJMC5SRWu2E9eHUC24J6LEkH+VQb4NT
5WsuptPxHsNSkxieDOL1gw==
-----END CERTIFICATE-----
"""


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


# --- what is wrong with one ----------------------------------------------------------------------------------------


async def test_what_is_wrong_is_shown_with_its_remedy(api: httpx.AsyncClient) -> None:
    made = await api.post("/certificates", json={"name": "shop", "pem": pem() + OTHER.pem.decode()})
    assert made.json()["object"]["notes"] == ["CN=other.test is no part of the chain and was left out"]
    shown = (await api.get("/certificates/shop", params={"host": "elsewhere.test"})).json()
    assert {one["kind"]: one["severity"] for one in shown["problems"]} == {
        "name-mismatch": "error",
        "self-signed": "warning",
    }
    assert all(one["remedy"] for one in shown["problems"])
    assert (shown["key_bits"], shown["days_left"], shown["chain"]) == (256, 364, ["CN=shop.test"])
    listed = (await api.get("/certificates")).json()
    assert [[one["kind"] for one in c["problems"]] for c in listed if c["name"] == "shop"] == [["self-signed"]]


async def test_a_short_key_is_warned_of_and_taken(api: httpx.AsyncClient) -> None:
    made = await api.post("/certificates", json={"name": "weak", "pem": WEAK})
    assert made.status_code == 201
    kinds = [one["kind"] for one in made.json()["object"]["problems"]]
    assert "weak-key" in kinds


async def test_what_ends_soon_is_in_the_status(api: httpx.AsyncClient) -> None:
    old = certificates.leaf("old.test", days=(-30, 5), kind="ec")
    await api.post("/certificates", json={"name": "old", "pem": pem(old)})
    await api.post("/certificates", json={"name": "shop", "pem": pem()})
    (found,) = (await api.get("/status")).json()["expiring"]
    assert (found["certificate"], found["kind"], found["days_left"], found["threshold"]) == ("old", "certificate", 4, 7)


# --- intermediates -------------------------------------------------------------------------------------------------

ROOT = certificates.authority("Native Root")
MIDDLE = certificates.authority("Native Middle", issuer=ROOT)
CHAINED = certificates.leaf("chained.test", issuer=MIDDLE, kind="ec")


async def test_intermediates_complete_chains_and_are_shown_replaced_and_removed(api: httpx.AsyncClient) -> None:
    await api.post("/certificates", json={"name": "chained", "pem": CHAINED.bundle("key leaf").decode()})
    made = await api.post("/intermediates", json={"name": "ca", "pem": (MIDDLE.pem + ROOT.pem).decode()})
    assert (made.status_code, made.headers["location"]) == (201, "/api/v1/intermediates/ca")
    listed = (await api.get("/intermediates")).json()
    assert [(one["name"], one["root"], one["completes"]) for one in listed] == [
        ("ca", False, ["chained"]),
        ("ca-2", True, []),
    ]
    shown = (await api.get("/certificates/chained")).json()
    assert (shown["chain"], shown["problems"]) == (["CN=chained.test", "CN=Native Middle"], [])
    replaced = await api.put("/intermediates/ca-2", json={"data": encoded(MIDDLE.pem)})
    assert replaced.json()["object"]["subject"] == "CN=Native Middle"
    assert (await api.delete("/intermediates/ca")).json()["differences"][0]["kind"] == "intermediate"
    for name in ("ca", "nothing"):
        assert (await api.get(f"/intermediates/{name}")).status_code == 404
        assert (await api.delete(f"/intermediates/{name}")).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"pem": "junk"}, "pem"),
        ({"data": encoded(MIDDLE.der)}, "data"),
        ({"data": "%%"}, "data"),
        ({"pem": MIDDLE.bundle("key leaf").decode()}, "pem"),
        ({"pem": MIDDLE.pem.decode(), "data": ""}, "pem"),
        ({}, "pem"),
        ({"pem": MIDDLE.pem.decode(), "name": "a b"}, "name"),
        ({"pem": MIDDLE.pem.decode(), "password": "x"}, "password"),
    ],
)
async def test_what_is_wrong_with_an_intermediate_is_named(
    api: httpx.AsyncClient, body: dict[str, Any], field: str
) -> None:
    answer = await api.post("/intermediates", json={"name": "ca", **body})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)


# --- signing requests ----------------------------------------------------------------------------------------------


async def test_the_key_of_a_request_is_shown_once_at_most(api: httpx.AsyncClient) -> None:
    wanted = {"subject": {"common_name": "asked.test", "country": "de"}, "names": ["www.asked.test"]}
    made = await api.post("/signing-requests", json={"name": "asked", "key_type": "ec-p256", **wanted})
    assert made.status_code == 201
    assert "PRIVATE" not in made.text
    dry = await api.post(
        "/signing-requests", params={"dry_run": True}, json={"name": "dry", "show_key": True, **wanted}
    )
    assert "PRIVATE" not in dry.text
    again = {"name": "shown", "key_type": "ec-p384", "show_key": True, **wanted}
    shown = await api.post("/signing-requests", json=again)
    assert shown.json()["object"]["key"].startswith("-----BEGIN PRIVATE KEY")
    for path in ("/signing-requests", "/signing-requests/shown", "/history", "/configuration"):
        assert "PRIVATE" not in (await api.get(path)).text
    found = (await api.get("/signing-requests/asked")).json()
    assert (found["subject"], found["names"]) == ("CN=asked.test,C=DE", ["asked.test", "www.asked.test"])
    assert (await api.delete("/signing-requests/asked")).status_code == 200
    assert (await api.get("/signing-requests/asked")).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "names"),
        ({"names": "a.test"}, "names"),
        ({"names": ["a b"]}, "names"),
        ({"names": ["a.test"], "key_type": "rsa"}, "key_type"),
        ({"names": ["a.test"], "subject": {"planet": "x"}}, "planet"),
        ({"subject": {"common_name": 7}}, "common_name"),
        ({"names": ["a.test"], "show": True}, "show"),
    ],
)
async def test_what_is_wrong_with_a_request_is_named(api: httpx.AsyncClient, body: dict[str, Any], field: str) -> None:
    answer = await api.post("/signing-requests", json={"name": "asked", **body})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)


# --- backup --------------------------------------------------------------------------------------------------------


async def test_backups_open_with_their_password_alone_and_change_nothing_before(api: httpx.AsyncClient) -> None:
    await api.post("/certificates", json={"name": "shop", "pem": pem()})
    answer = await api.post("/certificate-backup", json={"password": "open sesame"})
    file = answer.json()["data"]
    await api.delete("/certificates/shop")
    before = (await api.get("/certificates")).json()
    for body, field in (
        ({"data": file, "password": "sesame street"}, "password"),
        ({"data": encoded(SHOP.bundle()), "password": "open sesame"}, "data"),
        ({"data": "%%", "password": "open sesame"}, "data"),
        ({"data": file, "password": "open sesame", "type": "FULL"}, "type"),
        ({"data": file}, "password"),
    ):
        refused = await api.post("/certificate-restore", json=body)
        assert (refused.status_code, refused.json()["error"]["field"]) == (422, field)
        assert "sesame" not in refused.text
    good = {"data": file, "password": "open sesame", "type": "vs"}
    dry = (await api.post("/certificate-restore", params={"dry_run": True}, json=good)).json()
    assert (dry["applied"], dry["differences"][0]["key"]) == ("no", "shop")
    assert (await api.get("/certificates")).json() == before
    assert (await api.post("/certificate-restore", json=good)).status_code == 200
    assert (await api.get("/certificates/shop")).status_code == 200


async def test_a_declaration_reads_back_with_its_intermediates(api: httpx.AsyncClient) -> None:
    await api.post("/intermediates", json={"name": "ca", "pem": MIDDLE.pem.decode()})
    await api.post("/signing-requests", json={"name": "asked", "names": ["a.test"], "key_type": "ec-p256"})
    document = (await api.get("/configuration")).json()
    assert document["intermediates"] == [{"name": "ca", "pem": MIDDLE.pem.decode()}]
    assert (await api.put("/configuration", json=document)).json()["applied"] == "unchanged"
    document["intermediates"][0]["pem"] = ROOT.pem.decode()
    await api.put("/configuration", json=document)
    assert (await api.get("/intermediates/ca")).json()["root"] is True
    document["intermediates"] *= 2
    twice = await api.put("/configuration", json=document)
    assert (twice.status_code, twice.json()["error"]["position"]) == (409, "intermediates[1]")
    del document["intermediates"]
    await api.put("/configuration", json=document)
    assert (await api.get("/intermediates")).json() == []
    assert (await api.get("/signing-requests/asked")).status_code == 200, "its key could not be declared"


async def test_intermediates_go_into_batches(api: httpx.AsyncClient) -> None:
    commands = [
        {"op": "add-intermediate", "name": "ca", "pem": ROOT.pem.decode()},
        {"op": "replace-intermediate", "name": "ca", "data": encoded(MIDDLE.pem)},
        {"op": "add-intermediate", "name": "root", "pem": ROOT.pem.decode()},
        {"op": "remove-intermediate", "name": "root"},
    ]
    assert (await api.post("/batch", json={"commands": commands})).status_code == 200
    assert [one["subject"] for one in (await api.get("/intermediates")).json()] == ["CN=Native Middle"]
