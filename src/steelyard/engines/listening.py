"""Whether an address and port can be listened on, and if not, whose fault that is and what to do.

The probe binds and lets go; it never listens, so no client can reach it. SO_REUSEADDR is set for TCP, as HAProxy does:
Linux then refuses a bind only while another socket listens (connections in TIME_WAIT do not count). IPv6 sockets are
IPV6_V6ONLY: a virtual service on `::` is for IPv6 alone.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Literal

from steelyard.engines.kernel import PROC, lowest_unprivileged_port
from steelyard.model.errors import HostLacks, OperatorError

Transport = Literal["tcp", "udp"]
Refusal = OperatorError | HostLacks

#: How many of the host's addresses an error names.
_ADDRESSES_NAMED = 12

_BACKLOG = 128

#: binding to an address that is not there yet, which needs no privilege (ip(7)); Python has no names for these
_FREEBIND = {socket.AF_INET: (socket.IPPROTO_IP, 15), socket.AF_INET6: (socket.IPPROTO_IPV6, 78)}

#: `st` in /proc/net/{tcp,udp}: TCP_LISTEN, and TCP_CLOSE, which is what an unconnected UDP socket shows.
_HELD = {"tcp": "0A", "udp": "07"}


@dataclass(frozen=True, slots=True)
class Holder:
    """The program that holds a port. `pid` and `name` are None when it belongs to another user."""

    pid: int | None
    name: str | None

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid})" if self.pid is not None else "a program of another user"


def parse_endpoint(address: str, port: int) -> IPv4Address | IPv6Address | OperatorError:
    """The address as a value, or the error that says what is wrong with address or port."""
    if not 1 <= port <= 65535:
        return OperatorError(
            f"Port {port} is not a port",
            field="port",
            value=port,
            allowed="1-65535",
            remedy="Give a port from 1 to 65535.",
        )
    try:
        return ip_address(address)
    except ValueError:
        return OperatorError(
            f"{address!r} is not an IP address",
            field="address",
            value=address,
            allowed="an IPv4 or IPv6 address",
            remedy="Give an address such as 192.0.2.10 or 2001:db8::10.",
        )


def explain(
    error: int, address: str, port: int, *, holder: Holder | None, addresses: tuple[str, ...], lowest_port: int
) -> Refusal:
    """The kernel's errno for a bind, in the operator's terms. Pure; the real probe and the fake host share it."""
    if error == errno.EADDRNOTAVAIL:
        named = ", ".join(addresses[:_ADDRESSES_NAMED]) + (", ..." if len(addresses) > _ADDRESSES_NAMED else "")
        return OperatorError(
            f"{address} is not on this host",
            field="address",
            value=address,
            allowed=named,
            remedy="Use an address the host has, or add this one to an interface first.",
        )
    if error == errno.EADDRINUSE:
        who = str(holder) if holder is not None else "another program"
        return OperatorError(
            f"{address} port {port} is in use by {who}",
            field="port",
            value=port,
            allowed="a port that nothing listens on",
            remedy=f"Stop {who}, or choose another port or address.",
        )
    if error in (errno.EACCES, errno.EPERM):
        return HostLacks(
            f"Steelyard may not listen on port {port}: this process may bind ports from {lowest_port} up",
            lacks="CAP_NET_BIND_SERVICE",
            remedy=(
                "Run Steelyard by its systemd unit (packaging/systemd), which grants the capability, or run `sysctl -w"
                f" net.ipv4.ip_unprivileged_port_start={port}` as root, or choose a port from {lowest_port} up."
            ),
        )
    if error in (errno.EMFILE, errno.ENFILE):
        return HostLacks(
            "This host is out of file descriptors",
            lacks="open files",
            remedy="Raise the limit (`ulimit -n`, or LimitNOFILE= in the systemd unit).",
        )
    if error == errno.EAFNOSUPPORT:
        return HostLacks(
            f"This host's kernel has no {'IPv6' if ':' in address else 'IPv4'}",
            lacks="IPv6" if ":" in address else "IPv4",
            remedy="Use an address of the other family, or enable it (sysctl net.ipv6.conf.all.disable_ipv6=0).",
        )
    return OperatorError(
        f"{address} port {port} cannot be listened on: {os.strerror(error)}",
        field="address",
        value=address,
        remedy="Choose another address or port.",
    )


def bind_errno(
    address: IPv4Address | IPv6Address, port: int, transport: Transport, *, comes: bool = False
) -> int | None:
    """Bind and let go. The kernel's errno when it refuses, else None. `comes`: the address need not be there yet."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
    try:
        with socket.socket(family, kind) as probe:
            if transport == "tcp":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if comes:
                probe.setsockopt(*_FREEBIND[family], 1)
            probe.bind((str(address), port))
    except OSError as refused:
        return refused.errno if refused.errno is not None else errno.EINVAL
    return None


