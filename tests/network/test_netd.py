"""`steelyard-netd` as a process: what it may do, who may speak to it, what neighbours hear, and what a kill leaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.namespaces import Lab, Namespace, two_arms, wait_until

from steelyard.model.errors import EngineRefused
from steelyard.netd.client import NetdClient
from steelyard.netd.protocol import NetdStatus
from steelyard.plan.kernel import KernelPlan
from steelyard.plan.layer4 import Layer4Service, PortRange
from steelyard.plan.network import HeldAddress, HostNetwork, Link, NetworkPlan, Route, Rule

pytestmark = [pytest.mark.network, pytest.mark.needs("ip", "net_admin")]

V4, V6 = "192.0.2.50", "2001:db8:1::50"


class Netd:
    """One process in the balancer's namespace, with files of its own."""

    def __init__(self, host: Namespace) -> None:
        self.host = host
        self.directory = Path(tempfile.mkdtemp(prefix="netd"))
        # so that the socket can be reached by the user who is refused
        self.directory.chmod(0o755)
        self.socket = self.directory / "netd.sock"
        self.client = NetdClient(self.socket)
        self.start()

    def start(self) -> None:
        with (self.directory / "log").open("ab") as log:
            self.process = self.host.popen(*self._command(), stdout=log, stderr=log)
        wait_until(self._answers, 15)

    def _command(self, *more: str) -> list[str]:
        files = ("--socket", str(self.socket), "--directory", str(self.directory / "files"))
        return [sys.executable, "-m", "steelyard.netd.main", *files, *more]

    def _answers(self) -> bool:
        with contextlib.suppress(EngineRefused):
            return asyncio.run(self.client.status()).pid == self.process.pid
        return False

    def status(self) -> NetdStatus:
        return asyncio.run(self.client.status())

    def have(self, plan: NetworkPlan, generation: str, confirm: float | None = None) -> None:
        asyncio.run(self.client.replace_plan(KernelPlan(network=plan), generation, confirm))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(5)

    def clear(self) -> subprocess.CompletedProcess[str]:
        return self.host.run(*self._command("--clear"), check=False)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.directory)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as made:
        two_arms(made, servers=1)
        yield made


@pytest.fixture(scope="module")
def process(lab: Lab) -> Iterator[Netd]:
    made = Netd(lab.hosts["balancer"])
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def netd(process: Netd) -> Iterator[Netd]:
    """The one process, with nothing in the kernel before and after."""
    if process.process.poll() is not None:
        process.start()
    yield process
    if process.process.poll() is None:
        asyncio.run(process.client.clear())


def held(*addresses: str) -> NetworkPlan:
    return NetworkPlan(held={one: HeldAddress(address=one, interface="eth0") for one in addresses})


OWN = ["192.0.2.1/24", "2001:db8:1::1/64"]


def test_it_gives_up_every_privilege_but_the_networks(netd: Netd) -> None:
    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{netd.process.pid}/status").read_text().splitlines()
        if ":\t" in line
    )
    # CAP_NET_ADMIN and CAP_NET_RAW, bits 12 and 13 of include/uapi/linux/capability.h
    assert {status[name] for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0000000000003000"}
    assert status["NoNewPrivs"] == "1"
    for task in Path(f"/proc/{netd.process.pid}/task").iterdir():
        assert "CapEff:\t0000000000003000" in (task / "status").read_text()


def test_strangers_are_refused_and_nonsense_changes_nothing(netd: Netd) -> None:
    ask = (
        "import os, socket, sys\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
        's.sendall(b\'{"op": "status"}\\n\'); print(s.makefile().readline())\n'
    )
    said = subprocess.run([sys.executable, "-c", ask, str(netd.socket)], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout) == {"ok": False, "error": "User 65534 may not speak to steelyard-netd"}

    def asked(request: object) -> dict[str, object]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(netd.socket))
            connection.sendall((request if isinstance(request, bytes) else json.dumps(request).encode()) + b"\n")
            return json.loads(connection.makefile().readline())

    address = {"address": "192.0.2.50", "interface": "eth0"}
    for bad in (
        b"\xff{",
        [],
        {"op": "format"},
        {"op": "plan", "generation": "a", "plan": {"network": {"held": {"192.0.2.51": address}}}},
        {
            "op": "plan",
            "generation": "a",
            "plan": {"network": {"held": {"192.0.2.50": {**address, "interface": "../x"}}}},
        },
        {"op": "plan", "generation": "a", "plan": {"network": {"sysctls": {"ipv4/../../kernel/core_pattern": "x"}}}},
        {"op": "plan", "generation": "a", "confirm": 1, "plan": {}},
        {"op": "plan", "generation": "", "plan": {}},
        {"op": "change", "base": "a", "generation": "b", "change": {"network": {"held": {}, "more": 1}}},
    ):
        assert asked(bad)["ok"] is False, bad
    assert netd.host.addresses("eth0") == OWN and netd.status().generation == ""


