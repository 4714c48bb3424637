"""The network of a namespace, read back as it was made."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest

pytestmark = [pytest.mark.network, pytest.mark.needs("ip", "net_admin")]

_READ = """
import dataclasses, json, pathlib
from steelyard.observe.network_state import read_network
found = read_network(pathlib.Path("/nowhere"), pathlib.Path("/nowhere"))
print(json.dumps({**dataclasses.asdict(found), "four": found.default_gateway(4), "six": found.default_gateway(6)}))
"""

_MADE = (
    "link set lo up",
    "link add eth0 address 02:00:00:00:00:01 type veth peer name peer0",
    "link set eth0 mtu 1400 up",
    "link set peer0 up",
    "link add bridge0 type bridge",
    "link add eth1 type veth peer name peer1",
    "link set eth1 master bridge0",
    "addr add 192.0.2.5/24 dev eth0",
    "addr add 192.0.2.6/32 dev eth0",
    "addr add 2001:db8::5/64 dev eth0 nodad",
    "route add default via 192.0.2.1 metric 20",
    "route add default via 192.0.2.2 metric 10",
    "route add 10.0.0.0/8 via 192.0.2.254",
    "route add 203.0.113.0/24 dev eth0 table 77",
    "-6 route add default via 2001:db8::1",
)


@pytest.fixture
def namespace() -> Iterator[str]:
    name = f"sy-{uuid.uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        for line in _MADE:
            subprocess.run(["ip", "-n", name, *line.split()], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def test_interfaces_addresses_and_routes_are_read(namespace: str) -> None:
    command = ["ip", "netns", "exec", namespace, sys.executable, "-c", _READ]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    interfaces = {one["name"]: one for one in found["interfaces"]}
    assert interfaces["lo"]["number"] is None and interfaces["lo"]["addresses"] == ["127.0.0.1/8", "::1/128"]
    eth0 = interfaces["eth0"]
    assert (eth0["kind"], eth0["up"], eth0["mtu"], eth0["hardware_address"], eth0["gateway"]) == (
        *("port", True, 1400, "02:00:00:00:00:01", True),
    )
    # addresses of link scope are the kernel's own affair
    assert eth0["addresses"] == ["192.0.2.5/24", "192.0.2.6/32", "2001:db8::5/64"]
    assert (interfaces["bridge0"]["kind"], interfaces["eth1"]["member_of"]) == ("bridge", "bridge0")
    assert not interfaces["eth1"]["up"]
    numbers = [one["number"] for one in found["interfaces"] if one["number"] is not None]
    assert numbers == list(range(len(numbers)))
    routes = {(one["destination"], one["gateway"], one["interface"]) for one in found["routes"]}
    assert {("10.0.0.0/8", "192.0.2.254", "eth0"), ("192.0.2.0/24", "", "eth0")} <= routes
    assert not any(destination.startswith(("203.0.113", "fe80", "ff00")) for destination, _, _ in routes)
    assert (found["four"], found["six"]) == ("192.0.2.2", "2001:db8::1")
