"""Content rules in both versions: records, attaching, order, and what is refused."""

from __future__ import annotations

import pytest
from tests.unit.api.loadmaster.calling import Api

VS = {"vs": "10.0.0.10", "port": "80", "prot": "tcp"}


@pytest.fixture(autouse=True)
def service(api: Api) -> None:
    api.v1("addvs", VS)
    api.v1("addrs", {**VS, "rs": "10.0.1.1", "rsport": 8080})


def made(api: Api, name: str, **more: str) -> None:
    api.v1("addrule", {"name": name, "pattern": "^/x", **more})


def test_addrule_answers_the_rule_in_its_group_as_captured(api: Api) -> None:
    response = api.v1_response("addrule", {"name": "is_api", "pattern": "^/api/", "nocase": "1"})
    text = "".join(response.text.split("<Data>")[1].split("</Data>")[0].split("\n"))
    assert text == (
        "<MatchContentRule><Name>is_api</Name><MatchType>Regex</MatchType><AddHost>N</AddHost><Negate>N</Negate>"
        "<CaseIndependent>Y</CaseIndependent><IncludeQuery>N</IncludeQuery><Header></Header><Pattern>^/api/</Pattern>"
        "<MustFail>N</MustFail></MatchContentRule>"
    )
    assert api.v2("addrule", name="add_env", type=1, header="X-Env", replacement="blue") == {
        "AddHeaderRule": [{"Name": "add_env", "Header": "X-Env", "HeaderValue": "blue"}]
    }
    assert api.v2("showrule") == {
        "MatchContentRule": [
            {
                "Name": "is_api",
                "MatchType": "Regex",
                "AddHost": False,
                "Negate": False,
                "CaseIndependent": True,
                "IncludeQuery": False,
                "Pattern": "^/api/",
                "MustFail": False,
            }
        ],
        "AddHeaderRule": [{"Name": "add_env", "Header": "X-Env", "HeaderValue": "blue"}],
    }


def test_showrule_filters_by_name_and_type(api: Api) -> None:
    assert api.v2("showrule") == {}
    made(api, "one")
    api.v2("addrule", name="two", type="2", pattern="X-Gone")
    assert api.v2("showrule", name="two") == {"DeleteHeaderRule": [{"Name": "two", "Pattern": "X-Gone"}]}
    assert set(api.v2("showrule", type="0")) == {"MatchContentRule"}
    assert api.v2_error("showrule", name="three") == (422, "Unknown rule")
    assert api.v2_error("showrule", type="6")[0] == 422


def test_modrule_keeps_what_is_left_out(api: Api) -> None:
    made(api, "one", matchtype="prefix", setonmatch="3", negate="Y")
    (rule,) = api.v2("modrule", name="one", pattern="/y")["MatchContentRule"]
    assert (rule["Pattern"], rule["MatchType"], rule["SetFlagOnMatch"], rule["Negate"]) == ("/y", "prefix", 3, True)
    (rule,) = api.v2("modrule", name="one", setonmatch=0)["MatchContentRule"]
    assert "SetFlagOnMatch" not in rule


def test_modrule_gives_an_unused_rule_another_type(api: Api) -> None:
    made(api, "one", matchtype="prefix", negate="Y")
    (rule,) = api.v2("modrule", name="one", type=3, header="Location", replacement="z")["ReplaceHeaderRule"]
    assert rule == {"Name": "one", "Header": "Location", "Pattern": "^/x", "Replacement": "z"}
    api.v2("addrequestrule", vs=1, rule="one")
    status, text = api.v2_error("modrule", name="one", type="0")
    assert (status, "in use" in text and "10.0.0.10" in text) == (422, True)


def test_what_a_type_does_not_use_is_ignored(api: Api) -> None:
    (rule,) = api.v2("addrule", name="one", type=1, header="X-A", replacement="b", pattern="(", mustfail=1, nocase=1)[
        "AddHeaderRule"
    ]
    assert rule == {"Name": "one", "Header": "X-A", "HeaderValue": "b"}
    (rule,) = api.v2("addrule", name="two", header="Host", pattern="a", inchost=1)["MatchContentRule"]
    assert rule["AddHost"] is False


