"""Revocation lists, and how OCSP stapling stands."""

from __future__ import annotations

import base64
import datetime

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from tests.support.certificates import authority, leaf, revocation_list
from tests.unit.api.native.memory_appliance import MemoryAppliance

from steelyard.appliance.stapling import Stapling
from steelyard.observe.refused_clients import RefusedClient

STAFF = authority("Api Staff")
ANN = leaf("ann.example", issuer=STAFF, kind="ec")
LIST = revocation_list(STAFF, ANN)
BODY = {"name": "staff", "pem": LIST.decode()}


async def _authority_is_here(api: httpx.AsyncClient) -> None:
    made = await api.post("/intermediates", json={"name": "staff-ca", "pem": STAFF.pem.decode()})
    assert made.status_code == 201, made.text


async def test_a_list_is_imported_shown_replaced_and_removed(api: httpx.AsyncClient) -> None:
    early = await api.post("/revocation-lists", json=BODY)
    assert early.status_code == 422
    error = early.json()["error"]
    assert "CN=Api Staff" in error["message"] and "intermediate" in error["remedy"]
    await _authority_is_here(api)
    made = await api.post("/revocation-lists", json=BODY)
    assert (made.status_code, made.headers["location"]) == (201, "/api/v1/revocation-lists/staff")
    assert (await api.post("/revocation-lists", json=BODY)).status_code == 409
    (shown,) = (await api.get("/revocation-lists")).json()
    assert (shown["issuer"], shown["authorities"], shown["revoked"]) == ("CN=Api Staff", ["staff-ca"], 1)
    newer = x509.load_pem_x509_crl(revocation_list(STAFF, days=(-0.5, 9))).public_bytes(Encoding.DER)
    put = await api.put("/revocation-lists/staff", json={"data": base64.b64encode(newer).decode()})
    assert put.json()["object"]["revoked"] == 0
    older = await api.put("/revocation-lists/staff", json={"pem": BODY["pem"]})
    assert older.status_code == 409, "going back would let revoked certificates in again"
    assert (await api.delete("/revocation-lists/staff")).status_code == 200
    assert (await api.get("/revocation-lists/staff")).status_code == 404
    assert (await api.delete("/revocation-lists/staff")).status_code == 404


async def test_bad_lists_are_refused_with_a_remedy(api: httpx.AsyncClient) -> None:
    await _authority_is_here(api)
    forged = bytearray(x509.load_pem_x509_crl(LIST).public_bytes(Encoding.DER))
    forged[-1] ^= 1
    for content, words in (
        ({"pem": ""}, "empty"),
        ({"pem": STAFF.pem.decode()}, "holds no revocation list"),
        ({"pem": BODY["pem"] * 2}, "holds 2 revocation lists"),
        ({"data": base64.b64encode(b"junk").decode()}, "no revocation list that can be read"),
        ({"data": "!"}, "not base64"),
        ({}, "one of pem, data"),
        ({"pem": revocation_list(STAFF, days=(-3, -1)).decode()}, "every client of its authority would be refused"),
        ({"data": base64.b64encode(bytes(forged)).decode()}, "no certificate here signed it"),
    ):
        refused = await api.post("/revocation-lists", json={"name": "bad", **content})
        assert refused.status_code == 422, refused.text
        error = refused.json()["error"]
        assert words in error["message"] + error.get("allowed", ""), error
        assert error["remedy"]


async def test_rolling_back_keeps_the_lists(api: httpx.AsyncClient) -> None:
    await _authority_is_here(api)
    before = (await api.get("/revocation-lists")).headers["etag"].strip('"')
    await api.post("/revocation-lists", json=BODY)
    rolled = await api.post("/rollback", json={"revision": int(before)})
    assert rolled.status_code == 200, rolled.text
    assert len((await api.get("/revocation-lists")).json()) == 1


