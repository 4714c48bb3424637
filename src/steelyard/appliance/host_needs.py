"""Settings that need something this host's HAProxy was not built with are refused by name."""

from __future__ import annotations

from steelyard.engines.capabilities import Capabilities
from steelyard.model.cipher_set import members
from steelyard.model.ciphers import works_with
from steelyard.model.configuration import Configuration
from steelyard.model.errors import HostLacks
from steelyard.model.layer import layer_of
from steelyard.model.sources import seen_by_servers, source_settings
from steelyard.model.virtual_service import VirtualService

_REMEDY = "Install another build of HAProxy; `steelyard doctor` says what this one lacks"


def refuse_what_host_lacks(old: Configuration, new: Configuration, capabilities: Capabilities) -> None:
    """Raise `HostLacks` when a service that is new or changed cannot work here."""
    for index, service in new.services.items():
        fresh = old.services.get(index) is not service
        if fresh:
            _service(service, capabilities)
        name = service.cipher_set
        if fresh or old.cipher_sets.get(name) is not new.cipher_sets.get(name):
            _ciphers(service, members(new.cipher_sets, name), capabilities)
    _limits(old, new, capabilities)
    _transparency(old, new, capabilities)


def _transparency(old: Configuration, new: Configuration, capabilities: Capabilities) -> None:
    """Connections with a client's address need a privilege; without it HAProxy would not reach any real server."""
    if capabilities.transparent_proxy or (old.services is new.services and old.layer7 is new.layer7):
        return
    settings, before = source_settings(new), source_settings(old)
    for index, service in new.services.items():
        wanted = service.transparent or service.local_bind_addresses
        if not wanted or layer_of(service, ipvs=capabilities.ipvs).number != 7:
            continue
        parent = new.services[service.parent] if service.is_sub else None
        same = old.services.get(index) is service and settings == before
        if same and (parent is None or old.services.get(parent.index) is parent):
            continue
        if seen_by_servers(service, parent, settings).kind in ("client", "alternate"):
            name = "Transparent" if service.transparent else "LocalBindAddrs"
            raise HostLacks(
                f"{name} of {service.title} needs HAProxy to connect with clients' addresses, which it may only with"
                " the capability CAP_NET_RAW, and if it was built for it (TPROXY)",
                lacks="CAP_NET_RAW",
                remedy="Give steelyard.service the capability: /usr/share/steelyard/transparency.conf does, and says"
                " how; see docs/guides/source-addresses.md",
            )


def _service(service: VirtualService, capabilities: Capabilities) -> None:
    layer = layer_of(service, ipvs=capabilities.ipvs)
    if layer.lacks:
        raise HostLacks(
            f"{service.title}: {layer.lacks}",
            lacks="IPVS",
            remedy="Use a kernel with IPVS (the module ip_vs), or a schedule, persistence and forwarding without it",
        )
    kinds = (service.check_type, *(further.check_type for further in service.further_checks))
    if "icmp" in kinds and not capabilities.ping_socket:
        raise HostLacks(
            "CheckType=icmp needs to send pings, which this host does not allow: no group of this process is in"
            " net.ipv4.ping_group_range",
            lacks="pings",
            remedy="Run `sysctl -w net.ipv4.ping_group_range='0 2147483647'` as root and start Steelyard again",
        )
    encrypts = service.ssl_acceleration or service.ssl_reverse
    if encrypts and not capabilities.openssl:
        name = "SSLAcceleration" if service.ssl_acceleration else "SSLReverse"
        raise HostLacks(f"{name} needs TLS, which this host's HAProxy was built without", lacks="TLS", remedy=_REMEDY)
    if service.ssl_acceleration:
        _protocols(service, capabilities)
    if service.bandwidth and not capabilities.bandwidth_limits:
        raise _lacks_bandwidth("Bandwidth")
    if service.compress and not capabilities.compression:
        raise HostLacks(
            "Compress needs gzip, which this host's HAProxy was built without", lacks="compression", remedy=_REMEDY
        )
    if service.body_rules and not (capabilities.lua and capabilities.pcre):
        lacks = "Perl's regular expressions" if capabilities.lua else "Lua"
        raise HostLacks(
            f"Response body rules need {lacks}, which this host's HAProxy was built without",
            lacks=lacks,
            remedy=_REMEDY,
        )
    if service.starttls_mode and not capabilities.lua:
        raise HostLacks(
            "StartTLSMode needs Lua, which this host's HAProxy was built without", lacks="Lua", remedy=_REMEDY
        )
    if service.ocsp_verify and not capabilities.lua:
        raise HostLacks(
            "OCSPVerify needs Lua, which this host's HAProxy was built without", lacks="Lua", remedy=_REMEDY
        )
    if service.esp_enabled and not capabilities.pcre:
        lacks = "Perl's regular expressions"
        raise HostLacks(
            f"EspEnabled needs {lacks}, which this host's HAProxy was built without", lacks=lacks, remedy=_REMEDY
        )
    if service.ssl_acceleration and service.allow_http2 and not capabilities.http2:
        raise HostLacks(
            "AllowHTTP2 needs HTTP/2, which this host's HAProxy was built without", lacks="HTTP/2", remedy=_REMEDY
        )


