"""ACME over the native API."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.support.certificates import authority
from tests.support.fake_acme import HMAC
from tests.support.fake_appliance import PASSWORD
from tests.unit.api.native.memory_appliance import READER, MemoryAppliance

from steelyard.model.acme_problem import AuthorityRefused

_STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"


@pytest.fixture
async def order(api: httpx.AsyncClient, web: int) -> dict[str, Any]:
    """What orders a certificate from Let's Encrypt, where an account is registered."""
    done = await api.post("/acme/accounts/letsencrypt/register", json={"agree_terms": True})
    assert done.status_code == 200, done.text
    return {"name": "shop", "domains": ["shop.example.com"], "challenge_services": [web]}


async def test_accounts(api: httpx.AsyncClient, appliance: MemoryAppliance) -> None:
    found = (await api.get("/acme/accounts")).json()
    assert [(one["name"], one["registered"]) for one in found] == [("letsencrypt", False)]
    refused = await api.post("/acme/accounts/letsencrypt/register", json={})
    assert refused.status_code == 422
    assert refused.json()["error"]["field"] == "agree_terms" and "ca.example/terms" in refused.text
    pem = authority().pem.decode()
    changes = {"directory_url": "https://ca.example/dir", "authority_pem": pem, "kid": "me", "hmac": HMAC}
    made = (await api.patch("/acme/accounts/own", json=changes)).json()
    assert made["object"]["has_hmac"] and HMAC not in str(made) and made["object"]["authority_pem"] == pem
    body = {"email": "admin@example.com", "agree_terms": True}
    account = (await api.post("/acme/accounts/own/register", json=body)).json()
    assert account["registered"] and account["uri"] == "https://ca.example/dir/account/1"
    assert account["email"] == "admin@example.com" and "hmac" not in account and "key_place" not in account
    assert appliance.authorities.bindings == [("me", HMAC)]
    key = next(iter(appliance.authorities.accounts)).decode()
    await api.patch("/acme/accounts/other", json={"directory_url": "https://ca.example/dir"})
    taken = (await api.post("/acme/accounts/other/fetch", json={"key": key})).json()
    assert (taken["uri"], taken["email"]) == (account["uri"], "admin@example.com")
    assert "PRIVATE" not in str([taken, account]) and "PRIVATE" not in repr(appliance.configuration)
    assert (await api.delete("/acme/accounts/other")).status_code == 200
    assert (await api.get("/acme/accounts/other")).status_code == 404


async def test_bad_accounts(api: httpx.AsyncClient, appliance: MemoryAppliance) -> None:
    for changes, field in (
        ({"directory_url": "http://ca.example/"}, "directory_url"),
        ({"email": "nobody"}, "email"),
        ({"authority_pem": "no pem"}, "authority_pem"),
        ({"uri": "https://x"}, "uri"),
        ({"dierctory_url": "https://x"}, "dierctory_url"),
        ({"hmac": 7}, "hmac"),
    ):
        refused = await api.patch("/acme/accounts/own", json=changes)
        assert refused.status_code == 422 and refused.json()["error"]["field"] == field, refused.text
    refused = await api.post("/acme/accounts/own/register", json={"agree_terms": True})
    assert refused.json()["error"]["field"] == "directory_url"
    await api.patch("/acme/accounts/own", json={"directory_url": "https://ca.example/dir", "kid": "me"})
    refused = await api.post("/acme/accounts/own/register", json={"agree_terms": True})
    assert refused.json()["error"]["field"] == "hmac"
    refused = await api.post("/acme/accounts/own/fetch", json={"key": "-----BEGIN NOTHING-----"})
    assert refused.json()["error"]["field"] == "data"
    assert not appliance.authorities.accounts


async def test_a_certificate_is_ordered_and_removed(
    api: httpx.AsyncClient, appliance: MemoryAppliance, order: dict[str, Any], web: int
) -> None:
    made = await api.post("/acme/certificates", json=order)
    assert made.status_code == 201 and made.headers["location"].endswith("/acme/certificates/shop")
    before = (await api.get("/acme/certificates/shop")).json()
    assert before["not_after"] is None and before["next"] is not None and before["failures"] == 0
    issued = (await api.post("/acme/certificates/shop/order")).json()
    assert issued["not_after"] and issued["ordered"] and not issued["trouble"] and not issued["under_way"]
    certificate = (await api.get("/certificates/shop")).json()
    assert certificate["names"] == ["shop.example.com"]
    await api.patch(f"/virtual-services/{web}", json={"ssl_acceleration": True, "certificates": ["shop"]})
    assert (await api.get("/acme/certificates")).json()[0]["used_by"] == [web]
    assert (await api.delete("/acme/certificates/shop")).status_code == 409
    assert (await api.delete("/certificates/shop")).status_code == 409
    assert (await api.delete("/acme/certificates/shop?keep=true")).status_code == 200
    assert (await api.get("/certificates/shop")).status_code == 200
    assert (await api.get("/acme/certificates/shop")).status_code == 404


