"""ACME over LoadMaster's API, both versions and both generations of names."""

from __future__ import annotations

import json

import pytest
from tests.support.fake_acme import HMAC
from tests.unit.api.loadmaster.calling import Api

from steelyard.model.acme_problem import AuthorityRefused

_DONE = "Command completed ok"
_LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"


@pytest.fixture
def ready() -> Api:
    """With a registered account, and services 1 (HTTP) and 2 (generic)."""
    api = Api()
    api.v1("registeracmeaccount", acmetype="1", email="admin@example.com")
    api.v1("addvs", vs="10.0.0.1", port=80, prot="tcp", VStype="http")
    api.v1("addvs", vs="10.0.0.1", port=9000, prot="tcp", VStype="gen")
    return api


@pytest.mark.parametrize("register", ["registeracmeaccount", "registerleaccount"])
def test_an_account_is_registered_and_shown(api: Api, register: str) -> None:
    assert api.v2_error("acmeaccountinfo")[0] == 422
    assert api.v1(register, email="admin@example.com") == _DONE
    found = {
        "AccountType": "1",
        "AccountID": f"{_LETS_ENCRYPT}/account/1",
        "AccountDirectory": _LETS_ENCRYPT,
        "AccountEmail": "admin@example.com",
    }
    assert api.v1("leaccountinfo") == found
    assert api.v2("acmeaccountinfo", acmetype="1") == {"Data": found}
    # again is the same account
    assert api.v1(register) == _DONE
    assert api.v1("leaccountinfo")["AccountID"] == found["AccountID"]


def test_an_account_is_taken_over_by_its_key(api: Api) -> None:
    api.v1("registeracmeaccount")
    key = next(iter(api.appliance.authorities.accounts))
    api.v1("delacmeconfig")
    assert api.v1_error("acmeaccountinfo")[0] == 422
    api.upload(1, "fetchleaccount", key, password="not needed")
    assert api.v1("acmeaccountinfo")["AccountID"].endswith("/account/1")
    api.upload(2, "fetchacmeaccount", key)
    code, said = api.v1_error("fetchacmeaccount", body=b"nonsense")
    assert (code, "no account key" in said) == (422, True)


def test_digicert_has_directory_and_binding_of_its_own(api: Api) -> None:
    code, said = api.v2_error("registeracmeaccount", acmetype="2")
    assert (code, "has no directory" in said) == (422, True)
    api.v2("setacmedirectoryurl", acmetype="2", directoryurl="https://acme.digicert.example/v2/directory")
    assert api.v1("setacmekid", acmetype="2", kid="my-kid") == _DONE
    code, said = api.v2_error("registeracmeaccount", acmetype="2")
    assert (code, "hmac" in said) == (422, True)
    assert api.v1("setacmehmac", acmetype="2", hmac=HMAC) == _DONE
    assert api.v1("getacmekid", acmetype="2") == {"acmekid": "my-kid"}
    assert api.v2("getacmehmac", acmetype="2") == {"acmehmac": "*****"}
    api.v2("registeracmeaccount", acmetype="2")
    assert api.appliance.authorities.bindings[-1] == ("my-kid", HMAC)
    assert HMAC not in repr(api.appliance.configuration)
    url = "https://acme.digicert.example/v2/directory"
    assert api.v2("getacmedirectoryurl", acmetype="2") == {"acmedirectoryurl": url, "directoryurl": url}
    assert api.v1("getacmedirectoryurl")["acmedirectoryurl"] == _LETS_ENCRYPT
    # what was read changes nothing when it is written back
    api.v2("setacmehmac", acmetype="2", hmac="*****")
    assert api.v2("acmeaccountinfo", acmetype="2")["Data"]["AccountType"] == "2"
    assert api.v2_error("acmeaccountinfo", acmetype="3")[0] == 422


