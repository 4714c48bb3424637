"""Typed clients such as those in Go: every member has its declared type in both versions, in captured order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.clients.typed_records import (
    OPTIONAL,
    SERVER,
    SERVICE,
    STATS_SERVER,
    STATS_SERVICE,
    from_json,
    from_xml,
)
from tests.clients.waiting import eventually_equal
from tests.support.api_clients import LoadMasterClient
from tests.support.certificates import leaf
from tests.support.clients import fetch
from tests.support.origin import Origin
from tests.support.ports import free_port

pytestmark = [pytest.mark.client, pytest.mark.needs("haproxy")]

EVERYTHING = SERVICE | OPTIONAL
#: shown in v1 captures alone
V1_ALONE = ["ResponseStatusRemap", "ResponseRemapMsgFormat"]


def rich(port: int, one: Origin) -> dict[str, Any]:
    """A service with as much set as is built; values in the types a Go client sends."""
    return {
        "vs": "127.0.0.1",
        "port": str(port),
        "prot": "tcp",
        "VStype": "http",
        "NickName": "go service",
        "Persist": "cookie",
        "Cookie": "session",
        "PersistTimeout": "3600",
        "Schedule": "wlc",
        "CheckType": "http",
        "CheckUrl": "/health",
        "CheckHost": "go.example",
        "CheckCodes": "401 404",
        "CheckUseGet": 1,
        "CheckUse1.1": True,
        "CheckHeaders": "X-A:1|X-B:2",
        "CheckPort": str(one.port),
        "SSLAcceleration": True,
        "SSLReencrypt": True,
        "ReverseSNIHostname": "inner.example",
        "CertFile": "go",
        "TLSType": "7",
        "AllowHTTP2": True,
        "ExtraPorts": str(free_port()),
        "AddVia": 1,
        "Idletime": 120,
    }


@pytest.fixture
def services(lm: LoadMasterClient, one: Origin) -> Iterator[list[int]]:
    """Indexes of a plain service, a rich one and a generic one without real servers."""
    lm.must("addcert", cert="go", body=leaf("go.example").bundle())
    indexes = []
    plain = {"vs": "127.0.0.1", "port": free_port(), "prot": "tcp", "VStype": "http"}
    for settings in (plain, rich(free_port(), one), {"vs": "127.0.0.1", "port": free_port(), "prot": "tcp"}):
        status, made = lm.v2("addvs", **settings)
        assert status == 200, made
        indexes.append(made["Index"])
    for index in indexes[:2]:
        assert lm.v2("addrs", vs=index, rs="127.0.0.1", rsport=one.port, Weight="500")[0] == 200
    yield indexes


def test_records_decode_and_both_versions_say_the_same(lm: LoadMasterClient, services: list[int]) -> None:
    for index in services:
        root = lm.must("showvs", vs=index).data
        _, shown = lm.v2("showvs", vs=index)
        # The envelope's `status` is the last member that matches `Status`.
        assert from_json(shown, SERVICE)["Status"] == "ok"
        record = {name: value for name, value in shown.items() if name not in ("code", "status")}
        decoded = from_json(record, EVERYTHING)
        assert from_xml(root, EVERYTHING) == decoded
        assert set(SERVICE) <= set(decoded)
        assert [from_xml(server, SERVER) for server in root.findall("Rs")] == [
            from_json(server, SERVER) for server in record.get("Rs", [])
        ]


def test_the_rich_record_shows_what_was_set(lm: LoadMasterClient, services: list[int], one: Origin) -> None:
    _, shown = lm.v2("showvs", vs=services[1])
    sent = rich(0, one)
    for name in set(sent) & set(EVERYTHING) - {"ExtraPorts"}:
        assert shown[name] == sent[name], name
    assert (shown["TlsType"], shown["PersistTimeout"], shown["CheckPort"]) == ("7", "3600", str(one.port))
    assert "ExtraPorts" in shown


def test_members_stand_in_captured_order(lm: LoadMasterClient, services: list[int]) -> None:
    for index in services:
        _, shown = lm.v2("showvs", vs=index)
        names = list(shown)
        assert (names[0], names[-1]) == ("code", "status")
        assert [name for name in names if name in SERVICE] == list(SERVICE)
        tags = [element.tag for element in lm.must("showvs", vs=index).data]
        assert [tag for tag in tags if tag in SERVICE] == list(SERVICE)
        assert [tag for tag in tags if tag in V1_ALONE] == V1_ALONE
        assert not set(names) & set(V1_ALONE)
        if "Rs" in shown:
            assert list(shown["Rs"][0]) == list(SERVER)
            assert tags[-1] == names[-2] == "Rs"


def test_every_answer_with_a_service_has_the_same_record(lm: LoadMasterClient, services: list[int]) -> None:
    shown = [lm.v2("showvs", vs=index)[1] for index in services]
    bare = [{name: value for name, value in one.items() if name not in ("code", "status")} for one in shown]
    assert lm.v2("listvs")[1] == {"code": 200, "VS": bare, "status": "ok"}
    assert [lm.v2("modvs", vs=index)[1] for index in services] == shown
    # Address, port and protocol mean the same service; numbers come as numbers or strings.
    by_address = [lm.v2("showvs", vs=one["VSAddress"], port=one["VSPort"], prot="tcp")[1] for one in bare]
    by_number = [lm.v2("showvs", vs=one["VSAddress"], port=int(one["VSPort"]), prot="TCP")[1] for one in bare]
    by_text = [lm.v2("showvs", vs=str(index))[1] for index in services]
    assert by_address == by_number == by_text == shown


def test_nothing_is_ever_null_or_an_empty_list(lm: LoadMasterClient, services: list[int]) -> None:
    def check(value: object, path: str) -> None:
        assert value is not None, path
        assert value not in ([], {}), path
        if isinstance(value, dict):
            for name, member in value.items():
                check(member, f"{path}.{name}")
        if isinstance(value, list):
            for item in value:
                check(item, f"{path}[]")

    for command in ("listvs", "listcert", "getall", "showhealth", "userlist", "listapikeys", "licenseinfo", "vstotals"):
        status, found = lm.v2(command)
        assert status == 200
        check(found, command)


def test_real_servers_decode_in_every_answer(lm: LoadMasterClient, services: list[int], one: Origin) -> None:
    # A Go client writes whole records back in its own spelling.
    _, added = lm.v2("addrs", vs=services[2], rs="127.0.0.1", rsport=one.port, Weight="750", Limit=0, Enable=True)
    assert len(added["Rs"]) == 1
    server = from_json(added["Rs"][0], SERVER)
    assert (server["Weight"], server["Port"], server["VSIndex"]) == (750, one.port, services[2])
    reference: dict[str, Any] = {"vs": services[2], "rs": f"!{server['RsIndex']}"}
    _, changed = lm.v2("modrs", **reference, **(added["Rs"][0] | {"Weight": 800, "Addr": "192.0.2.1", "Port": 1}))
    assert changed["status"] == "ok"
    assert from_json(changed["Rs"][-1], SERVER)["Weight"] == 800
    _, shown = lm.v2("showrs", **reference)
    assert (shown["Rs"][0]["Addr"], shown["Rs"][0]["Port"]) == ("127.0.0.1", one.port)
    assert [element.tag for element in lm.must("showrs", **reference).data] == ["Rs"]


def test_statistics_decode(lm: LoadMasterClient, services: list[int], one: Origin) -> None:
    port = int(lm.v2("showvs", vs=services[0])[1]["VSPort"])
    eventually_equal(lambda: _status(port), 200)
    _, stats = lm.v2("stats")
    root = lm.must("stats").data
    assert [from_json(record, STATS_SERVICE)["Index"] for record in stats["Vs"]] == services
    assert all(set(record) == set(STATS_SERVICE) for record in stats["Vs"])
    assert all(set(record) == set(STATS_SERVER) for record in stats["Rs"])
    assert len([from_json(record, STATS_SERVER) for record in stats["Rs"]]) == 2
    assert next(from_xml(record, STATS_SERVICE)["VSPort"] for record in root.findall("Vs")) == port
    assert len([from_xml(record, STATS_SERVER) for record in root.findall("Rs")]) == 2
    sections = ["CPU", "Memory", "Network", "DiskUsage", "VStotals", "Vs", "Rs", "TPS", "Timestamp"]
    assert [name for name in stats if name in sections] == sections
    assert list(dict.fromkeys(tag for tag in (element.tag for element in root) if tag in sections)) == sections
    assert isinstance(stats["Network"]["Interface"][0]["in"], float)
    assert [core["cpu"] for core in stats["CPU"]["cpu"]] == list(range(len(stats["CPU"]["cpu"])))


def _status(port: int) -> int | None:
    try:
        return fetch(f"http://127.0.0.1:{port}/", timeout=5.0).status
    except OSError:
        return None


def test_check_times_are_strings_in_v2(lm: LoadMasterClient) -> None:
    _, found = lm.v2("showhealth")
    values = {name: value for name, value in found.items() if name not in ("code", "status")}
    assert set(values) == {"RetryInterval", "Timeout", "RetryCount"}
    assert all(isinstance(value, str) and value.isdigit() for value in values.values())


@pytest.mark.parametrize(
    "enable", [True, False, 1, 0, "1", "0", "Y", "N", "y", "n", "yes", "no", "Yes", "NO", "true", "false"]
)
def test_booleans_are_taken_in_every_spelling(lm: LoadMasterClient, port: int, enable: object) -> None:
    meant = str(enable).lower() in ("true", "1", "y", "yes")
    status, made = lm.v2("addvs", vs="127.0.0.1", port=port, prot="tcp", **{"CheckUse1.1": enable})
    assert (status, made.get("CheckUse1.1")) == (200, meant)
    assert lm.must("showvs", vs=1).text("CheckUse1.1") == ("Y" if meant else "N")
