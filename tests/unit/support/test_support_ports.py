"""Ports are free, never given twice, and never ones the kernel may hand to an outgoing connection."""

import socket
from pathlib import Path

from tests.support.ports import free_port, free_ports


def test_ports_are_free_and_never_given_twice():
    ports = [free_port() for _ in range(200)]
    assert len(set(ports)) == 200
    with socket.create_server(("127.0.0.1", ports[0])):
        pass


def test_ports_lie_outside_the_ephemeral_range():
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert not any(first <= free_port() <= last for _ in range(200))


def test_consecutive_ports():
    ports = free_ports(3)
    assert ports == [ports[0], ports[0] + 1, ports[0] + 2]


def test_udp_ports():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", free_port(udp=True)))
