"""What this host's engines and kernel can do, as named flags. Pure: text and numbers in, values out.

`engines.host` probes once and fills these; the compiler reads the flags and never compares versions. The flags that do
come from HAProxy's version, because `haproxy -vv` does not list them, are decided from the constants here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

#: Where a HAProxy binary was found, in the order of search.
Origin = Literal["configured", "system", "wheel"]

#: The oldest HAProxy that Steelyard drives. Measured: 2.6.12 takes `add server` without experimental mode.
OLDEST_HAPROXY = (2, 6)

#: The first with filters that limit bandwidth (its configuration manual, 9.7: bwlim-in, bwlim-out).
FIRST_WITH_BANDWIDTH_LIMITS = (2, 7)


@dataclass(frozen=True, slots=True)
class HaproxyBuild:
    """One HAProxy binary and what it was built with, read from `haproxy -vv`."""

    path: str
    origin: Origin
    version: str
    release: tuple[int, int, int]
    features: frozenset[str]
    openssl_version: str
    tls_versions: frozenset[str]
    http2: bool
    prometheus: bool


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The named flags the compiler may use. An object that exists has a usable HAProxy.

    `haproxy_release` is (major, minor, patch), for people and reports. `tls_versions` are spelled as OpenSSL does
    ("TLSv1.2"). `dynamic_servers`: real servers come and go without a reload. `lowest_port` is the lowest port this
    process may bind, `privileged_ports` that this is 1. `max_open_files` is the hard limit of descriptors, at most
    1,048,576. `nft` and `net_admin`: this process may change nftables and addresses; `ipvs`: the kernel has it;
    `ping_socket`: ICMP echo requests need no privilege. `bandwidth_limits`: HAProxy has filters for bandwidth.
    `ciphers` are the names its TLS library has, None when it could not be asked.
    """

    haproxy_path: str
    haproxy_origin: Origin
    haproxy_version: str
    haproxy_release: tuple[int, int, int]
    dynamic_servers: bool
    threads: bool
    lua: bool
    openssl: bool
    openssl_version: str
    tls_versions: frozenset[str]
    tls13: bool
    http2: bool
    pcre: bool
    compression: bool
    prometheus: bool
    transparent_proxy: bool
    network_namespaces: bool
    unix_sockets: bool
    privileged_ports: bool
    lowest_port: int
    max_open_files: int
    nft: bool
    ipvs: bool
    net_admin: bool
    ping_socket: bool
    bandwidth_limits: bool = False
    ciphers: frozenset[str] | None = None


_VERSION = re.compile(
    r"^HA-?Proxy version (?P<text>(?P<major>\d+)\.(?P<minor>\d+)(?:\.(?P<patch>\d+))?\S*)", re.MULTILINE
)
_FEATURES = re.compile(r"^Feature list : (.*)$", re.MULTILINE)
_OPENSSL = re.compile(r"^Running on OpenSSL version : (.*)$", re.MULTILINE)
_TLS = re.compile(r"^OpenSSL library supports : (.*)$", re.MULTILINE)
_H2 = re.compile(r"^\s*h2 : mode=HTTP\s+side=FE", re.MULTILINE)


def parse_build(text: str, path: str, origin: Origin) -> HaproxyBuild:
    """Read what `haproxy -vv` printed. Raises `ValueError` with a reason when that is no HAProxy."""
    version = _VERSION.search(text)
    if version is None:
        raise ValueError("what it prints for `-vv` names no HAProxy version")
    return HaproxyBuild(
        path=path,
        origin=origin,
        version=version["text"],
        release=(int(version["major"]), int(version["minor"]), int(version["patch"] or 0)),
        features=frozenset(word[1:] for word in _first(_FEATURES, text).split() if word.startswith("+")),
        openssl_version=_first(_OPENSSL, text).removeprefix("OpenSSL ").strip(),
        tls_versions=frozenset(_first(_TLS, text).split()),
        http2=_H2.search(text) is not None,
        prometheus="prometheus-exporter" in text,
    )


def too_old(build: HaproxyBuild) -> str | None:
    """Why this HAProxy cannot be used, or None when it can."""
    if build.release[:2] < OLDEST_HAPROXY:
        return f"version {build.version} is older than {OLDEST_HAPROXY[0]}.{OLDEST_HAPROXY[1]}"
    return None


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""
