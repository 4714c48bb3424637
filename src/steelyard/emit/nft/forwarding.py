"""The table of the packet routing filter: what this host forwards between its networks, and nothing else.

That is what belongs to a connection it balances (`ct status dnat`; IPVS sends what it balances from this host, and its
answers come from real servers), what hosts next to real servers begin, and the answers to all of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network

_TABLE = "inet steelyard_forwarding"


def forwarding_text(networks: Iterable[str] | None) -> str:
    """One transaction that lets these networks begin connections; None removes the table, whatever there was."""
    lines = [f"add table {_TABLE}", f"delete table {_TABLE}"]
    if networks is not None:
        parsed = sorted((ip_network(one) for one in networks), key=str)
        lines += [
            f"add table {_TABLE}",
            f"add chain {_TABLE} forward {{ type filter hook forward priority 0; policy drop; }}",
            f"add rule {_TABLE} forward ct state established,related accept",
            f"add rule {_TABLE} forward ct status dnat accept",
            *(f"add rule {_TABLE} forward {'ip' if one.version == 4 else 'ip6'} saddr {one} accept" for one in parsed),
        ]
    return "".join(f"{line}\n" for line in lines)
