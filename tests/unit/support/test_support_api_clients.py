"""The raw API clients send what they are given and return what came."""

import base64
import json

import pytest
from tests.support.api_clients import LoadMasterClient, NativeClient
from tests.support.certificates import leaf
from tests.support.origin import Origin

_OK = b'<?xml version="1.0"?><Response stat="200" code="ok"><Success><Data><Index>1</Index></Data></Success></Response>'
_BAD = b'<Response stat="422" code="fail"><Error>Unknown VS</Error></Response>'


@pytest.fixture
def server():
    with Origin("api", tls=leaf("api.example", kind="ec").server_context()) as running:
        yield running


def test_v1_commands_carry_parameters_and_basic_credentials(server):
    server.bodies["/access/showvs"] = _OK
    with LoadMasterClient(server.url, "bal", "pässword") as client:
        answer = client.must("showvs", {"CheckUse1.1": 1}, vs="127.0.0.1", port=80)
    assert (answer.ok, answer.text("Index")) == (True, "1")
    seen = server.requests[0]
    assert (seen.method, seen.url) == ("GET", "/access/showvs?CheckUse1.1=1&vs=127.0.0.1&port=80")
    credentials = seen.header("authorization")
    assert credentials is not None
    assert base64.b64decode(credentials.removeprefix("Basic ")).decode() == "bal:pässword"


def test_v1_errors_keep_status_and_words(server):
    server.bodies["/access/showvs"] = _BAD
    server.statuses["/access/showvs"] = 422
    with LoadMasterClient(server.url, "bal", "x") as client:
        answer = client.call("showvs", vs=9)
        assert (answer.ok, answer.status, answer.message) == (False, 422, "Unknown VS")
        with pytest.raises(AssertionError, match="Unknown VS"):
            client.must("showvs", vs=9)
        with pytest.raises(LookupError):
            _ = answer.data


def test_uploads_are_raw_bytes_under_the_form_media_type(server):
    server.bodies["/access/addcert"] = _OK
    with LoadMasterClient(server.url, "bal", "x") as client:
        client.call("addcert", cert="shop", replace=0, body=b"a=b&\x00")
    seen = server.requests[0]
    assert (seen.method, seen.body) == ("POST", b"a=b&\x00")
    assert seen.header("content-type") == "application/x-www-form-urlencoded"


def test_v2_credentials_travel_in_the_object(server):
    with LoadMasterClient(server.url, "bal", "x") as client:
        status, _ = client.v2("showvs", vs="1")
    with LoadMasterClient(server.url, api_key="KEY") as client:
        client.v2("listvs")
    assert status == 200
    first, second = server.requests
    assert json.loads(first.body) == {"cmd": "showvs", "vs": "1", "apiuser": "bal", "apipass": "x"}
    assert json.loads(second.body) == {"cmd": "listvs", "apikey": "KEY"}
    assert first.header("authorization") is None


def test_native_paths_lie_below_api_v1(server):
    with NativeClient(server.url, "bal", "x") as client:
        client.put("/configuration", json={"a": 1}, params={"dry_run": "true"}, headers={"If-Match": '"7"'})
    seen = server.requests[0]
    assert (seen.method, seen.url) == ("PUT", "/api/v1/configuration?dry_run=true")
    assert seen.header("if-match") == '"7"'