def test_an_interface_that_is_not_there_is_refused_in_the_kernels_words(netd: Netd) -> None:
    netd.have(held(V4), "a")
    plan = NetworkPlan(held={**held("192.0.2.60").held, V6: HeldAddress(address=V6, interface="eth9")})
    with pytest.raises(EngineRefused) as refusal:
        netd.have(plan, "b")
    assert "eth9" in refusal.value.message and "no interface eth9" in refusal.value.words
    assert netd.host.addresses("eth0") == [OWN[0], f"{V4}/32", OWN[1]] and netd.status().generation == "a"


def test_neighbours_hear_at_once_where_a_service_is(netd: Netd, lab: Lab) -> None:
    client = lab.hosts["client"]
    with client.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003)) as ear:
        ear.bind(("eth0", 0x0003))
        ear.settimeout(5)
        netd.have(held(V4, V6), "a")
        heard: set[str] = set()
        deadline = time.monotonic() + 5
        while heard != {"arp", "advertisement"} and time.monotonic() < deadline:
            frame = ear.recv(2048)
            kind, packet = struct.unpack("!H", frame[12:14])[0], frame[14:]
            if kind == 0x0806 and packet[14:18] == packet[24:28] == socket.inet_aton(V4):
                assert frame[:6] == b"\xff" * 6
                heard.add("arp")
            if kind == 0x86DD and packet[6] == 58 and packet[40] == 136 and packet[48:64] == socket.inet_pton(10, V6):
                assert packet[7] == 255 and packet[44] & 0x20 and packet[24:40] == socket.inet_pton(10, "ff02::1")
                assert packet[64:66] == b"\x02\x01" and packet[66:72] == frame[6:12]
                heard.add("advertisement")
        assert heard == {"arp", "advertisement"}
    # no source for what the host begins itself
    with netd.host.inside():
        for family, there, own in (
            (socket.AF_INET, "192.0.2.100", "192.0.2.1"),
            (socket.AF_INET6, "2001:db8:1::100", "2001:db8:1::1"),
        ):
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((there, 9))
                assert probe.getsockname()[0] == own


def test_a_kill_leaves_the_kernel_alone_and_the_next_one_takes_up_the_plan(netd: Netd) -> None:
    table = Route(destination="0.0.0.0/0", gateway="10.0.0.11", table=700)
    rule = Rule(source=f"{V4}/32", table=700, priority=700)
    plan = held(V4, V6).model_copy(update={"routes": {table.key: table}, "rules": {rule.key: rule}})
    netd.have(plan, "a")
    netd.kill()
    assert f"{V4}/32" in netd.host.addresses("eth0")
    # meanwhile the host loses it all, and somebody else adds an address
    netd.host.ip(f"addr del {V4}/32 dev eth0", "route flush table 700", "addr add 192.0.2.77/24 dev eth0")
    netd.start()
    assert netd.status().generation == "a"
    assert {f"{V4}/32", f"{V6}/128", "192.0.2.77/24", *OWN} == set(netd.host.addresses("eth0"))
    assert netd.host.show("route", "show", "table", "700")[0]["gateway"] == "10.0.0.11"
    netd.kill()
    assert netd.clear().returncode == 0
    assert {"192.0.2.77/24", *OWN} == set(netd.host.addresses("eth0"))
    assert not [one for one in netd.host.show("rule") if one.get("table") == "700"]
    netd.host.ip("addr del 192.0.2.77/24 dev eth0")


#: a process of netd that is killed when the table of strict routing would go: the plan without it is on the disk
_KILLED_WITHIN = """
import os, signal, sys
from pathlib import Path
from steelyard.engines.netlink.kernel import LocalNetwork
from steelyard.engines.host_names import LocalHostNames
from steelyard.engines.nft.packet_rules import NftPacketRules
from steelyard.netd.files import NetdFiles
from steelyard.netd.keeper import Keeper
from steelyard.netd.layer4 import Layer4
from steelyard.plan.kernel import KernelPlan
from steelyard.plan.network import NetworkPlan

class Killed(NftPacketRules):
    def strict(self, wanted):
        if not wanted:
            os.kill(os.getpid(), signal.SIGKILL)
        super().strict(wanted)

files = Path(sys.argv[1])
keeper = Keeper(
    LocalNetwork(), Layer4({}), LocalHostNames(files / "resolv.conf.before"), NetdFiles(files), packet_rules=Killed()
)
keeper.start()
keeper.replace_plan(KernelPlan(network=NetworkPlan()), "without")
"""


def test_a_kill_between_plan_and_kernel_leaves_no_table_behind(netd: Netd) -> None:
    netd.have(NetworkPlan(strict=True, forwards=("10.0.0.0/24",)), "with")
    tables = {"steelyard_strict", "steelyard_forwarding"}
    assert all(one in netd.host.run("nft", "list", "tables").stdout for one in tables)
    netd.kill()
    netd.start()
    assert all(one in netd.host.run("nft", "list", "tables").stdout for one in tables), "planned, they come again"
    netd.kill()
    within = netd.host.run(sys.executable, "-c", _KILLED_WITHIN, str(netd.directory / "files"), check=False)
    assert within.returncode == -9, within.stderr
    assert "steelyard_strict" in netd.host.run("nft", "list", "tables").stdout
    netd.start()
    assert netd.status().generation == "without"
    assert netd.host.run("nft", "list", "tables").stdout == ""
    assert netd.status().problems == ()


