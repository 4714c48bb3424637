"""Differences of nftables' content: carried out, they lead from the one to the other, in an order the kernel takes."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from steelyard.compile.layer4.program import program
from steelyard.diff.nft import transaction
from steelyard.plan.layer4 import Layer4Server, Layer4Service, Persistence, PortRange, Standing
from steelyard.plan.nft import (
    AddChain,
    AddElements,
    AddRule,
    Data,
    DeleteChain,
    DeleteElements,
    Element,
    EmptyChain,
    Goto,
    NftCommand,
    Program,
    Rule,
)


class Kernel:
    """What nftables does with commands, and what it refuses."""

    def __init__(self, before: Program) -> None:
        self.chains: dict[str, list[Rule]] = {chain: list(rules) for chain, rules in before.chains.items()}
        self.elements: dict[Element, Data] = dict(before.elements)

    def run(self, commands: list[NftCommand]) -> None:
        for command in commands:
            match command:
                case AddChain(chain):
                    assert chain not in self.chains
                    self.chains[chain] = []
                case EmptyChain(chain):
                    self.chains[chain] = []
                case DeleteChain(chain):
                    assert not self.chains.pop(chain)
                    assert Goto(chain) not in self.elements.values(), "something still leads there"
                case AddRule(chain, rule):
                    self.chains[chain].append(rule)
                case AddElements(where, elements):
                    for key, data in elements:
                        assert Element(where, key) not in self.elements
                        assert not isinstance(data, Goto) or data.chain in self.chains
                        self.elements[Element(where, key)] = data
                case DeleteElements(where, keys):
                    for key in keys:
                        del self.elements[Element(where, key)]
                case _:
                    pass


def _server(number: int, port: int, *, enabled: bool) -> Layer4Server:
    return Layer4Server(key=f"rs{number}", address=f"10.0.0.{number}", port=port, enabled=enabled, weight=number)


_SERVERS = st.dictionaries(st.integers(1, 6), st.tuples(st.sampled_from((0, 80)), st.booleans()), max_size=5).map(
    lambda found: tuple(_server(number, port, enabled=on) for number, (port, on) in sorted(found.items()))
)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    if draw(st.integers(0, 5)) == 0:
        return Program()
    first = draw(st.integers(1, 100))
    values: dict[str, Any] = {
        "ports": (PortRange(first=first, last=first + draw(st.integers(0, 3))),),
        "schedule": draw(st.sampled_from(("rr", "wrr", "sh"))),
        "enabled": draw(st.booleans()),
        "persistence": draw(st.none() | st.just(Persistence(seconds=60))),
        "servers": draw(_SERVERS),
        "source_nat": draw(st.none() | st.just("192.0.2.1")),
    }
    made = Layer4Service(key="vs1", protocol="tcp", address="192.0.2.1", driver="nft", **values)
    down = draw(st.sets(st.sampled_from([f"rs{number}" for number in range(1, 7)])))
    return program(made, {("vs1", key): Standing(up=False) for key in down})


@given(programs(), programs())
def test_a_difference_carried_out_is_the_other(before: Program, after: Program) -> None:
    kernel = Kernel(before)
    kernel.run(transaction([(before, after)]))
    assert kernel.elements == dict(after.elements)
    assert {chain: tuple(rules) for chain, rules in kernel.chains.items()} == dict(after.chains)


@given(programs())
def test_what_is_the_same_needs_nothing(one: Program) -> None:
    assert transaction([(one, one)]) == []


def test_one_server_more_leaves_all_others_alone() -> None:
    def made(*numbers: int) -> Program:
        servers = tuple(_server(number, 80, enabled=True) for number in numbers)
        ports = (PortRange(first=80, last=80),)
        values: dict[str, Any] = {"key": "vs1", "protocol": "tcp", "address": "192.0.2.1", "driver": "nft"}
        return program(Layer4Service(**values, ports=ports, schedule="rr", servers=servers), {})

    commands = transaction([(made(1, 2), made(1, 2, 3))])
    assert not [one for one in commands if isinstance(one, DeleteElements)]
    added = [one for one in commands if isinstance(one, AddElements)]
    assert {one.where for one in added} == {
        *("targets4", "opened", "from_clients", "from_servers", "takes", "slots"),
    }
    assert all(len(one.elements) == 1 for one in added)


def test_a_place_may_go_from_one_service_to_another_in_one_transaction() -> None:
    def made(key: str, *, enabled: bool) -> Program:
        ports = (PortRange(first=80, last=80),)
        values: dict[str, Any] = {"protocol": "tcp", "address": "192.0.2.1", "driver": "nft", "schedule": "rr"}
        return program(Layer4Service(key=key, ports=ports, enabled=enabled, **values), {})

    commands = transaction(
        [
            (made("vs1", enabled=True), made("vs1", enabled=False)),
            (made("vs2", enabled=False), made("vs2", enabled=True)),
        ]
    )
    assert [type(one) for one in commands] == [DeleteElements, AddElements]