async def test_a_failed_order_says_why_and_when_it_is_made_again(
    api: httpx.AsyncClient, appliance: MemoryAppliance, order: dict[str, Any]
) -> None:
    await api.post("/acme/certificates", json=order)
    refusal = AuthorityRefused("The authority refuses: too many", words='{"type": "x"}', remedy="Wait")
    appliance.authorities.objects["order"] = refusal
    refused = await api.post("/acme/certificates/shop/order")
    assert refused.status_code == 422
    assert refused.json()["error"] == {
        "kind": "engine_refused",
        "message": "The authority refuses: too many",
        "words": '{"type": "x"}',
        "remedy": "Wait",
    }
    state = (await api.get("/acme/certificates/shop")).json()
    told = {name: state[name] for name in ("failures", "trouble", "remedy", "words")}
    assert told == {
        "failures": 1,
        "trouble": "The authority refuses: too many",
        "remedy": "Wait",
        "words": '{"type": "x"}',
    }
    assert state["next"] > state["ordered"]
    del appliance.authorities.objects["order"]
    assert (await api.post("/acme/certificates/shop/order")).json()["trouble"] == ""


async def test_a_dry_run_orders_at_the_staging_directory(
    api: httpx.AsyncClient, appliance: MemoryAppliance, order: dict[str, Any]
) -> None:
    await api.post("/acme/certificates", json=order)
    done = await api.post("/acme/certificates/shop/rehearse")
    assert done.json() == {"name": "shop", "directory_url": _STAGING, "issued": True}
    assert appliance.authorities.orders == [(_STAGING, ("shop.example.com",))]
    assert (await api.get("/certificates/shop")).status_code == 404
    assert (await api.post("/acme/certificates/nix/rehearse")).status_code == 404


async def test_dns_providers(api: httpx.AsyncClient, appliance: MemoryAppliance) -> None:
    given = {"name": "ns", "kind": "rfc2136", "server": "192.0.2.53", "key_name": "me", "key": "c2VjcmV0LWtleQ=="}
    made = await api.post("/acme/dns-providers", json=given)
    assert made.status_code == 201 and made.json()["object"]["has_key"] and given["key"] not in made.text
    assert given["key"] not in repr(appliance.configuration)
    changed = (await api.patch("/acme/dns-providers/ns", json={"check_servers": ["192.0.2.1:5353"]})).json()
    assert changed["object"]["check_servers"] == ["192.0.2.1:5353"] and changed["object"]["has_key"]
    for changes, field in (
        ({"key": ""}, "key"),
        ({"server": "ns.example"}, "server"),
        ({"server": ""}, "server"),
        ({"check_servers": ["ns.example"]}, "check_servers"),
        ({"port": 0}, "port"),
        ({"kind": "magic"}, "kind"),
        ({"name": "x"}, "name"),
    ):
        refused = await api.patch("/acme/dns-providers/ns", json=changes)
        assert refused.status_code == 422 and refused.json()["error"]["field"] == field, refused.text
    for wrong in ("../../bin/sh", "/bin/sh", "a b", ""):
        refused = await api.post("/acme/dns-providers", json={"name": "h", "program": wrong})
        assert refused.status_code == 422 and refused.json()["error"]["field"] == "program"
    assert (await api.delete("/acme/dns-providers/ns")).status_code == 200


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"domains": []}, "domains"),
        ({"domains": ["*.example.com"]}, "challenge_services"),
        ({"domains": ["a.example.com", "b.example.com", "c.example.com"], "challenge_services": [1, 1]}, None),
        ({"challenge_services": []}, "dns_provider"),
        ({"challenge_services": [], "dns_provider": "none-such"}, "dns_provider"),
        ({"challenge_services": [99]}, "challenge_services"),
        ({"challenge_services": ["x"]}, "challenge_services"),
        ({"account": "digicert"}, "account"),
        ({"key_type": "rsa-1024"}, "key_type"),
        ({"name": "a/b"}, "name"),
        ({"domain": ["a.example.com"]}, "domain"),
    ],
)
async def test_bad_orders(
    api: httpx.AsyncClient, order: dict[str, Any], changes: dict[str, Any], field: str | None
) -> None:
    refused = await api.post("/acme/certificates", json=order | changes)
    error = refused.json()["error"]
    assert refused.status_code == 422 and error["field"] == (field or "challenge_services"), error