def listen(address: str, port: int) -> socket.socket:
    """A listening TCP socket. Raises `OperatorError` or `HostLacks` that name the holder of the port and the remedy."""
    endpoint = parse_endpoint("127.0.0.1" if address == "localhost" else address, port)
    if isinstance(endpoint, OperatorError):
        raise endpoint
    family = socket.AF_INET if endpoint.version == 4 else socket.AF_INET6
    # asyncio sets TCP_NODELAY only where the protocol is named; without it each answer waits 40 ms for the client's ACK
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if endpoint.version == 6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((str(endpoint), port))
        listening.listen(_BACKLOG)
    except OSError as refused:
        listening.close()
        raise explain(
            refused.errno or errno.EINVAL,
            address,
            port,
            holder=holder(endpoint, port) if refused.errno == errno.EADDRINUSE else None,
            addresses=host_addresses(),
            lowest_port=lowest_unprivileged_port(PROC),
        ) from refused
    return listening


def overlaps(mine: IPv4Address | IPv6Address, theirs: IPv4Address | IPv6Address) -> bool:
    """Whether sockets on these two addresses collide on one port: equal, or one is its family's wildcard.

    A listener on `::` takes IPv4 too unless it is IPV6_V6ONLY, which /proc does not tell; it counts as taking it.
    """
    if mine == theirs:
        return True
    if mine.version == theirs.version:
        return mine.is_unspecified or theirs.is_unspecified
    return theirs.version == 6 and theirs.is_unspecified


def holder(
    address: IPv4Address | IPv6Address, port: int, transport: Transport = "tcp", proc: Path = PROC
) -> Holder | None:
    """Who holds the port, from /proc/net and the descriptors of the processes this user may look into.

    None when nobody does. Reads every process's descriptors: for the error path, not for a loop.
    """
    inodes = _inodes(address, port, transport, proc)
    if not inodes:
        return None
    links = {f"socket:[{inode}]" for inode in inodes}
    for process in proc.iterdir():
        if process.name.isdigit() and _has_descriptor(process, links):
            try:
                name = (process / "comm").read_text().strip()
            except OSError:  # it ended while we looked; its number is still worth telling
                name = "a program"
            return Holder(int(process.name), name)
    return Holder(None, None)


def host_addresses(proc: Path = PROC) -> tuple[str, ...]:
    """The addresses of this host, IPv4 then IPv6, sorted, from /proc/net/fib_trie and /proc/net/if_inet6."""
    return (*parse_fib_trie(_read(proc / "net/fib_trie")), *parse_if_inet6(_read(proc / "net/if_inet6")))


def parse_fib_trie(text: str) -> tuple[str, ...]:
    """Local IPv4 addresses: the leaves that carry "/32 host LOCAL" on the line after them."""
    found: set[IPv4Address] = set()
    leaf = ""
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("|-- "):
            leaf = stripped[4:]
        elif stripped == "/32 host LOCAL" and leaf:
            found.add(IPv4Address(leaf))
    return tuple(str(address) for address in sorted(found))


def parse_if_inet6(text: str) -> tuple[str, ...]:
    """Local IPv6 addresses that can be listened on without naming an interface, so none of link scope (20)."""
    found = set()
    for line in text.splitlines():
        columns = line.split()
        if len(columns) >= 4 and columns[3] != "20":
            found.add(IPv6Address(bytes.fromhex(columns[0])))
    return tuple(str(address) for address in sorted(found))


def _inodes(address: IPv4Address | IPv6Address, port: int, transport: Transport, proc: Path) -> set[str]:
    inodes = set()
    for table in (transport, f"{transport}6"):
        for line in _read(proc / "net" / table).splitlines()[1:]:
            columns = line.split()
            their_address, their_port = _endpoint(columns[1])
            if columns[3] == _HELD[transport] and their_port == port and overlaps(address, their_address):
                inodes.add(columns[9])
    return inodes


def _endpoint(text: str) -> tuple[IPv4Address | IPv6Address, int]:
    """("0100007F:1F90") -> (127.0.0.1, 8080): the address in 32-bit words of the machine's own byte order."""
    address, port = text.split(":")
    words = (int(address[start : start + 8], 16) for start in range(0, len(address), 8))
    packed = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    return ip_address(packed), int(port, 16)


def _has_descriptor(process: Path, links: set[str]) -> bool:
    try:
        descriptors = list((process / "fd").iterdir())
    except OSError:  # another user's process, or one that ended: it stays unnamed
        return False
    return any(_link(descriptor) in links for descriptor in descriptors)


def _link(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except OSError:  # closed since it was listed, as the listing's own descriptor always is
        return ""


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # no IPv6 in the kernel, or no /proc: then there is nothing to name
        return ""
