"""Networks made of namespaces: hosts joined by wires and switches, gone when the test is, whatever happens to it.

A host is a network namespace. Its sockets are opened from the test's own process, by stepping into the namespace for
that moment (setns(2) is a thread's own affair), so a host costs no process. What has to be a process, Steelyard for
one, is started with `Namespace.popen`. Names are unique among workers; what a killed run left behind is removed by the
next one. Only root can do this: mark tests `network` and `needs("ip", "net_admin")`.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_NETNS = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
#: of a name: whose it is, which process made it, a number
_PREFIX = "syt"
_libc = ctypes.CDLL(None, use_errno=True)


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def ip(*words: str) -> str:
    """Run `ip`; what it printed. Raises `RuntimeError` with its complaint."""
    done = subprocess.run(["ip", *words], check=False, capture_output=True, text=True, timeout=20)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


@dataclass
class Namespace:
    """One host of a `Lab`."""

    name: str
    role: str
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _closing: list[Any] = field(default_factory=list)

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Within, this thread is in the namespace: sockets it opens belong to it for ever, processes it starts too."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(_NETNS / self.name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(there)
            try:
                yield
            finally:
                _enter(home)
        finally:
            os.close(there)
            os.close(home)

    def ip(self, *lines: str) -> None:
        """Run lines of `ip`, each without the word itself, at one go. Raises `RuntimeError` with its complaint."""
        done = subprocess.run(
            ["ip", "-n", self.name, "-batch", "-"],
            check=False,
            input="\n".join(lines),
            capture_output=True,
            text=True,
            timeout=20,
        )
        if done.returncode:
            raise RuntimeError(f"{self.role}: {done.stderr.strip()} in {lines}")

    def show(self, *words: str) -> list[dict[str, Any]]:
        """What `ip -j ...` says, as values: `show("addr")`, `show("route", "show", "table", "all")`."""
        return json.loads(ip("-n", self.name, "-j", "-d", *words) or "[]")

    def addresses(self, interface: str) -> list[str]:
        """The addresses of an interface with their prefix lengths, those of link scope left out."""
        (found,) = (one for one in self.show("addr", "show", "dev", interface) if one)
        return [f"{one['local']}/{one['prefixlen']}" for one in found["addr_info"] if one["scope"] != "link"]

    def sysctl(self, name: str, value: str | int) -> None:
        """Set /proc/sys/net/NAME of this host."""
        with self.inside():
            Path("/proc/sys/net", name).write_text(str(value))

    def run(self, *arguments: str, check: bool = True, timeout: float = 20) -> subprocess.CompletedProcess[str]:
        """Run a program to its end on this host."""
        command = ["ip", "netns", "exec", self.name, *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=timeout)
        if check and done.returncode:
            raise RuntimeError(f"{self.role}: {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done

    def popen(self, *arguments: str, **more: Any) -> subprocess.Popen[bytes]:
        """Start a program on this host; it is ended with the lab.

        It has the host's network and this process's /sys, unlike with `ip netns exec`.
        """
        with self.inside():
            process = subprocess.Popen(arguments, **more)
        self._processes.append(process)
        return process

    def socket(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A socket of this host, closed with the lab."""
        with self.inside():
            made = socket.socket(family, kind)
        made.settimeout(5)
        self._closing.append(made)
        return made

    def connect(self, address: str, port: int, *, source: str | None = None, timeout: float = 5) -> socket.socket:
        """A TCP connection from this host."""
        made = self.socket(_family(address))
        made.settimeout(timeout)
        if source is not None:
            made.bind((source, 0))
        try:
            made.connect((address, port))
        except OSError:
            # it would go on asking for a connection, and be counted in another test
            made.close()
            raise
        return made

    def ask(self, address: str, port: int, *, source: str | None = None, timeout: float = 5) -> Seen:
        """What an `answer` service says to one TCP connection from this host."""
        with self.connect(address, port, source=source, timeout=timeout) as connection:
            connection.sendall(b"?")
            return _seen(connection.recv(400))

    def ask_udp(
        self, address: str, port: int, *, source: str | None = None, source_port: int = 0, timeout: float = 5
    ) -> Seen:
        """What an `answer` service says to one datagram from this host."""
        with self.socket(_family(address), socket.SOCK_DGRAM) as made:
            made.settimeout(timeout)
            if source is not None or source_port:
                made.bind((source or ("::" if ":" in address else "0.0.0.0"), source_port))
            made.connect((address, port))
            made.send(b"?")
            return _seen(made.recv(400))

    def answer(self, address: str, port: int) -> Answering:
        """Answer on TCP and UDP of that port who this is and whom it sees, until the lab is closed."""
        service = Answering(self, address, port)
        self._closing.append(service)
        return service

    def close(self) -> None:
        for process in self._processes:
            _end(process)
        for one in self._closing:
            with contextlib.suppress(OSError):
                one.close()
        self._end_strays()
        with contextlib.suppress(RuntimeError):
            ip("netns", "delete", self.name)

    def _end_strays(self) -> None:
        """What a process started here and left behind: a namespace with a process in it never goes."""
        with contextlib.suppress(RuntimeError):
            for pid in map(int, ip("netns", "pids", self.name).split()):
                if pid != os.getpid():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)