async def test_services_say_whom_they_accept_and_are_relied_on(api: httpx.AsyncClient) -> None:
    service = {"address": "127.0.0.1", "port": 443, "service_type": "http", "ssl_acceleration": True}
    refused = await api.post("/virtual-services", json={**service, "client_certificates": 1})
    assert "no authority's certificate is here" in refused.json()["error"]["message"]
    await _authority_is_here(api)
    for wrong, words in (
        ({"client_certificates": 1, "intermediate_certificates": ["nobody"]}, "no intermediate certificate here"),
        ({"client_certificates": 1, "ssl_acceleration": False}, "needs SSLAcceleration"),
        ({"client_certificates": 3, "service_type": "gen"}, "the service type must be http"),
        ({"client_certificates": 7}, "is not one of the choices"),
        ({"server_authorities": ["nobody"]}, "server_authorities names 'nobody'"),
        ({"server_verification": "maybe"}, "is not one of the choices"),
        (
            {"ocsp_verify": True, "client_certificates": 1, "service_type": "tls", "starttls_mode": 2},
            "cannot be asked about by OCSP",
        ),
    ):
        refused = await api.post("/virtual-services", json={**service, **wrong})
        assert refused.status_code == 422
        assert words in refused.json()["error"]["message"], refused.text
    made = await api.post("/virtual-services", json={**service, "client_certificates": 1})
    assert made.status_code == 201, made.text
    assert (await api.delete("/intermediates/staff-ca")).status_code == 409, "it is the last one"
    document = (await api.get("/configuration")).json()
    assert (await api.put("/configuration", json=document)).json()["applied"] == "unchanged"
    changed = await api.patch("/virtual-services/1", json={"client_certificates": 0})
    assert changed.status_code == 200
    await api.patch("/virtual-services/1", json={"server_authorities": ["staff-ca"]})
    assert (await api.delete("/intermediates/staff-ca")).status_code == 409
    await api.patch("/virtual-services/1", json={"server_authorities": []})
    assert (await api.delete("/intermediates/staff-ca")).status_code == 200


async def test_stapling_is_shown(api: httpx.AsyncClient, appliance: MemoryAppliance) -> None:
    assert (await api.get("/stapling")).json() == []
    until = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    appliance.staplings = (Stapling("shop", "http://ocsp.example/", answer_until=until, failures=2, trouble="refused"),)
    (shown,) = (await api.get("/stapling")).json()
    assert (shown["certificate"], shown["answer_until"], shown["trouble"]) == (
        "shop",
        "2030-01-01T00:00:00.000Z",
        "refused",
    )
    assert (await api.patch("/parameters/tls", json={"stapling": True, "stapling_interval": 7200})).status_code == 200
    refused = await api.patch("/parameters/tls", json={"stapling_interval": 60})
    assert refused.json()["error"]["allowed"] == "3600 to 86400 seconds"


async def test_refused_clients_are_shown(api: httpx.AsyncClient, appliance: MemoryAppliance) -> None:
    assert (await api.get("/virtual-services/1/refused-clients")).status_code == 404
    await api.post("/virtual-services", json={"address": "127.0.0.1", "port": 443})
    assert (await api.get("/virtual-services/1/refused-clients")).json() == []
    appliance.refused = (RefusedClient(0.0, "192.0.2.1", "CN=bob", "it is revoked"),)
    (shown,) = (await api.get("/virtual-services/1/refused-clients")).json()
    assert shown == {
        "at": "1970-01-01T00:00:00.000Z",
        "client": "192.0.2.1",
        "subject": "CN=bob",
        "reason": "it is revoked",
    }


async def test_lists_are_declared_and_a_newer_one_that_is_here_stays(api: httpx.AsyncClient) -> None:
    await _authority_is_here(api)
    await api.post("/revocation-lists", json={"name": "staff", "pem": LIST.decode()})
    document = (await api.get("/configuration")).json()
    assert [one["name"] for one in document["revocation_lists"]] == ["staff"]
    assert (await api.put("/configuration", json=document)).json()["applied"] == "unchanged"
    without = {name: value for name, value in document.items() if name != "revocation_lists"}
    assert (await api.put("/configuration", json=without)).json()["applied"] == "unchanged", "not spoken of"
    newer = revocation_list(STAFF, ANN, days=(-0.5, 9))
    await api.put("/revocation-lists/staff", json={"pem": newer.decode()})
    assert (await api.put("/configuration", json=document)).json()["applied"] == "unchanged"
    assert (await api.get("/revocation-lists/staff")).json()["pem"] == newer.decode()
    refused = await api.put("/configuration", json={**document, "revocation_lists": [{"name": "x", "pem": "no"}]})
    assert refused.json()["error"]["position"] == "revocation_lists[0]"
    assert (await api.put("/configuration", json={**document, "revocation_lists": []})).json()["applied"] != "unchanged"
    assert (await api.get("/revocation-lists")).json() == []
