"""The Debian package from its build to its purge, on a machine of its own with systemd: installed, used, upgraded while
traffic flows, removed, installed again, purged. The tests follow each other.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.packaging.packages import LATER, build, later
from tests.support.booted import Machine

pytestmark = [
    pytest.mark.network,
    pytest.mark.needs("root", "net_admin", "nft", "haproxy", "ip", "systemd", "dpkg-deb", "unshare"),
    pytest.mark.timeout(240),
]

UNITS = ("steelyard-netd", "steelyard-health", "steelyard")
HERE = Path(__file__).parent
#: at layer 7 on a low port, and in the kernel
WEB, KERNEL = "127.0.0.10:80", "10.99.0.1:8081"
NET_BIND_SERVICE, NET_ADMIN, NET_RAW = 1 << 10, 1 << 12, 1 << 13


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    directory = tmp_path_factory.mktemp("packages")
    package = build(directory)
    return package, later(package, directory)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, packages: tuple[Path, Path]) -> Iterator[Machine]:
    with Machine(tmp_path_factory.mktemp("booted")) as machine:
        for package in packages:
            (machine.root / "var" / package.name).write_bytes(package.read_bytes())
        # a network behind the machine, for what the kernel balances: it sends nothing on from the loopback interface
        for line in (
            "ip netns add farm",
            "ip link add farm type veth peer name eth0 netns farm",
            "ip address add 10.99.0.1/24 dev farm",
            "ip link set farm up",
            "ip -n farm address add 10.99.0.11/24 dev eth0",
            "ip -n farm link set eth0 up",
            "ip -n farm link set lo up",
            "ip -n farm route add default via 10.99.0.1",
            # clients, on another network
            "ip netns add office",
            "ip link add office type veth peer name eth0 netns office",
            "ip address add 10.98.0.1/24 dev office",
            "ip link set office up",
            "ip -n office address add 10.98.0.9/24 dev eth0",
            "ip -n office link set eth0 up",
            "ip -n office route add default via 10.98.0.1",
        ):
            machine.run(*line.split())
        servers = [
            _inside(machine, "inside_servers.py", "127.0.0.2:8001", "127.0.0.3:8001"),
            _inside(machine, "inside_servers.py", "10.99.0.11:8001", prefix=("ip", "netns", "exec", "farm")),
        ]
        assert all(server.stdout is not None and server.stdout.readline() == "listening\n" for server in servers)
        yield machine
        for server in servers:
            server.kill()
            server.wait()


def _inside(machine: Machine, script: str, *words: str, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    return machine.start(
        *prefix, sys.executable, str(HERE / script), *words, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def _dpkg(machine: Machine, *words: str) -> str:
    done = machine.run("dpkg", *words)
    return done.stdout + done.stderr


def _status(machine: Machine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(machine.run("steelyard", "status", "--json").stdout)
    return found


def _takes(machine: Machine, place: str) -> bool:
    return "sees" in _get(machine, place)


def _get(machine: Machine, place: str) -> str:
    """What a client in the office gets from the kernel's service, or one on the machine from HAProxy's."""
    prefix = ("ip", "netns", "exec", "office") if place == KERNEL else ()
    return machine.run(*prefix, "curl", "-sS", "--max-time", "5", f"http://{place}/", check=False).stdout


def _process(machine: Machine, *marks: str) -> dict[str, str]:
    """The fields of /proc/PID/status of the oldest process with these marks."""
    pid = machine.processes(*marks)[0]
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)} | {"Number": str(pid)}


@pytest.mark.requirement("S2-06")
def test_the_package_needs_no_network_and_starts_the_three_units(machine: Machine, packages: tuple[Path, Path]) -> None:
    said = _dpkg(machine, "--install", f"/var/{packages[0].name}")
    assert "https://127.0.0.1:8443/" in said
    assert "error" not in said.lower(), said
    for unit in UNITS:
        assert machine.systemctl("is-active", unit) == "active", machine.journal(unit)
        assert machine.systemctl("is-enabled", unit) == "enabled"
    assert "One-time password, shown only now:" in machine.journal("steelyard")
    assert not _status(machine)["problems"]


def test_its_files_are_those_that_were_packed(machine: Machine) -> None:
    assert _dpkg(machine, "--verify", "steelyard") == ""
    files = _dpkg(machine, "--listfiles", "steelyard").split()
    for path in ("/usr/bin/steelyard", "/usr/share/man/man1/steelyard.1.gz", "/usr/share/steelyard/transparency.conf"):
        assert path in files
    assert not [path for path in files if path.endswith("direct_url.json")]


def test_units_are_without_fault(machine: Machine) -> None:
    units = [f"/usr/lib/systemd/system/{unit}.service" for unit in UNITS]
    assert machine.run("systemd-analyze", "verify", *units).stderr == ""


def test_one_process_alone_may_change_the_network(machine: Machine) -> None:
    netd = _process(machine, "steelyard.netd.main")
    assert int(netd["CapEff"], 16) == int(netd["CapBnd"], 16) == NET_ADMIN | NET_RAW
    health = _process(machine, "steelyard.health.main")
    assert int(health["CapEff"], 16) == int(health["CapBnd"], 16) == 0
    for marks in (("steelyard", "serve"), ("haproxy", "-W")):
        found = _process(machine, *marks)
        assert int(found["CapEff"], 16) == int(found["CapBnd"], 16) == NET_BIND_SERVICE, marks
    account = machine.run("id", "--user", "steelyard").stdout.strip()
    assert account != "0"
    for marks in (("steelyard.health.main",), ("steelyard", "serve"), ("haproxy", "-W")):
        found = _process(machine, *marks)
        assert set(found["Uid"].split()) == {account}
        assert found["NoNewPrivs"] == "1"


def test_the_control_plane_takes_the_checks_of_their_unit_for_its_own(machine: Machine) -> None:
    assert len(machine.processes("steelyard.health.main")) == 1
    before = _process(machine, "steelyard.health.main")["Number"]
    machine.run("systemctl", "kill", "--signal=KILL", "steelyard-health")
    machine.wait_for("checks run again", lambda: machine.processes("steelyard.health.main") not in ([], [int(before)]))
    machine.wait_for("no problem is left", lambda: not _status(machine)["problems"])
    assert len(machine.processes("steelyard.health.main")) == 1
    assert machine.systemctl("is-active", "steelyard-health") == "active"


def test_it_carries_traffic_at_layer_7_and_in_the_kernel(machine: Machine) -> None:
    machine.run("steelyard", "vs", "add", WEB, "--type", "http", "--rs", "127.0.0.2:8001", "--rs", "127.0.0.3:8001")
    machine.run("steelyard", "vs", "add", KERNEL, "--type", "gen", "--rs", "10.99.0.11:8001", "force_l4=true")
    machine.wait_for("HAProxy balances", lambda: _takes(machine, WEB))
    machine.wait_for("the kernel balances", lambda: _takes(machine, KERNEL))
    assert "steelyard" in machine.run("nft", "list", "tables").stdout
    # the kernel's service keeps the client's address
    assert "sees 10.98.0.9" in _get(machine, KERNEL)


def test_transparency_is_refused_by_the_name_of_the_file_that_grants_it(machine: Machine) -> None:
    said = machine.run("steelyard", "vs", "set", "1", "transparent=on", check=False)
    assert said.returncode == 1
    assert "/usr/share/steelyard/transparency.conf" in said.stderr


def test_an_upgrade_fails_no_request(machine: Machine, packages: tuple[Path, Path]) -> None:
    haproxy = _process(machine, "haproxy", "-W")["Number"]
    near = _inside(machine, "inside_clients.py", WEB)
    far = _inside(machine, "inside_clients.py", KERNEL, prefix=("ip", "netns", "exec", "office"))
    assert near.stdout is not None and near.stdout.readline() == "started\n"
    assert far.stdout is not None and far.stdout.readline() == "started\n"

    _dpkg(machine, "--install", f"/var/{packages[1].name}")

    said = [json.loads(each.communicate(timeout=60)[0].splitlines()[-1]) for each in (near, far)]
    found = said[0] | said[1]
    assert {place: one["failed"] for place, one in found.items()} == {WEB: {}, KERNEL: {}}
    assert all(one["answered"] > 200 for one in found.values()), found
    assert _process(machine, "haproxy", "-W")["Number"] == haproxy
    assert _status(machine)["version"] == LATER
    assert not _status(machine)["problems"]
    for unit in UNITS:
        assert machine.systemctl("is-active", unit) == "active"
    assert len(machine.processes("steelyard.health.main")) == 1


def test_the_shipped_file_grants_transparency(machine: Machine) -> None:
    """Exactly the lines the file itself tells."""
    text = (machine.root / "usr/share/steelyard/transparency.conf").read_text()
    lines = re.findall(r"^#   (.+)$", text, re.MULTILINE)
    assert len(lines) == 4
    machine.run("sh", "-e", given="\n".join(lines) + "\n")
    for marks in (("steelyard", "serve"), ("haproxy", "-W")):
        assert int(_process(machine, *marks)["CapEff"], 16) == NET_BIND_SERVICE | NET_RAW, marks
    service = "10.98.0.1:8082"
    machine.run("steelyard", "vs", "add", service, "--type", "http", "--rs", "10.99.0.11:8001", "transparent=on")
    machine.wait_for(
        "the real server sees the client",
        lambda: (
            "sees 10.98.0.9"
            in machine.run(
                "ip", "netns", "exec", "office", "curl", "-sS", "--max-time", "5", f"http://{service}/", check=False
            ).stdout
        ),
    )


def test_removing_it_ends_traffic_and_what_the_kernel_has(machine: Machine) -> None:
    said = _dpkg(machine, "--remove", "steelyard")
    assert "Steelyard ends, and with it the traffic of all its services." in said
    assert not _takes(machine, WEB)
    assert not _takes(machine, KERNEL)
    assert machine.run("nft", "list", "tables").stdout == ""
    assert machine.processes("steelyard") == machine.processes("haproxy") == []
    assert (machine.root / "var/lib/steelyard/steelyard.db").exists()
    # the network of the host itself stays
    assert "10.99.0.1/24" in machine.run("ip", "address", "show", "dev", "farm").stdout


def test_installed_again_it_goes_on_with_what_it_had(machine: Machine, packages: tuple[Path, Path]) -> None:
    _dpkg(machine, "--install", f"/var/{packages[1].name}")
    machine.wait_for("HAProxy balances", lambda: _takes(machine, WEB))
    machine.wait_for("the kernel balances", lambda: _takes(machine, KERNEL))


def test_purging_says_what_goes_and_leaves_nothing(machine: Machine) -> None:
    machine.run("steelyard", "network", "manage", "on")
    said = _dpkg(machine, "--purge", "steelyard")
    assert "Removing /var/lib/steelyard with everything in it" in said
    assert "This host's network was managed by Steelyard. Its addresses stay" in said
    assert "10.99.0.1/24" in machine.run("ip", "address", "show", "dev", "farm").stdout
    for path in ("var/lib/steelyard", "var/lib/steelyard-netd", "etc/default/steelyard", "opt/steelyard"):
        assert not (machine.root / path).exists(), path
    left = machine.run("find", "/etc", "-name", "*steelyard*").stdout.split()
    # the account stays, so that files of it elsewhere do not become somebody else's
    assert left == []
    assert machine.run("systemctl", "list-units", "--all", "--no-legend", "steelyard*").stdout.strip() == ""
    assert machine.processes("steelyard") == machine.processes("haproxy") == []
    assert machine.run("nft", "list", "tables").stdout == ""
