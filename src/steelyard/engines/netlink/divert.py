"""The way of marked packets to this host: a rule of policy routing, and a table in which every address is local."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyroute2 import IPRoute, NetlinkError

from steelyard.engines.netlink.present import HELD
from steelyard.model.errors import EngineRefused
from steelyard.plan.sources import DIVERTED, PRIORITY, TABLE

_FAMILIES = {socket.AF_INET: "0.0.0.0/0", socket.AF_INET6: "::/0"}
_THERE, _GONE = {errno.EEXIST}, {errno.ESRCH, errno.ENOENT, errno.EAFNOSUPPORT}


def divert(*, wanted: bool) -> None:
    """Have the way there or not. Doing it twice is doing it once. Raises `EngineRefused`."""
    with IPRoute() as netlink:
        loopback = socket.if_nametoindex("lo")
        for family, everywhere in _FAMILIES.items():
            rule: dict[str, Any] = {
                "family": family,
                "fwmark": DIVERTED,
                "fwmask": 0xFFFFFFFF,
                "table": TABLE,
                "priority": PRIORITY,
                "protocol": HELD,
            }
            route: dict[str, Any] = {
                "family": family,
                "dst": everywhere,
                "oif": loopback,
                "table": TABLE,
                "type": "local",
                "proto": HELD,
            }
            if family == socket.AF_INET:
                route["scope"] = "host"
            word, passed = ("add", _THERE) if wanted else ("del", _GONE)
            with _passing(passed):
                netlink.route(word, **route)
            with _passing(passed):
                netlink.rule(word, **rule)


@contextmanager
def _passing(numbers: set[int]) -> Iterator[None]:
    try:
        yield
    except NetlinkError as failure:
        if failure.code not in numbers:
            said = failure.args[1] if len(failure.args) > 1 else failure
            raise EngineRefused("The kernel refused to route marked packets to this host", words=str(said)) from failure