def test_flags_above_nine_are_dropped_without_an_error(api: Api) -> None:
    made(api, "one", setonmatch="10", onlyonflag="9", onlyonnoflag="77")
    rule = api.v1("showrule", name="one")["MatchContentRule"]
    assert "SetFlagOnMatch" not in rule and "OnlyOnNoFlag" not in rule
    assert rule["OnlyOnFlag"] == "9"


@pytest.mark.parametrize("spelled", ["regex", "Regex", "lregex", "prefix", "lprefix", "postfix", "lpostfix", ""])
def test_match_types_are_read_in_every_spelling(api: Api, spelled: str) -> None:
    made(api, "one", matchtype=spelled)
    expected = spelled.removeprefix("l") if spelled.lower() not in ("regex", "lregex", "") else "Regex"
    assert api.v1("showrule")["MatchContentRule"]["MatchType"] == expected


@pytest.mark.parametrize(
    ("parameters", "status", "says"),
    [
        ({"name": "one"}, 400, "pattern"),
        ({"pattern": "x"}, 400, "name"),
        ({"name": "a b", "pattern": "x"}, 422, "Cannot read rules"),
        ({"name": "default", "pattern": "x"}, 422, "Cannot read rules"),
        ({"name": "one", "pattern": "(a"}, 422, "does not compile"),
        ({"name": "one", "pattern": "(a+)+$"}, 422, "can blow up"),
        ({"name": "one", "pattern": "x", "type": "7"}, 422, "type 7"),
        ({"name": "one", "pattern": "x", "matchtype": "glob"}, 422, "matchtype"),
        ({"name": "one", "type": "1", "replacement": "x"}, 422, "header"),
        ({"name": "one", "type": "1", "header": "a b", "replacement": "x"}, 422, "header"),
        ({"name": "one", "type": "4", "pattern": "x(y)", "replacement": r"\2"}, 422, "only one group"),
        ({"name": "one", "pattern": "x" * 251}, 422, "pattern"),
        ({"name": "one", "pattern": "x", "onlyonflag": "2", "onlyonnoflag": "2"}, 422, "flag 2"),
    ],
)
def test_bad_rules_are_refused_by_name(api: Api, parameters: dict[str, str], status: int, says: str) -> None:
    for error in (api.v1_error, api.v2_error):
        found, text = error("addrule", parameters)
        assert (found, says in text) == (status, True), text
    assert api.appliance.configuration.rules == {}


def test_the_same_name_twice_is_refused(api: Api) -> None:
    made(api, "one")
    assert api.v1_error("addrule", {"name": "one", "pattern": "x"}) == (422, "Rule one already exists")


LISTS = {
    "prerule": ("PreProcessRules", "NPreProcessRules", "PreProcPrecedence", {}),
    "requestrule": ("RequestRules", "NRequestRules", "RequestPrecedence", {}),
    "responserule": ("ResponseRules", "NResponseRules", "ResponsePrecedence", {"type": "2"}),
    "responsebodyrule": ("MatchBodyRules", "NMatchBodyRules", "MatchBodyPrecedence", {"type": "5", "replacement": "y"}),
}


@pytest.mark.parametrize("kind", list(LISTS))
def test_rules_are_attached_last_moved_and_detached(api: Api, kind: str) -> None:
    member, count, precedence, settings = LISTS[kind]
    for name in ("one", "two", "three"):
        made(api, name, pattern="X-A", **settings)
        assert api.v1(f"add{kind}", {**VS, "rule": name}) == "Command completed ok"
    assert api.v2("showvs", vs=1)[member] == ["one", "two", "three"]
    moved = api.v2("modvs", {"vs": 1, precedence: "three", f"{precedence}Pos": 1, "NickName": "web"})
    assert (moved[member], moved[count], moved["NickName"]) == (["three", "one", "two"], 3, "web")
    assert api.v1("showvs", VS)[member] == {"Name": ["three", "one", "two"]}
    assert api.v2(f"del{kind}", vs=1, rule="one") == {"message": "Command completed ok"}
    assert api.v2("showvs", vs=1)[member] == ["three", "two"]
    for error in (api.v1_error, api.v2_error):
        assert error(f"add{kind}", {**VS, "rule": "two"})[0] == 422
        assert error(f"add{kind}", {**VS, "rule": "none"}) == (422, "Unknown rule")
        assert error(f"del{kind}", {**VS, "rule": "one"})[0] == 422
        assert error(f"add{kind}", VS)[0] == 400


