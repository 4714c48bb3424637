"""A network in memory, for tests: it keeps the kernel's own rules about addresses, gateways and links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_interface

from steelyard.engines.netlink.present import (
    HELD,
    HOST,
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
from steelyard.model.errors import EngineRefused


class FakeNetwork:
    """What `run` did is in `done`; what was announced in `announced`."""

    def __init__(self, *links: str) -> None:
        self._links = {
            name: PresentLink(number, name, "port", True, 1500, f"02:00:00:00:00:{number:02x}")
            for number, name in enumerate(links, start=1)
        }
        self._addresses: dict[tuple[str, str, int], PresentAddress] = {}
        self._routes: dict[tuple[str, int], PresentRoute] = {}
        self._rules: set[PresentRule] = set()
        self.sysctls: dict[str, str] = {}
        self.done: list[Step] = []
        self.announced: list[str] = []

    def foreign(self, interface: str, address: str, gateway: str = "") -> None:
        """What somebody else has set up."""
        parsed = ip_interface(address)
        place = (interface, str(parsed.ip), parsed.network.prefixlen)
        self._addresses[place] = PresentAddress(*place)
        if gateway:
            everywhere = "::/0" if ":" in gateway else "0.0.0.0/0"
            self._routes[everywhere, 254] = PresentRoute(everywhere, gateway, interface, 254, 0, 3)

    def read(self) -> Present:
        return Present(
            dict(self._links), tuple(self._addresses.values()), tuple(self._routes.values()), tuple(self._rules)
        )

    def run(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self._run(step)
            self.done.append(step)

    def announce(self, addresses: Sequence[AddAddress]) -> None:
        self.announced += [one.address for one in addresses]

    def sysctl(self, name: str) -> str:
        return self.sysctls.get(name, "0")

    def set_sysctl(self, name: str, value: str) -> None:
        self.sysctls[name] = value

    def _run(self, step: Step) -> None:
        match step:
            case AddAddress():
                self._need(step.interface, step)
                place = (step.interface, step.address, step.prefix)
                self._addresses.setdefault(place, PresentAddress(*place, HELD if step.held else HOST))
            case RemoveAddress():
                self._addresses.pop((step.interface, step.address, step.prefix), None)
            case HandOver():
                place = (step.interface, step.address, step.prefix)
                self._addresses[place] = replace(self._addresses[place], mark=0)
            case AddLink():
                if step.link.lower:
                    self._need(step.link.lower, step)
                self._links[step.link.name] = PresentLink(
                    100 + len(self._links),
                    *(step.link.name, step.link.kind, False, 1500),
                    lower=step.link.lower or "",
                    tag=step.link.tag,
                    mode=step.link.mode if step.link.kind == "bond" else "",
                    ours=True,
                )
            case RemoveLink():
                self._links.pop(step.name, None)
                self._addresses = {place: one for place, one in self._addresses.items() if one.interface != step.name}
            case SetLink():
                self._need(step.name, step)
                now = self._links[step.name]
                if step.master and now.up:
                    raise EngineRefused(f"The kernel refused to {step}", words="Operation not permitted")
                self._links[step.name] = replace(
                    now,
                    up=now.up if step.up is None else step.up,
                    mtu=step.mtu or now.mtu,
                    master=now.master if step.master is None else step.master,
                )
            case PutRoute():
                self._put_route(step)
            case RemoveRoute():
                there = self._routes.get((step.destination, step.table))
                if there is not None and there.gateway == step.gateway:
                    del self._routes[step.destination, step.table]
            case AddRule():
                self._rules.add(PresentRule(step.rule))
            case RemoveRule():
                self._rules.discard(PresentRule(step.rule))

    def _put_route(self, step: PutRoute) -> None:
        gateway = ip_address(step.route.gateway)
        by = [
            one.interface
            for one in self._addresses.values()
            if gateway in ip_interface(f"{one.address}/{one.prefix}").network
        ]
        if not by:
            raise EngineRefused(f"The kernel refused to {step}", words="Network is unreachable")
        route = step.route
        self._routes[route.destination, route.table] = PresentRoute(
            *(route.destination, route.gateway, by[0], route.table, 0, step.mark)
        )

    def _need(self, interface: str, step: Step) -> None:
        if interface not in self._links:
            raise EngineRefused(f"The kernel refused to {step}", words=f"there is no interface {interface}")
