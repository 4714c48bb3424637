"""IPVS in the kernel, by generic netlink, and one in memory that refuses as the kernel does.

Neither knows whose a virtual server is; the driver gives and takes only its own.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pyroute2 import IPVS
from pyroute2.ipvs import IPVSDest, IPVSService
from pyroute2.netlink import NLM_F_ACK, NLM_F_REQUEST
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.generic.ipvs import GENL_VERSION, IPVS_CMD_GET_CONFIG, IPVS_CMD_SET_CONFIG, ipvsmsg

from steelyard.engines.ipvs.virtual_server import (
    HASHED,
    Destination,
    Endpoint,
    Identity,
    State,
    Step,
    VirtualServer,
    our_index,
)
from steelyard.engines.layer4.contract import Traffic
from steelyard.model.errors import EngineRefused, HostLacks

_ALL_BITS = 0xFFFFFFFF

REMEDY = (
    "Load the kernel module ip_vs (`modprobe ip_vs`), or take a kernel that has it; without it choose another"
    " scheduling method, NAT forwarding, or layer 7."
)


@dataclass(frozen=True, slots=True)
class Counted:
    """A virtual server with its own counters and those of its real servers.

    `inactive` are connections that IPVS still knows and does not count as active: all of UDP, closed ones of TCP.
    """

    state: State
    whole: Traffic
    servers: Mapping[Endpoint, Traffic]
    inactive: Mapping[Endpoint, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds without a packet after which a connection is forgotten; the kernel's own are 900 and 300."""

    tcp: int = 900
    udp: int = 300


class IpvsKernel(Protocol):
    """The table of virtual servers. Everything raises `EngineRefused` or `HostLacks`."""

    def ours(self) -> Mapping[Identity, Counted]:
        """Every virtual server of Steelyard's, with its real servers."""
        ...

    def one(self, virtual: VirtualServer) -> Counted:
        """One of them. Raises `EngineRefused` when it is not there."""
        ...

    def do(self, step: Step) -> None:
        """Carry out one step."""
        ...

    def timeouts(self) -> Timeouts:
        """How long connections without packets are remembered."""
        ...

    def set_timeouts(self, timeouts: Timeouts) -> None:
        """Change that. It holds for every virtual server, those of others too."""
        ...


