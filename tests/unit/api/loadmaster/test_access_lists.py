from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.loadmaster.calling import Api

from steelyard.model.access_list import EVERY_SERVICE, ListName

DONE = "Command completed ok"


@pytest.fixture
def service(api: Api) -> int:
    api.v1("addvs", vs="192.0.2.10", port=80, prot="tcp")
    return 1


def held(api: Api, scope: int, which: ListName) -> list[tuple[str, str]]:
    lists = api.appliance.configuration.access_lists.get(scope)
    return [] if lists is None else lists.entries(which)


def test_entries_of_all_services_come_are_listed_and_go(api: Api) -> None:
    assert api.v1("aclcontrol", add="block", addr="10.0.9.0/24", comment="noisy") == DONE
    assert api.v2("aclcontrol", add="block", addr="2001:db8::1")["message"] == DONE
    assert api.v1("aclcontrol", list="block") == {
        "Blocklist": {"IP": [{"addr": "10.0.9.0/24", "comment": "noisy"}, {"addr": "2001:db8::1/128", "comment": ""}]}
    }
    # a Go client sends an empty address with this request
    listed = api.v2("aclcontrol", list="block", addr="")
    assert listed["list"] == "block"
    assert listed["IP"] == [
        {"addr": "10.0.9.0/24", "comment": "noisy"},
        {"addr": "2001:db8::1/128", "comment": ""},
    ]
    assert api.v1("aclcontrol", {"del": "block"}, addr="10.0.9.0/24") == DONE
    assert api.v2("aclcontrol", {"del": "block"}, addr="2001:db8::1/128")["message"] == DONE
    assert held(api, EVERY_SERVICE, "block") == []


def test_the_old_words_name_the_same_lists_and_are_answered_in_kind(api: Api) -> None:
    api.v1("aclcontrol", add="black", addr="10.0.0.1")
    api.v1("aclcontrol", add="white", addr="10.0.0.2")
    assert api.v1("aclcontrol", list="black") == {"Blacklist": {"IP": {"addr": "10.0.0.1/32", "comment": ""}}}
    assert api.v1("aclcontrol", list="white") == {"Whitelist": {"IP": {"addr": "10.0.0.2/32", "comment": ""}}}
    assert api.v1("aclcontrol", list="allow") == {"Allowlist": {"IP": {"addr": "10.0.0.2/32", "comment": ""}}}


def test_an_empty_list_has_its_tag(api: Api) -> None:
    assert set(api.v1("aclcontrol", list="white")) == {"Whitelist"}
    assert api.v2("aclcontrol", list="allow")["list"] == "allow"


@pytest.mark.parametrize(
    "reference",
    [
        {"vsip": "192.0.2.10", "vsport": "80", "vsprot": "tcp"},
        {"vsip": "1"},
        {"vs": "1"},
        {"vs": "192.0.2.10", "port": "80", "prot": "tcp"},
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_the_lists_of_a_service(api: Api, service: int, version: int, reference: dict[str, Any]) -> None:
    call: Any = api.v1 if version == 1 else api.v2
    call("aclcontrol", reference, addvs="allow", addr="10.0.0.1", comment="one")
    assert held(api, service, "allow") == [("10.0.0.1/32", "one")]
    found = call("aclcontrol", reference, listvs="allow")
    entry = {"addr": "10.0.0.1/32", "comment": "one"}
    if version == 1:
        named = {"VS_IP": "192.0.2.10", "VS_Port": "80", "VS_Protocol": "tcp"}
        assert found == {"VS": {**named, "Allowlist": {"IP": entry}}}
    else:
        assert (found["list"], found["IP"], found["VS_IP"]) == ("allow", [entry], "192.0.2.10")
    call("aclcontrol", reference, delvs="allow", addr="10.0.0.1")
    assert held(api, service, "allow") == []


@pytest.mark.parametrize(
    ("word", "tag", "value"),
    [
        ("isenabled", "aclstatus", "enabled"),
        ("isdrop", "aclmethod", "drop"),
        ("isifblock", "aclblockall", "Free"),
        ("iswuiblock", "aclwuiblock", "Free"),
        ("wuiaddr", "wuiaddr", ""),
    ],
)
def test_options_are_read_by_flag_by_path_and_by_dot(api: Api, word: str, tag: str, value: str) -> None:
    assert api.v1("aclcontrol", {word: ""}) == {tag: value}
    assert api.v1(f"aclcontrol/{word}") == {tag: value}
    assert api.v2(f"aclcontrol.{word}")[tag] == value
    assert api.v2("aclcontrol", {word: True})[tag] == value


def test_the_filter_is_switched(api: Api) -> None:
    api.v1("aclcontrol", drop="0")
    assert api.v1("aclcontrol", isdrop="") == {"aclmethod": "reject"}
    api.v2("aclcontrol", enable=False)
    assert api.v1("aclcontrol", isenabled="") == {"aclstatus": "disabled"}
    refused = api.v1_error("aclcontrol", drop="1")
    assert refused == (422, "drop can only be set while the packet filter is on. Set enable=1 first")
    api.v1("aclcontrol", enable="1")
    api.v1("aclcontrol", wuiblock="1")
    assert api.v2("aclcontrol.iswuiblock")["aclwuiblock"] == "Block"
    assert api.appliance.configuration.access.enabled


@pytest.mark.parametrize(
    ("given", "status", "text"),
    [
        ({"add": "block", "addr": "10.0.0.300"}, 422, "Invalid address: 10.0.0.300 is not an address or network"),
        ({"add": "block", "addr": "10.0.0.1/8"}, 422, "prefix is invalid for the specified network"),
        ({"add": "block"}, 400, "addr: Address Value missing"),
        ({"add": "grey", "addr": "10.0.0.1"}, 422, "add is no list; allowed: block, allow"),
        ({"del": "block", "addr": "10.0.0.1"}, 422, "Unknown address"),
        ({"addvs": "block", "vsip": "9", "addr": "10.0.0.1"}, 422, "Unknown VS"),
        ({"add": "block", "addr": "10.0.0.1", "comment": "x" * 128}, 422, "The comment is too long"),
        ({"ifblock": "1"}, 422, "not built"),
        ({"enable": ""}, 400, "enable: Boolean Value missing"),
        ({}, 422, "aclcontrol needs one of"),
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_what_cannot_be_done_is_refused_in_words(
    api: Api, version: int, given: dict[str, str], status: int, text: str
) -> None:
    call: Any = api.v1_error if version == 1 else api.v2_error
    found, said = call("aclcontrol", given)
    assert found == status
    assert text in said


@pytest.mark.parametrize("permissions", [(), ("vs",)])
def test_rights(api: Api, service: int, permissions: tuple[str, ...]) -> None:
    api.sign_in("somebody", *permissions)
    assert api.v1_error("aclcontrol", add="block", addr="10.0.0.1")[0] == 403
    assert api.v1_error("aclcontrol", enable="0")[0] == 403
    assert set(api.v1("aclcontrol", list="block")) == {"Blocklist"}
    own = {"addvs": "block", "vsip": service, "addr": "10.0.0.1"}
    assert api.v1_response("aclcontrol", own).status_code == (200 if permissions else 403)
    assert held(api, EVERY_SERVICE, "block") == []
    assert len(held(api, service, "block")) == len(permissions)