async def test_only_who_may_make_certificates_may_order_them(api: httpx.AsyncClient, order: dict[str, Any]) -> None:
    await api.post("/acme/certificates", json=order)
    reader = (READER, PASSWORD)
    assert (await api.get("/acme/certificates", auth=reader)).status_code == 200
    for path in (
        "/acme/certificates/shop/order",
        "/acme/certificates/shop/rehearse",
        "/acme/accounts/letsencrypt/register",
    ):
        assert (await api.post(path, auth=reader)).status_code == 403
    assert (await api.delete("/acme/certificates/shop", auth=reader)).status_code == 403


# --- in a declaration -------------------------------------------------------------------------------------------------


async def test_what_is_read_of_acme_can_be_declared_and_nothing_is_lost(
    api: httpx.AsyncClient, appliance: MemoryAppliance, order: dict[str, Any]
) -> None:
    changes = {"directory_url": "https://ca.example/dir", "kid": "me", "hmac": HMAC, "email": "a@example.com"}
    await api.patch("/acme/accounts/own", json=changes)
    await api.post("/acme/accounts/own/register", json={"agree_terms": True})
    provider = {"name": "zone", "kind": "rfc2136", "server": "192.0.2.53", "key_name": "k.example", "key": "c2VjcmV0"}
    assert (await api.post("/acme/dns-providers", json=provider)).status_code == 201
    wild = {"name": "wild", "account": "own", "domains": ["*.example.com", "example.com"], "dns_provider": "zone"}
    wild["challenge_services"] = [0, order["challenge_services"][0]]
    for one in (order, wild):
        assert (await api.post("/acme/certificates", json=one)).status_code == 201
    read = await api.get("/configuration")
    document = read.json()
    acme = document["acme"]
    assert HMAC not in read.text and "c2VjcmV0" not in read.text and "PRIVATE" not in read.text
    assert [one["name"] for one in acme["accounts"]] == ["letsencrypt", "own"]
    assert acme["certificates"][1]["challenge_services"][0] is None
    assert acme["certificates"][1]["challenge_services"][1]["port"] == read.json()["services"][0]["port"]
    again = await api.put("/configuration", json=document)
    assert again.json()["applied"] == "unchanged", again.text

    # what is said differently is changed, what is not said is removed, and what is secret is kept
    acme["certificates"] = [{**acme["certificates"][1], "key_type": "ec-p256"}]
    acme["accounts"][1] = {"name": "own", "directory_url": "https://ca.example/dir", "kid": "me"}
    before = appliance.configuration.acme_accounts["own"]
    done = await api.put("/configuration", json=document)
    assert done.status_code == 200, done.text
    now = appliance.configuration
    assert set(now.acme_certificates) == {"wild"} and now.acme_certificates["wild"].key_type == "ec-p256"
    account = now.acme_accounts["own"]
    assert (account.email, account.hmac_place, account.uri) == ("", before.hmac_place, before.uri)
    assert now.dns_providers["zone"].key_place

    # a document that says nothing of it leaves it alone
    await api.put("/configuration", json={k: v for k, v in document.items() if k != "acme"})
    assert set(appliance.configuration.acme_certificates) == {"wild"}
    await api.put("/configuration", json={**document, "acme": {}})
    assert not appliance.configuration.acme_certificates and not appliance.configuration.acme_accounts


async def test_bad_declarations_of_acme_say_where(
    api: httpx.AsyncClient, appliance: MemoryAppliance, order: dict[str, Any]
) -> None:
    document = (await api.get("/configuration")).json()
    somewhere = {"address": "192.0.2.99", "port": 80}
    wrong: list[tuple[dict[str, Any], str, str]] = [
        ({"accounts": [{"email": "a@example.com"}]}, "acme.accounts[0]", "name"),
        ({"accounts": [{"name": "a"}, {"name": "a"}]}, "acme.accounts[1]", "name"),
        ({"accounts": [{"name": "a", "hmac": "x"}]}, "acme.accounts[0]", "hmac"),
        ({"dns_providers": [{"name": "z", "kind": "hook"}]}, "acme.dns_providers[0]", "program"),
        (
            {"dns_providers": [{"name": "z", "kind": "rfc2136", "server": "192.0.2.1", "key_name": "k.example"}]},
            "acme.dns_providers[0]",
            "key_name",
        ),
        ({"certificates": [order | {"challenge_services": [somewhere]}]}, "acme.certificates[0]", "challenge_services"),
        ({"certificates": [order | {"challenge_services": [1]}]}, "acme.certificates[0]", "challenge_services"),
        ({"certificates": [{"name": "x", "domains": ["x.example"]}]}, "acme.certificates[0]", "dns_provider"),
        ({"accounst": []}, "acme", "accounst"),
    ]
    for acme, position, field in wrong:
        refused = await api.put("/configuration", json={**document, "acme": acme})
        error = refused.json()["error"]
        assert refused.status_code in (409, 422), refused.text
        assert error["position"].startswith(position) and error["field"] == field, refused.text
    assert appliance.configuration.acme_accounts
