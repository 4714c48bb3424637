"""Cipher sets: the built-in ones and those of the operator, with what this host lacks."""

from __future__ import annotations

import httpx

from steelyard.model.cipher_set import BUILT_IN

BODY = {"name": "Odd", "ciphers": ["AES128-SHA", "RC4-SHA"]}


async def test_a_set_is_made_shown_changed_and_removed(api: httpx.AsyncClient) -> None:
    made = await api.post("/cipher-sets", json=BODY)
    assert (made.status_code, made.headers["location"]) == (201, "/api/v1/cipher-sets/Odd")
    assert (await api.post("/cipher-sets", json=BODY)).status_code == 409
    service = {"address": "127.0.0.1", "port": 443, "ssl_acceleration": True, "cipher_set": "Odd"}
    await api.post("/virtual-services", json=service)
    shown = (await api.get("/cipher-sets/Odd")).json()
    assert shown == {**BODY, "built_in": False, "missing": [], "used_by": [1]}
    changed = await api.put("/cipher-sets/Odd", json={"ciphers": ["AES256-SHA"]})
    assert changed.json()["object"]["ciphers"] == ["AES256-SHA"]
    assert (await api.delete("/cipher-sets/Odd")).status_code == 409
    await api.patch("/virtual-services/1", json={"cipher_set": "Default"})
    assert (await api.delete("/cipher-sets/Odd")).status_code == 200
    assert (await api.get("/cipher-sets/Odd")).status_code == 404


async def test_built_in_sets_are_listed_and_stay(api: httpx.AsyncClient) -> None:
    await api.post("/cipher-sets", json=BODY)
    listing = (await api.get("/cipher-sets")).json()
    assert [one["name"] for one in listing] == [*BUILT_IN, "Odd"]
    assert [one["built_in"] for one in listing] == [True] * len(BUILT_IN) + [False]
    for answer in (
        await api.put("/cipher-sets/Default", json={"ciphers": ["AES128-SHA"]}),
        await api.delete("/cipher-sets/FIPS"),
        await api.post("/cipher-sets", json={"name": "Bad", "ciphers": ["BOGUS"]}),
    ):
        assert answer.status_code == 422, answer.text


async def test_sets_are_part_of_the_declaration(api: httpx.AsyncClient) -> None:
    await api.post("/cipher-sets", json=BODY)
    document = (await api.get("/configuration")).json()
    assert document["cipher_sets"] == [BODY]
    assert (await api.put("/configuration", json=document)).json()["applied"] == "unchanged"
    document["cipher_sets"] = [BODY, BODY]
    assert (await api.put("/configuration", json=document)).status_code == 409
    document["cipher_sets"] = [{"name": "Odd", "ciphers": ["BOGUS"]}]
    refused = await api.put("/configuration", json=document)
    assert refused.json()["error"]["position"] == "cipher_sets[0]"
    del document["cipher_sets"]
    await api.put("/configuration", json=document)
    assert (await api.get("/cipher-sets/Odd")).status_code == 404


async def test_parameters_of_sessions(api: httpx.AsyncClient) -> None:
    changed = await api.patch("/parameters/tls", json={"session_tickets": False, "ticket_key_hours": 2})
    assert changed.status_code == 200
    assert (await api.get("/parameters/tls")).json()["session_tickets"] is False
    refused = await api.patch("/parameters/tls", json={"ticket_key_hours": 0})
    assert refused.json()["error"]["allowed"] == "1 to 24 hours"


async def test_sets_are_part_of_a_batch(api: httpx.AsyncClient) -> None:
    service = {"address": "127.0.0.1", "port": 443, "ssl_acceleration": True, "cipher_set": "Odd"}
    commands = [{"op": "add-cipher-set", **BODY}, {"op": "add-service", "settings": service}]
    assert (await api.post("/batch", json={"commands": commands})).status_code == 200
    assert (await api.post("/batch", json={"commands": commands[:1]})).status_code == 409
    commands = [
        {"op": "change-cipher-set", "name": "Odd", "ciphers": ["AES256-SHA"]},
        {"op": "change-service", "index": 1, "changes": {"cipher_set": "Default"}},
        {"op": "remove-cipher-set", "name": "Odd"},
    ]
    assert (await api.post("/batch", json={"commands": commands})).status_code == 200
    assert (await api.get("/cipher-sets/Odd")).status_code == 404
