"""Runs inside user-mode-linux for `test_ipvs.py`: real packets through IPVS, as its driver sets it up.

One network of hosts: a client with an address on it and one behind the balancer, which is its gateway to services; two
real servers with the balancer as theirs. Real servers hold the service's addresses of direct return on loopback.

Debian's user-mode-linux has nftables for bridges alone, so here iptables puts the marks on, where and as the driver's
table does it; that one meets real packets in `test_ipvs_marks.py`.
"""

from __future__ import annotations

import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.support.namespaces import Lab, Namespace, Seen
from tests.support.uml_inside import scenario, wait_until

from steelyard.compile.compiler import Compiler, EngineFacts
from steelyard.emit.ipvs.marks import MarkedService
from steelyard.engines.ipvs.driver import IpvsDriver
from steelyard.engines.ipvs.kernel import NetlinkIpvs
from steelyard.engines.ipvs.virtual_server import Identity, Step, VirtualServer
from steelyard.engines.layer4.contract import Traffic
from steelyard.engines.netlink.kernel import LocalNetwork
from steelyard.engines.netlink.present import HELD
from steelyard.engines.netlink.steps import AddRule, PutRoute, RemoveRoute, RemoveRule
from steelyard.model.commands import AddServer, AddService
from steelyard.model.configuration import Configuration
from steelyard.model.errors import SteelyardError
from steelyard.plan.layer4 import ALL_PORTS, Layer4Server, Layer4Service, Persistence, PortRange, Standing
from steelyard.plan.network import Route, Rule

LOCAL, REMOTE, REMOTE6 = "192.0.2.100", "198.51.100.100", "2001:db8:9::100"
VIP, VIP6 = "203.0.113.10", "2001:db8:5::10"
DIRECT, DIRECT6 = "192.0.2.50", "2001:db8:1::50"
R1, R2 = ("192.0.2.11", "2001:db8:1::11"), ("192.0.2.12", "2001:db8:1::12")
DOWN, UP = Standing(up=False), Standing()

lab = Lab()
client, balancer = lab.host("client"), lab.host("balancer", forwards=True)
real1, real2 = lab.host("real1"), lab.host("real2")
lab.network(
    "lan",
    (client, "eth0", (f"{LOCAL}/24", f"{REMOTE}/24", "198.51.100.101/24", "198.51.100.201/24", f"{REMOTE6}/64")),
    (balancer, "eth0", ("192.0.2.1/24", "2001:db8:1::1/64", "198.51.100.1/24", "2001:db8:9::1/64")),
    (real1, "eth0", (f"{R1[0]}/24", f"{R1[1]}/64")),
    (real2, "eth0", (f"{R2[0]}/24", f"{R2[1]}/64")),
)
client.ip(
    f"route add {VIP} via 198.51.100.1 src {REMOTE}",
    f"route add {VIP6} via 2001:db8:9::1",
    f"route add {DIRECT6} via 2001:db8:9::1",
    "addr add 2001:db8:1::100/64 dev eth0 nodad",
)
balancer.ip(*(f"addr add {one} dev eth0 {'nodad' if ':' in one else ''}" for one in (VIP, VIP6, DIRECT, DIRECT6)))
balancer.sysctl("ipv4/conf/all/send_redirects", 0)
balancer.sysctl("ipv4/conf/eth0/send_redirects", 0)
for real in (real1, real2):
    real.sysctl("ipv4/conf/all/arp_ignore", 1)
    real.sysctl("ipv4/conf/all/arp_announce", 2)
    # or they would learn a way past the balancer (the kernel cannot be kept from sending redirects of IPv6)
    real.sysctl("ipv6/conf/all/accept_redirects", 0)
    real.sysctl("ipv6/conf/eth0/accept_redirects", 0)
    real.ip("route add default via 192.0.2.1", "route add default via 2001:db8:1::1")
    real.ip(f"addr add {DIRECT}/32 dev lo", f"addr add {DIRECT6}/128 dev lo nodad")
for host, addresses in ((real1, R1), (real2, R2)):
    for port in (80, 81, 8080):
        host.answer(addresses[0], port)
    for address, port in ((addresses[1], 80), (DIRECT, 80), (DIRECT6, 80)):
        host.answer(address, port)