class NetlinkIpvs:
    """The kernel's IPVS, in the network namespace of the thread that makes the first call."""

    def __init__(self) -> None:
        self._socket: IPVS | None = None

    def ours(self) -> Mapping[Identity, Counted]:
        """See `IpvsKernel.ours`."""
        found: dict[Identity, Counted] = {}
        for message in self._ask(lambda ipvs: ipvs.service("dump")):
            attributes = _attributes(message, "IPVS_CMD_ATTR_SERVICE")
            virtual = _virtual(attributes)
            if virtual is None:
                continue
            found[virtual.identity] = self._counted(virtual, attributes)
        return found

    def one(self, virtual: VirtualServer) -> Counted:
        """See `IpvsKernel.one`."""
        key = IPVSService(**_key(virtual.identity))
        try:
            (message,) = self._ask(lambda ipvs: ipvs.service("get", service=key))
        except NetlinkError as failure:
            raise EngineRefused(f"IPVS has no {virtual.identity}", words=os.strerror(failure.code)) from None
        return self._counted(virtual, _attributes(message, "IPVS_CMD_ATTR_SERVICE"))

    def _counted(self, virtual: VirtualServer, attributes: Mapping[str, Any]) -> Counted:
        key = IPVSService(**_key(virtual.identity))
        messages = self._ask(lambda ipvs: ipvs.dest("dump", service=key))
        found = [_attributes(each, "IPVS_CMD_ATTR_DEST") for each in messages]
        servers = [_destination(each) for each in found]
        return Counted(
            (virtual, {one.endpoint: one for one, _ in servers}),
            _traffic(attributes, "SVC", sum(traffic.active for _, traffic in servers), _records(servers)),
            {one.endpoint: traffic for one, traffic in servers},
            {
                one.endpoint: int(each["IPVS_DEST_ATTR_INACT_CONNS"])
                for (one, _), each in zip(servers, found, strict=True)
            },
        )

    def do(self, step: Step) -> None:
        """See `IpvsKernel.do`."""
        command = {"add": "add", "set": "set", "remove": "del"}[step.action]
        try:
            if step.destination is None:
                service = IPVSService(**_key(step.virtual.identity), **_settings(step))
                self._ask(lambda ipvs: ipvs.service(command, service=service))
            else:
                service, destination = IPVSService(**_key(step.virtual.identity)), IPVSDest(**_of(step.destination))
                self._ask(lambda ipvs: ipvs.dest(command, service=service, dest=destination))
        except NetlinkError as failure:
            raise _refused(step, failure) from None

    def timeouts(self) -> Timeouts:
        """See `IpvsKernel.timeouts`."""
        (message,) = self._configure(IPVS_CMD_GET_CONFIG, [], NLM_F_REQUEST)
        tcp, udp = (
            int.from_bytes(
                bytes.fromhex(message.get_attr(f"IPVS_CMD_ATTR_TIMEOUT_{of}").replace(":", "")), sys.byteorder
            )
            for of in ("TCP", "UDP")
        )
        return Timeouts(tcp, udp)

    def set_timeouts(self, timeouts: Timeouts) -> None:
        """See `IpvsKernel.set_timeouts`."""
        # the one of closing connections has to come with the others; 0 leaves it
        numbers = (("TCP", timeouts.tcp), ("TCP_FIN", 0), ("UDP", timeouts.udp))
        attributes = [(f"IPVS_CMD_ATTR_TIMEOUT_{of}", struct.pack("=I", seconds)) for of, seconds in numbers]
        self._configure(IPVS_CMD_SET_CONFIG, attributes, NLM_F_REQUEST | NLM_F_ACK)

    def _configure(self, command: int, attributes: list[tuple[str, bytes]], flags: int) -> list[Any]:
        message = ipvsmsg()
        message["cmd"], message["version"], message["attrs"] = command, GENL_VERSION, attributes

        def request(ipvs: IPVS) -> list[Any]:
            return list(ipvs._run_with_cleanup(ipvs.asyncore._do_request, message, msg_flags=flags))

        try:
            return self._ask(request)
        except NetlinkError as failure:
            raise EngineRefused("The kernel refused time-outs of IPVS", words=os.strerror(failure.code)) from None

    def _ask(self, question: Any) -> list[Any]:
        try:
            if self._socket is None:
                self._socket = IPVS()
            return list(question(self._socket))
        except NetlinkError as failure:
            if self._socket is not None and failure.code not in (errno.EPERM, errno.EOPNOTSUPP):
                raise
            raise self._lacks(failure) from None
        except OSError as failure:
            raise self._lacks(failure) from None

    def _lacks(self, failure: NetlinkError | OSError) -> HostLacks:
        number = failure.code if isinstance(failure, NetlinkError) else failure.errno
        if number == errno.EPERM:
            return _no_privilege()
        why = os.strerror(number) if number else str(failure)
        return HostLacks(f"The kernel has no IPVS: {why}", lacks="ipvs", remedy=REMEDY)


def _no_privilege() -> HostLacks:
    return HostLacks(
        "IPVS may be changed only with CAP_NET_ADMIN", lacks="net_admin", remedy="Run steelyard-netd as root."
    )


def _refused(step: Step, failure: NetlinkError) -> EngineRefused | HostLacks:
    words = os.strerror(failure.code)
    if failure.code == errno.EPERM:
        return _no_privilege()
    if failure.code == errno.ENOENT and step.destination is None and step.action != "remove":
        name = f"ip_vs_pe_{step.virtual.engine}" if step.virtual.engine else f"ip_vs_{step.virtual.schedule}"
        return HostLacks(
            f"The kernel has not got what {step.virtual.key} needs: {name}",
            lacks=name,
            remedy=f"Load the kernel module ({name}), or choose another scheduling method or persistence mode.",
        )
    if failure.code == errno.EEXIST and step.destination is None:
        words = f"another program has a virtual server for {step.virtual.identity}"
    return EngineRefused(f"The kernel refused: {step}", words=words)


