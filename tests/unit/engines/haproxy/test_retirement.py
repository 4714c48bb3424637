"""Which servers an answer to `show stat` shows at work."""

from __future__ import annotations

from steelyard.engines.haproxy.retirement import busy_servers


def test_a_server_with_a_session_is_busy() -> None:
    answer = "# pxname,svname,qcur,qmax,scur,smax,\nvs1,rs1,0,0,2,5,\nvs1,rs2,0,0,0,5,\n\n"
    assert busy_servers(answer) == {"rs1"}


def test_an_answer_about_nothing_names_nobody() -> None:
    assert busy_servers("No such proxy.\n") == set()
    assert busy_servers("") == set()
