"""Telling neighbours that an address is here now: gratuitous ARP (RFC 5227, 1.1) and unsolicited neighbour
advertisements (RFC 4861, 7.2.6).

Hosts and routers that had the address at another machine go on sending there until their cache expires, minutes
later. Both need CAP_NET_RAW. The kernel sends neither for an address that is added (arp_notify and ndisc_notify are
for links).
"""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv6Address
from typing import Self

_ARP, _BROADCAST = 0x0806, b"\xff" * 6
_ALL_NODES = "ff02::1"
_ADVERTISEMENT = 136
_OVERRIDE = 0x20000000
_TARGET_LINK_ADDRESS = 2


class Announcer:
    """Sends announcements. Use as a context manager: one socket tells of any number of addresses.

    It hears nothing, because protocol 0 is none: taking a packet socket that does in and out of use waits for every
    processor to notice, 15 ms each (packet(7), synchronize_net).
    """

    def __enter__(self) -> Self:
        self._frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        return self

    def __exit__(self, *_: object) -> None:
        self._frames.close()

    def announce(self, interface: str, index: int, hardware_address: str, address: str) -> None:
        """Send one. Raises `OSError`. An interface without an Ethernet address has nobody to tell."""
        own = bytes.fromhex(hardware_address.replace(":", ""))
        if len(own) != 6 or not any(own):
            return
        if ":" in address:
            _advertise(index, own, address)
        else:
            self._frames.sendto(gratuitous_arp(own, address), (interface, _ARP))


def gratuitous_arp(own: bytes, address: str) -> bytes:
    """The frame: a request that asks for, and comes from, the address itself, which every stack takes note of."""
    ip = socket.inet_aton(address)
    header = _BROADCAST + own + struct.pack("!H", _ARP)
    return header + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + own + ip + b"\0" * 6 + ip


def advertisement(own: bytes, address: str) -> bytes:
    """The ICMPv6 message; the kernel fills in its checksum."""
    body = struct.pack("!BBHI", _ADVERTISEMENT, 0, 0, _OVERRIDE) + IPv6Address(address).packed
    return body + struct.pack("!BB", _TARGET_LINK_ADDRESS, 1) + own


def _advertise(index: int, own: bytes, address: str) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as raw:
        # a receiver drops what has passed a router (RFC 4861, 7.1.2)
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        raw.bind((address, 0))
        raw.sendto(advertisement(own, address), (_ALL_NODES, 0, 0, index))
