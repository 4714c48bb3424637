"""Counters out of `show stat`: what is read, what is left out, and that nothing is lost when a worker is replaced."""

from __future__ import annotations

from pathlib import Path

from tests.unit.model.making import HTTP, SERVER, apply

from steelyard.engines.layer4.contract import ServiceTraffic, Traffic
from steelyard.model.commands import AddServer, AddService, CreateSubService
from steelyard.observe import collector
from steelyard.observe.collector import Collector

_HEADER = "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,status,req_tot,last_chk,"


def _line(proxy: str, server: str, scur: int, stot: int, received: int, sent: int, requests: object) -> str:
    return f'{proxy},{server},0,0,{scur},9,,{stot},{received},{sent},0,UP,{requests},"refused, as it says",'


async def _rows(*lines: str) -> dict[str, tuple[int, ...]]:
    return {key: tuple(row[:5]) for key, row in (await collector._rows("\n".join((_HEADER, *lines)))).items()}


async def test_frontends_servers_and_backends_are_read() -> None:
    rows = await _rows(
        _line("vs1", "FRONTEND", 3, 10, 100, 200, 12),
        _line("vs1", "rs7", 2, 9, 90, 180, ""),
        _line("vs1", "BACKEND", 3, 10, 100, 200, 12),
    )
    assert rows == {
        "vs1": (3, 10, 100, 200, 12),
        "vs1/rs7": (2, 9, 90, 180, 0),
        "vs1/BACKEND": (3, 10, 100, 200, 12),
    }


async def test_the_backends_of_one_service_and_their_servers_are_added_up() -> None:
    rows = await _rows(
        _line("vs1", "rs7", 1, 2, 3, 4, 5),
        _line("vs1", "BACKEND", 1, 2, 3, 4, 5),
        _line("vs1-7-9", "rs7", 1, 2, 3, 4, 5),
        _line("vs1-7-9", "rs9", 1, 1, 1, 1, 1),
        _line("vs1-7-9", "BACKEND", 2, 3, 4, 5, 6),
        _line("vs10", "rs7", 9, 9, 9, 9, 9),
    )
    assert rows == {
        "vs1/rs7": (2, 4, 6, 8, 10),
        "vs1/rs9": (1, 1, 1, 1, 1),
        "vs1/BACKEND": (3, 5, 7, 9, 11),
        "vs10/rs7": (9, 9, 9, 9, 9),
    }


def test_a_sub_service_shows_what_its_backends_carried_and_its_slot_the_same() -> None:
    family = apply(AddService(HTTP), CreateSubService(1), AddServer(2, SERVER))
    totals = {"vs1": collector._Row(1, 9), "vs2/BACKEND": collector._Row(1, 7), "vs2/rs2": collector._Row(1, 6)}
    found = collector._statistics(family, totals, {}, {"vs1/rs1": 3, "vs2/rs2": 2}, 1.0, 1.0, 0)
    assert [found.services[index].total_connections for index in (1, 2)] == [9, 7]
    assert (found.servers[1, 1].total_connections, found.servers[1, 1].persistence_entries) == (7, 3)
    assert (found.servers[2, 2].total_connections, found.servers[2, 2].persistence_entries) == (6, 2)


async def test_what_has_carried_nothing_is_left_out() -> None:
    assert await _rows(_line("vs1", "FRONTEND", 0, 0, 0, 0, 0), _line("vs1", "rs7", 0, 0, 0, 0, "")) == {}


async def test_an_answer_that_is_no_table_gives_no_rows() -> None:
    assert await collector._rows("") == {}
    assert await collector._rows("Permission denied\n") == {}


def test_counters_go_on_over_a_new_worker_and_connections_are_those_of_now() -> None:
    row, counters = collector._Row, Collector(Path("nowhere"))

    def grow(rows: dict[str, collector._Row]) -> dict[str, tuple[int, ...]]:
        return {key: tuple(one[:5]) for key, one in counters._grow(rows).items()}

    assert grow({"vs1": row(4, 10, 100, 200, 10)})["vs1"] == (4, 10, 100, 200, 10)
    # the new worker has seen nothing of this service yet, so it has no row
    assert grow({})["vs1"] == (0, 10, 100, 200, 10)
    assert grow({"vs1": row(1, 2, 20, 40, 2)})["vs1"] == (1, 12, 120, 240, 12)
    assert grow({"vs1": row(0, 3, 30, 60, 3)})["vs1"] == (0, 13, 130, 260, 13)
    # another worker
    assert grow({"vs1": row(1, 1, 10, 20, 1)})["vs1"] == (1, 14, 140, 280, 14)


def test_what_the_kernel_carries_is_counted_under_the_same_names() -> None:
    carried = ServiceTraffic(
        Traffic(connections=9, packets_in=70, bytes_in=700, packets_out=60, bytes_out=6000, active=2),
        {"rs1": Traffic(connections=9, packets_in=70, bytes_in=700, active=2, records=3), "rs2": Traffic()},
    )
    rows = collector._kernel_rows({"vs1": carried})
    assert rows == {
        "vs1": collector._Row(2, 9, 700, 6000, 0, 130),
        "vs1/rs1": collector._Row(2, 9, 700, 0, 0, 70),
    }
    assert collector._kernel_records({"vs1": carried}) == {"vs1/rs1": 3}
    found = collector._statistics(apply(AddService(HTTP)), rows, {"vs1": collector._Row(packets=30)}, {}, 1.0, 2.0, 0)
    assert (found.services[1].packets, found.services[1].packets_per_second) == (130, 50)