def _ciphers(service: VirtualService, every: tuple[str, ...], capabilities: Capabilities) -> None:
    """Members that the TLS library lacks are left out; a protocol that is on offer needs one of those it has."""
    known = capabilities.ciphers
    if known is None or not service.ssl_acceleration:
        return
    for protocol in service.offered_protocols:
        newest = protocol == "TLSv1.3"
        wanted = service.tls13_cipher_set if newest else [one for one in every if works_with(one, protocol)]
        if not any(one in known for one in wanted):
            title = protocol.replace("v", " ")
            name = "Tls13CipherSet" if newest else f"CipherSet {service.cipher_set!r}"
            raise HostLacks(
                f"{name} has for {title} only ciphers that OpenSSL {capabilities.openssl_version}, which this host's"
                f" HAProxy uses, does not have: {', '.join(wanted)}",
                lacks="these ciphers",
                remedy="Choose another set; `steelyard cipher-set show NAME` says what is missing of one here",
            )


def _limits(old: Configuration, new: Configuration, capabilities: Capabilities) -> None:
    if capabilities.bandwidth_limits:
        return
    wanted = [
        (new.limits.bandwidth != old.limits.bandwidth and new.limits.bandwidth, "MaxBandwidthLimit"),
        (
            new.limits.client_bandwidth != old.limits.client_bandwidth and new.limits.client_bandwidth,
            "ClientMaxBandwidthLimit",
        ),
        (
            new.limit_entries.bandwidth != old.limit_entries.bandwidth and any(new.limit_entries.bandwidth.values()),
            "A bandwidth of clients",
        ),
    ]
    for is_wanted, name in wanted:
        if is_wanted:
            raise _lacks_bandwidth(name)


def _lacks_bandwidth(name: str) -> HostLacks:
    return HostLacks(
        f"{name} needs HAProxy 2.7 or newer, which can limit bandwidth; this host's is older",
        lacks="limits of bandwidth",
        remedy="Install HAProxy 2.8 or newer",
    )


def _protocols(service: VirtualService, capabilities: Capabilities) -> None:
    """TLS 1.2 is in every OpenSSL, and TLS 1.3 may be lacking beside it; older ones are on because somebody asked."""
    offered = service.offered_protocols
    missing = {"TLSv1.0", "TLSv1.1"} - capabilities.tls_versions
    if offered == ("TLSv1.3",) and not capabilities.tls13:
        missing.add("TLSv1.3")
    for protocol in offered:
        if protocol in missing:
            title = protocol.replace("v", " ")
            only = "only " if len(offered) == 1 else ""
            raise HostLacks(
                f"TLSType={service.tls_type} leaves {only}{title} on, which this host's HAProxy was built without",
                lacks=title,
                remedy=_REMEDY,
            )
