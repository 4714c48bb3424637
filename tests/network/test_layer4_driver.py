"""The nftables driver with packets: what a service promises holds for connections between real network stacks."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from tests.support.namespaces import Lab, Namespace, one_arm, two_arms, wait_until

from steelyard.engines.layer4.fake import FakeLayer4
from steelyard.engines.nft.driver import NftDriver
from steelyard.engines.nft.kernel import Counted
from steelyard.model.errors import EngineRefused
from steelyard.plan.layer4 import (
    ALL_PORTS,
    AddressRange,
    Layer4Server,
    Layer4Service,
    Persistence,
    PortRange,
    ServerName,
    Standing,
)

pytestmark = [pytest.mark.network, pytest.mark.needs("ip", "nft", "net_admin")]

V4, V6 = "192.0.2.10", "2001:db8:1::10"
ELSEWHERE = {"address": "192.0.2.20"}
PORT = 8080


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as made:
        two_arms(made, servers=3)
        balancer = made.hosts["balancer"]
        balancer.ip(*(f"addr add {one} dev eth0 {'nodad' if ':' in one else ''}" for one in (f"{V4}/32", f"{V6}/128")))
        for number in (1, 2, 3):
            for address in (f"10.0.0.1{number}", f"2001:db8:2::1{number}"):
                for port in (PORT, PORT + 1):
                    made.hosts[f"real{number}"].answer(address, port)
        yield made


@pytest.fixture
def driver(lab: Lab) -> Iterator[NftDriver]:
    # as a process there would be: the driver opens sockets again when it has to
    with lab.hosts["balancer"].inside():
        made = NftDriver()
        yield made
        made.clear()
        made.close()


def server(number: int, **more: object) -> Layer4Server:
    values = {"key": f"rs{number}", "address": f"10.0.0.1{number}", "port": PORT, **more}
    return Layer4Server.model_validate(values)


def service(*servers: Layer4Server, **more: object) -> Layer4Service:
    values = {
        "key": "vs1",
        "protocol": "tcp",
        "address": V4,
        "ports": (PortRange(first=80, last=80),),
        "schedule": "rr",
        "driver": "nft",
        "servers": servers or (server(1), server(2), server(3)),
        **more,
    }
    return Layer4Service.model_validate(values)


def roles(client: Namespace, times: int, address: str = V4, port: int = 80, *, udp: bool = False) -> list[str]:
    ask = client.ask_udp if udp else client.ask
    return [ask(address, port).role for _ in range(times)]


def refused(client: Namespace, port: int = 80) -> bool:
    try:
        client.ask(V4, port, timeout=1)
    except ConnectionRefusedError:
        return True
    return False


class TestSharing:
    def test_round_robin_gives_each_server_its_turn_and_shows_it_the_client(self, lab: Lab, driver: NftDriver) -> None:
        driver.apply({"vs1": service()}, {})
        client = lab.hosts["client"]
        seen = [client.ask(V4, 80) for _ in range(6)]
        assert Counter(one.role for one in seen) == {"real1": 2, "real2": 2, "real3": 2}
        assert [one.role for one in seen[:3]] == [one.role for one in seen[3:]]
        assert {one.client for one in seen} == {"192.0.2.100"}

    def test_weights_are_shared_out_evenly_in_time(self, lab: Lab, driver: NftDriver) -> None:
        driver.apply({"vs1": service(server(1, weight=3000), server(2), schedule="wrr")}, {})
        seen = roles(lab.hosts["client"], 8)
        assert Counter(seen) == {"real1": 6, "real2": 2}
        assert Counter(seen[:4]) == {"real1": 3, "real2": 1}

    def test_ipv6_and_udp(self, lab: Lab, driver: NftDriver) -> None:
        client = lab.hosts["client"]
        with pytest.raises(OSError):
            client.ask_udp(V4, 53, source_port=5555, timeout=0.3)
        inside = [server(number, address=f"2001:db8:2::1{number}") for number in (1, 2)]
        driver.apply(
            {
                "vs1": service(*inside, address=V6),
                "vs2": service(
                    server(4, address="10.0.0.11"),
                    server(5, address="10.0.0.12"),
                    key="vs2",
                    protocol="udp",
                    ports=(PortRange(first=53, last=53),),
                    idle=2,
                ),
            },
            {},
        )
        assert sorted(roles(client, 2, V6)) == ["real1", "real2"]
        assert sorted(roles(client, 2, port=53, udp=True)) == ["real1", "real2"]
        # its socket has spoken before there was a service
        assert client.ask_udp(V4, 53, source_port=5555).role in ("real1", "real2")

    def test_a_hash_of_the_address_moves_only_clients_of_a_failed_server(self, lab: Lab, driver: NftDriver) -> None:
        client = lab.hosts["client"]
        sources = [f"192.0.2.{number}" for number in range(101, 131)]
        client.ip(*(f"addr add {one}/24 dev eth0" for one in sources))
        driver.apply({"vs1": service(schedule="sh")}, {})

        def homes() -> dict[str, str]:
            return {one: client.ask(V4, 80, source=one).role for one in sources}

        before = homes()
        assert homes() == before
        assert len(set(before.values())) == 3
        driver.tell({("vs1", "rs2"): Standing(up=False)})
        during = homes()
        assert {one for one in sources if during[one] != before[one]} == {
            one for one in sources if before[one] == "real2"
        }
        driver.tell({("vs1", "rs2"): Standing()})
        assert homes() == before

    def test_ports(self, lab: Lab, driver: NftDriver) -> None:
        client = lab.hosts["client"]
        ranges = (PortRange(first=PORT, last=PORT), PortRange(first=PORT + 1, last=PORT + 3))
        driver.apply(
            {
                "vs1": service(server(1, port=0), ports=ranges),
                "vs2": service(server(4, address="10.0.0.12", port=PORT), key="vs2", ports=(ALL_PORTS,)),
            },
            {},
        )
        assert [client.ask(V4, port).own_port for port in (PORT, PORT + 1)] == [PORT, PORT + 1]
        # the port that is a service's own wins over the wildcard, which takes all others
        assert client.ask(V4, PORT + 1).role == "real1"
        assert client.ask(V4, 4242).role == "real2"
        with pytest.raises(ConnectionRefusedError):
            client.ask(V4, PORT + 2)


class TestRecords:
    def test_a_client_keeps_its_server_over_changes_of_the_service(self, lab: Lab, driver: NftDriver) -> None:
        client, kept = lab.hosts["client"], Persistence(seconds=60)
        driver.apply({"vs1": service(server(1), server(2), persistence=kept)}, {})
        first = roles(client, 4)
        assert len(set(first)) == 1
        driver.apply({"vs1": service(persistence=kept)}, {})
        assert set(roles(client, 6)) == set(first)
        (record,) = driver.records("vs1")
        assert (record.client, 50 < record.seconds <= 60) == ("192.0.2.100", True)
        assert sum(one.records for one in driver.traffic()["vs1"].servers.values()) == 1

    def test_a_record_of_a_failed_server_is_discarded(self, lab: Lab, driver: NftDriver) -> None:
        client = lab.hosts["client"]
        driver.apply({"vs1": service(server(1), server(2), persistence=Persistence(seconds=60))}, {})
        (first,) = set(roles(client, 3))
        home = "rs" + first[-1]
        driver.tell({("vs1", home): Standing(up=False)})
        (second,) = set(roles(client, 3))
        assert second != first
        driver.tell({("vs1", home): Standing()})
        assert set(roles(client, 3)) == {second}

    def test_a_disabled_server_gets_no_client_with_a_record_either(self, lab: Lab, driver: NftDriver) -> None:
        client, kept = lab.hosts["client"], Persistence(seconds=60)
        driver.apply({"vs1": service(server(1), server(2), persistence=kept)}, {})
        (first,) = set(roles(client, 2))
        servers = [server(number, enabled=f"real{number}" != first) for number in (1, 2)]
        driver.apply({"vs1": service(*servers, persistence=kept)}, {})
        assert first not in roles(client, 2)

    def test_a_weight_of_nothing_leaves_a_server_its_recorded_clients(self, lab: Lab, driver: NftDriver) -> None:
        client = lab.hosts["client"]
        driver.apply({"vs1": service(server(1), server(2), persistence=Persistence(seconds=60))}, {})
        (first,) = set(roles(client, 2))
        driver.tell({("vs1", "rs" + first[-1]): Standing(up=True, weight=0)})
        assert set(roles(client, 2)) == {first}

    def test_clients_of_one_network_are_one_client_under_a_mask(self, lab: Lab, driver: NftDriver) -> None:
        client = lab.hosts["client"]
        client.ip("addr add 192.0.2.77/24 dev eth0")
        driver.apply({"vs1": service(persistence=Persistence(seconds=60, prefix4=24))}, {})
        assert client.ask(V4, 80).role == client.ask(V4, 80, source="192.0.2.77").role
        (record,) = driver.records("vs1")
        assert record.client == "192.0.2.0"
        driver.flush_records("vs1")
        assert driver.records("vs1") == ()


class TestConnections:
    def test_an_open_connection_outlives_every_change_but_its_servers_removal(
        self, lab: Lab, driver: NftDriver
    ) -> None:
        client = lab.hosts["client"]
        driver.apply({"vs1": service(server(1))}, {})
        with client.connect(V4, 80) as connection:

            def answers() -> bool:
                connection.sendall(b"?")
                return bool(connection.recv(400).startswith(b"real1"))

            assert answers()
            driver.tell({("vs1", "rs1"): Standing(up=False)})
            assert answers()
            driver.apply({"vs1": service(server(1, enabled=False), server(2))}, {})
            assert answers()
            driver.apply({"vs1": service(server(1), server(2), enabled=False)}, {})
            assert answers()
            driver.apply({"vs1": service(server(1), ports=(PortRange(first=81, last=81),), schedule="sh")}, {})
            assert answers()
            assert driver.traffic()["vs1"].servers["rs1"].active == 1
            driver.apply({"vs1": service(server(2))}, {})
            with pytest.raises(ConnectionResetError):
                connection.sendall(b"?")
                connection.recv(400)

    def test_dropping_cuts_the_connections_of_that_server_alone(self, lab: Lab, driver: NftDriver) -> None:
        client = lab.hosts["client"]
        driver.apply({"vs1": service(server(1), server(2))}, {})
        open_ones: dict[str, socket.socket] = {}
        for _ in range(2):
            made = client.connect(V4, 80)
            made.sendall(b"?")
            open_ones[made.recv(400).split()[0].decode()] = made
        driver.drop([("vs1", "rs1")])
        open_ones["real2"].sendall(b"?")
        assert open_ones["real2"].recv(400)
        with pytest.raises(ConnectionResetError):
            open_ones["real1"].sendall(b"?")
            open_ones["real1"].recv(400)

    def test_nobody_there_refuses_or_sends_to_the_sorry_server(self, lab: Lab, driver: NftDriver) -> None:
        client = lab.hosts["client"]
        driver.apply({"vs1": service(server(1))}, {("vs1", "rs1"): Standing(up=False)})
        assert refused(client)
        sorry = Layer4Server(key="sorry", address="10.0.0.13", port=PORT)
        driver.apply({"vs1": service(server(1), sorry=sorry)}, {})
        assert roles(client, 1) == ["real3"]
        driver.tell({("vs1", "rs1"): Standing()})
        assert roles(client, 1) == ["real1"]
        driver.apply({"vs1": service(server(1), protocol="udp", enabled=False)}, {})
        with pytest.raises(ConnectionRefusedError):
            client.ask_udp(V4, 80)


class TestRefusals:
    def test_clients_of_an_access_list_are_refused_and_others_are_not(self, lab: Lab, driver: NftDriver) -> None:
        client = lab.hosts["client"]
        client.ip("addr add 192.0.2.200/24 dev eth0")
        refusing = service(refused=(AddressRange(first="192.0.2.96", last="192.0.2.127"),))
        both = {
            "vs1": refusing,
            "vs2": service(server(4, address="10.0.0.11"), key="vs2", ports=refusing.ports, **ELSEWHERE),
        }
        driver.check(both)
        driver.apply(both, {})
        assert refused(client)
        assert client.ask(V4, 80, source="192.0.2.200").role
        driver.apply({"vs1": refusing.model_copy(update={"refuse_silently": True})}, {})
        with pytest.raises(TimeoutError):
            client.ask(V4, 80, timeout=0.3)
        driver.apply({"vs1": service()}, {})
        assert client.ask(V4, 80).role
        assert "clients_" not in lab.hosts["balancer"].run("nft", "list", "sets", "inet").stdout

    def test_what_the_kernel_refuses_changes_nothing(self, lab: Lab, driver: NftDriver) -> None:
        client = lab.hosts["client"]
        driver.apply({"vs1": service(server(1))}, {})
        clashing = {"vs1": service(server(2)), "vs2": service(server(3), key="vs2")}
        with pytest.raises(EngineRefused) as refusal:
            driver.apply(clashing, {})
        assert "exists" in refusal.value.words
        assert roles(client, 2) == ["real1"] * 2
        driver.apply({"vs1": service(server(2))}, {})
        assert roles(client, 2) == ["real2"] * 2


class TestCounting:
    def test_counters_are_each_servers_and_the_service_never_forgets(self, lab: Lab, driver: NftDriver) -> None:
        client = lab.hosts["client"]
        driver.apply({"vs1": service(server(1), server(2))}, {})
        roles(client, 4)
        # the last packets of a connection come after its answer
        wait_until(lambda: driver.traffic()["vs1"].servers["rs1"].packets_out >= 2 * 4)
        whole = driver.traffic()["vs1"]
        one = whole.servers["rs1"]
        assert (one.connections, whole.whole.connections) == (2, 4)
        assert one.packets_in >= 2 * 5
        assert one.bytes_in > one.packets_in * 40
        assert one.bytes_out > one.packets_out * 40
        driver.apply({"vs1": service(server(2))}, {})
        after = driver.traffic()["vs1"]
        assert set(after.servers) == {"rs2"}
        assert after.whole.connections == 4

    def test_a_new_process_takes_over_without_losing_anything(self, lab: Lab, driver: NftDriver) -> None:
        client, kept = lab.hosts["client"], Persistence(seconds=60)
        services = {
            "vs1": service(server(1), server(2), persistence=kept),
            "vs9": service(key="vs9", address="192.0.2.9"),
        }
        driver.apply(services, {})
        first = roles(client, 1)
        connections = driver.traffic()["vs1"].whole.connections
        with client.connect(V4, 80) as connection:
            another = NftDriver()
            assert another.adopt() == {"vs1", "vs9"}
            another.apply({"vs1": services["vs1"]}, {})
            connection.sendall(b"?")
            assert connection.recv(400).split()[0].decode() == first[0]
        assert roles(client, 2) == first * 2
        assert another.traffic()["vs1"].whole.connections == connections + 3
        another.apply({"vs1": None}, {})
        assert another.traffic() == {}
        another.close()


def test_the_driver_in_memory_gives_clients_what_this_one_gives_them(lab: Lab, driver: NftDriver) -> None:
    client, fake, kept = lab.hosts["client"], FakeLayer4(), Persistence(seconds=60)
    sorry = Layer4Server(key="sorry", address="10.0.0.13", port=PORT)
    names = {"real1": "rs1", "real2": "rs2", "real3": "sorry"}
    steps: list[tuple[dict[str, Layer4Service | None], dict[ServerName, Standing]]] = [
        ({"vs1": service(server(1), server(2))}, {}),
        ({}, {("vs1", "rs1"): Standing(up=False)}),
        ({"vs1": service(server(1), server(2), sorry=sorry)}, {("vs1", "rs2"): Standing(up=False)}),
        ({"vs1": service(server(1), server(2), sorry=sorry, persistence=kept)}, {("vs1", "rs1"): Standing()}),
        ({}, {("vs1", "rs2"): Standing(), ("vs1", "rs1"): Standing(weight=0)}),
        ({"vs1": service(server(1, enabled=False), server(2), persistence=kept)}, {}),
        ({"vs1": service(server(1), server(2), enabled=False)}, {}),
        ({"vs1": service(server(1, weight=3), server(2, weight=1), schedule="wrr")}, {("vs1", "rs1"): Standing()}),
        ({"vs1": None}, {}),
    ]
    for changes, told in steps:
        for one in (driver, fake):
            if changes:
                one.apply(changes, told)
            one.tell(told)
        # whose turn is first, after a change, is nobody's business
        expected = Counter(fake.connect(V4, 80, "192.0.2.100") for _ in range(4))
        found: Counter[str | None] = Counter()
        for _ in range(4):
            try:
                found[names[client.ask(V4, 80, timeout=1).role]] += 1
            except OSError:
                found[None] += 1
        assert found == expected, (changes, told)
    clash = {"vs1": service(server(1)), "vs2": service(server(3), key="vs2")}
    for one in (driver, fake):
        with pytest.raises(EngineRefused):
            one.check(clash)
        with pytest.raises(EngineRefused):
            one.apply(clash, {})


def test_one_arm_with_source_nat() -> None:
    with Lab() as lab:
        one_arm(lab)
        balancer, client = lab.hosts["balancer"], lab.hosts["client"]
        balancer.sysctl("ipv4/ip_forward", 1)
        balancer.ip("addr add 10.0.0.10/32 dev eth0")
        for number in (1, 2):
            lab.hosts[f"real{number}"].answer(f"10.0.0.1{number}", PORT)
        with balancer.inside():
            driver = NftDriver()
        driver.apply({"vs1": service(server(1), server(2), address="10.0.0.10", source_nat="10.0.0.10")}, {})
        seen = client.ask("10.0.0.10", 80)
        assert seen.client == "10.0.0.10"
        driver.apply({"vs1": service(server(1), server(2), address="10.0.0.10")}, {})
        with pytest.raises(OSError):
            # the servers answer the client themselves, which knows nothing of such a connection
            client.ask("10.0.0.10", 80, timeout=0.5)
        driver.clear()
        driver.close()
        wait_until(lambda: not balancer.run("nft", "list", "tables").stdout)


class TestLookingAhead:
    def test_what_was_looked_at_is_what_is_told(self, lab: Lab, driver: NftDriver) -> None:
        driver.apply({"vs1": service()}, {})
        roles(lab.hosts["client"], 3)
        driver.look()
        seen = driver._traffic
        assert seen["vs1"].whole.connections == 3
        assert driver.traffic() is seen, "it is not read again"

    def test_a_look_that_a_change_disturbs_is_thrown_away(self, lab: Lab, driver: NftDriver) -> None:
        driver.apply({"vs1": service()}, {})
        roles(lab.hosts["client"], 3)
        counters = driver._beside.counters

        def disturbed(name: str) -> dict[int, Counted]:
            driver.apply({"vs1": service(server(1))}, {})
            return counters(name)

        driver._beside.counters = disturbed  # type: ignore[method-assign]
        driver.look()
        assert driver.traffic()["vs1"].whole.connections == 3, "what servers that are gone have carried is not lost"

    def test_looks_and_changes_go_on_side_by_side_and_totals_never_shrink(self, lab: Lab, driver: NftDriver) -> None:
        driver.apply({"vs1": service()}, {})
        client, ended, totals = lab.hosts["client"], threading.Event(), [0]
        failed: list[BaseException] = []

        def look() -> None:
            while not ended.is_set():
                try:
                    driver._traffic_until = 0.0
                    driver.look()
                except BaseException as failure:
                    failed.append(failure)
                    return

        looking = threading.Thread(target=look)
        looking.start()
        try:
            for number in range(30):
                driver.apply({"vs1": service(*(server(one) for one in ((1, 2), (2, 3), (1, 3))[number % 3]))}, {})
                client.ask(V4, 80)
                totals.append(driver.traffic()["vs1"].whole.connections if "vs1" in driver.traffic() else totals[-1])
        finally:
            ended.set()
            looking.join(10)
        assert not failed
        assert totals == sorted(totals)
        driver._traffic_until = 0.0
        assert driver.traffic()["vs1"].whole.connections == 30
