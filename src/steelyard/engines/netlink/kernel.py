"""The kernel's network by netlink (rtnetlink(7)), through pyroute2."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_interface
from pathlib import Path
from typing import Any, Literal

from pyroute2 import IPRoute, NetlinkError

from steelyard.engines.netlink.announce import Announcer
from steelyard.engines.netlink.present import (
    HELD,
    HOST,
    LINK_MARK,
    Present,
    PresentAddress,
    PresentLink,
    PresentRoute,
    PresentRule,
)
from steelyard.engines.netlink.steps import (
    AddAddress,
    AddLink,
    AddRule,
    HandOver,
    PutRoute,
    RemoveAddress,
    RemoveLink,
    RemoveRoute,
    RemoveRule,
    SetLink,
    Step,
)
from steelyard.model.errors import EngineRefused, HostLacks
from steelyard.plan.network import Rule

log = logging.getLogger(__name__)

_UP = 0x1
_NO_DUPLICATE_DETECTION = 0x02
_FOR_EVER = 0xFFFFFFFF
_LINK_SCOPE = 253
_LOCAL_TABLE = 255
_EVERYWHERE = {socket.AF_INET: "0.0.0.0/0", socket.AF_INET6: "::/0"}
_PROTOCOL_NAMES: Mapping[int, Literal["tcp", "udp"]] = {socket.IPPROTO_TCP: "tcp", socket.IPPROTO_UDP: "udp"}
_PROTOCOLS = {name: number for number, name in _PROTOCOL_NAMES.items()}
_MODES = {"active-backup": 1, "802.3ad": 4}
_MODE_NAMES = {number: name for name, number in _MODES.items()}
#: milliseconds between two looks at the members of a bond; without it a dead one is not noticed
_MIIMON = 100
_SYSCTLS = Path("/proc/sys/net")

#: what an addition meets when it was done before, and a removal
_THERE = {errno.EEXIST}
_GONE = {errno.EADDRNOTAVAIL, errno.ESRCH, errno.ENOENT, errno.ENODEV}


class LocalNetwork:
    """The network of the namespace this process is in. `proc` is where its parameters are."""

    def __init__(self, sysctls: Path = _SYSCTLS) -> None:
        self._sysctls = sysctls

    def read(self) -> Present:
        """See `NetworkKernel.read`."""
        with _netlink() as netlink:
            links = list(netlink.get_links())
            addresses = list(netlink.get_addr())
            routes = list(netlink.get_routes())
            rules = [*netlink.get_rules(family=socket.AF_INET), *netlink.get_rules(family=socket.AF_INET6)]
        names = {link["index"]: link.get_attr("IFLA_IFNAME") for link in links}
        return Present(
            {one.name: one for one in (_link(link, names) for link in links)},
            tuple(_addresses(addresses, names)),
            tuple(_routes(routes, names)),
            tuple(_rules(rules)),
        )

    def run(self, steps: Sequence[Step]) -> None:
        """See `NetworkKernel.run`."""
        if not steps:
            return
        with _netlink() as netlink:
            runner = _Runner(netlink, self._sysctls)
            for step in steps:
                try:
                    runner.run(step)
                except NetlinkError as failure:
                    said = failure.args[1] if len(failure.args) > 1 else str(failure)
                    raise EngineRefused(f"The kernel refused to {step}", words=str(said)) from failure
                except OSError as failure:
                    raise EngineRefused(f"The kernel refused to {step}", words=str(failure.strerror)) from failure

    def announce(self, addresses: Sequence[AddAddress]) -> None:
        """See `NetworkKernel.announce`."""
        if not addresses:
            return
        with _netlink() as netlink:
            found = {link.get_attr("IFLA_IFNAME"): link for link in netlink.get_links()}
        with Announcer() as announcer:
            for one in addresses:
                link = found.get(one.interface)
                if link is None:
                    continue
                try:
                    announcer.announce(one.interface, link["index"], link.get_attr("IFLA_ADDRESS") or "", one.address)
                except OSError as failure:
                    log.warning("neighbours on %s were not told of %s: %s", one.interface, one.address, failure)

    def sysctl(self, name: str) -> str:
        """See `NetworkKernel.sysctl`."""
        try:
            return (self._sysctls / name).read_text().strip()
        except OSError as failure:
            raise _no_sysctl(name, failure) from failure

    def set_sysctl(self, name: str, value: str) -> None:
        """See `NetworkKernel.set_sysctl`."""
        try:
            (self._sysctls / name).write_text(value)
        except OSError as failure:
            raise _no_sysctl(name, failure) from failure


def _no_sysctl(name: str, failure: OSError) -> HostLacks:
    return HostLacks(
        f"net.{name.replace('/', '.')} cannot be used: {failure.strerror}",
        lacks="a parameter of the kernel",
        remedy="Let steelyard-netd write below /proc/sys/net",
    )


@contextlib.contextmanager
def _netlink() -> Iterator[Any]:
    try:
        opened = IPRoute()
    except OSError as failure:
        raise HostLacks(
            f"The kernel does not talk about the network: {failure.strerror}",
            lacks="netlink",
            remedy="Let steelyard-netd use AF_NETLINK sockets (RestrictAddressFamilies of its unit)",
        ) from failure
    with opened:
        yield opened


class _Runner:
    """Does steps over one netlink socket; interfaces are looked up by name once."""

    def __init__(self, netlink: Any, sysctls: Path) -> None:
        self._netlink = netlink
        self._sysctls = sysctls
        self._indexes: dict[str, int] = {}

    def run(self, step: Step) -> None:
        match step:
            case AddAddress():
                self._add_address(step)
            case RemoveAddress():
                self._remove_address(step)
            case HandOver():
                # replacing it without a mark takes the mark away
                self._address("replace", step.interface, step.address, step.prefix)
            case AddLink():
                self._add_link(step)
            case RemoveLink():
                with _passing(_GONE):
                    self._netlink.link("del", index=self._index(step.name))
                self._indexes.pop(step.name, None)
            case SetLink():
                self._set_link(step)
            case PutRoute():
                route = step.route
                self._netlink.route(
                    "replace", dst=route.destination, gateway=route.gateway, table=route.table, proto=step.mark
                )
            case RemoveRoute():
                with _passing(_GONE):
                    self._netlink.route(
                        "del", dst=step.destination, gateway=step.gateway, table=step.table, priority=step.metric
                    )
            case AddRule():
                with _passing(_THERE):
                    self._netlink.rule("add", **_rule(step.rule))
            case RemoveRule():
                with _passing(_GONE):
                    self._netlink.rule("del", **_rule(step.rule))

    def _index(self, name: str) -> int:
        known = self._indexes.get(name)
        if known is None:
            try:
                known = self._indexes[name] = socket.if_nametoindex(name)
            except OSError:
                raise NetlinkError(errno.ENODEV, f"there is no interface {name}") from None
        return known

    def _address(self, word: str, interface: str, address: str, prefix: int, **more: Any) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._netlink.addr(word, index=self._index(interface), address=address, prefixlen=prefix, family=family, **more)

    def _add_address(self, step: AddAddress) -> None:
        more: dict[str, Any] = {"proto": HELD if step.held else HOST}
        if ":" in step.address:
            # A listener cannot have an address that is still being looked for elsewhere (RFC 4862, 5.4), and that takes
            # a second. One that is held is no source for what this host begins by itself, so it is deprecated at once.
            more["flags"] = _NO_DUPLICATE_DETECTION
            if step.held:
                more |= {"preferred": 0, "valid": _FOR_EVER}
        with _passing(_THERE):
            self._address("add", step.interface, step.address, step.prefix, **more)

    def _remove_address(self, step: RemoveAddress) -> None:
        if ":" not in step.address:
            # otherwise the other addresses of its network would go with it (inet_del_ifa)
            promote = self._sysctls / "ipv4" / "conf" / step.interface / "promote_secondaries"
            with contextlib.suppress(OSError):
                promote.write_text("1")
        with _passing(_GONE):
            self._address("del", step.interface, step.address, step.prefix)

    def _add_link(self, step: AddLink) -> None:
        link = step.link
        if link.kind == "vlan":
            self._netlink.link(
                "add", ifname=link.name, kind="vlan", link=self._index(link.lower or ""), vlan_id=link.tag
            )
        else:
            self._netlink.link("add", ifname=link.name, kind="bond", bond_mode=_MODES[link.mode], bond_miimon=_MIIMON)
        # so that it is known as ours; the alias cannot be given with the addition on every kernel
        self._netlink.link("set", index=self._index(link.name), IFLA_IFALIAS=LINK_MARK)

    def _set_link(self, step: SetLink) -> None:
        index = self._index(step.name)
        if step.master is not None:
            self._netlink.link("set", index=index, master=self._index(step.master) if step.master else 0)
        if step.mtu is not None:
            self._netlink.link("set", index=index, mtu=step.mtu)
        if step.up is not None:
            self._netlink.link("set", index=index, state="up" if step.up else "down")


@contextlib.contextmanager
def _passing(numbers: set[int]) -> Iterator[None]:
    try:
        yield
    except NetlinkError as failure:
        if failure.code not in numbers:
            raise


def _rule(rule: Rule) -> dict[str, Any]:
    words: dict[str, Any] = {
        "family": socket.AF_INET6 if ":" in rule.source else socket.AF_INET,
        "src": rule.source,
        "table": rule.table,
        "priority": rule.priority,
        "protocol": HELD,
    }
    if rule.protocol is not None:
        words |= {"ip_proto": _PROTOCOLS[rule.protocol], "sport_range": f"{rule.first}:{rule.last}"}
    if rule.not_default:
        # routes of a shorter or equal prefix are passed over
        words["FRA_SUPPRESS_PREFIXLEN"] = 0
    return words


def _link(link: Any, names: Mapping[int, str]) -> PresentLink:
    information = link.get_attr("IFLA_LINKINFO")
    kind = information.get_attr("IFLA_INFO_KIND") if information else None
    data = information.get_attr("IFLA_INFO_DATA") if kind in ("vlan", "bond") else None
    return PresentLink(
        index=link["index"],
        name=names[link["index"]],
        kind=kind or "port",
        up=bool(link["flags"] & _UP),
        mtu=link.get_attr("IFLA_MTU"),
        hardware_address=link.get_attr("IFLA_ADDRESS") or "",
        lower=names.get(link.get_attr("IFLA_LINK"), "") if kind == "vlan" else "",
        tag=data.get_attr("IFLA_VLAN_ID") if data and kind == "vlan" else None,
        mode=_MODE_NAMES.get(data.get_attr("IFLA_BOND_MODE"), "") if data and kind == "bond" else "",
        master=names.get(link.get_attr("IFLA_MASTER"), ""),
        ours=link.get_attr("IFLA_IFALIAS") == LINK_MARK,
    )


def _addresses(found: list[Any], names: Mapping[int, str]) -> Iterator[PresentAddress]:
    for one in found:
        if one["scope"] != _LINK_SCOPE:
            address = one.get_attr("IFA_LOCAL") or one.get_attr("IFA_ADDRESS")
            mark = one.get_attr("IFA_PROTO") or 0
            yield PresentAddress(names[one["index"]], str(ip_interface(address).ip), one["prefixlen"], int(mark))


def _routes(found: list[Any], names: Mapping[int, str]) -> Iterator[PresentRoute]:
    for one in found:
        gateway, table = one.get_attr("RTA_GATEWAY"), one.get_attr("RTA_TABLE")
        if gateway is None or table == _LOCAL_TABLE or one["family"] not in _EVERYWHERE:
            continue
        network = one.get_attr("RTA_DST")
        yield PresentRoute(
            _EVERYWHERE[one["family"]] if network is None else f"{network}/{one['dst_len']}",
            gateway,
            names.get(one.get_attr("RTA_OIF"), ""),
            table,
            one.get_attr("RTA_PRIORITY") or 0,
            one["proto"],
        )


def _rules(found: list[Any]) -> Iterator[PresentRule]:
    for one in found:
        if one.get_attr("FRA_PROTOCOL") != HELD or one.get_attr("FRA_SRC") is None:
            continue
        ports = one.get_attr("FRA_SPORT_RANGE")
        first, last = map(int, ports.split(":")) if ports else (0, 0)
        yield PresentRule(
            Rule(
                source=f"{one.get_attr('FRA_SRC')}/{one['src_len']}",
                table=one.get_attr("FRA_TABLE"),
                priority=one.get_attr("FRA_PRIORITY"),
                protocol=_PROTOCOL_NAMES[one.get_attr("FRA_IP_PROTO")] if ports else None,
                first=first,
                last=last,
                not_default=one.get_attr("FRA_SUPPRESS_PREFIXLEN") == 0,
            )
        )
