"""Error pages, redirects and sorry servers through the LoadMaster API."""

from __future__ import annotations

import base64

import pytest
from tests.unit.api.loadmaster.calling import Api

from steelyard.model.error_page import MAX_BYTES

PAGE = b"<!DOCTYPE html>\r\n<p>Gr\xc3\xb6\xc3\x9fe & more; a=b</p>\x00"


@pytest.mark.parametrize("version", [1, 2])
def test_a_page_is_uploaded_and_removed(api: Api, version: int) -> None:
    api.v2("addvs", vs="10.0.0.1", port=80, prot="tcp")
    api.upload(version, "uploadvserrfile", PAGE, vs="1")
    encoded = base64.b64encode(PAGE).decode()
    assert api.v1("showvs", vs="1")["ErrorPage"] == encoded
    assert api.v2("showvs", vs="1")["ErrorPage"] == encoded
    api.v2("modvs", vs="1", ErrorPage="")
    assert "ErrorPage" not in api.v2("showvs", vs="1")


def test_a_page_goes_by_address_too_and_as_a_parameter(api: Api) -> None:
    api.v2("addvs", vs="10.0.0.1", port=80, prot="tcp")
    api.upload(2, "uploadvserrfile", PAGE, vs="10.0.0.1", port="80", prot="tcp")
    shown = api.v2("modvs", vs="1", ErrorPage=base64.b64encode(b"other").decode(), ErrorCode=404)
    assert base64.b64decode(shown["ErrorPage"]) == b"other"
    assert shown["ErrorCode"] == "404"


def test_pages_that_are_refused(api: Api) -> None:
    api.v2("addvs", vs="10.0.0.1", port=80, prot="tcp")
    assert "empty" in api.v1_error("uploadvserrfile", vs="1", body=b"")[1]
    assert str(MAX_BYTES) in api.v1_error("uploadvserrfile", vs="1", body=b"x" * (MAX_BYTES + 1))[1]
    assert "base64" in api.v1_error("modvs", vs="1", errorpage="<p>")[1]
    assert "Unknown VS" in api.v1_error("uploadvserrfile", vs="9", body=b"x")[1]
    assert "ErrorPage" not in api.v2("showvs", vs="1")


def test_a_redirector_in_one_call(api: Api) -> None:
    made = api.v1("addvs", vs="10.0.0.1", port=80, prot="tcp", errorcode=302, errorurl="https://%h%s")
    assert (made["ErrorCode"], made["ErrorUrl"], made["Status"]) == ("302", "https://%h%s", "Redirect")
    totals = api.v2("vstotals")["VS"]
    assert (totals["Up"], totals["Down"]) == (1, 0)
    said = api.v1_error("modvs", vs="1", errorurl="https://evil/\\")[1]
    assert "ErrorUrl" in said


def test_a_fail_message_is_one_word(api: Api) -> None:
    assert api.v2("addvs", vs="10.0.0.1", port=80, prot="tcp", ErrorCode="404")["Status"] == "FailMessage"


def test_a_sorry_server(api: Api) -> None:
    made = api.v2("addvs", vs="10.0.0.1", port=25, prot="tcp", StandbyAddr="10.0.0.9", StandbyPort=26)
    assert (made["StandbyAddr"], made["StandbyPort"], made["Status"]) == ("10.0.0.9", 26, "Sorry")
    changed = api.v2("modvs", vs="1", NonLocalSorryServer=True)
    assert changed["NonLocalSorryServer"] is True
    cleared = api.v1("modvs", vs="1", standbyaddr="")
    assert "StandbyAddr" not in cleared and "StandbyPort" not in cleared


def test_headers(api: Api) -> None:
    made = api.v1(
        "addvs",
        vs="10.0.0.1",
        port=80,
        prot="tcp",
        CopyHdrFrom="A",
        CopyHdrTo="B",
        ExtraHdrKey="X",
        ExtraHdrValue="1 %",
    )
    assert (made["CopyHdrFrom"], made["CopyHdrTo"], made["ExtraHdrKey"], made["ExtraHdrValue"]) == (
        "A",
        "B",
        "X",
        "1 %",
    )
    tls = api.v2("modvs", vs="1", SSLAcceleration=True, SecurityHeaderOptions=6, SSLRewrite="https", PassCipher="Y")
    assert (tls["SecurityHeaderOptions"], tls["SSLRewrite"], tls["PassCipher"]) == (6, "2", True)


def test_global_parameters(api: Api) -> None:
    api.v1("set", param="securityheaderage", value="86400")
    assert api.v2("get", param="securityheaderage")["securityheaderage"] == 86400
    api.v1("set", param="closeonerror", value="1")
    assert "expect100=0" in api.v1_error("set", param="expect100", value="0")[1]
    api.v1("set", param="expect100", value="2")
