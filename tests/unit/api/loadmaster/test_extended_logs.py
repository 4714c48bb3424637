"""The edge filter through LoadMaster's API: its parameters, and the extended logs."""

from __future__ import annotations

import io
import tarfile

import pytest
from tests.unit.api.loadmaster.calling import Api

LINES = [f"2026-01-31T12:00:0{number}.000Z service=1" for number in range(3)]


@pytest.fixture
def logs(api: Api) -> Api:
    for kind in ("connection", "security", "user"):
        api.appliance.edge_files().append(kind, LINES)  # type: ignore[arg-type]
    return api


@pytest.mark.parametrize("name", ["logging/listextlogfiles", "listextlogfiles"])
def test_the_files_are_listed(logs: Api, name: str) -> None:
    names = ["connection.log", "security.log", "user.log"]
    assert logs.v1(name) == {"ExtlogFiles": names}
    assert logs.v2(name.replace("/", ".")) == {"ExtlogFiles": names}


@pytest.mark.parametrize(
    ("fsel", "names"),
    [("", ["connection.log", "security.log", "user.log"]), ("security user.log", ["security.log", "user.log"])],
)
def test_files_are_saved_as_an_archive(logs: Api, fsel: str, names: list[str]) -> None:
    for response in (logs.v1_response("logging/saveextlogs", fsel=fsel), logs.v2_response("saveextlogs", fsel=fsel)):
        assert (response.status_code, response.headers["content-type"]) == (200, "application/octet-stream")
        with tarfile.open(fileobj=io.BytesIO(response.content)) as archive:
            assert archive.getnames() == names


def test_files_are_cleared(logs: Api) -> None:
    assert logs.v1("logging/clearextlogs", fsel="user") == "user.log"
    assert logs.v1("logging/clearextlogs") == "connection.log\nsecurity.log"
    assert logs.v1("logging/clearextlogs") == "Command completed ok"
    assert logs.v1("logging/listextlogfiles") == {}


def test_a_log_there_is_not_is_refused_by_name(logs: Api) -> None:
    status, text = logs.v1_error("logging/clearextlogs", fsel="../user")
    assert (status, "fsel" in text, "connection, security, user" in text) == (422, True, True)
    logs.sign_in("ann", "vs")
    assert logs.v1_error("logging/clearextlogs")[0] == 403
    assert logs.v1("logging/listextlogfiles") != {}


def test_extended_logging_is_on_and_cannot_be_off_for_all(api: Api) -> None:
    assert "enabled" in api.v1("logging/isextesplogenabled")
    assert "enabled" in api.v1("logging/enableextesplog")
    status, text = api.v1_error("logging/disableextesplog")
    assert (status, "ESPLogs" in text) == (422, True)


def test_the_filter_is_set_and_shown(api: Api) -> None:
    given = {"EspEnabled": "Y", "ESPLogs": "3", "AllowedHosts": "a.com *.b.com", "AllowedDirectories": "/owa*"}
    made = api.v1("addvs", vs="10.0.0.1", port="80", prot="tcp", VSType="http", InputAuthMode="0", **given)
    assert {name: made[name] for name in given} == given
    shown = api.v2("showvs", vs="10.0.0.1", port="80", prot="tcp")
    assert (shown["EspEnabled"], shown["ESPLogs"], shown["AllowedHosts"]) == (True, 3, "a.com *.b.com")
    changed = api.v1("modvs", vs="10.0.0.1", port="80", prot="tcp", AllowedHosts="", ExcludedDirectories="/pub")
    assert "AllowedHosts" not in changed and changed["ExcludedDirectories"] == "/pub"


@pytest.mark.parametrize("mode", ["1", "2", "4", "5", "6", "7", "8"])
def test_sign_in_is_refused_by_name(api: Api, mode: str) -> None:
    status, text = api.v1_error(
        "addvs", vs="10.0.0.1", port="80", prot="tcp", VSType="http", EspEnabled="Y", InputAuthMode=mode
    )
    assert (status, f"InputAuthMode={mode}" in text, "allowed: 0" in text) == (422, True, True)


def test_the_parameters_of_the_lines(api: Api) -> None:
    api.v1("set", param="loguseragent", value="1")
    assert api.v1("get", param="loguseragent")["loguseragent"] in ("1", "yes", "Y")
    api.v1("set", param="CEFmsgFormat", value="1")
    assert api.appliance.configuration.layer7.cef_messages
