"""Counters out of `show stat`: what is read, what is left out, and that nothing is lost when a worker is replaced."""

from __future__ import annotations

from pathlib import Path

from steelyard.observe import collector
from steelyard.observe.collector import Collector

_HEADER = "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,status,req_tot,last_chk,"


def _line(proxy: str, server: str, scur: int, stot: int, received: int, sent: int, requests: object) -> str:
    return f'{proxy},{server},0,0,{scur},9,,{stot},{received},{sent},0,UP,{requests},"refused, as it says",'


async def _rows(*lines: str) -> dict[str, tuple[int, ...]]:
    return {key: tuple(row) for key, row in (await collector._rows("\n".join((_HEADER, *lines)))).items()}


async def test_frontends_and_servers_are_read_and_backends_are_not() -> None:
    rows = await _rows(
        _line("vs1", "FRONTEND", 3, 10, 100, 200, 12),
        _line("vs1", "rs7", 2, 9, 90, 180, ""),
        _line("vs1", "BACKEND", 3, 10, 100, 200, 12),
    )
    assert rows == {"vs1": (3, 10, 100, 200, 12), "vs1/rs7": (2, 9, 90, 180, 0)}


async def test_what_has_carried_nothing_is_left_out() -> None:
    assert await _rows(_line("vs1", "FRONTEND", 0, 0, 0, 0, 0), _line("vs1", "rs7", 0, 0, 0, 0, "")) == {}


async def test_an_answer_that_is_no_table_gives_no_rows() -> None:
    assert await collector._rows("") == {}
    assert await collector._rows("Permission denied\n") == {}


def test_counters_go_on_over_a_new_worker_and_connections_are_those_of_now() -> None:
    row, counters = collector._Row, Collector(Path("nowhere"))
    assert counters._grow({"vs1": row(4, 10, 100, 200, 10)})["vs1"] == (4, 10, 100, 200, 10)
    # the new worker has seen nothing of this service yet, so it has no row
    assert counters._grow({})["vs1"] == (0, 10, 100, 200, 10)
    assert counters._grow({"vs1": row(1, 2, 20, 40, 2)})["vs1"] == (1, 12, 120, 240, 12)
    assert counters._grow({"vs1": row(0, 3, 30, 60, 3)})["vs1"] == (0, 13, 130, 260, 13)
    # another worker
    assert counters._grow({"vs1": row(1, 1, 10, 20, 1)})["vs1"] == (1, 14, 140, 280, 14)
