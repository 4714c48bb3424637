"""Initial configuration: nothing else before it, each step with the word of the one before, and none of it twice."""

from __future__ import annotations

import html

import pytest
from tests.support.fake_appliance import PASSWORD, FakeAppliance
from tests.unit.api.loadmaster.calling import Api

NEW = "a password of my own"


@pytest.fixture
def new() -> Api:
    made = Api(FakeAppliance(new=True))
    made.user = None
    return made


def _accepted(api: Api) -> None:
    first = api.v1("readeula")["Magic"]
    second = api.v1("accepteula", magic=first, type="free")["Magic"]
    assert api.v1("accepteula2", magic=second, accept="yes") == "Command completed ok"


def test_the_licence_is_read_and_accepted_by_anybody_in_both_versions(new: Api) -> None:
    found = new.v1("ReadEula")
    assert "Apache License" in found["Eula"] and "Version 2.0, January 2004" in html.unescape(found["Eula"])
    assert new.v2("readeula")["Magic"] == found["Magic"]
    _accepted(new)
    assert new.appliance.configuration.first_step == "password"


@pytest.mark.parametrize("magic", ["", "0" * 32, "überhaupt"])
def test_a_wrong_magic_fails_and_changes_nothing(new: Api, magic: str) -> None:
    for command in ("accepteula", "accepteula2"):
        assert new.v1_response(command, magic=magic, accept="yes").status_code in (400, 422)
    # the word of the first step is not that of the second
    first = new.v1("readeula")["Magic"]
    assert new.v1_response("accepteula2", magic=first, accept="yes").status_code == 422
    assert new.appliance.configuration.first_step == "licence"


def test_nobody_is_called_whatever_is_said_to_that(new: Api) -> None:
    found = new.v1("accepteula", magic=new.v1("readeula")["Magic"])
    assert "sends nothing to anybody" in found["Eula2"]
    assert new.v1_response("accepteula2", magic=found["Magic"], accept="maybe").status_code == 422
    assert new.appliance.configuration.first_step == "licence"
    new.v1("accepteula2", magic=found["Magic"], accept="no")
    assert new.appliance.configuration.first_step == "password"


def test_the_first_password_needs_the_one_for_one_time(new: Api) -> None:
    _accepted(new)
    assert new.v1_response("set_initial_passwd", passwd=NEW).status_code == 401
    new.user = ("bal", PASSWORD)
    assert new.v1_response("set_initial_passwd", passwd="short").status_code == 422
    assert new.v1("set_initial_passwd", passwd=NEW) == "Command completed ok"
    assert new.v1_response("listvs").status_code == 401
    new.user = ("bal", NEW)
    new.v1("listvs")
    assert new.appliance.configuration.first_step == ""
    for command in ("set_initial_passwd", "accepteula", "accepteula2"):
        assert new.v1_response(command, passwd="another", magic="0").status_code == 405
    assert "Apache License" in new.v1("readeula")["Eula"]


def test_an_older_way_to_set_it_works_too(new: Api) -> None:
    _accepted(new)
    new.user = ("bal", PASSWORD)
    new.v1("usersetsyspassword", currpassword=PASSWORD, password=NEW)
    new.user = ("bal", NEW)
    new.v1("listvs")
    assert new.appliance.configuration.first_step == "addresses"


def test_nothing_else_is_answered_before(new: Api) -> None:
    assert new.v1_response("listvs").status_code == 401, "who has no password learns nothing"
    new.user = ("bal", PASSWORD)
    refused = new.v1_response("listvs")
    assert refused.status_code == 403 and "readeula" in refused.text
    commands = new.v1("listapi")["commands"]["cmd"]
    assert {"readeula", "accepteula", "accepteula2", "set_initial_passwd", "licenseinfo"} <= set(commands)
    assert "addvs" not in commands
    _accepted(new)
    refused = new.v1_response("addvs", vs="10.0.0.1", port=80, prot="tcp")
    assert refused.status_code == 403 and "set_initial_passwd" in refused.text


def test_a_licence_key_is_refused_with_what_to_do_instead(api: Api) -> None:
    for command in ("alsilicense", "alsilicensetypes", "license", "aslactivate"):
        answer = api.v1_response(command)
        assert answer.status_code == 422 and "needs no licence key" in answer.text
    assert len(api.v1("accesskey")["AccessKey"]) == 16
