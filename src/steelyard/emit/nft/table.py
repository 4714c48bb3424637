"""The table of layer-4 services without any service: sets, maps and the chains that packets enter by.

- Only the first packet of a connection meets the `nat` chains (kernel documentation, `nf_nat`); the rest follows it.
- `count` comes after `prerouting` (-100), where the mark of a new connection is set, so that its first packet counts.
- The records of each family share a map of a million; a map of each service's own would need 1 MB each.
- `th dport` reads the same bytes of TCP and UDP; keys hold the protocol, so no other protocol can match.
"""

from __future__ import annotations

from collections.abc import Iterator

from steelyard.plan.nft import CONNECTION_MARK, CONNECTION_MASK, COUNTERS, TABLE

#: persistence records of each address family, at most
MOST_RECORDS = 1_048_576

_FAMILIES = (("4", "ip", "ipv4_addr"), ("6", "ip6", "ipv6_addr"))


def table_text() -> str:
    """Commands that make the table if it is not there."""
    return "".join(f"{line}\n" for line in (f"add table inet {TABLE}", *_sets(), *_chains()))


def clear_text() -> str:
    """Commands that remove the table, whether it is there or not."""
    return f"add table inet {TABLE}\ndelete table inet {TABLE}\n"


def _sets() -> Iterator[str]:
    for family, _, address in _FAMILIES:
        yield f"add map inet {TABLE} services{family} {{ type {address} . inet_proto . inet_service : verdict; }}"
        yield f"add map inet {TABLE} any_port{family} {{ type {address} . inet_proto : verdict; }}"
        yield f"add map inet {TABLE} targets{family} {{ type mark : {address} . inet_service; }}"
        yield f"add map inet {TABLE} addresses{family} {{ type mark : {address}; }}"
        yield f"add map inet {TABLE} sources{family} {{ type mark : {address}; }}"
        yield (
            f"add map inet {TABLE} records{family} {{ type mark . {address} : mark; flags dynamic,timeout;"
            f" size {MOST_RECORDS}; }}"
        )
    yield f"add map inet {TABLE} slots {{ typeof numgen inc mod 2 : ct mark; }}"
    yield f"add set inet {TABLE} takes {{ type mark; }}"
    for counter in COUNTERS:
        yield f"add set inet {TABLE} {counter} {{ type mark; counter; }}"


def _chains() -> Iterator[str]:
    rules: dict[str, list[str]] = {"translate": ["ct mark @opened"], "dispatch": [], "prerouting": [], "output": []}
    rules["postrouting"] = []
    for family, word, _ in _FAMILIES:
        rules["translate"] += [
            f"meta l4proto {{ tcp, udp }} dnat {word} to ct mark map @targets{family}",
            f"dnat {word} to ct mark map @addresses{family}",
        ]
        rules["dispatch"] += [
            f"{word} daddr . meta l4proto . th dport vmap @services{family}",
            f"{word} daddr . meta l4proto vmap @any_port{family}",
        ]
        rules["postrouting"].append(f"snat {word} to ct mark map @sources{family}")
    rules["prerouting"].append("goto dispatch")
    rules["output"].append("goto dispatch")
    rules["count"] = [
        f"ct mark & {CONNECTION_MASK:#x} != {CONNECTION_MARK:#x} accept",
        "ct direction original ct mark @from_clients accept",
        "ct mark @from_servers accept",
    ]
    hooks = {
        "prerouting": "type nat hook prerouting priority -100;",
        "output": "type nat hook output priority -100;",
        "postrouting": "type nat hook postrouting priority 100;",
        "count": "type filter hook prerouting priority -90;",
    }
    for chain in rules:
        hook = f" {{ {hooks[chain]} policy accept; }}" if chain in hooks else ""
        yield f"add chain inet {TABLE} {chain}{hook}"
    for chain, lines in rules.items():
        yield f"flush chain inet {TABLE} {chain}"
        yield from (f"add rule inet {TABLE} {chain} {line}" for line in lines)
