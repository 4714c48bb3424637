"""Layer 4 by IPVS with real packets, in a kernel that has it (`inside_ipvs.py` is what runs there)."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.uml import Outcome, boot

pytestmark = pytest.mark.needs("linux.uml", "modprobe", "iptables-legacy")

CLIENT, VIP = "198.51.100.100", "203.0.113.10"
REFUSED, RESET = "ConnectionRefusedError", "ConnectionResetError"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return boot(Path(__file__).with_name("inside_ipvs.py"), tmp_path_factory.mktemp("ipvs"), seconds=110)


def test_tcp_udp_and_ipv6_are_translated_and_servers_see_the_client(kernel: Outcome) -> None:
    found = kernel.value("network_address_translation")

    assert found["tcp"][0] == found["udp"][0] == CLIENT
    assert {found["tcp"][1], found["udp"][1]} <= {"192.0.2.11", "192.0.2.12"}
    assert found["six"] == ["2001:db8:9::100", "2001:db8:1::11", 80]
    assert found["active"] == 1, "an exchange of UDP that may go on"
    assert found["spread"] == {"real1": 5, "real2": 5}


def test_least_connection_counts_open_connections_and_weighs_them_when_asked(kernel: Outcome) -> None:
    found = kernel.value("least_connection")

    assert found["lc"]["roles"] == {"real1": 8, "real2": 8}
    assert found["lc"]["active"] == {"rs1": 8, "rs2": 8}
    assert found["lc"]["after"] == {"real1": 6}, "the server whose connections have ended is filled up first"
    assert found["wlc"]["roles"] == {"real1": 4, "real2": 12}
    assert found["wlc"]["after"] == {"real2": 6}


def test_weights_and_the_hash_of_the_client(kernel: Outcome) -> None:
    found = kernel.value("weights_and_hash")

    assert found["wrr"] == {"real1": 2, "real2": 6}
    assert found["sh"] == [1, 1, 1], "each client has one server"
    assert list(found["moved"].values()) == [3]
    assert found["gone"] not in found["moved"]


def test_ranges_and_the_wildcard_port_keep_the_clients_port(kernel: Outcome) -> None:
    found = kernel.value("ports")

    assert found["range"] == [81, REFUSED], "a server that does not listen there refuses itself"
    assert found["wildcard"] == [["real1", 80], ["real1", 8080], ["real2", 8080]], "a service of the port goes first"
    assert found["open"] == ["real1", "real1"], "an open connection survives that its port is taken from the service"
    assert found["closed"] == REFUSED
    assert found["steps"] == ["nftables: change the marks of IPVS services"]


def test_clients_keep_their_server_and_lose_a_record_of_one_that_failed(kernel: Outcome) -> None:
    found = kernel.value("persistence")

    assert found["same"] == 1, "clients of one network share a record"
    assert found["others"] == 1
    assert sorted(found["records"]) == [
        ["198.51.100.0", "rs1" if found["roles"][0] == "real1" else "rs2", True],
        ["198.51.100.128", "rs1" if found["roles"][1] == "real1" else "rs2", True],
    ]
    assert found["count"] == 1
    assert found["moved"] and found["stays"], "and does not go back when the first one returns"
    assert found["translated"] == [1, 8080]
    assert found["flush"] == "EngineRefused"


def test_failed_and_disabled_servers_get_nothing_new_and_keep_what_is_open(kernel: Outcome) -> None:
    found = kernel.value("failed_and_disabled")

    assert found["failed"] == {"real2": 4}
    assert found["disabled"] == {"real1": 4}
    assert found["still"] and found["alive"]
    assert found["nobody"] == [REFUSED, REFUSED], "TCP is reset, UDP told that nobody is there"
    assert found["back"] == {"real1": 2}
    assert found["shut"] == [REFUSED, True], "a disabled service refuses clients and keeps connections"


def test_the_sorry_server_steps_in_and_out(kernel: Outcome) -> None:
    assert kernel.value("sorry_server") == ["real1", "real2", 8080, "real1"]


def test_connections_are_cut_when_asked_and_by_nothing_unrelated(kernel: Outcome) -> None:
    found = kernel.value("dropped_and_removed")

    assert found["cut"][0] == RESET
    assert found["cut"][1] != "real1", "it is not revived when the server is up again"
    assert found["lives"] == "real2"
    assert found["kept_count"][0] <= found["kept_count"][1], "counters do not go back"
    assert found["at_once"] == RESET
    assert found["unrelated"] == ["real1", "real2"]
    assert found["removed"] == [RESET, "real2"]
    assert found["gone"] == [RESET, REFUSED]


def test_a_server_at_its_limit_gets_no_more(kernel: Outcome) -> None:
    assert kernel.value("limits") == REFUSED


def test_sip_calls_stay_together_whatever_port_they_come_from(kernel: Outcome) -> None:
    found = kernel.value("sip_calls")

    assert found["sticks"] == [1] * 6
    assert found["spread"] == 2
    assert found["from"] == [[VIP, 5060]], "answers come from the service's address"
    assert found["records"] == [f"{call}1234567890@example.com" for call in "abcdef"]
    assert found["count"] == 6


def test_udp_without_answers_is_balanced_by_the_datagram(kernel: Outcome) -> None:
    assert kernel.value("one_datagram") == {"rs1": 2, "rs2": 2}


def test_direct_return_leaves_packets_alone_and_answers_do_not_come_back_here(kernel: Outcome) -> None:
    found = kernel.value("direct_return")

    assert found["tcp"] == [{"real1": 2, "real2": 2}, ["192.0.2.100", "192.0.2.50", 80]]
    assert found["udp"] == ["192.0.2.100", "192.0.2.50", 80]
    assert found["six"] == [{"real1": 1, "real2": 1}, ["2001:db8:1::100", "2001:db8:1::50", 80]]
    assert found["in"]
    assert found["out"] == 0
    assert found["failed"] == [False, 3]
    assert found["lives"]
    assert found["dropped"] == RESET


def test_a_source_address_of_this_host_serves_clients_next_to_the_servers(kernel: Outcome) -> None:
    assert kernel.value("source_addresses") == ["192.0.2.1", "192.0.2.1", CLIENT]


def test_settings_of_services_reach_the_kernel(kernel: Outcome) -> None:
    found = kernel.value("as_an_operator_says_it")

    assert found["udp"] == {"real1": 2, "real2": 2}
    assert found["kept"] == [1, 8080]
    assert found["direct"] == [{"real1": 2, "real2": 2}, "192.0.2.50"]
    assert found["sysctls"] == {"ipv4/ip_forward": "1"}


def test_answers_follow_the_rules_of_a_gateway_of_their_own(kernel: Outcome) -> None:
    assert kernel.value("own_gateway") == ["real1", "TimeoutError", "real1"]


def test_counters_of_services_and_servers(kernel: Outcome) -> None:
    found = kernel.value("counters")

    assert found["before"] == 0
    assert found["connections"] == [3, 1]
    assert found["servers"] == 3
    assert found["packets"] == [True, True]
    assert found["bytes"] == [True, True]
    assert found["again"] == [True, 0]


def test_after_a_crash_what_is_there_is_taken_up_again(kernel: Outcome) -> None:
    found = kernel.value("adopted_after_a_crash")

    assert found["found"] == ["vs1", "vs2"]
    assert found["same"], "nothing had to be done"
    assert found["open"] and found["sticks"]
    assert found["left"] == 3, "the service that is wanted no more has gone: one with two servers is left"
    assert found["connections"] == 4


def test_virtual_servers_of_others_are_left_alone_and_refusals_change_nothing(kernel: Outcome) -> None:
    found = kernel.value("others_are_left_alone")

    assert found["said"] == "EngineRefused"
    assert found["unchanged"]
    assert found["mended"] == {"real1": 2}
    assert found["left"] == ["TCP  CB00710A:270F rr  "]


def test_a_trial_leaves_nothing(kernel: Outcome) -> None:
    assert kernel.value("tried_without_being_done") is True


def test_settings_of_the_kernel_are_put_back(kernel: Outcome) -> None:
    before, both, one, after = kernel.value("settings")

    assert before == after == [0, 0, 0, 900, 300]
    assert both == [1, 1, 1, 1200, 300]
    assert one == [1, 1, 0, 1200, 300]