def test_another_directory_needs_another_registration(api: Api) -> None:
    api.v1("registeracmeaccount")
    api.v1("setacmedirectoryurl", directoryurl="https://acme-staging-v02.api.letsencrypt.org/directory")
    assert api.v1_error("acmeaccountinfo")[0] == 422
    assert api.v1_error("setacmedirectoryurl", directoryurl="http://plain.example/")[0] == 422
    assert api.v1_error("setacmedirectoryurl") == (400, "directoryurl: String Value missing")


def test_the_renew_period(api: Api) -> None:
    assert api.v1("getacmerenewperiod") == {"acmerenewperiod": "30", "renewperiod": "30"}
    assert api.v2("setacmerenewperiod", acmetype="1", renewperiod=45)["message"] == _DONE
    assert api.v2("getacmerenewperiod") == {"acmerenewperiod": 45, "renewperiod": 45}
    assert api.v1("get", param="renewperiod") == {"renewperiod": "45"}
    for wrong in (0, 61, "x"):
        code, said = api.v1_error("setacmerenewperiod", renewperiod=wrong)
        assert (code, "1 to 60" in said or "number" in said) == (422, True)


@pytest.mark.parametrize("generation", ["acme", "le"])
def test_a_certificate_is_ordered_shown_renewed_and_removed(ready: Api, generation: str) -> None:
    given = {"cert": "shop", "cn": "shop.example.com", "vid": "1", "san1": "www.example.com", "vid1": "1"}
    assert ready.v1(f"add{generation}cert", given, key_size=2048, country="DE") == _DONE
    record = ready.v1(f"get{generation}cert", cert="shop")
    expiry = record.pop("ExpiryDate")
    assert expiry.endswith(" GMT")
    assert record == {
        "Identifier": "shop",
        "DomainName": "shop.example.com",
        "SubjectAlternateNames": "www.example.com",
        "Type": "RSA",
        "KeySize": "2048",
        "HTTPChallengeVS": "1",
        "VirtualServices": "",
    }
    assert ready.v2(f"get{generation}cert", cert="shop", acmetype="1") == {"Data": {**record, "ExpiryDate": expiry}}
    assert [one["Identifier"] for one in ready.v2(f"list{generation}cert")["Data"]["Certificate"]] == ["shop"]
    assert ready.v1(f"list{generation}cert")["Certificate"]["Identifier"] == "shop"
    # it is a certificate as any other is
    before = ready.v1("readcert", cert="shop")
    assert ready.v1(f"renew{generation}cert", cert="shop") == _DONE
    assert ready.v1("readcert", cert="shop") != before
    # what the authority looked at
    shown = ready.appliance.authorities.shown[0]
    assert all(path.startswith("/.well-known/acme-challenge/") for path in shown) and len(shown) == 2
    assert not ready.appliance.challenges
    ready.v1("modvs", vs=1, SSLAcceleration=1, CertFile="shop")
    assert ready.v1_error(f"del{generation}cert", cert="shop") == (422, "Certfile still associated with a VS")
    assert ready.v2("getacmecert", cert="shop")["Data"]["VirtualServices"] == "1"
    assert ready.v1_error("delcert", cert="shop")[0] == 422
    assert ready.v1_error("delacmeconfig")[0] == 422
    ready.v1("modvs", vs=1, SSLAcceleration=0, CertFile="")
    assert "ordered by ACME" in ready.v1_error("delcert", cert="shop")[1]
    assert ready.v1(f"del{generation}cert", cert="shop") == _DONE
    assert ready.v1("listcert") == {}
    assert ready.v1_error(f"get{generation}cert", cert="shop") == (422, "Unknown ACME cert")
    assert ready.v1("delacmeconfig") == _DONE


