"""The driver on a kernel in memory: what it does, and what it leaves when it is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from steelyard.engines.ipvs.connections import Connection
from steelyard.engines.ipvs.driver import IpvsDriver
from steelyard.engines.ipvs.kernel import MemoryIpvs, Timeouts
from steelyard.engines.ipvs.marks import MemoryMarks
from steelyard.engines.ipvs.settings import Settings
from steelyard.engines.ipvs.virtual_server import Identity, Step, VirtualServer, mark_of
from steelyard.engines.layer4.contract import Layer4Driver, Traffic
from steelyard.model.errors import EngineRefused, HostLacks
from steelyard.plan.layer4 import Layer4Server, Layer4Service, Persistence, PortRange, Standing


def service(number: int = 1, **more: Any) -> Layer4Service:
    values: dict[str, Any] = {
        "key": f"vs{number}",
        "protocol": "tcp",
        "address": f"192.0.2.{number}",
        "ports": (PortRange(first=80, last=80),),
        "schedule": "wlc",
        "driver": "ipvs",
        "servers": tuple(Layer4Server(key=f"rs{one}", address=f"10.0.0.{one}", port=80) for one in (1, 2)),
    }
    return Layer4Service(**{**values, **more})


@dataclass
class Host:
    """A kernel in memory that outlives drivers."""

    directory: Path
    kernel: MemoryIpvs = field(default_factory=MemoryIpvs)
    marks: MemoryMarks = field(default_factory=MemoryMarks)
    open: list[Connection] = field(default_factory=list)
    loaded: bool = True

    def __post_init__(self) -> None:
        for name in ("expire_nodest_conn", "expire_quiescent_template", "conn_reuse_mode", "snat_reroute", "conntrack"):
            (self.directory / name).write_text("0\n")

    def driver(self) -> IpvsDriver:
        return IpvsDriver(
            kernel=self.kernel,
            marks=self.marks,
            settings=Settings(self.directory),
            connections=lambda: iter(self.open),
            loaded=lambda: self.loaded,
            sleep=lambda _: None,
        )

    def setting(self, name: str) -> str:
        return (self.directory / name).read_text().strip()

    def weights(self, index: int = 1) -> dict[str, int]:
        servers = self.kernel.tables[Identity(False, mark=mark_of(index))][1]
        return {address: one.weight for (address, _), one in servers.items()}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_it_is_a_driver_of_layer_4(host: Host) -> None:
    driver: Layer4Driver = host.driver()
    assert driver.adopt() == frozenset()


def test_a_change_is_as_large_as_what_differs(host: Host) -> None:
    driver = host.driver()
    driver.apply({f"vs{one}": service(one) for one in (1, 2)}, {})
    host.kernel.done.clear()
    marked = host.marks.transactions

    one_more = (*service().servers, Layer4Server(key="rs3", address="10.0.0.3", port=80))
    driver.apply({"vs1": service(servers=one_more)}, {})
    assert host.kernel.done == ["IPVS: add 10.0.0.3:80 of vs1, weight 1000"]
    driver.apply({"vs1": service(servers=one_more)}, {})
    driver.tell({("vs1", "rs3"): Standing(up=False)})
    driver.tell({("vs1", "rs3"): Standing(up=False), ("vs9", "rs3"): Standing(up=False)})
    assert host.kernel.done[1:] == ["IPVS: set 10.0.0.3:80 of vs1, weight 0"]
    assert host.marks.transactions == marked, "its packets are the same"


def test_what_is_refused_leaves_everything_as_it_was(host: Host) -> None:
    driver = host.driver()
    driver.apply({"vs1": service(), "vs2": service(2)}, {})
    tables, services = dict(host.kernel.tables), set(host.marks.services)

    for refuse in ("add vs4", "add 10.0.0.7"):
        host.kernel.refuse = refuse
        new = Layer4Server(key="rs7", address="10.0.0.7", port=80)
        with pytest.raises(EngineRefused):
            driver.apply({"vs1": service(schedule="rr"), "vs3": service(3), "vs4": service(4, servers=(new,))}, {})
        host.kernel.refuse = ""
        assert (host.kernel.tables, host.marks.services) == (tables, services)

    host.marks.refuse = mark_of(5)
    with pytest.raises(EngineRefused):
        driver.apply({"vs1": None, "vs5": service(5)}, {})
    assert (host.kernel.tables, host.marks.services) == (tables, services)
    host.marks.refuse = 0
    driver.apply({"vs1": None, "vs5": service(5)}, {})
    assert set(host.kernel.tables) == {Identity(False, mark=mark_of(one)) for one in (2, 5)}


def test_what_others_took_away_is_made_good(host: Host) -> None:
    driver = host.driver()
    driver.apply({"vs1": service(), "vs2": service(2)}, {})
    host.kernel.tables.clear()
    driver.apply({"vs1": service(schedule="lc")}, {})
    assert host.weights(1) == {"10.0.0.1": 1, "10.0.0.2": 1}

    host.marks.remove()
    driver.apply({"vs1": service(schedule="lc", ports=(PortRange(first=81, last=82),))}, {})
    assert {one.ports for one in host.marks.services} == {((81, 82),), ((80, 80),)}


def test_a_new_driver_takes_up_what_is_there_and_removes_what_is_wanted_no_more(host: Host) -> None:
    host.driver().apply({"vs1": service(), "vs2": service(2)}, {})
    foreign = VirtualServer(Identity(False, protocol=6, address="192.0.2.1", port=9), 0, "rr", 0, 0, 32)
    host.kernel.do(Step("add", foreign))
    host.kernel.done.clear()

    driver = host.driver()
    assert driver.adopt() == {"vs1", "vs2"}
    driver.apply({"vs1": service(), "vs2": None}, {("vs1", "rs1"): Standing(up=False)})
    assert host.kernel.done == ["IPVS: set 10.0.0.1:80 of vs1, weight 0", "IPVS: remove vs2 (mark 0x50000002)"]
    assert {one.mark for one in host.marks.services} == {mark_of(1)}

    driver.clear()
    assert list(host.kernel.tables) == [foreign.identity]
    assert not host.marks.there


def test_ipvs_is_not_loaded_for_nothing(host: Host) -> None:
    host.loaded = False
    driver = host.driver()
    driver.adopt()
    driver.clear()
    driver.apply({"vs1": None}, {})
    assert host.setting("expire_nodest_conn") == "0"


def test_a_check_tries_the_scheduler_and_leaves_nothing(host: Host) -> None:
    driver = host.driver()
    driver.check({"vs1": service()})
    assert not host.kernel.tables
    assert not host.marks.there

    host.kernel.schedulers = frozenset({"rr"})
    with pytest.raises(HostLacks, match="ip_vs_lc"):
        driver.check({"vs1": service(schedule="lc")})


def test_a_change_is_told_in_words(host: Host) -> None:
    driver = host.driver()
    driver.apply({"vs1": service()}, {})

    assert driver.describe({"vs1": service()}) == ()
    assert driver.describe({"vs1": None, "vs2": service(2, servers=())}) == (
        "IPVS: add vs2 (mark 0x50000002), wlc",
        "nftables: change the marks of IPVS services",
        "IPVS: remove vs1 (mark 0x50000001)",
    )


def test_a_dropped_server_stays_out_until_it_takes_clients(host: Host) -> None:
    driver = host.driver()
    driver.apply({"vs1": service()}, {("vs1", "rs1"): Standing(up=False)})
    driver.drop([("vs1", "rs1"), ("vs1", "rs9"), ("vs9", "rs1")])
    assert host.weights() == {"10.0.0.2": 1000}
    driver.apply({"vs1": service(schedule="rr")}, {})
    assert host.weights() == {"10.0.0.2": 1}
    driver.tell({("vs1", "rs1"): Standing()})
    assert host.weights() == {"10.0.0.1": 1, "10.0.0.2": 1}

    driver.drop([("vs1", "rs2")])
    assert host.kernel.done[-2:] == ["IPVS: remove 10.0.0.2:80 of vs1", "IPVS: add 10.0.0.2:80 of vs1, weight 1"]


def test_a_server_comes_back_only_when_its_connections_have_gone(host: Host) -> None:
    now = iter(range(100))
    driver = host.driver()
    driver.clock = lambda: next(now) / 100
    driver.sleep = lambda _: host.open.clear()
    driver.apply({"vs1": service()}, {})
    host.open.append(Connection("TCP", "198.51.100.1", 4000, "192.0.2.1", 80, "10.0.0.1", 80, 890))
    driver.drop([("vs1", "rs1")])
    assert not host.open
    assert host.weights() == {"10.0.0.1": 1000, "10.0.0.2": 1000}


def test_counters_go_on_where_a_server_was_taken_out_for_a_moment(host: Host) -> None:
    driver = host.driver()
    identity = Identity(False, mark=mark_of(1))
    driver.apply({"vs1": service()}, {})
    at = (identity, ("10.0.0.1", 80))

    host.kernel.counters[at] = Traffic(connections=5, bytes_in=50)
    driver.drop([("vs1", "rs1")])
    assert driver.traffic()["vs1"].servers["rs1"].connections == 5, "the kernel went on with its counters"
    driver.tell({("vs1", "rs1"): Standing(up=False)})
    driver.drop([("vs1", "rs1")])
    host.kernel.counters[at] = Traffic()
    assert driver.traffic()["vs1"].servers["rs1"] == Traffic(connections=5, bytes_in=50)
    driver.tell({("vs1", "rs1"): Standing()})
    host.kernel.counters[at] = Traffic(connections=2, bytes_in=20)
    assert driver.traffic()["vs1"].servers["rs1"] == Traffic(connections=7, bytes_in=70), "it began at nothing"


def test_records_are_named_by_client_and_server(host: Host) -> None:
    driver = host.driver()
    driver.apply({"vs1": service(persistence=Persistence(seconds=60)), "vs2": service(2)}, {})
    host.open += [
        Connection("IP", "198.51.100.0", 0, "80.0.0.1", 0, "10.0.0.2", 0, 50),
        Connection("IP", "198.51.100.9", 0, "80.0.0.2", 0, "10.0.0.1", 0, 50),
        Connection("TCP", "198.51.100.7", 4000, "192.0.2.1", 80, "10.0.0.2", 80, 890),
    ]

    (record,) = driver.records("vs1")
    assert (record.client, record.server, record.seconds) == ("198.51.100.0", "rs2", 50.0)
    assert driver.records("vs9") == ()
    with pytest.raises(EngineRefused, match="60 s"):
        driver.flush_records("vs1")
    driver.flush_records("vs2")


def test_settings_are_those_the_services_need(host: Host) -> None:
    driver = host.driver()
    driver.apply({"vs1": service(idle=100), "vs2": service(2, protocol="udp", idle=2)}, {})
    assert [host.setting(name) for name in ("expire_nodest_conn", "expire_quiescent_template", "conntrack")] == [
        "1",
        "1",
        "0",
    ]
    assert host.kernel.times == Timeouts(tcp=100, udp=300)
    driver.apply({"vs2": service(2, protocol="udp", idle=60, source_nat="192.0.2.9")}, {})
    assert host.kernel.times == Timeouts(tcp=100, udp=60)
    assert host.setting("conntrack") == "1"
    driver.apply({"vs2": None, "vs1": service()}, {})
    assert host.kernel.times == Timeouts()
    assert host.setting("conntrack") == "0"
    driver.clear()
    assert host.setting("expire_nodest_conn") == "0"


def test_a_service_whose_form_changes_leaves_no_second_one(host: Host) -> None:
    """Persistence with another port at the real server is the one form that IPVS knows by address."""
    driver = host.driver()
    elsewhere = (Layer4Server(key="rs1", address="10.0.0.1", port=8080),)
    driver.apply({"vs1": service(servers=elsewhere)}, {})
    driver.apply({"vs1": service(servers=elsewhere, persistence=Persistence(seconds=60))}, {})
    assert [identity.address for identity in host.kernel.tables] == ["192.0.2.1"]
    driver.apply({"vs1": None}, {})
    assert not host.kernel.tables
