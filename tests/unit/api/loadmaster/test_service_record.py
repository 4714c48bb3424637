"""The record of a virtual service: golden files of both versions, and its types."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.support import certificates
from tests.unit.api.loadmaster.calling import Api

from steelyard.api.loadmaster.service_record import ROWS
from steelyard.model.virtual_service import VirtualService
from steelyard.observe.status import Verdict

CASES = Path(__file__).parents[3] / "cases" / "loadmaster"
TEXT_NUMBERS = {"VSPort", "ErrorCode", "SSLRewrite", "PersistTimeout", "CheckPort", "TlsType"}


def _without_index(text: str) -> str:
    text = re.sub(r"<(Index|VSIndex|RsIndex)>\d+<", r"<\1>N<", text)
    return re.sub(r'"(Index|VSIndex|RsIndex)": \d+', r'"\1": 0', text)


def _fresh(api: Api) -> None:
    api.v1("addvs", vs="10.0.0.10", port=80, prot="tcp")


def _full(api: Api) -> None:
    """One with everything a record can show today."""
    api.upload(1, "addcert", certificates.leaf("shop.example", kind="ec").bundle(), cert="shop")
    parameters = {
        "nickname": "shop.1 @home",
        "vstype": "http",
        "sslacceleration": 1,
        "certfile": "shop",
        "sslreencrypt": 1,
        "passsni": 1,
        "reversesnihostname": "inner.example",
        "allowhttp2": 1,
        "tlstype": 7,
        "persist": "cookie-src",
        "persisttimeout": 600,
        "cookie": "SID",
        "schedule": "wlc",
        "extraports": "8443,9000-9010",
        "checktype": "https",
        "checkuse1.1": 1,
        "checkuseget": 2,
        "checkhost": "shop.example",
        "checkurl": "/health?a=1&b=2",
        "checkcodes": "404 503",
        "checkpattern": "<ok>",
        "checkpostdata": "ping",
        "checkheaders": "A:1|B:2",
        "checkport": 8444,
        "idletime": 120,
        "addvia": 5,
        "serverinit": 3,
        "httpreschedule": 1,
    }
    api.v1("addvs", {"vs": "10.0.0.10", "port": 443, "prot": "tcp", **parameters})
    api.v1("addrs", vs=1, rs="10.0.1.21", rsport=8443, weight=5, limit=100)
    api.v1("addrs", vs=1, rs="2001:db8::22", rsport=8443, enable="n")
    api.appliance.verdicts["vs1/rs1"] = Verdict("up")


@pytest.mark.parametrize("case", ["fresh", "full"])
def test_v1_record(api: Api, case: str) -> None:
    {"fresh": _fresh, "full": _full}[case](api)
    assert _without_index(api.v1_response("showvs", vs=1).text) == (CASES / f"showvs-{case}.xml").read_text()


@pytest.mark.parametrize("case", ["fresh", "full"])
def test_v2_record(api: Api, case: str) -> None:
    {"fresh": _fresh, "full": _full}[case](api)
    assert _without_index(api.v2_response("showvs", vs=1).text) == (CASES / f"showvs-{case}.json").read_text()


def test_every_case_file_is_what_its_name_says() -> None:
    for file in CASES.glob("*.json"):
        assert json.loads(file.read_text())["status"] == "ok"


def test_numbers_are_numbers_but_for_the_six(api: Api) -> None:
    _full(api)
    record = api.v2("showvs", vs=1)
    v1 = api.v1("showvs", vs=1)
    for name, value in record.items():
        if isinstance(v1[name], str) and v1[name].isdigit():
            assert isinstance(value, str) is (name in TEXT_NUMBERS), name
        if v1[name] in ("Y", "N"):
            assert isinstance(value, bool), name


def test_the_table_spells_each_setting_as_the_catalogue_does() -> None:
    declared = VirtualService.declared()
    for row in ROWS:
        if row.field is not None:
            assert declared[row.field].setting.spelled == row.name


def test_listvs_wraps_the_same_record(api: Api) -> None:
    _full(api)
    assert api.v2("listvs")["VS"] == [api.v2("showvs", vs=1)]
    assert api.v1("listvs")["VS"] == api.v1("showvs", vs=1)
