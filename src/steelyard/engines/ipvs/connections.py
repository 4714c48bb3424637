"""The table of connections, /proc/net/ip_vs_conn: records of persistence, and what is open to a real server.

A line holds protocol, client, virtual server, real server, each with its port in hexadecimal, state, seconds left and,
where a persistence engine made it, its name and key. IPv4 addresses are hexadecimal numbers, IPv6 ones are spelled out
(ip_vs_conn_seq_show in net/netfilter/ipvs/ip_vs_conn.c). Records are the lines without a client's port; for a virtual
server known by a mark, its address is the mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from steelyard.engines.ipvs.virtual_server import Identity

TABLE = Path("/proc/thread-self/net/ip_vs_conn")


@dataclass(frozen=True, slots=True)
class Connection:
    """One line. A `record` is what keeps a client with its real server; `call` is the Call-ID of one for SIP."""

    protocol: str
    client: str
    client_port: int
    virtual: str
    virtual_port: int
    server: str
    server_port: int
    seconds: int
    call: str = ""

    @property
    def record(self) -> bool:
        return self.client_port == 0

    def is_of(self, identity: Identity) -> bool:
        """Whether this record is of that virtual server."""
        if identity.mark:
            return self.virtual == _mark_as_address(identity)
        return self.virtual == identity.address


def read(table: Path = TABLE) -> Iterator[Connection]:
    """Every connection and record. The table may be large; it is read line by line. None where IPVS is not loaded."""
    try:
        with table.open() as lines:
            yield from parse(lines)
    except FileNotFoundError:
        return


def parse(lines: Iterable[str]) -> Iterator[Connection]:
    """The lines of the table, its heading passed over."""
    for line in lines:
        words = line.split()
        if len(words) < 9 or words[0] not in ("TCP", "UDP", "IP"):
            continue
        yield Connection(
            protocol=words[0],
            client=_address(words[1]),
            client_port=int(words[2], 16),
            virtual=_address(words[3]),
            virtual_port=int(words[4], 16),
            server=_address(words[5]),
            server_port=int(words[6], 16),
            seconds=int(words[8]),
            call=words[10] if len(words) > 10 and words[9] == "sip" else "",
        )


def _address(text: str) -> str:
    return str(IPv6Address(text.strip("[]")) if ":" in text else IPv4Address(int(text, 16)))


def _mark_as_address(identity: Identity) -> str:
    number = identity.mark.to_bytes(4, "big")
    return str(IPv6Address(number + bytes(12)) if identity.ipv6 else IPv4Address(number))