def test_resting_leaves_the_hosts_own_network_and_nothing_of_services(netd: Netd) -> None:
    service = Layer4Service(
        key="vs1", protocol="udp", address=V4, ports=(PortRange(first=53, last=53),), schedule="rr", driver="nft"
    )
    plan = KernelPlan(network=held(V4), layer4={"vs1": service})
    asyncio.run(netd.client.replace_plan(plan, "a", None))
    assert "steelyard_layer4" in netd.host.run("nft", "list", "tables").stdout
    asyncio.run(netd.client.rest())
    assert netd.host.run("nft", "list", "tables").stdout == ""
    assert set(netd.host.addresses("eth0")) == set(OWN)
    # and what was wanted can come again
    asyncio.run(netd.client.replace_plan(plan, "b", None))
    assert "steelyard_layer4" in netd.host.run("nft", "list", "tables").stdout
    netd.kill()
    netd.start()
    assert netd.status().problems == ()


def test_two_for_one_directory_are_one_too_many(netd: Netd) -> None:
    second = netd.clear()
    assert second.returncode == 4 and "Another steelyard-netd" in second.stderr


def test_the_hosts_network_goes_back_by_itself_although_a_kill_comes_between(netd: Netd) -> None:
    def host(address: str, gateway: str) -> HostNetwork:
        route = Route(destination="0.0.0.0/0", gateway=gateway)
        link = Link(name="eth0", addresses=(address, "2001:db8:1::1/64"))
        return HostNetwork(links={"eth0": link}, routes={route.key: route})

    netd.host.ip("route add default via 192.0.2.254")
    try:
        netd.have(NetworkPlan(host=host("192.0.2.1/24", "192.0.2.254")), "a", 5)
        # it was taken over as it was
        assert netd.status().confirm_left is None
        netd.have(NetworkPlan(host=host("198.51.100.1/24", "198.51.100.254")), "b", 5)
        assert netd.host.addresses("eth0") == ["198.51.100.1/24", "2001:db8:1::1/64"]
        assert [one["gateway"] for one in netd.host.show("route", "show", "default")] == ["198.51.100.254"]
        netd.kill()
        netd.start()
        left = netd.status().confirm_left
        assert left is not None and left < 5
        wait_until(lambda: netd.status().undone == "b", 8)
        assert netd.host.addresses("eth0") == OWN
        assert [one["gateway"] for one in netd.host.show("route", "show", "default")] == ["192.0.2.254"]
    finally:
        netd.kill()
        with contextlib.suppress(RuntimeError):
            netd.host.ip("route flush default")
        netd.clear()
        if OWN[0] not in netd.host.addresses("eth0"):
            netd.host.ip(f"addr add {OWN[0]} dev eth0")


def test_names_of_the_host_are_written_and_taken_back(lab: Lab, tmp_path: Path) -> None:
    """In mount and UTS namespaces of its own, so that this machine's files stay as they are."""
    script = (
        "import sys, pathlib, subprocess, socket\n"
        "etc = pathlib.Path(sys.argv[1])\n"
        "for name in ('hosts', 'resolv.conf', 'hostname'):\n"
        "    subprocess.run(['mount', '--bind', str(etc / name), f'/etc/{name}'], check=True)\n"
        "from steelyard.engines.privilege import keep_only\n"
        "keep_only(('CAP_NET_ADMIN', 'CAP_NET_RAW'))\n"
        "from steelyard.engines.host_names import LocalHostNames\n"
        "from steelyard.plan.network import HostEntry, HostNetwork\n"
        "names = LocalHostNames(etc / 'kept')\n"
        "wanted = HostNetwork(host_name='lb7.example', name_servers=('192.0.2.53',), search_domains=('example',),\n"
        "    hosts=(HostEntry(address='10.0.0.9', names=('web', 'web.example')),))\n"
        "assert len(names.apply(wanted)) == 3 and names.apply(wanted) == ()\n"
        "assert socket.gethostname() == 'lb7.example'\n"
        "print(*((etc / name).read_text() for name in ('hosts', 'resolv.conf', 'hostname')), sep='|')\n"
        "names.clear()\n"
    )
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n")
    (tmp_path / "resolv.conf").write_text("nameserver 198.51.100.53\noptions edns0\n")
    (tmp_path / "hostname").write_text("before\n")
    command = ["unshare", "--mount", "--uts", sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    hosts, resolver, name = done.stdout.split("|")
    assert hosts.startswith("127.0.0.1 localhost\n") and "10.0.0.9 web web.example\n" in hosts
    assert "nameserver 192.0.2.53\nsearch example\n" in resolver and name.strip() == "lb7.example"
    assert (tmp_path / "hosts").read_text() == "127.0.0.1 localhost\n"
    assert (tmp_path / "resolv.conf").read_text() == "nameserver 198.51.100.53\noptions edns0\n"
