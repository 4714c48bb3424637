"""The table of strict routing: packets to an address of this host come in by the interface that has it, or not at all.

Linux takes a packet for any of its addresses by any interface. `fib daddr . iif` asks the routing table as if it had
this interface alone. It is asked before anything is translated (-300), so services at layer 4 are meant, too.
"""

from __future__ import annotations

_TABLE = "inet steelyard_strict"


def strict_text(wanted: bool) -> str:
    """One transaction that makes the table, or removes it, whatever there was."""
    lines = [f"add table {_TABLE}", f"delete table {_TABLE}"]
    if wanted:
        lines += [
            f"add table {_TABLE}",
            f"add chain {_TABLE} prerouting {{ type filter hook prerouting priority -300; policy accept; }}",
            f'add rule {_TABLE} prerouting iif "lo" accept',
            f"add rule {_TABLE} prerouting fib daddr type local fib daddr . iif type != local drop",
        ]
    return "".join(f"{line}\n" for line in lines)