def test_without_rules_a_record_has_counts_and_no_lists(api: Api) -> None:
    record = api.v2("showvs", vs=1)
    assert [record[name] for name in ("NRules", "NRequestRules", "NResponseRules")] == [0, 0, 0]
    assert not {"RequestRules", "ResponseRules", "PreProcessRules", "MatchBodyRules", "MatchRules"} & set(record)
    assert "MatchRules" not in record["Rs"][0] and record["Rs"][0]["Nrules"] == 0


def test_real_servers_have_rules_and_default(api: Api) -> None:
    made(api, "one")
    made(api, "head", type="2", pattern="X-A")
    reference = {"vs": 1, "rs": "!1"}
    assert api.v2("addrsrule", {**reference, "rule": "one"}) == {"message": "Command completed ok"}
    api.v1("addrsrule", {**VS, "rs": "10.0.1.1", "rsport": 8080, "rule": "default"})
    record = api.v2("showvs", vs=1)
    assert (record["NRules"], record["MatchRules"]) == (2, ["one", "default"])
    assert (record["Rs"][0]["Nrules"], record["Rs"][0]["MatchRules"]) == (2, ["one", "default"])
    moved = api.v2("modvs", vs=1, RSRulePrecedence="default", RSRulePrecedencePos="1")
    assert moved["Rs"][0]["MatchRules"] == ["default", "one"]
    for error in (api.v1_error, api.v2_error):
        assert "type 2" in error("addrsrule", {**reference, "rule": "head"})[1]
        assert error("addrsrule", {**reference, "rule": "none"})[0] == 422
        assert error("addrsrule", {"vs": 1, "rs": "!9", "rule": "one"}) == (422, "Unknown RS")
    api.v2("delrsrule", {**reference, "rule": "one"})
    assert api.v2("showrs", vs=1, rs="!1")["Rs"][0]["MatchRules"] == ["default"]


def test_delrule_detaches_everywhere(api: Api) -> None:
    made(api, "one")
    for command, more in (("addprerule", {}), ("addrequestrule", {}), ("addrsrule", {"rs": "!1"})):
        api.v2(command, {"vs": 1, "rule": "one", **more})
    assert api.v1("delrule", name="one") == "Command completed ok"
    record = api.v2("showvs", vs=1)
    assert (record["NRules"], record["NRequestRules"], record["NPreProcessRules"]) == (0, 0, 0)
    assert api.v1_error("delrule", {"name": "one"}) == (422, "Unknown rule")


def test_a_wrong_type_for_a_list_is_refused(api: Api) -> None:
    made(api, "body", type="5", replacement="y")
    status, text = api.v2_error("addrequestrule", vs=1, rule="body")
    assert (status, "type 5" in text) == (422, True)


def test_rules_need_the_permission_for_rules(api: Api) -> None:
    api.sign_in("reader")
    assert api.v2_error("addrule", name="one", pattern="x")[0] == 403
    assert api.v2("showrule") == {}
    api.sign_in("ruler", "rules")
    api.v2("addrule", name="one", pattern="x")
    assert api.v2_error("addrequestrule", vs=1, rule="one")[0] == 403


def test_names_of_records_are_understood_in_requests(api: Api) -> None:
    (rule,) = api.v2("addrule", name="one", pattern="x", AddHost="Y", caseindependant="Y", IncludeQuery=True)[
        "MatchContentRule"
    ]
    assert (rule["AddHost"], rule["CaseIndependent"], rule["IncludeQuery"]) == (True, True, True)
    api.v2("modrule", name="one", addhost="Y", inchost="N")
    assert api.v2("showrule")["MatchContentRule"][0]["AddHost"] is False
