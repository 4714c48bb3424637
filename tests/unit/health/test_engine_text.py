"""HAProxy's answers, as 2.6 and 2.8 print them."""

from __future__ import annotations

import pytest

from steelyard.health.engine_text import answers, is_missing, old_workers, servers_state, sessions_of
from steelyard.health.steps import Have
from steelyard.model.errors import EngineRefused

STATE = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight
3 vs1 1 rs1 127.0.0.1 0 1 3 10
3 vs1 2 rs2 127.0.0.1 2 0 10 10
3 vs1 3 rs3 127.0.0.1 1 40 0 10

"""

PROC = """#<PID>          <type>          <reloads>       <uptime>        <version>
15664           master          1 [failed: 0]   0d00h00m02s     2.6.12-1+deb12u4
# workers
15753           worker          0               0d00h00m01s     2.6.12-1+deb12u4
# old workers
15700           worker          1               0d00h00m02s     2.6.12-1+deb12u4
15690           worker          2               0d00h00m09s     2.6.12-1+deb12u4
# programs

"""

SESSIONS = """0x5647a47f68e0: proto=tcpv4 src=127.0.0.1:58348 fe=f be=vs1 srv=rs1 ts=00 epoch=0 age=1s
0x5647a47f68e1: proto=tcpv4 src=127.0.0.1:58349 fe=f be=vs2 srv=rs1 ts=00 epoch=0 age=1s
0x5647a4912800: proto=sockpair src=unix:2 fe=GLOBAL be=<NONE> srv=<none> ts=00 epoch=0 age=0s

"""


def test_servers_and_their_states() -> None:
    assert servers_state(STATE) == {
        ("vs1", "rs1"): Have(False, "maint", 3),
        ("vs1", "rs2"): Have(True, "ready", 10),
        ("vs1", "rs3"): Have(True, "drain", 0),
    }


@pytest.mark.parametrize(
    "text", ["", "Permission denied\n", STATE.replace("rs1 127.0.0.1 0 1", "rs1 x"), "1\n# be_id a\n3 b\n"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(EngineRefused):
        servers_state(text)


def test_old_workers_are_those_that_drain() -> None:
    assert old_workers(PROC) == [15700, 15690]
    assert old_workers(PROC.replace("# old workers", "# more workers")) == []


def test_only_sessions_of_these_servers_are_found() -> None:
    assert sessions_of(SESSIONS, {("vs1", "rs1")}) == ["0x5647a47f68e0"]


def test_one_answer_a_command() -> None:
    assert answers("\nNo such server.\n\n\n") == ["", "No such server.", ""]
    assert answers("\n") == [""]
    assert answers("") == []
    assert answers("two\nlines\n\n") == ["two lines"]


def test_an_unknown_server_is_told_from_a_refusal() -> None:
    assert is_missing("No such server.")
    assert is_missing("No such backend.")
    assert not is_missing("Permission denied")
