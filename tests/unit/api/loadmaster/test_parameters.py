from __future__ import annotations

import pytest
from tests.unit.api.loadmaster.calling import Api

from steelyard.api.loadmaster.known_names import KNOWN_COMMANDS, KNOWN_PARAMETERS
from steelyard.api.loadmaster.parameters import CATALOGUE
from steelyard.api.loadmaster.registry import REGISTRY


def test_get_and_set(api: Api) -> None:
    assert api.v1("get", param="finalpersist") == {"finalpersist": "300"}
    assert api.v1("set", param="FinalPersist", value=600) == "Command completed ok"
    assert api.v2("get", param="finalPersist") == {"finalPersist": 600}
    assert api.v2("set", param="finalpersist", val=120) == {"message": "Command completed ok"}
    assert api.v2("get", param="finalpersist") == {"finalpersist": 120}
    assert api.v2("set", param="finalpersist", value="") == {"message": "Command completed ok"}
    assert api.v2("get", param="finalpersist") == {"finalpersist": 300}


def test_booleans_say_yes_and_no(api: Api) -> None:
    api.v1("set", param="droponfail", value="1")
    assert api.v1("get", param="droponfail") == {"droponfail": "yes"}
    assert api.v2("get", param="droponfail") == {"droponfail": True}
    api.v2("set", param="droponfail", value=False)
    assert api.v1("get", param="droponfail") == {"droponfail": "no"}


@pytest.mark.parametrize(("word", "number"), [("no", "0"), ("yes", "1"), ("2", "2"), ("y", "1")])
def test_always_persist_takes_words(api: Api, word: str, number: str) -> None:
    api.v1("set", param="alwayspersist", value=word)
    assert api.v1("get", param="alwayspersist")["alwayspersist"] == number


def test_bad_values_and_names(api: Api) -> None:
    assert api.v1_error("get") == (400, "param: String Value missing")
    assert api.v1_error("set", param="finalpersist") == (400, "value: String Value missing")
    assert api.v1_error("get", param="frob") == (422, "Unknown parameter value")
    assert api.v1_error("set", param="frob", value="1") == (422, "Unknown parameter value")
    assert "60 to 86400" in api.v1_error("set", param="finalpersist", value="5")[1]
    assert api.v1_error("get", param="motd") == (422, "Parameter motd is known but not built in Steelyard yet")
    assert "authtimeout=40" in api.v2_error("set", param="authtimeout", value=40)[1]
    api.v2("set", param="authtimeout", value=30)


def test_unset_is_empty_in_get_and_absent_in_getall(api: Api) -> None:
    assert api.v1("get", param="http_proxy") == {"http_proxy": ""}
    assert "http_proxy" not in api.v1("getall")


def test_aliases(api: Api) -> None:
    assert api.v1("get", param="subnetoriginating") == {"subnetoriginating": "yes"}
    assert api.v1("set", param="subnetoriginating", value="1") == "Command completed ok"


def test_the_answer_is_under_the_spelling_asked_for(api: Api) -> None:
    for name in ("samesite", "SameSite", "SAMESITE"):
        assert api.v1("get", param=name) == {name: "0"}
    assert "SameSite" in api.v1("getall")
    # The Kelvin sign folds to k, and no tag may hold it.
    assert api.v1("get", param="\u212aeepalive") == {"keepalive": "no"}


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_writing_back_what_was_read_changes_nothing(api: Api, name: str) -> None:
    before = api.appliance.configuration
    spelled, value = next(iter(api.v1("get", param=name).items()))
    api.v1("set", param=spelled, value=value)
    api.v2("set", param=spelled, value=api.v2("get", param=name)[spelled])
    assert api.appliance.configuration == before


def test_identity(api: Api) -> None:
    version = api.v1("get", param="version")["version"]
    assert ".".join(version.split(".")[:3]) > "7.2.37.0"
    assert version.endswith(".STEELYARD")
    assert api.v1("get", param="admincert")["admincert"] == "No Admin Certificate assigned"
    assert api.v1("get", param="hastatus")["hastatus"] == "HA not configured"
    assert api.v2("get", param="boottime")["boottime"] == api.v2("get", param="activetime")["activetime"]
    assert api.v2("get", param="hostname") == {"hostname": "lb1"}
    assert api.v1("get", param="apiport") == {"apiport": ""}
    assert api.v2("getall")["version"] == version
    assert "cannot be set" in api.v1_error("set", param="version", value="8")[1]


def test_the_interface_stays_on(api: Api) -> None:
    assert api.v1("get", param="enableapi") == {"enableapi": "yes"}
    api.v1("set", param="enableapi", value="yes")
    api.v2("set", param="enableapi", value=True)
    assert api.v1_error("set", param="enableapi", value="1") == (422, "enableapi takes the value yes")
    for value in ("no", "0"):
        assert "stays on" in api.v1_error("set", param="enableapi", value=value)[1]


def test_check_parameters(api: Api) -> None:
    assert api.v2("showhealth") == {"RetryInterval": "9", "Timeout": "4", "RetryCount": "2"}
    assert api.v1("modhealth", timeout=10, RetryCount="3", RetryInterval=9) == "Command completed ok"
    assert api.v1("showhealth") == {"RetryInterval": "31", "Timeout": "10", "RetryCount": "3"}
    assert "Timeout" in api.v1_error("modhealth", timeout="999")[1]
    api.v2("modhealth", api.v2("showhealth"))
    assert api.v1("showhealth")["RetryInterval"] == "31"


def test_listapi_names_what_is_built(api: Api) -> None:
    commands = api.v1("listapi")["commands"]["cmd"]
    assert "addvs" in commands
    assert "listtemplates" in commands
    assert "showdomain" not in commands
    assert api.v2("listapi")["commands"]["cmd"] == commands


def test_licence_and_notices(api: Api) -> None:
    licence = {name.lower(): value for name, value in api.v1("licenseinfo").items()}
    assert {"uuid", "activationdate", "licenseduntil", "licensetype", "licensestatus", "appliancemodel"} <= set(licence)
    assert "HAProxy" in api.v1("notice")
    assert "HAProxy" in api.v2("notice")["message"]


def test_every_built_command_and_parameter_is_one_of_loadmasters() -> None:
    spelled_out = {name for name in REGISTRY if name.startswith("aclcontrol/") or f"logging/{name}" in KNOWN_COMMANDS}
    own = {"dupvip", "showrschecks"}
    assert set(REGISTRY) - own - spelled_out <= KNOWN_COMMANDS
    assert set(CATALOGUE) <= KNOWN_PARAMETERS
