"""What every command shares: envelopes, credentials, bodies, errors."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from tests.support.fake_appliance import PASSWORD, FakeAppliance
from tests.unit.api.loadmaster.calling import Api

from steelyard.api.loadmaster import build_loadmaster_routes
from steelyard.model.errors import EngineRefused, HostLacks, InternalError

SENT = "<script>SENT</script>"


def test_v1_answers_text_xml_without_charset(api: Api) -> None:
    response = api.v1_response("listvs")
    assert response.headers["content-type"] == "text/xml"
    assert response.content.startswith(b'<?xml version="1.0" encoding="ISO-8859-1"?>\n')
    assert b"<Success><Data></Data></Success>" in response.content


def test_v1_writes_what_is_above_127_as_character_references(api: Api) -> None:
    response = api.v1_response("addvs", vs="10.0.0.1", port=80, prot="tcp", NickName="caf\u00e9")
    assert response.status_code == 422
    assert response.content.isascii()
    api.v1("addvs", vs="10.0.0.1", port=80, prot="tcp", CheckPattern="caf\u00e9 \u20ac")
    response = api.v1_response("showvs", vs=1)
    assert b"<CheckPattern>caf&#233; &#8364;</CheckPattern>" in response.content


def test_v1_reads_parameters_in_latin_1_too(api: Api) -> None:
    response = api.request(
        "GET", "/access/addvs?vs=10.0.0.1&port=80&prot=tcp&checkpattern=caf%E9", auth=("bal", PASSWORD)
    )
    assert b"caf&#233;" in response.content


def test_v2_answers_json_with_code_first_and_status_last(api: Api) -> None:
    api.v2("addvs", vs="10.0.0.1", port="80", prot="tcp")
    response = api.v2_response("showvs", vs=1)
    assert response.headers["content-type"] == "application/json"
    members = list(json.loads(response.text))
    assert (members[0], members[-1]) == ("code", "status")
    assert api.v2_response("listvs").json()["VS"][0]["Index"] == 1


def test_an_empty_list_is_an_absent_member(api: Api) -> None:
    assert api.v2("listvs") == {}
    assert api.v1("listvs") == {}


def test_command_and_parameter_names_are_folded(api: Api) -> None:
    api.v1("AddVS", {"VS": "10.0.0.1", "PORT": "80", "Prot": "tcp", "nIcKnAmE": "shop"})
    assert api.v2("ShowVS", {"Vs": 1})["NickName"] == "shop"


def test_v2_ignores_what_follows_its_path_and_answers_get(api: Api) -> None:
    body = {"cmd": "listvs", "apiuser": "bal", "apipass": PASSWORD}
    assert api.request("POST", "/accessv2/listvs", json=body).json() == {"code": 200, "status": "ok"}
    assert api.request("GET", "/accessv2", params=body).json() == {"code": 200, "status": "ok"}


def test_long_parameters_come_as_a_form(api: Api) -> None:
    response = api.request(
        "POST", "/access/addvs?vs=10.0.0.1&port=80", data={"prot": "tcp", "nickname": "from form"}, auth=api.user
    )
    assert b"<NickName>from form</NickName>" in response.content


@pytest.mark.parametrize("path", ["/access/listvs", "/access/nonsense", "/accessv2"])
def test_without_credentials_there_is_a_challenge_and_a_page(api: Api, path: str) -> None:
    response = api.request("GET", path, params={"cmd": "listvs", "x": SENT})
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Basic realm=")
    assert response.headers["content-type"].startswith("text/html")
    assert "SENT" not in response.text


@pytest.mark.parametrize(
    "header", ["Basic", "Basic !!!", "Bearer x", "Basic " + base64.b64encode(b"bal").decode(), "Basic YmFsOndyb25n"]
)
def test_wrong_credentials_are_refused(api: Api, header: str) -> None:
    assert api.request("GET", "/access/listvs", headers={"authorization": header}).status_code == 401
    assert (
        api.request("POST", "/accessv2", json={"cmd": "listvs"}, headers={"authorization": header}).status_code == 401
    )


def test_v2_takes_basic_too(api: Api) -> None:
    assert api.request("POST", "/accessv2", json={"cmd": "listvs"}, auth=api.user).status_code == 200


def test_an_api_key_wins_and_an_empty_one_is_none(api: Api) -> None:
    (key,) = api.v2("addapikey")["apikeys"]
    assert api.request("GET", "/access/listvs", params={"apikey": key}).status_code == 200
    assert api.request("GET", "/access/listvs", params={"apikey": "wrong"}, auth=api.user).status_code == 401
    assert api.request("GET", "/access/listvs", params={"apikey": ""}, auth=api.user).status_code == 200
    assert api.request("POST", "/accessv2", json={"cmd": "listvs", "apikey": key}).status_code == 200
    assert api.request("POST", "/access/listvs", data={"apikey": key}).status_code == 200


def test_old_clients_switch_the_interface_on(api: Api) -> None:
    assert api.request("GET", "/progs/doconfig/enableapi/set/yes").status_code == 401
    assert api.request("GET", "/progs/doconfig/enableapi/set/yes", auth=api.user).status_code == 200
    assert api.request("GET", "/progs/status/logout", auth=api.user).status_code == 200
    assert api.request("GET", "/access/set?param=enableapi&value=yes", auth=api.user).status_code == 200


def test_unknown_and_unbuilt_commands_are_told_apart(api: Api) -> None:
    assert api.v1_error("frobnicate") == (405, "Unknown command")
    assert api.v2_error("frobnicate") == (405, "Unknown command")
    for spelling in ("logging/df", "logging.df", "df", "Logging/DF"):
        status, text = api.v1_error(spelling)
        assert (status, "logging/df is known but not built" in text) == (422, True)
    assert api.v2_error("modiface")[0] == 422
    assert api.v2_error("")[0] == 400


@pytest.mark.parametrize("body", [b'{"cmd": "lis', b"", b"[1]", b'"x"', b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_told_so(api: Api, body: bytes) -> None:
    response = api.request("POST", "/accessv2", content=body, auth=api.user)
    assert response.status_code == 400
    assert response.json()["status"] == "fail"
    assert "JSON" in response.json()["message"]


def test_bodies_are_bounded(api: Api) -> None:
    big = b"x" * (11 * 1024 * 1024)
    status, text = api.v1_error("addcert", cert="shop", body=big)
    assert (status, "too long" in text) == (413, True)
    response = api.request("POST", "/access/addvs", content=big, auth=api.user)
    assert response.status_code == 413
    response = api.request("POST", "/accessv2", content=b'{"cmd": "' + big + big + b'"}', auth=api.user)
    assert response.status_code == 413
    assert response.json()["code"] == 413
    assert api.appliance.executed == []


def test_too_many_parameters_are_refused(api: Api) -> None:
    assert api.request("POST", "/access/listvs", content=b"a&" * 3000, auth=api.user).status_code == 400


@pytest.mark.parametrize("value", ["a\nb", "a\x00b", "a\x7fb", "a\u2028b", "\x1b[2J"])
def test_control_characters_are_refused_anywhere(api: Api, value: str) -> None:
    for name in ("nickname", "vs", "something"):
        parameters = {"vs": "10.0.0.1", "port": "80", "prot": "tcp"} | {name: value}
        status, text = api.v2_error("addvs", parameters)
        assert (status, text) == (422, f"Parameter {name} holds a control character")
        assert api.v1_error("addvs", parameters)[0] == 422
    assert api.v2_error("showvs", {"na\nme": 1})[1] == "Parameter na\\nme holds a control character"
    assert api.appliance.executed == []


def test_a_bug_is_logged_and_not_shown(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    api.appliance.broken = ZeroDivisionError("secret detail")
    with caplog.at_level(logging.ERROR):
        status, text = api.v1_error("addvs", vs="10.0.0.1", port=80, prot="tcp")
    assert (status, "secret" in text) == (500, False)
    assert "secret detail" in caplog.text
    api.appliance.broken = InternalError("plan lost")
    assert api.v2_error("addvs", vs="10.0.0.1", port=80, prot="tcp")[0] == 500


def test_refusals_of_engine_and_host_carry_their_reason(api: Api) -> None:
    api.appliance.broken = EngineRefused("HAProxy refused the plan", words="line 3: unknown keyword")
    assert api.v1_error("addvs", vs="10.0.0.1", port=80, prot="tcp") == (
        422,
        "HAProxy refused the plan: line 3: unknown keyword",
    )
    api.appliance.broken = HostLacks("No HAProxy found", lacks="haproxy", remedy="Install haproxy")
    assert api.v2_error("addvs", vs="10.0.0.1", port=80, prot="tcp") == (422, "No HAProxy found. Install haproxy")


def test_a_user_needs_the_permission_and_may_read_the_rest(api: Api) -> None:
    api.v1("addvs", vs="10.0.0.1", port=80, prot="tcp")
    api.sign_in("operator", "real")
    assert api.v1("showvs", vs=1)["Index"] == "1"
    api.v1("addrs", vs=1, rs="10.0.1.1", rsport=80)
    assert api.v1_error("modvs", vs=1, nickname="x")[0] == 403
    assert api.v2_error("set", param="finalpersist", value=60)[0] == 403
    assert api.v2("listapikeys") == {}


async def test_an_upload_without_credentials_is_refused_before_it_is_read() -> None:
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(10):
            read += 1
            yield b"x" * 1000

    app = Starlette(routes=build_loadmaster_routes(FakeAppliance()))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="https://adc") as client:
        answer = await client.post("/access/addcert?cert=shop", content=body())
    assert answer.status_code == 401
    assert read == 0