@dataclass(frozen=True)
class Seen:
    """What a server saw: its own role, the client's address and port, and its own address and port."""

    role: str
    client: str
    client_port: int
    own: str
    own_port: int


class Answering:
    """A server that answers everything with what it sees (`Seen`); TCP connections stay open until the client ends."""

    def __init__(self, host: Namespace, address: str, port: int) -> None:
        self.host, self.address, self.port = host, address, port
        self.count = 0
        family = _family(address)
        with host.inside():
            self._tcp = socket.create_server((address, port), family=family, backlog=256)
            self._udp = socket.socket(family, socket.SOCK_DGRAM)
            self._udp.bind((address, port))
        for one in (self._tcp, self._udp):
            one.setblocking(False)
        self._end_r, self._end_w = os.pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        poll = select.poll()
        open_ones: dict[int, socket.socket] = {}
        for one in (self._tcp.fileno(), self._udp.fileno(), self._end_r):
            poll.register(one, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == self._end_r:
                    for one in (*open_ones.values(), self._tcp, self._udp):
                        one.close()
                    return
                with contextlib.suppress(OSError):
                    if descriptor == self._tcp.fileno():
                        made, _ = self._tcp.accept()
                        open_ones[made.fileno()] = made
                        poll.register(made.fileno(), select.POLLIN)
                        self.count += 1
                        continue
                    if descriptor == self._udp.fileno():
                        _, client = self._udp.recvfrom(65536)
                        self.count += 1
                        self._udp.sendto(self._says(client, (self.address, self.port)), client)
                        continue
                connection = open_ones.get(descriptor)
                if connection is None:
                    continue
                try:
                    asked = connection.recv(65536)
                    if asked:
                        connection.sendall(self._says(connection.getpeername(), connection.getsockname()))
                except OSError:
                    asked = b""
                if not asked:
                    poll.unregister(descriptor)
                    open_ones.pop(descriptor).close()

    def _says(self, client: Sequence[Any], own: Sequence[Any]) -> bytes:
        return f"{self.host.role} {client[0]} {client[1]} {own[0]} {own[1]}\n".encode()

    def close(self) -> None:
        os.write(self._end_w, b".")
        self._thread.join(3)
        os.close(self._end_r)
        os.close(self._end_w)


class Lab:
    """Hosts, and what joins them. Use as a context manager, or as the fixture a test module makes of it."""

    def __init__(self) -> None:
        _remove_left_behind()
        self._number = f"{_PREFIX}{os.getpid()}-{uuid.uuid4().hex[:5]}"
        self.hosts: dict[str, Namespace] = {}
        self._wires = 0
        atexit.register(self.close)

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def host(self, role: str, *, forwards: bool = False) -> Namespace:
        """A new host. Loopback is up, IPv6 addresses are usable at once; `forwards` makes it a router."""
        made = Namespace(f"{self._number}-{role}", role)
        ip("netns", "add", made.name)
        self.hosts[role] = made
        made.ip("link set lo up")
        for name in ("ipv6/conf/all/accept_dad", "ipv6/conf/default/accept_dad"):
            made.sysctl(name, 0)
        if forwards:
            made.sysctl("ipv4/ip_forward", 1)
            made.sysctl("ipv6/conf/all/forwarding", 1)
        return made

    def wire(self, one: Namespace, interface: str, other: Namespace, its: str) -> None:
        """Join two hosts directly; both interfaces come up without addresses."""
        self._wires += 1
        mine, theirs = f"y{os.getpid() % 100000}a{self._wires}", f"y{os.getpid() % 100000}b{self._wires}"
        ip("link", "add", mine, "type", "veth", "peer", "name", theirs)
        for host, temporary, name in ((one, mine, interface), (other, theirs, its)):
            ip("link", "set", temporary, "netns", host.name)
            host.ip(f"link set {temporary} name {name}", f"link set {name} up")

    def network(self, role: str, *ends: tuple[Namespace, str, Sequence[str]]) -> Namespace:
        """A switched network: each end is (host, its interface, its addresses with prefix length)."""
        switch = self.host(role)
        switch.ip("link add br0 type bridge", "link set br0 type bridge mcast_snooping 0", "link set br0 up")
        for number, (host, interface, addresses) in enumerate(ends):
            self.join(host, interface, switch, f"p{number}", addresses)
        return switch

    def join(self, host: Namespace, interface: str, switch: Namespace, port: str, addresses: Sequence[str]) -> None:
        """Plug one more host into a `network`."""
        self.wire(host, interface, switch, port)
        switch.ip(f"link set {port} master br0")
        if addresses:
            host.ip(*(f"addr add {one} dev {interface} {'nodad' if ':' in one else ''}" for one in addresses))

    def close(self) -> None:
        atexit.unregister(self.close)
        for host in reversed(list(self.hosts.values())):
            host.close()
        self.hosts.clear()


def two_arms(lab: Lab, servers: int = 2) -> None:
    """Hosts "client", "balancer", "real1"...: clients on eth0, real servers on eth1, the balancer is their gateway.

    Outside 192.0.2.0/24 and 2001:db8:1::/64: balancer .1, client .100 with routes to the inside by it.
    Inside 10.0.0.0/24 and 2001:db8:2::/64: balancer .1, real servers .11, .12 ...
    """
    balancer, client = lab.host("balancer", forwards=True), lab.host("client")
    reals = [lab.host(f"real{number}") for number in range(1, servers + 1)]
    lab.network(
        "outside",
        (balancer, "eth0", ("192.0.2.1/24", "2001:db8:1::1/64")),
        (client, "eth0", ("192.0.2.100/24", "2001:db8:1::100/64")),
    )
    lab.network(
        "inside",
        (balancer, "eth1", ("10.0.0.1/24", "2001:db8:2::1/64")),
        *(
            (real, "eth0", (f"10.0.0.{10 + number}/24", f"2001:db8:2::{10 + number}/64"))
            for number, real in enumerate(reals, start=1)
        ),
    )
    client.ip("route add 10.0.0.0/24 via 192.0.2.1", "route add 2001:db8:2::/64 via 2001:db8:1::1")
    for real in reals:
        real.ip("route add default via 10.0.0.1", "route add default via 2001:db8:2::1")


def own_files(directory: Path) -> tuple[str, ...]:
    """Words before a command that give it a copy of /etc and a host name of its own.

    Network namespaces have neither, and a managed network writes resolv.conf, hosts and the host's name.
    """
    if not directory.exists():
        directory.mkdir(parents=True)
        subprocess.run(["cp", "-a", "/etc/.", str(directory)], check=True, timeout=60)
    script = 'mount --make-rprivate / && mount --bind "$0" /etc && exec "$@"'
    return ("unshare", "--mount", "--uts", "sh", "-c", script, str(directory))


def one_arm(lab: Lab, servers: int = 2) -> None:
    """Hosts "client", "router", "balancer", "real1"...: all but the client in one network, the router is the gateway.

    Farm 10.0.0.0/24 and 2001:db8:2::/64: router .1, balancer .2, real servers .11, .12 ...
    Clients 192.0.2.0/24 and 2001:db8:1::/64: router .1, client .100.
    """
    router, client, balancer = lab.host("router", forwards=True), lab.host("client"), lab.host("balancer")
    reals = [lab.host(f"real{number}") for number in range(1, servers + 1)]
    lab.network(
        "outside",
        (router, "eth0", ("192.0.2.1/24", "2001:db8:1::1/64")),
        (client, "eth0", ("192.0.2.100/24", "2001:db8:1::100/64")),
    )
    lab.network(
        "farm",
        (router, "eth1", ("10.0.0.1/24", "2001:db8:2::1/64")),
        (balancer, "eth0", ("10.0.0.2/24", "2001:db8:2::2/64")),
        *(
            (real, "eth0", (f"10.0.0.{10 + number}/24", f"2001:db8:2::{10 + number}/64"))
            for number, real in enumerate(reals, start=1)
        ),
    )
    client.ip("route add default via 192.0.2.1", "route add default via 2001:db8:1::1")
    for host in (balancer, *reals):
        host.ip("route add default via 10.0.0.1", "route add default via 2001:db8:2::1")


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _seen(said: bytes) -> Seen:
    if not said:
        raise ConnectionError("closed without an answer")
    role, client, client_port, own, own_port = said.decode().split()
    return Seen(role, client, int(client_port), own, int(own_port))


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def _remove_left_behind() -> None:
    """Namespaces of runs that were killed: their name says which process made them."""
    with contextlib.suppress(FileNotFoundError):
        for entry in _NETNS.iterdir():
            if not entry.name.startswith(_PREFIX):
                continue
            maker = entry.name.removeprefix(_PREFIX).partition("-")[0]
            if maker.isdigit() and not Path("/proc", maker).exists():
                stray = Namespace(entry.name, entry.name)
                stray._end_strays()
                with contextlib.suppress(RuntimeError):
                    ip("netns", "delete", entry.name)


def wait_until(condition: Any, seconds: float = 5.0) -> None:
    """Return as soon as the condition holds. Raises `AssertionError` when it does not in that time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not come about in time")
        time.sleep(0.01)