def _key(identity: Identity) -> dict[str, Any]:
    family = socket.AF_INET6 if identity.ipv6 else socket.AF_INET
    if identity.mark:
        return {"af": int(family), "fwmark": identity.mark}
    return {"af": int(family), "protocol": identity.protocol, "addr": identity.address, "port": identity.port}


def _settings(step: Step) -> dict[str, Any]:
    virtual = step.virtual
    if step.action == "remove":
        return {}
    settings: dict[str, Any] = {
        "sched_name": virtual.schedule,
        "flags": {"flags": virtual.flags, "mask": _ALL_BITS},
        "timeout": virtual.timeout,
        "netmask": _netmask(virtual.identity.ipv6, virtual.prefix),
    }
    if virtual.engine:
        settings["pe_name"] = virtual.engine
    return settings


def _netmask(ipv6: bool, prefix: int) -> str:
    """A mask for IPv4; for IPv6 the kernel takes the prefix length as a number in the host's order (ip_vs_ctl.c)."""
    number = struct.pack("=I", prefix) if ipv6 else struct.pack("!I", _ALL_BITS << (32 - prefix) & _ALL_BITS)
    return socket.inet_ntop(socket.AF_INET, number)


def _prefix(ipv6: bool, netmask: str) -> int:
    number = socket.inet_pton(socket.AF_INET, netmask)
    return int(struct.unpack("=I", number)[0]) if ipv6 else int(struct.unpack("!I", number)[0]).bit_count()


def _of(destination: Destination) -> dict[str, Any]:
    return {
        "addr": destination.address,
        "port": destination.port,
        "fwd_method": destination.method,
        "weight": destination.weight,
        # taking clients again as soon as one has gone: without the lower one it would be at three quarters
        "u_thresh": destination.limit,
        "l_thresh": destination.limit,
    }


def _attributes(message: Any, name: str) -> dict[str, Any]:
    return dict(message.get_attr(name)["attrs"])


def _virtual(attributes: Mapping[str, Any]) -> VirtualServer | None:
    flags = int(attributes["IPVS_SVC_ATTR_FLAGS"]["flags"])
    index = our_index(flags)
    if index is None:
        return None
    ipv6 = attributes["IPVS_SVC_ATTR_AF"] == socket.AF_INET6
    mark = int(attributes.get("IPVS_SVC_ATTR_FWMARK", 0))
    identity = (
        Identity(ipv6, mark=mark)
        if mark
        else Identity(
            ipv6,
            protocol=int(attributes["IPVS_SVC_ATTR_PROTOCOL"]),
            address=str(attributes["IPVS_SVC_ATTR_ADDR"]),
            port=int(attributes["IPVS_SVC_ATTR_PORT"]),
        )
    )
    return VirtualServer(
        identity=identity,
        index=index,
        schedule=str(attributes["IPVS_SVC_ATTR_SCHED_NAME"]),
        flags=flags & ~HASHED,
        timeout=int(attributes["IPVS_SVC_ATTR_TIMEOUT"]),
        prefix=_prefix(ipv6, attributes["IPVS_SVC_ATTR_NETMASK"]),
        engine=str(attributes.get("IPVS_SVC_ATTR_PE_NAME", "")),
    )


def _destination(attributes: Mapping[str, Any]) -> tuple[Destination, Traffic]:
    destination = Destination(
        address=str(attributes["IPVS_DEST_ATTR_ADDR"]),
        port=int(attributes["IPVS_DEST_ATTR_PORT"]),
        method=int(attributes["IPVS_DEST_ATTR_FWD_METHOD"]) & 7,
        weight=int(attributes["IPVS_DEST_ATTR_WEIGHT"]),
        limit=int(attributes["IPVS_DEST_ATTR_U_THRESH"]),
    )
    active = int(attributes["IPVS_DEST_ATTR_ACTIVE_CONNS"])
    return destination, _traffic(attributes, "DEST", active, int(attributes["IPVS_DEST_ATTR_PERSIST_CONNS"]))


def _records(servers: Iterable[tuple[Destination, Traffic]]) -> int:
    return sum(traffic.records for _, traffic in servers)