class LegacyMarks:
    """The table of marks, by iptables."""

    def __init__(self) -> None:
        self.services: dict[int, MarkedService] = {}

    def replace(self, services: Iterable[MarkedService], *, trial: bool = False) -> None:
        if not trial:
            self.services = {one.mark: one for one in services}
            self._restore()

    def change(self, old: Iterable[MarkedService], new: Iterable[MarkedService], *, trial: bool = False) -> None:
        gone, come = list(old), list(new)
        if not trial and gone != come:
            for one in gone:
                del self.services[one.mark]
            self.services |= {one.mark: one for one in come}
            self._restore()

    def remove(self) -> None:
        self.services.clear()
        self._restore()

    def _restore(self) -> None:
        for program, ipv6 in (("iptables", False), ("ip6tables", True)):
            found = [one for one in self.services.values() if (":" in one.address) == ipv6]
            text = "\n".join(self._lines(sorted(found, key=lambda one: bool(one.ports)))) + "\n"
            done = subprocess.run(
                [f"{program}-legacy-restore"], input=text, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise RuntimeError(f"{done.stderr} in {text}")

    def _lines(self, services: list[MarkedService]) -> Iterator[str]:
        yield from ("*mangle", ":INPUT ACCEPT", ":OUTPUT ACCEPT")
        for hook in ("INPUT", "OUTPUT"):
            for one in services:
                for first, last in one.ports or ((1, 65535),):
                    which = f"-d {one.address} -p {one.protocol} --dport {first}:{last}"
                    yield f"-A {hook} {which} -j MARK --set-mark {one.mark}"
        yield from ("COMMIT", "*filter", ":INPUT ACCEPT")
        for one in services:
            if one.closed and one.protocol == "tcp":
                yield f"-A INPUT -p tcp --syn -m mark --mark {one.mark} -j REJECT --reject-with tcp-reset"
        yield "COMMIT"
        if any(one.source for one in services):
            yield from ("*nat", ":POSTROUTING ACCEPT")
            for one in services:
                if one.source:
                    yield f"-A POSTROUTING -m mark --mark {one.mark} -j SNAT --to-source {one.source}"
            yield "COMMIT"


marks = LegacyMarks()


def fresh_driver() -> IpvsDriver:
    with balancer.inside():
        return IpvsDriver(marks=marks)


def server(number: int, port: int = 80, **more: Any) -> Layer4Server:
    address = (R1, R2)[number - 1][1 if more.pop("six", False) else 0]
    return Layer4Server(key=f"rs{number}", address=address, port=port, **more)


def service(number: int = 1, *ports: tuple[int, int], **more: Any) -> Layer4Service:
    values: dict[str, Any] = {
        "key": f"vs{number}",
        "protocol": "tcp",
        "address": VIP,
        "ports": tuple(PortRange(first=first, last=last) for first, last in ports or ((80, 80),)),
        "schedule": "rr",
        "driver": "ipvs",
        "servers": (server(1), server(2)),
    }
    return Layer4Service(**{**values, **more})


class Inside:
    """The driver, called where the balancer is."""

    def __init__(self) -> None:
        self.driver = fresh_driver()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            with balancer.inside():
                return getattr(self.driver, name)(*arguments)

        return called


ipvs = Inside()


def only(*services: Layer4Service, standings: Any = None) -> None:
    """Have exactly these services, all anew."""
    ipvs.clear()
    ipvs.apply({one.key: one for one in services}, standings or {})


def asked(times: int, address: str = VIP, port: int = 80, **more: Any) -> dict[str, int]:
    return Counter(client.ask(address, port, **more).role for _ in range(times))


def refused(ask: Callable[[], Any]) -> str:
    try:
        return str(ask())
    except (OSError, SteelyardError) as refusal:
        return type(refusal).__name__


def say(connection: socket.socket) -> str:
    connection.sendall(b"?")
    return connection.recv(400).decode().split()[0]


def counted(key: str, connections: int) -> Traffic:
    """The counters of a service once they say so much: the kernel adds them up every two seconds."""
    return wait_until(lambda: (whole := ipvs.traffic()[key].whole).connections >= connections and whole)


def state() -> list[str]:
    with balancer.inside():
        return sorted(Path("/proc/thread-self/net/ip_vs").read_text().splitlines()[3:])


@scenario
def network_address_translation() -> Any:
    only(service(), service(2, protocol="udp"), service(3, address=VIP6, servers=(server(1, six=True),)))
    tcp, udp = client.ask(VIP, 80), client.ask_udp(VIP, 80)
    active = ipvs.traffic()["vs2"].whole.active
    six = client.ask(VIP6, 80, source=REMOTE6)
    return {"tcp": vars_of(tcp), "udp": vars_of(udp), "six": vars_of(six), "active": active, "spread": asked(10)}


def vars_of(seen: Seen) -> list[Any]:
    return [seen.client, seen.own, seen.own_port]


@scenario
def least_connection() -> Any:
    found = {}
    for schedule, weights in (("lc", (1000, 3000)), ("wlc", (1000, 3000))):
        servers = (server(1, weight=weights[0]), server(2, weight=weights[1]))
        only(service(schedule=schedule, servers=servers))
        held = [client.connect(VIP, 80) for _ in range(16)]
        roles = [say(one) for one in held]
        traffic = ipvs.traffic()["vs1"]
        found[schedule] = {"roles": Counter(roles), "active": {key: one.active for key, one in traffic.servers.items()}}
        gone = "real2" if schedule == "wlc" else "real1"
        for connection, role in zip(held, roles, strict=True):
            if role == gone:
                connection.close()
        wait_until(lambda gone=gone: ipvs.traffic()["vs1"].servers["rs2" if gone == "real2" else "rs1"].active == 0)
        held += (more := [client.connect(VIP, 80) for _ in range(6)])
        found[schedule]["after"] = Counter(say(one) for one in more)
        for connection in held:
            connection.close()
    return found


@scenario
def weights_and_hash() -> Any:
    only(service(schedule="wrr", servers=(server(1, weight=1000), server(2, weight=3000))))
    by_weight = asked(8)
    only(service(schedule="sh", servers=(server(1, weight=1000), server(2, weight=1000))))
    sources = (REMOTE, "198.51.100.101", "198.51.100.201")
    by_client = [asked(3, source=source) for source in sources]
    gone = client.ask(VIP, 80).role
    ipvs.tell({("vs1", "rs1" if gone == "real1" else "rs2"): DOWN})
    return {"wrr": by_weight, "sh": [len(one) for one in by_client], "moved": asked(3), "gone": gone}


@scenario
def ports() -> Any:
    """A range, and all ports of which another service has one. Real servers are asked at the client's port."""
    ranges = service(1, (80, 81), (8000, 8100), servers=(server(1, port=0),))
    every = service(2, (1, 65535), address=DIRECT, servers=(server(1, port=0),))
    one = service(3, (81, 81), address=DIRECT, servers=(server(2, port=8080),))
    assert every.ports == (ALL_PORTS,)
    only(ranges, every, one)
    with client.connect(VIP, 80) as open_one:
        before = say(open_one)
        ipvs.apply({"vs1": service(1, (81, 81), servers=(server(1, port=0),))}, {})
        after = say(open_one)
    return {
        "range": [client.ask(VIP, 81).own_port, refused(lambda: client.ask(VIP, 8080))],
        "open": [before, after],
        "closed": refused(lambda: client.ask(VIP, 80)),
        "wildcard": [
            [seen.role, seen.own_port] for seen in (client.ask(DIRECT, port, source=REMOTE) for port in (80, 8080, 81))
        ],
        "steps": list(ipvs.describe({"vs1": service(1, (80, 80), servers=(server(1, port=0),))})),
    }


@scenario
def persistence() -> Any:
    kept = Persistence(seconds=300, prefix4=25)
    only(service(persistence=kept))
    one = [client.ask(VIP, 80, source=source).role for source in (REMOTE, "198.51.100.101", REMOTE)]
    other = asked(3, source="198.51.100.201")
    records = ipvs.records("vs1")
    moved_from = one[0]
    ipvs.tell({("vs1", "rs1" if moved_from == "real1" else "rs2"): DOWN})
    moved_to = client.ask(VIP, 80).role
    ipvs.tell({("vs1", "rs1" if moved_from == "real1" else "rs2"): UP})
    stays = asked(4)
    # a server port of its own under persistence
    only(service(persistence=kept, servers=(server(1, 8080), server(2, 8080))))
    translated = [client.ask(VIP, 80) for _ in range(3)]
    return {
        "same": len(set(one)),
        "others": len(other),
        "records": [[record.client, record.server, 290 < record.seconds <= 300] for record in records],
        "roles": [one[0], *other],
        "count": sum(traffic.records for traffic in ipvs.traffic()["vs1"].servers.values()),
        "moved": moved_from != moved_to,
        "stays": stays == {moved_to: 4},
        "translated": [len({seen.role for seen in translated}), translated[0].own_port],
        "flush": refused(lambda: ipvs.flush_records("vs1")),
    }


@scenario
def failed_and_disabled() -> Any:
    only(service(), service(2, protocol="udp"))
    held = {}
    while len(held) < 2:
        connection = client.connect(VIP, 80)
        held.setdefault(say(connection), connection)
    ipvs.tell({("vs1", "rs1"): DOWN})
    failed = asked(4)
    ipvs.apply({"vs1": service(servers=(server(1), server(2, enabled=False)))}, {("vs1", "rs1"): UP})
    disabled = asked(4)
    still = [say(connection) for connection in held.values()]
    ipvs.tell({(key, name): DOWN for key in ("vs1", "vs2") for name in ("rs1", "rs2")})
    nobody = [refused(lambda: client.ask(VIP, 80)), refused(lambda: client.ask_udp(VIP, 80))]
    alive = [say(connection) for connection in held.values()]
    ipvs.tell({("vs1", "rs1"): UP})
    back = asked(2)
    ipvs.apply({"vs1": service(enabled=False)}, {})
    shut = refused(lambda: client.ask(VIP, 80))
    alive_when_shut = [say(connection) for connection in held.values()]
    for connection in held.values():
        connection.close()
    return {
        "failed": failed,
        "disabled": disabled,
        "still": still == list(held),
        "nobody": nobody,
        "alive": alive == list(held),
        "back": back,
        "shut": [shut, alive_when_shut == list(held)],
    }


@scenario
def sorry_server() -> Any:
    sorry = Layer4Server(key="sorry", address=R2[0], port=8080)
    only(service(servers=(server(1),), sorry=sorry))
    usual = client.ask(VIP, 80)
    ipvs.tell({("vs1", "rs1"): DOWN})
    instead = client.ask(VIP, 80)
    ipvs.tell({("vs1", "rs1"): UP})
    return [usual.role, instead.role, instead.own_port, client.ask(VIP, 80).role]


@scenario
def dropped_and_removed() -> Any:
    only(service(), service(2, (81, 81)))
    held: dict[str, socket.socket] = {}
    while len(held) < 2:
        connection = client.connect(VIP, 80)
        held.setdefault(say(connection), connection)
    counted = ipvs.traffic()["vs1"].servers
    ipvs.tell({("vs1", "rs1"): DOWN})
    ipvs.drop([("vs1", "rs1")])
    cut = refused(lambda: say(held["real1"]))
    ipvs.tell({("vs1", "rs1"): UP})
    still_cut = refused(lambda: say(held["real1"]))
    lives = say(held["real2"])
    after = ipvs.traffic()["vs1"].servers
    held["real1"].close()
    # one that takes clients all the while
    again = client.connect(VIP, 80)
    role = say(again)
    ipvs.drop([("vs1", "rs1" if role == "real1" else "rs2")])
    at_once = refused(lambda: say(again))
    # unrelated changes, then removal of the server, then of the service
    while len(fresh := {say(one): one for one in [client.connect(VIP, 80) for _ in range(4)]}) < 2:
        pass
    ipvs.apply({"vs2": None, "vs3": service(3, (82, 82))}, {})
    ipvs.apply({"vs1": service(schedule="wlc", servers=(server(1, weight=7), server(2, weight=9)))}, {})
    unrelated = [say(fresh["real1"]), say(fresh["real2"])]
    ipvs.apply({"vs1": service(servers=(server(2),))}, {})
    removed = [refused(lambda: say(fresh["real1"])), refused(lambda: say(fresh["real2"]))]
    ipvs.apply({"vs1": None}, {})
    gone = [refused(lambda: say(fresh["real2"])), refused(lambda: client.ask(VIP, 80))]
    return {
        "cut": [cut, still_cut],
        "lives": lives,
        "kept_count": [counted["rs1"].connections, after["rs1"].connections],
        "at_once": at_once,
        "unrelated": unrelated,
        "removed": removed,
        "gone": gone,
    }


@scenario
def limits() -> Any:
    only(service(servers=(server(1, limit=2),)))
    held = [client.connect(VIP, 80) for _ in range(2)]
    [say(one) for one in held]
    beyond = refused(lambda: client.ask(VIP, 80))
    for one in held:
        one.close()
    return beyond


def sip(call: str, number: int) -> bytes:
    return (
        f"OPTIONS sip:service@example.com SIP/2.0\r\nVia: SIP/2.0/UDP {REMOTE}:5060;branch=z9hG4bK{call}{number}\r\n"
        f"From: <sip:a@example.com>;tag=1\r\nTo: <sip:service@example.com>\r\nCall-ID: {call}\r\n"
        f"CSeq: {number} OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def answer_sip(host: Namespace, address: str) -> None:
    """Answer requests with their own header fields and a name of who answers."""
    listener = host.socket(kind=socket.SOCK_DGRAM)
    listener.bind((address, 5060))
    listener.settimeout(None)

    def serve() -> None:
        while True:
            request, caller = listener.recvfrom(4096)
            fields = request.split(b"\r\n", 1)[1].removesuffix(b"\r\n\r\n")
            listener.sendto(b"SIP/2.0 200 OK\r\n%s\r\nServer: %s\r\n\r\n" % (fields, host.role.encode()), caller)

    threading.Thread(target=serve, daemon=True).start()


@scenario
def sip_calls() -> Any:
    """All calls come from one port, as from a proxy; some are taken up again from another one."""
    answer_sip(real1, R1[0])
    answer_sip(real2, R2[0])
    kept = Persistence(seconds=300, kind="sip")
    only(service(1, (5060, 5060), protocol="udp", persistence=kept, servers=(server(1, 5060), server(2, 5060))))
    proxy = client.socket(kind=socket.SOCK_DGRAM)
    other = client.socket(kind=socket.SOCK_DGRAM)
    for one, port in ((proxy, 5060), (other, 5070)):
        one.bind((REMOTE, port))
    answers: dict[str, list[str]] = {}
    sources = set()
    for number in (1, 2, 3):
        for call in "abcdef":
            sender = other if number == 3 else proxy
            sender.sendto(sip(f"{call}1234567890@example.com", number), (VIP, 5060))
            said, source = sender.recvfrom(4096)
            answers.setdefault(call, []).append(said.decode().split("Server: ")[1].strip())
            sources.add(source)
    return {
        "sticks": [len(set(roles)) for roles in answers.values()],
        "spread": len({roles[0] for roles in answers.values()}),
        "from": list(sources),
        "records": sorted(record.client for record in ipvs.records("vs1")),
        "count": sum(traffic.records for traffic in ipvs.traffic()["vs1"].servers.values()),
    }


@scenario
def one_datagram() -> Any:
    """Nothing is remembered of a client, so the next datagram from the same port goes elsewhere."""
    real1.answer(R1[0], 514)
    real2.answer(R2[0], 514)
    only(service(1, (514, 514), protocol="udp", idle=1, servers=(server(1, 514), server(2, 514))))
    sender = client.socket(kind=socket.SOCK_DGRAM)
    for _ in range(4):
        sender.sendto(b"log", (VIP, 514))
    done = wait_until(lambda: (found := ipvs.traffic()["vs1"]).whole.connections == 4 and found)
    return {key: one.packets_in for key, one in done.servers.items()}


@scenario
def direct_return() -> Any:
    routed = (server(1, forwarding="route"), server(2, forwarding="route"))
    routed6 = (server(1, forwarding="route", six=True), server(2, forwarding="route", six=True))
    only(
        service(1, address=DIRECT, schedule="wlc", servers=routed),
        service(2, address=DIRECT, protocol="udp", servers=routed),
        service(3, address=DIRECT6, servers=routed6),
    )
    tcp = [client.ask(DIRECT, 80) for _ in range(4)]
    udp = client.ask_udp(DIRECT, 80)
    six = [client.ask(DIRECT6, 80) for _ in range(2)]
    held = client.connect(DIRECT, 80)
    role = say(held)
    name = ("vs1", "rs1" if role == "real1" else "rs2")
    ipvs.tell({name: DOWN})
    failed = asked(3, DIRECT)
    lives = say(held)
    traffic = counted("vs1", 8)
    ipvs.drop([name])
    return {
        "tcp": [Counter(seen.role for seen in tcp), vars_of(tcp[0])],
        "udp": vars_of(udp),
        "six": [Counter(seen.role for seen in six), vars_of(six[0])],
        "in": traffic.packets_in > 0,
        "out": traffic.packets_out,
        "failed": [role in failed, sum(failed.values())],
        "lives": lives == role,
        "dropped": refused(lambda: say(held)),
    }


@scenario
def source_addresses() -> Any:
    """With an address of the balancer's own as source, a client on the real servers' network is served too."""
    only(service(source_nat="192.0.2.1"), service(2, (81, 81)))
    near, far = client.ask(VIP, 80, source=LOCAL), client.ask(VIP, 80, source=REMOTE)
    return [near.client, far.client, client.ask(VIP, 81).client]


@scenario
def own_gateway() -> Any:
    """Answers follow the rules for their real server and port; the gateway here is a host that loses them."""
    only(service(servers=(server(1),)))
    usual = client.ask(VIP, 80).role
    gateway = Route(destination="0.0.0.0/0", gateway=R2[0], table=700)
    rule = Rule(source=f"{R1[0]}/32", table=700, priority=5001, protocol="tcp", first=80, last=80)
    network = LocalNetwork()
    with balancer.inside():
        network.run([PutRoute(gateway, HELD), AddRule(rule)])
    lost = refused(lambda: client.ask(VIP, 80, timeout=0.5))
    with balancer.inside():
        network.run([RemoveRule(rule), RemoveRoute("0.0.0.0/0", R2[0], 700, 0)])
    return [usual, lost, client.ask(VIP, 80).role]


@scenario
def as_an_operator_says_it() -> Any:
    """From settings of services, by way of the compiler."""
    facts = EngineFacts(threads=1, lua=True, open_files=20_000, ipvs=True)
    common = {"address": VIP, "service_type": "gen", "check_type": "none"}
    configuration = Configuration()
    for settings in (
        {**common, "port": 80, "protocol": "udp", "schedule": "lc"},
        {**common, "port": 81, "force_l4": True, "schedule": "wlc", "persistence": "src", "persistence_timeout": 300},
        {**common, "port": 80, "address": DIRECT, "force_l4": True},
    ):
        configuration = AddService(settings).apply(configuration).configuration
    for index, port, forward in ((1, 80, "nat"), (2, 8080, "nat"), (3, 80, "route")):
        for address, _ in (R1, R2):
            added = AddServer(index, {"address": address, "port": port, "forward": forward})
            configuration = added.apply(configuration).configuration
    plan = Compiler(facts).compile(configuration).kernel
    ipvs.clear()
    ipvs.apply(plan.layer4, {})
    udp = Counter(client.ask_udp(VIP, 80).role for _ in range(4))
    kept = [client.ask(VIP, 81) for _ in range(3)]
    direct = [client.ask(DIRECT, 80) for _ in range(4)]
    return {
        "udp": udp,
        "kept": [len({seen.role for seen in kept}), kept[0].own_port],
        "direct": [Counter(seen.role for seen in direct), direct[0].own],
        "sysctls": plan.network.sysctls,
    }


@scenario
def counters() -> Any:
    both = service(31)
    only(both, service(32, (81, 81), servers=(server(1, 81),)))
    before = ipvs.traffic()
    for _ in range(3):
        client.ask(VIP, 80)
    client.ask(VIP, 81)
    counted("vs31", 3)
    now = ipvs.traffic()
    # a real server that goes and comes again begins anew, whatever the kernel still knows of it
    ipvs.apply({"vs31": service(31, servers=(server(1),))}, {})
    ipvs.apply({"vs31": both}, {})
    again = ipvs.traffic()["vs31"].servers
    return {
        "before": before["vs31"].whole.connections,
        "connections": [now["vs31"].whole.connections, now["vs32"].whole.connections],
        "servers": sum(one.connections for one in now["vs31"].servers.values()),
        "packets": [now["vs32"].whole.packets_in > 3, now["vs32"].whole.packets_out > 2],
        "bytes": [now["vs32"].whole.bytes_in > 150, now["vs32"].whole.bytes_out > 150],
        "again": [again["rs1"].connections == now["vs31"].servers["rs1"].connections, again["rs2"].connections],
    }


@scenario
def adopted_after_a_crash() -> Any:
    services = {"vs1": service(persistence=Persistence(seconds=300)), "vs2": service(2, (81, 81))}
    only(*services.values())
    held = client.connect(VIP, 80)
    role = say(held)
    kernel = state()
    ipvs.driver = fresh_driver()
    found = ipvs.adopt()
    planned = ipvs.describe(services)
    ipvs.apply(services, {})
    same = state() == kernel
    ipvs.driver = fresh_driver()
    ipvs.adopt()
    ipvs.apply({"vs1": services["vs1"], "vs2": None}, {})
    return {
        "found": sorted(found),
        "planned": list(planned),
        "same": same,
        "open": say(held) == role,
        "sticks": asked(3) == {role: 3},
        "left": len(state()),
        "connections": counted("vs1", 4).connections,
    }


@scenario
def others_are_left_alone() -> Any:
    foreign = VirtualServer(Identity(False, protocol=6, address=VIP, port=9999), 0, "rr", 0, 0, 32)
    kernel = NetlinkIpvs()
    only(service())
    with balancer.inside():
        kernel.do(Step("add", foreign))
    # what needs the other's virtual server is refused, and nothing of it stays
    before = state()
    clash = service(4, (9999, 9999), persistence=Persistence(seconds=60), servers=(server(1, 8080),))
    said = refused(lambda: ipvs.apply({"vs4": clash, "vs5": service(5, (85, 85))}, {}))
    unchanged = state() == before
    # what they took from us is made good
    with balancer.inside():
        mine = [one.state[0] for one in kernel.ours().values() if one.state[0].key == "vs1"]
        kernel.do(Step("remove", mine[0]))
    ipvs.apply({"vs1": service(servers=(server(1),))}, {})
    mended = asked(2)
    ipvs.clear()
    left = state()
    with balancer.inside():
        kernel.do(Step("remove", foreign))
    return {"said": said, "unchanged": unchanged, "mended": mended, "left": left}


@scenario
def tried_without_being_done() -> Any:
    only(service())
    before = state()
    ipvs.check({"vs2": service(2, (81, 81), schedule="wlc")})
    return before == state()


@scenario
def settings() -> Any:
    def now() -> Any:
        with balancer.inside():
            names = ("expire_nodest_conn", "expire_quiescent_template", "conntrack")
            found = [int(Path("/proc/sys/net/ipv4/vs", name).read_text()) for name in names]
            times = NetlinkIpvs().timeouts()
        return [*found, times.tcp, times.udp]

    ipvs.clear()
    with balancer.inside():
        for name in ("expire_nodest_conn", "expire_quiescent_template"):
            Path("/proc/sys/net/ipv4/vs", name).write_text("0")
    before = now()
    ipvs.apply({"vs1": service(idle=1200), "vs2": service(2, idle=700, source_nat="192.0.2.1")}, {})
    both = now()
    ipvs.apply({"vs2": None}, {})
    one = now()
    ipvs.clear()
    return [before, both, one, now()]
