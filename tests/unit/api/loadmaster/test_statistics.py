from __future__ import annotations

import json
from pathlib import Path

from tests.unit.api.loadmaster.calling import Api

from steelyard.observe.statistics import ClientLimitCounters, Statistics, TrafficCounters
from steelyard.observe.status import Verdict

CASES = Path(__file__).parents[3] / "cases" / "loadmaster"


def _traffic(api: Api) -> None:
    api.v1("addvs", vs="10.0.0.10", port=443, prot="tcp")
    api.v1("addrs", vs=1, rs="10.0.1.21", rsport=8080)
    api.appliance.verdicts["vs1/rs1"] = Verdict("up")
    counters = TrafficCounters(4, 9001, 30_000, 60_010, 12, 11_000, 9500, 3, 21, 22, 23)
    clients = ClientLimitCounters(1, 2, 3, 4, 5, 6, 7, 8)
    api.appliance.sample = Statistics(1_700_000_000.125, 5.0, {1: counters}, {(1, 1): counters}, 12, clients)


def test_v1_shape(api: Api) -> None:
    _traffic(api)
    assert api.v1_response("stats").text == (CASES / "stats.xml").read_text()


def test_v2_shape(api: Api) -> None:
    _traffic(api)
    assert api.v2_response("stats").json() == json.loads((CASES / "stats.json").read_text())


def test_spellings_and_types_differ_from_other_records(api: Api) -> None:
    _traffic(api)
    stats = api.v2("stats")
    (service,), (server,) = stats["Vs"], stats["Rs"]
    assert (service["VSPort"], service["Status"], service["Enable"], service["ActiveConns"]) == (443, "up", 1, 4)
    assert (server["RSIndex"], server["ActivConns"], server["Persist"], server["Bytes"]) == (1, 4, 3, 90_010)
    assert stats["VStotals"]["BitsPerSec"] == 88_000
    assert stats["TPS"] == {"Total": 12, "SSL": 12}
    assert stats["Timestamp"] == {"Sec": 1_700_000_000, "Usec": 125_000, "Period": 5_000_000}


def test_without_services_the_lists_are_absent(api: Api) -> None:
    assert not {"Vs", "Rs"} & api.v2("stats").keys()
    assert not {"Vs", "Rs"} & api.v1("stats").keys()
