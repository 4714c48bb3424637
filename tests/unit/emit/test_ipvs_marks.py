"""The text of the table of marks."""

from __future__ import annotations

from dataclasses import replace

from steelyard.emit.ipvs.marks import MarkedService, changes, elements, removal, whole

WEB = MarkedService(0x50000001, "tcp", "192.0.2.1", ((80, 80), (90, 99)), closed=True, source="192.0.2.9")
ALL = MarkedService(0x50000002, "udp", "2001:db8::1", closed=True)


def test_elements_of_a_service() -> None:
    found = elements([WEB, ALL])

    assert found["ports4"] == {"192.0.2.1 . tcp . 80 : 0x50000001", "192.0.2.1 . tcp . 90-99 : 0x50000001"}
    assert found["wildcard6"] == {"2001:db8::1 . udp : 0x50000002"}
    assert found["wildcards"] == {"0x50000002"}
    assert found["source4"] == {"0x50000001 : 192.0.2.9"}
    assert found["closed"] == {"0x50000001"}, "UDP is refused by IPVS itself"


def test_clients_that_are_refused_have_a_set_of_their_service() -> None:
    ranges = (("10.0.0.0", "10.0.0.255"), ("10.1.0.7", "10.1.0.7"))
    listed, unheard = replace(WEB, refused=ranges), replace(WEB, refused=ranges, unheard=True)

    assert changes([WEB], [listed]) == (
        "add set inet steelyard_ipvs list_50000001 { type ipv4_addr; flags interval; }\n"
        "add chain inet steelyard_ipvs list_50000001\n"
        "flush chain inet steelyard_ipvs list_50000001\n"
        "add rule inet steelyard_ipvs list_50000001 ip saddr @list_50000001 goto refuse\n"
        "flush set inet steelyard_ipvs list_50000001\n"
        "add element inet steelyard_ipvs list_50000001 { 10.0.0.0-10.0.0.255, 10.1.0.7 }\n"
        "add element inet steelyard_ipvs listing { 0x50000001 : jump list_50000001 }\n"
    )
    assert changes([listed], [unheard]).splitlines()[1:] == [
        "add rule inet steelyard_ipvs list_50000001 ip saddr @list_50000001 drop"
    ]
    assert "delete set inet steelyard_ipvs list_50000001\n" in changes([listed], [WEB])


def test_a_change_names_what_differs_alone() -> None:
    before, after = [WEB, ALL], [MarkedService(WEB.mark, "tcp", "192.0.2.1", ((80, 80),)), ALL]

    assert changes(before, after) == (
        "delete element inet steelyard_ipvs ports4 { 192.0.2.1 . tcp . 90-99 : 0x50000001 }\n"
        "delete element inet steelyard_ipvs source4 { 0x50000001 : 192.0.2.9 }\n"
        "delete element inet steelyard_ipvs closed { 0x50000001 }\n"
    )
    assert changes(after, before).count("add element") == 3
    assert changes(before, before) == ""


def test_the_table_is_made_anew_in_one_transaction() -> None:
    lines = whole([WEB]).splitlines()

    assert lines[:2] == removal().splitlines()
    assert "add element inet steelyard_ipvs closed { 0x50000001 }" in lines