def _traffic(attributes: Mapping[str, Any], of: str, active: int, records: int) -> Traffic:
    counters = attributes.get(f"IPVS_{of}_ATTR_STATS64") or attributes[f"IPVS_{of}_ATTR_STATS"]
    stats = dict(counters["attrs"])
    return Traffic(
        connections=int(stats["IPVS_STATS_ATTR_CONNS"]),
        packets_in=int(stats["IPVS_STATS_ATTR_INPKTS"]),
        bytes_in=int(stats["IPVS_STATS_ATTR_INBYTES"]),
        packets_out=int(stats["IPVS_STATS_ATTR_OUTPKTS"]),
        bytes_out=int(stats["IPVS_STATS_ATTR_OUTBYTES"]),
        active=active,
        records=records,
    )


@dataclass
class MemoryIpvs:
    """IPVS in memory. It refuses what the kernel refuses, in the same words (do_ip_vs_set_ctl, ip_vs_add_dest ...)."""

    tables: dict[Identity, State] = field(default_factory=dict)
    counters: dict[tuple[Identity, Endpoint], Traffic] = field(default_factory=dict)
    schedulers: frozenset[str] = frozenset({"rr", "wrr", "lc", "wlc", "sh"})
    engines: frozenset[str] = frozenset({"sip"})
    times: Timeouts = Timeouts()
    done: list[str] = field(default_factory=list)
    #: refuse the step whose words contain this
    refuse: str = ""

    def ours(self) -> Mapping[Identity, Counted]:
        """See `IpvsKernel.ours`."""
        return {
            identity: self._counted(state)
            for identity, state in self.tables.items()
            if our_index(state[0].flags) is not None
        }

    def one(self, virtual: VirtualServer) -> Counted:
        """See `IpvsKernel.one`."""
        state = self.tables.get(virtual.identity)
        if state is None:
            raise EngineRefused(f"IPVS has no {virtual.identity}", words=os.strerror(errno.ESRCH))
        return self._counted(state)

    def _counted(self, state: State) -> Counted:
        servers = {at: self.counters.get((state[0].identity, at), Traffic()) for at in state[1]}
        return Counted(state, Traffic(connections=sum(one.connections for one in servers.values())), servers)

    def do(self, step: Step) -> None:
        """See `IpvsKernel.do`."""
        if self.refuse and self.refuse in str(step):
            raise _refused(step, NetlinkError(errno.ENOMEM))
        code = self._virtual(step) if step.destination is None else self._destination(step, step.destination)
        if code:
            raise _refused(step, NetlinkError(code))
        self.done.append(str(step))

    def timeouts(self) -> Timeouts:
        """See `IpvsKernel.timeouts`."""
        return self.times

    def set_timeouts(self, timeouts: Timeouts) -> None:
        """See `IpvsKernel.set_timeouts`."""
        self.times = timeouts

    def _virtual(self, step: Step) -> int:
        identity = step.virtual.identity
        there = self.tables.get(identity)
        if step.action == "add":
            if there is not None:
                return errno.EEXIST
            if not self._has(step.virtual):
                return errno.ENOENT
            self.tables[identity] = (step.virtual, {})
        elif there is None:
            return errno.ESRCH
        elif step.action == "set":
            if not self._has(step.virtual):
                return errno.ENOENT
            self.tables[identity] = (step.virtual, there[1])
        else:
            del self.tables[identity]
        return 0

    def _has(self, virtual: VirtualServer) -> bool:
        return virtual.schedule in self.schedulers and (not virtual.engine or virtual.engine in self.engines)

    def _destination(self, step: Step, destination: Destination) -> int:
        there = self.tables.get(step.virtual.identity)
        if there is None:
            return errno.ESRCH
        virtual, servers = there
        if (destination.endpoint in servers) == (step.action == "add"):
            return errno.EEXIST if step.action == "add" else errno.ENOENT
        rest = {at: one for at, one in servers.items() if at != destination.endpoint or step.action == "set"}
        if step.action != "remove":
            rest[destination.endpoint] = destination
        self.tables[step.virtual.identity] = (virtual, rest)
        return 0
