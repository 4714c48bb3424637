"""The kernel's table of connections, as Linux 6.1 prints it."""

from __future__ import annotations

from pathlib import Path

from steelyard.engines.ipvs.connections import parse, read
from steelyard.engines.ipvs.virtual_server import Identity

LINES = """\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP C6336464 9C40 CB00710A 0050 C000020B 1F90 ESTABLISHED     899
IP  C6336400 0000 50000001 0000 C000020C 0000 NONE            299
UDP C6336464 0000 CB00710A 13C4 C000020B 13C4 NONE            300 sip a1234567890@example.com
IP  2001:0db8:0000:0000:0000:0000:0000:0000 0000 5000:0003:0000:0000:0000:0000:0000:0000 0000 \
2001:0db8:0001:0000:0000:0000:0000:0011 0000 NONE            60
""".splitlines()


def test_connections_and_records_are_told_apart() -> None:
    tcp, record, call, six = parse(LINES)

    assert not tcp.record
    assert (tcp.client, tcp.client_port, tcp.virtual, tcp.virtual_port) == ("198.51.100.100", 40000, "203.0.113.10", 80)
    assert (tcp.server, tcp.server_port, tcp.seconds) == ("192.0.2.11", 8080, 899)
    assert record.record and call.record and six.record
    assert call.call == "a1234567890@example.com"
    assert six.client == "2001:db8::"
    assert six.server == "2001:db8:1::11"


def test_records_are_of_a_mark_or_an_address() -> None:
    _, record, call, six = parse(LINES)

    assert record.is_of(Identity(False, mark=0x50000001))
    assert not record.is_of(Identity(False, mark=0x50000002))
    assert six.is_of(Identity(True, mark=0x50000003))
    assert call.is_of(Identity(False, protocol=17, address="203.0.113.10", port=5060))


def test_without_ipvs_there_are_none(tmp_path: Path) -> None:
    assert [*read(tmp_path / "absent")] == []
