"""Commands of the first start: what an appliance asks for before it is used, and the addresses at one go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any, ClassVar

from steelyard.model.commands.command import Change
from steelyard.model.commands.network import ChangeInterface, ManageNetwork, interface_named, require_managed
from steelyard.model.commands.parameters import SetParameters
from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError
from steelyard.model.first_start import CLOSED, FirstStart
from steelyard.model.network import Interface, canonical_address, own_addresses


@dataclass(frozen=True)
class AcceptLicence:
    """Accept the licence of this software."""

    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return "accept the licence"

    def apply(self, configuration: Configuration) -> Change:
        accepted = configuration.first_start.model_copy(update={"licence_due": False})
        return Change(replace(configuration, first_start=accepted), "first_start")


@dataclass(frozen=True)
class FinishFirstStart:
    """The appliance is set up."""

    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return "finish the first start"

    def apply(self, configuration: Configuration) -> Change:
        step = configuration.first_step
        if step in CLOSED:
            raise OperatorError(
                "The licence is not accepted yet"
                if step == "licence"
                else "The administrator still has the password for one time",
                field=step,
                remedy="Accept it first" if step == "licence" else "Change it first",
            )
        return Change(replace(configuration, first_start=FirstStart()), "first_start")


@dataclass(frozen=True)
class SetUpNetwork:
    """The quick setup of the host's network, in one change: what is None stays as it is.

    `found` holds interfaces that only the kernel knows; `take_over` begins to manage the network first. The gateway is
    that of the network side and has to be in its network.
    """

    network_side: str
    network_address: str | None = None
    #: its address "" takes all its addresses away: an appliance with one arm
    farm_side: str = ""
    farm_address: str | None = None
    gateway: str | None = None
    #: further parameters of the host: name, name servers, search domains
    host: Mapping[str, Any] = field(default_factory=dict)
    found: Mapping[str, Interface] = field(default_factory=dict)
    take_over: ManageNetwork | None = None
    permission: ClassVar[str] = "root"

    @property
    def summary(self) -> str:
        return "set up the network"

    def apply(self, configuration: Configuration) -> Change:
        if self.take_over is not None:
            configuration = self.take_over.apply(configuration).configuration
        require_managed(configuration)
        if self.farm_side and self.farm_side == self.network_side:
            raise OperatorError(
                f"{self.farm_side} is the network side already",
                field="farm_side",
                value=self.farm_side,
                allowed="another interface than that of the network side",
                remedy="Name another interface, or leave the farm side out",
            )
        configuration = self._side(configuration, "network_address", self.network_side, self.network_address)
        if self.farm_side:
            configuration = self._side(configuration, "farm_address", self.farm_side, self.farm_address)
        changes = {**self.host, **self._gateway(configuration)}
        if changes:
            configuration = SetParameters("host", changes).apply(configuration).configuration
        return Change(configuration, "host")

    def _side(self, configuration: Configuration, name: str, interface: str, address: str | None) -> Configuration:
        if address is None:
            return configuration
        with _of_field(name):
            changes = {"address": address} if address else {"address": "", "additional": ()}
            change = ChangeInterface(interface, changes, self.found.get(interface))
            return change.apply(configuration).configuration

    def _gateway(self, configuration: Configuration) -> dict[str, str]:
        if self.gateway is None:
            return {}
        side = interface_named(configuration, self.network_side)
        try:
            gateway = canonical_address(self.gateway)
        except ValueError:
            gateway = ""
        networks = list(side.networks())
        said = ", ".join(map(str, networks)) or f"{side.name} has no address, so there is none"
        if self.gateway and not gateway:
            raise OperatorError(
                f"{self.gateway[:60]!r} is no address of a host",
                field="default_gateway",
                value=self.gateway[:60],
                allowed=f"an address in the network of {side.name}: {said}",
                remedy="Give the address of the router there",
            )
        if not gateway:
            six = ":" in side.address
            return {"default_gateway6" if six else "default_gateway": ""}
        parsed = ip_address(gateway)
        if not any(network.version == parsed.version and parsed in network for network in networks):
            raise OperatorError(
                f"{gateway} is not in the network of the network side, {side.name}: {said}",
                field="default_gateway",
                value=gateway,
                allowed=said,
                remedy="Give the address of the router in that network",
            )
        if gateway in own_addresses([side]):
            raise OperatorError(
                f"{gateway} is the address of {side.name} itself",
                field="default_gateway",
                value=gateway,
                allowed=f"another address in {said}",
                remedy="Give the address of the router in that network",
            )
        return {"default_gateway6" if parsed.version == 6 else "default_gateway": gateway}


@contextmanager
def _of_field(name: str) -> Iterator[None]:
    """Refusals of an interface's address say which of the two sides is meant."""
    try:
        yield
    except OperatorError as refusal:
        if refusal.field == "address":
            refusal.field = name
        raise
