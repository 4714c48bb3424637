"""The table of marks, met by real packets. What follows the marks, IPVS, is not in every kernel: `test_ipvs.py`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.namespaces import Lab, Namespace

from steelyard.emit.ipvs.marks import MarkedService
from steelyard.engines.ipvs.marks import NftMarks
from steelyard.model.errors import EngineRefused

pytestmark = [pytest.mark.network, pytest.mark.needs("ip", "net_admin", "nft")]

ONE, TWO, SIX = "192.0.2.1", "192.0.2.2", "2001:db8:1::1"
WEB, ALL, CALLS, OVER6 = 0x50000001, 0x50000002, 0x50000003, 0x50000004
_COUNTS = "\n".join(
    (
        "table inet seen { chain input { type filter hook input priority 0; }",
        *(f"counter m{mark} {{ }}" for mark in (WEB, ALL, CALLS, OVER6)),
        "}",
        # IPVS opens connections by these alone; an answer (syn, ack) is one of them
        *(
            f"add rule inet seen input meta mark {mark:#x} {what} counter name m{mark}"
            for mark in (WEB, ALL, CALLS, OVER6)
            for what in ("tcp flags & syn == syn", "meta l4proto udp")
        ),
    )
)


class Rig:
    def __init__(self, lab: Lab) -> None:
        self.client, self.balancer = lab.host("client"), lab.host("balancer")
        lab.wire(self.client, "eth0", self.balancer, "eth0")
        self.client.ip("addr add 192.0.2.100/24 dev eth0", "addr add 2001:db8:1::100/64 dev eth0 nodad")
        self.balancer.ip(*(f"addr add {one}/24 dev eth0" for one in (ONE, TWO)), f"addr add {SIX}/64 dev eth0 nodad")
        for address in (ONE, TWO, SIX):
            for port in (80, 85, 5060):
                self.balancer.answer(address, port)
        # by a file, since the program is asked from another namespace's process
        self.balancer.run("nft", _COUNTS)
        with self.balancer.inside():
            self._marks = NftMarks()

    def marks(self, do: Callable[[NftMarks], None]) -> None:
        with self.balancer.inside():
            do(self._marks)

    def seen(self) -> dict[int, bool]:
        """Which marks packets had since the last look."""
        found = json.loads(self.balancer.run("nft", "-j", "reset", "counters", "table", "inet", "seen").stdout)
        counters = [one["counter"] for one in found["nftables"] if "counter" in one]
        return {int(one["name"][1:]): one["packets"] > 0 for one in counters}


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Lab() as lab:
        yield Rig(lab)


def web(**more: Any) -> MarkedService:
    return MarkedService(**{"mark": WEB, "protocol": "tcp", "address": ONE, "ports": ((80, 80), (84, 86)), **more})


ALL_PORTS = MarkedService(ALL, "tcp", ONE)
SIP = MarkedService(CALLS, "udp", ONE, ((5060, 5060),))
IPV6 = MarkedService(OVER6, "tcp", SIX, ((80, 80),))


def only(*marks: int) -> dict[int, bool]:
    return {mark: mark in marks for mark in (WEB, ALL, CALLS, OVER6)}


def asked(rig: Rig, ask: Callable[[Namespace], Any]) -> dict[int, bool]:
    rig.seen()
    ask(rig.client)
    return rig.seen()


def refused(client: Namespace, address: str, port: int) -> None:
    with pytest.raises(ConnectionRefusedError):
        client.ask(address, port)


def test_packets_have_the_mark_of_their_service(rig: Rig) -> None:
    rig.marks(lambda marks: marks.replace([ALL_PORTS, web(), SIP, IPV6]))

    assert asked(rig, lambda client: client.ask(ONE, 80)) == only(WEB)
    assert asked(rig, lambda client: client.ask(ONE, 85)) == only(WEB), "a port inside a range"
    assert asked(rig, lambda client: client.ask(ONE, 5060)) == only(), "a listener on the service's address goes first"
    assert asked(rig, lambda client: refused(client, ONE, 9999)) == only(ALL)
    assert asked(rig, lambda client: client.ask_udp(ONE, 5060)) == only(CALLS)
    assert asked(rig, lambda client: client.ask_udp(ONE, 80)) == only()
    assert asked(rig, lambda client: client.ask(TWO, 80)) == only()
    assert asked(rig, lambda client: client.ask(SIX, 80)) == only(OVER6)
    assert asked(rig, lambda _: rig.balancer.ask(ONE, 80)) == only(WEB), "a client on this host"


def test_a_closed_service_resets_new_connections_and_keeps_open_ones(rig: Rig) -> None:
    rig.marks(lambda marks: marks.replace([web()]))
    with rig.client.connect(ONE, 80) as open_one:
        rig.marks(lambda marks: marks.change([web()], [web(closed=True)]))
        with pytest.raises(ConnectionRefusedError):
            rig.client.ask(ONE, 80)
        open_one.sendall(b"?")
        assert open_one.recv(100)
    rig.marks(lambda marks: marks.change([web(closed=True)], [web()]))
    assert rig.client.ask(ONE, 80)


@pytest.mark.parametrize(("unheard", "refusal"), [(False, ConnectionRefusedError), (True, TimeoutError)])
def test_clients_of_an_access_list_are_refused_new_connections(rig: Rig, unheard: bool, refusal: type[OSError]) -> None:
    """UDP is refused as a whole, since nothing in it says what is new."""
    listed = {"refused": (("192.0.2.100", "192.0.2.109"),), "unheard": unheard}
    call = MarkedService(CALLS, "udp", ONE, ((5060, 5060),), **listed)
    rig.marks(lambda marks: marks.replace([web(), SIP]))
    with rig.client.connect(ONE, 80) as open_one:
        rig.marks(lambda marks: marks.change([web(), SIP], [web(**listed), call]))
        with pytest.raises(refusal):
            rig.client.ask(ONE, 80, timeout=0.3)
        with pytest.raises(refusal):
            rig.client.ask_udp(ONE, 5060, timeout=0.3)
        open_one.sendall(b"?")
        assert open_one.recv(100)
    rig.marks(lambda marks: marks.change([web(**listed), call], [web(refused=(("192.0.2.100", "192.0.2.100"),)), call]))
    rig.client.ip("addr add 192.0.2.110/24 dev eth0")
    assert rig.client.ask(ONE, 80, source="192.0.2.110")
    rig.client.ip("addr del 192.0.2.110/24 dev eth0")
    rig.marks(lambda marks: marks.change([web(refused=(("192.0.2.100", "192.0.2.100"),)), call], [web(), SIP]))
    assert rig.client.ask(ONE, 80)
    assert rig.client.ask_udp(ONE, 5060)


def test_a_source_address_is_given_to_packets_of_the_service_alone(rig: Rig) -> None:
    rig.marks(lambda marks: marks.replace([web(source=TWO)]))

    assert rig.balancer.ask(ONE, 80, source=ONE).client == TWO
    assert rig.balancer.ask(ONE, 5060, source=ONE).client == ONE


def test_changes_are_of_one_service_and_all_or_nothing(rig: Rig) -> None:
    other = MarkedService(ALL, "tcp", TWO, ((80, 80),))
    rig.marks(lambda marks: marks.replace([web(), other]))

    rig.marks(lambda marks: marks.change([web()], [web(ports=((85, 85),))], trial=True))
    assert asked(rig, lambda client: client.ask(ONE, 80)) == only(WEB), "a trial does nothing"
    rig.marks(lambda marks: marks.change([web()], [web(ports=((85, 85),))]))
    assert asked(rig, lambda client: client.ask(ONE, 80)) == only()
    assert asked(rig, lambda client: client.ask(ONE, 85)) == only(WEB)
    with pytest.raises(EngineRefused):
        rig.marks(lambda marks: marks.change([SIP], [web(address=TWO)]))
    assert asked(rig, lambda client: client.ask(TWO, 80)) == only(ALL)

    rig.marks(lambda marks: marks.remove())
    rig.marks(lambda marks: marks.remove())
    tables = json.loads(rig.balancer.run("nft", "-j", "list", "tables").stdout)["nftables"]
    assert [one["table"]["name"] for one in tables if "table" in one] == ["seen"]


def test_what_this_host_asks_from_the_address_of_a_wildcard_service_is_answered(rig: Rig) -> None:
    rig.client.answer("192.0.2.100", 80)
    rig.marks(lambda marks: marks.replace([ALL_PORTS]))

    assert asked(rig, lambda _: rig.balancer.ask("192.0.2.100", 80, source=ONE)) == only()