def test_keys_and_many_names(ready: Api) -> None:
    sans = {f"san{number}": f"w{number}.example.com" for number in range(1, 11)}
    ready.v2("addacmecert", cert="many", cn="example.com", vid=1, keysize=4096, **sans)
    assert ready.v2("getacmecert", cert="many")["Data"]["SubjectAlternateNames"] == " ".join(sans.values())
    assert ready.v2("getacmecert", cert="many")["Data"]["KeySize"] == "4096"
    ready.v1("addlecert", cert="curve", cn="c.example.com", vid=1, ec="yes", key_size=2048)
    record = ready.v1("getacmecert", cert="curve")
    assert (record["Type"], record["KeySize"]) == ("EC", "256")
    assert ready.v1_error("addacmecert", cert="odd", cn="c.example.com", vid=1, key_size=1024)[0] == 422


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ({"cn": "a.example.com", "vid": 1}, 400, "cert: String Value missing"),
        ({"cert": "x", "vid": 1}, 400, "cn: String Value missing"),
        ({"cert": "x", "cn": "a.example.com"}, 400, "vid: String Value missing"),
        ({"cert": "x", "cn": "a.example.com", "vid": 7}, 422, "there is no virtual service 7"),
        ({"cert": "x", "cn": "a.example.com", "vid": 2}, 422, "does not read requests"),
        ({"cert": "x", "cn": "*.example.com", "vid": 1}, 422, "wildcard"),
        ({"cert": "x", "cn": "10.0.0.1", "vid": 1}, 422, "10.0.0.1"),
        ({"cert": "x", "cn": "nodots", "vid": 1}, 422, "nodots"),
        ({"cert": "x", "cn": "a.example.com", "vid": "one"}, 422, "no index"),
        ({"cert": "x", "cn": "a.example.com", "vid": 1, "san1": "A.example.com"}, 422, "twice"),
        ({"cert": "x", "cn": "a.example.com", "vid": 1, "vid1": 1}, 400, "san1"),
        ({"cert": "x", "cn": "a.example.com", "vid": 1, "dnsapi": "godaddy.com"}, 422, "no DNS provider"),
        ({"cert": "x", "cn": "a.example.com", "dnsapi": "p", "dnsapiparams": "K=V"}, 422, "steelyard acme dns add"),
        ({"cert": "../x", "cn": "a.example.com", "vid": 1}, 422, "letters"),
        ({"cert": "x", "cn": "a.example.com", "vid": 1, "acmetype": "2"}, 422, "not registered"),
    ],
)
def test_bad_orders_are_refused_by_name(ready: Api, given: dict[str, object], code: int, said: str) -> None:
    for found in (ready.v1_error("addacmecert", given), ready.v2_error("addacmecert", given)):
        assert found[0] == code and said in found[1], found
    assert not ready.appliance.configuration.acme_certificates


def test_without_an_account_nothing_is_ordered(api: Api) -> None:
    api.v1("addvs", vs="10.0.0.1", port=80, prot="tcp", VStype="http")
    code, said = api.v1_error("addacmecert", cert="shop", cn="shop.example.com", vid=1)
    assert code == 422 and "not registered" in said and "Register it" in said


def test_what_the_authority_says_no_to_is_told_and_leaves_nothing(ready: Api) -> None:
    words = json.dumps({"type": "urn:ietf:params:acme:error:connection"})
    refusal = AuthorityRefused("The authority does not believe it: no route", words=words, remedy="Open port 80")
    ready.appliance.authorities.objects["proof"] = refusal
    assert ready.v1_error("addacmecert", cert="shop", cn="shop.example.com", vid=1) == (
        422,
        "The authority does not believe it: no route. Open port 80",
    )
    assert not ready.appliance.configuration.acme_certificates and not ready.appliance.challenges
    assert ready.v1_error("renewacmecert", cert="shop") == (422, "Unknown ACME cert")


def test_only_who_may_make_certificates_orders_them(ready: Api) -> None:
    ready.sign_in("reader")
    for command in ("addacmecert", "registeracmeaccount", "setacmekid", "delacmecert", "delacmeconfig"):
        assert ready.v1_error(command, cert="a", cn="a.example.com", vid=1, kid="x")[0] == 403
    assert ready.v1("listacmecert") == {}
    assert "AccountID" in ready.v1("acmeaccountinfo")
