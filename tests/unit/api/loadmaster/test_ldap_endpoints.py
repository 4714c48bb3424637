"""LDAP endpoints over LoadMaster's API, both versions."""

from __future__ import annotations

import pytest
from tests.unit.api.loadmaster.calling import Api

_DONE = "Command completed ok"


@pytest.fixture
def api() -> Api:
    return Api()


def test_an_endpoint_is_made_shown_changed_and_removed_in_v1(api: Api) -> None:
    given = {"name": "office", "ldaptype": 2, "server": "192.0.2.10 192.0.2.11:1636", "adminuser": "cn=a,dc=b"}
    assert api.v1("addldapendpoint", given, adminpass="hunter2") == _DONE
    assert api.v1("showldapendpoint", name="office") == {
        "name": "office",
        "ldaptype": "2",
        "server": "192.0.2.10 192.0.2.11:1636 ",
        "vinterval": "60",
        "refcnt": "0",
        "timeout": "5",
        "adminuser": "cn=a,dc=b",
        "adminpass": "*****",
    }
    assert api.v1("modifyldapendpoint", name="office", timeout=30) == _DONE
    assert api.v1("showldaplist")["EndPoint"]["timeout"] == "30"
    assert api.v1("deleteldapendpoint", name="office") == _DONE
    assert api.v1_error("showldapendpoint", name="office") == (422, "Unknown LDAP endpoint")


def test_v2_has_one_level_more(api: Api) -> None:
    assert api.v2("addldapendpoint", name="office")["message"] == _DONE
    found = {"name": "office", "ldaptype": 0, "server": "", "vinterval": 60, "refcnt": 0, "timeout": 5}
    assert api.v2("showldapendpoint", name="office") == {"Data": found}
    api.v2("addldapendpoint", name="lab", server="192.0.2.1")
    assert [one["name"] for one in api.v2("showldaplist")["EndPoint"]] == ["office", "lab"]


def test_what_was_read_can_be_written_back(api: Api) -> None:
    api.v1("addldapendpoint", name="office", server="192.0.2.10", adminuser="cn=a", adminpass="hunter2")
    before = api.appliance.configuration.ldap_endpoints
    api.v1("modifyldapendpoint", api.v1("showldapendpoint", name="office"))
    assert api.v2("modifyldapendpoint", api.v2("showldapendpoint", name="office")["Data"])["message"] == _DONE
    assert api.appliance.configuration.ldap_endpoints == before


def test_a_service_uses_it_and_it_cannot_go_then(api: Api) -> None:
    api.v1("addldapendpoint", name="office")
    api.v1("addvs", vs="10.0.0.1", port=389, prot="tcp", LdapEndpoint="office")
    record = api.v2("showvs", vs=1)
    assert (record["CheckType"], record["LdapEndpoint"]) == ("ldap", "office")
    code, said = api.v1_error("deleteldapendpoint", name="office")
    assert (code, "used by virtual service" in said) == (422, True)
    assert api.v2_error("modvs", vs=1, LdapEndpoint="none")[0] == 422


def test_only_those_with_all_permissions_make_them_and_passwords_are_not_repeated(api: Api) -> None:
    code, said = api.v1_error("addldapendpoint", name="a", adminpass="hunter2")
    assert (code, "hunter2" in said) == (422, False)
    assert api.v1_error("addldapendpoint", name="a b")[0] == 422
    assert api.v1_error("addldapendpoint", name="a", vinterval=61)[0] == 422
    api.sign_in("operator", "vs")
    assert api.v1_error("addldapendpoint", name="a")[0] == 403
    assert api.v1("showldaplist") == {}
