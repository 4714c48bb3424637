"""Everything the kernel must have, and what differs between two such plans.

`steelyard-netd` gets a plan whole once, and from then on whole objects that have changed, on the generation they were
worked out against. A generation is a name that its maker never uses twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from steelyard.plan.layer4 import Layer4Service
from steelyard.plan.network import HeldAddress, NetworkPlan


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KernelPlan(_Frozen):
    """Layer-4 services by key, and the network."""

    layer4: dict[str, Layer4Service] = Field(default_factory=dict)
    network: NetworkPlan = Field(default_factory=NetworkPlan)

    @model_validator(mode="after")
    def _keyed(self) -> Self:
        refuse_other_keys(self.layer4)
        return self

    @property
    def empty(self) -> bool:
        """Whether the kernel need not have anything."""
        return not self.layer4 and self.network.empty


class KernelChange(_Frozen):
    """What differs: services and addresses of services by key (None: removed); all else of the network whole."""

    layer4: dict[str, Layer4Service | None] = Field(default_factory=dict)
    held: dict[str, HeldAddress | None] = Field(default_factory=dict)
    #: everything, `held` included, when more than `held` differs
    network: NetworkPlan | None = None

    @model_validator(mode="after")
    def _keyed(self) -> Self:
        refuse_other_keys(self.layer4)
        if any(one is not None and one.key != key for key, one in self.held.items()):
            raise ValueError("an address stands under another key than its own")
        return self

    @property
    def empty(self) -> bool:
        """Whether nothing differs."""
        return not self.layer4 and not self.held and self.network is None

    def applied(self, plan: KernelPlan) -> KernelPlan:
        """The plan after this change. What is unchanged stays the same object."""
        layer4 = plan.layer4
        if self.layer4:
            layer4 = {key: one for key, one in plan.layer4.items() if key not in self.layer4}
            layer4 |= {key: one for key, one in self.layer4.items() if one is not None}
        network = self.network or plan.network
        if self.held:
            held = {key: one for key, one in network.held.items() if key not in self.held}
            held |= {key: one for key, one in self.held.items() if one is not None}
            network = network.model_copy(update={"held": held})
        return KernelPlan.model_construct(layer4=layer4, network=network)


def changed(old: KernelPlan, new: KernelPlan) -> KernelChange:
    """What leads from one plan to another. An object that is the very same is not looked into."""
    layer4: dict[str, Layer4Service | None] = {}
    if old.layer4 is not new.layer4:
        for key, service in new.layer4.items():
            before = old.layer4.get(key)
            if before is not service and before != service:
                layer4[key] = service
        layer4.update({key: None for key in old.layer4 if key not in new.layer4})
    held, network = _network(old.network, new.network)
    return KernelChange.model_construct(layer4=layer4, held=held, network=network)


def _network(old: NetworkPlan, new: NetworkPlan) -> tuple[dict[str, HeldAddress | None], NetworkPlan | None]:
    """The addresses of services that differ, or all of the new network."""
    if old is new or old == new:
        return {}, None
    if any(getattr(old, name) != getattr(new, name) for name in NetworkPlan.model_fields if name != "held"):
        return {}, new
    held: dict[str, HeldAddress | None] = {
        key: one for key, one in new.held.items() if old.held.get(key) is not one and old.held.get(key) != one
    }
    return held | {key: None for key in old.held if key not in new.held}, None


def refuse_other_keys(services: Mapping[str, Layer4Service | None]) -> None:
    """Raise `ValueError` when a service stands under another key than its own."""
    for key, service in services.items():
        if service is not None and service.key != key:
            raise ValueError(f"the service under {key!r} calls itself {service.key!r}")
