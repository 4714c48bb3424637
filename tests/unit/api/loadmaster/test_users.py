from __future__ import annotations

import re

import pytest
from tests.support.fake_appliance import PASSWORD
from tests.unit.api.loadmaster.calling import Api


@pytest.fixture
def anna(api: Api) -> Api:
    api.v1("useraddlocal", user="anna", password="a good password", radius="n")
    return api


def test_a_user_is_made_shown_changed_and_removed(anna: Api) -> None:
    assert anna.v1("userlist") == {"User": {"Name": "anna", "Perms": ""}}
    assert anna.v1("usersetperms", user="anna", perms="vs,real") == "Command completed ok"
    assert anna.v2("userlist") == {"User": [{"Name": "anna", "Perms": "real,vs"}]}
    assert anna.v1("usershow", user="anna") == {"User": {"Name": "anna", "Perms": "real,vs"}}
    assert anna.v2("usershow", user="anna") == {"Name": "anna", "Perms": "real,vs"}
    assert anna.v2("usersetperms", user="anna", perms="") == {"message": "Command completed ok"}
    assert anna.v2("usershow", user="anna")["Perms"] == ""
    anna.v1("userchangelocpass", user="anna", password="another password", radius="n")
    assert anna.appliance.authenticate("anna", "another password") is not None
    anna.v1("userdellocal", user="anna")
    assert anna.v2("userlist") == {}


def test_an_existing_user_is_told_literally(anna: Api) -> None:
    for error in (anna.v1_error, anna.v2_error):
        assert error("useraddlocal", user="anna", password="x") == (422, "User already exists.")


@pytest.mark.parametrize("command", ["usershow", "userdellocal", "userchangelocpass", "usersetperms"])
def test_unknown_users(api: Api, command: str) -> None:
    parameters = {"user": "nobody", "password": "a good password", "radius": "n", "perms": ""}
    assert api.v1_error(command, parameters) == (422, "Unknown user")


def test_what_is_missing_or_wrong_is_named(api: Api) -> None:
    assert api.v1_error("useraddlocal", password="a good password") == (400, "user: String Value missing")
    assert api.v1_error("useraddlocal", user="anna") == (400, "password: String Value missing")
    assert "too short" in api.v1_error("useraddlocal", user="anna", password="x")[1]
    assert "nopass" in api.v1_error("useraddlocal", user="anna", nopass="y")[1]
    assert "radius" in api.v2_error("useraddlocal", user="anna", password="a good password", radius=True)[1]
    assert api.v1_error("usersetperms", user="bal", perms="vs")[0] == 422
    assert api.v2_error("usersetperms", user="bal")[0] == 400
    assert "usersetsyspassword" in api.v1_error("userchangelocpass", user="bal", password="a good password")[1]


def test_unknown_permissions_are_refused(anna: Api) -> None:
    assert "fly" in anna.v1_error("usersetperms", user="anna", perms="vs,fly")[1]


def test_the_administrator_changes_the_password_with_the_current_one(api: Api) -> None:
    assert api.v1_error("usersetsyspassword", password="a new password")[0] == 400
    assert "wrong" in api.v1_error("usersetsyspassword", currpassword="nope", password="a new password")[1]
    api.v1("usersetsyspassword", currpassword=PASSWORD, password="a new password")
    assert api.v1_response("listvs").status_code == 401
    api.user = ("bal", "a new password")
    assert api.v1("listvs") == {}


@pytest.mark.parametrize("version", [1, 2])
def test_api_keys(api: Api, version: int) -> None:
    def keys(command: str, **parameters: str) -> list[str]:
        if version == 2:
            found: list[str] = api.v2(command, parameters).get("apikeys", [])
            return found
        data = api.v1(command, parameters)
        listed = data.get("apikeys", {}).get("key", []) if data else []
        return listed if isinstance(listed, list) else [listed]

    (first,) = keys("addapikey")
    assert re.fullmatch("[A-Za-z0-9]{44}", first)
    two = keys("addapikey")
    assert two[0] == first
    assert keys("listapikeys") == two
    for _ in range(15):
        seventeen = keys("addapikey")
    assert len(seventeen) == 16
    assert first not in seventeen
    assert keys("delapikey", key=seventeen[0]) == seventeen[1:]
    assert api.v1_error("delapikey", key="nope") == (422, "Unknown API key")
    assert api.v1_error("delapikey") == (400, "key: String Value missing")


def test_keys_of_others_need_user_administration(anna: Api) -> None:
    (key,) = anna.v2("addapikey", user="anna")["apikeys"]
    assert anna.v2("listapikeys") == {}
    anna.sign_in("helper", "vs")
    assert anna.v2_error("addapikey", user="anna")[0] == 403
    anna.sign_in("chief", "users")
    assert anna.v2_error("addapikey", user="bal")[0] == 403
    assert anna.v2("delapikey", user="anna", key=key) == {}
    assert len(anna.v2("addapikey")["apikeys"]) == 1


def test_users_without_the_permission_cannot_make_users(api: Api) -> None:
    api.sign_in("helper", "vs")
    assert api.v1_error("useraddlocal", user="x", password="a good password")[0] == 403
