"""Commands of a transaction as nftables reads them, one a line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from steelyard.emit.nft import words
from steelyard.plan.nft import (
    SETS,
    TABLE,
    AddChain,
    AddElements,
    AddNetworks,
    AddRule,
    AddTimeouts,
    Data,
    DeleteChain,
    DeleteElements,
    DeleteNetworks,
    Drop,
    DropRecord,
    EmptyChain,
    EmptySet,
    IfClientIn,
    IfMarkTakesClients,
    Jump,
    KeepRecord,
    Key,
    LimitIdle,
    MarkFromRecord,
    MarkFromSlot,
    NftCommand,
    Refuse,
    RefuseUnopened,
    SetMark,
    Statement,
)


def transaction_text(commands: Iterable[NftCommand]) -> str:
    """All commands; nftables takes them together or not at all. Raises `ValueError` for values that cannot be."""
    return "".join(f"{command_text(command)}\n" for command in commands)


def command_text(command: NftCommand) -> str:
    """One command."""
    match command:
        case AddNetworks(networks):
            kind = "ipv6_addr" if networks.ipv6 else "ipv4_addr"
            listed = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in networks.ranges)
            content = f"type {kind}; flags interval; elements = {{ {listed} }};"
            return f"add set inet {TABLE} {words.name(networks.name)} {{ {content} }}"
        case DeleteNetworks(name):
            return f"delete set inet {TABLE} {words.name(name)}"
        case EmptySet(where):
            return f"flush {'set' if where in SETS else 'map'} inet {TABLE} {words.name(where)}"
        case AddTimeouts(timeouts):
            policy = ", ".join(f"{words.name(state)} : {words.number(seconds)}" for state, seconds in timeouts.seconds)
            kind = f"protocol {words.name(timeouts.protocol)}; l3proto {'ip6' if timeouts.ipv6 else 'ip'};"
            return f"add ct timeout inet {TABLE} {words.name(timeouts.name)} {{ {kind} policy = {{ {policy} }}; }}"
        case AddChain(chain):
            return f"add chain inet {TABLE} {words.name(chain)}"
        case EmptyChain(chain):
            return f"flush chain inet {TABLE} {words.name(chain)}"
        case DeleteChain(chain):
            return f"delete chain inet {TABLE} {words.name(chain)}"
        case AddRule(chain, rule):
            text = " ".join(_statement(statement) for statement in rule)
            return f"add rule inet {TABLE} {words.name(chain)} {text}"
        case AddElements(where, elements):
            listed = ", ".join(_element(key, data) for key, data in elements)
            return f"add element inet {TABLE} {words.name(where)} {{ {listed} }}"
        case DeleteElements(where, keys):
            listed = ", ".join(words.key(key) for key in keys)
            return f"delete element inet {TABLE} {words.name(where)} {{ {listed} }}"
        case _:
            assert_never(command)


def _element(key: tuple[Key, ...], data: Data) -> str:
    return words.key(key) if data is None else f"{words.key(key)} : {words.data(data)}"


def _statement(statement: Statement) -> str:
    match statement:
        case RefuseUnopened():
            return "tcp flags & (fin | syn | rst | ack) != syn reject with tcp reset"
        case LimitIdle(timeout):
            return f'ct timeout set "{words.name(timeout)}"'
        case SetMark(mark):
            return f"ct mark set {words.mark(mark)}"
        case MarkFromRecord(ipv6, prefix):
            return f"ct mark set ct mark . {words.source(ipv6=ipv6, prefix=prefix)} map @{_records(ipv6)}"
        case IfMarkTakesClients():
            return "ct mark @takes"
        case KeepRecord(service, ipv6, prefix, seconds):
            key = f"{words.mark(service)} . {words.source(ipv6=ipv6, prefix=prefix)}"
            return f"update @{_records(ipv6)} {{ {key} timeout {words.number(seconds)}s : ct mark }}"
        case DropRecord(service, ipv6, prefix):
            key = f"{words.mark(service)} . {words.source(ipv6=ipv6, prefix=prefix)}"
            return f"delete @{_records(ipv6)} {{ {key} : ct mark }}"
        case MarkFromSlot(slots, offset, by_address, ipv6):
            return f"ct mark set {_choice(slots, offset, by_address, ipv6)} map @slots"
        case Refuse(protocol):
            return "reject with tcp reset" if protocol == "tcp" else "reject with icmpx port-unreachable"
        case IfClientIn(networks, ipv6):
            return f"{'ip6' if ipv6 else 'ip'} saddr @{words.name(networks)}"
        case Drop():
            return "drop"
        case Jump(chain):
            return f"goto {words.name(chain)}"
        case _:
            assert_never(statement)


def _records(ipv6: bool) -> str:
    return "records6" if ipv6 else "records4"


def _choice(slots: int, offset: int, by_address: bool, ipv6: bool) -> str:
    """A slot number. The seed of the hash is fixed, so that clients keep their slot over every rewriting."""
    block = f"offset {words.number(offset)}"
    if by_address:
        return f"jhash {'ip6' if ipv6 else 'ip'} saddr mod {words.number(slots)} seed 0x5ee1 {block}"
    return f"numgen inc mod {words.number(slots)} {block}"
