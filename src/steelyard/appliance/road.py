"""The pure part of the road: a command becomes a configuration, a plan and what must be done.

Nothing here touches the store or an engine, so a dry run is exactly this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from steelyard.appliance.contract import Actor, Preview
from steelyard.appliance.differences import differences
from steelyard.compile.compiler import Compiler, Plan
from steelyard.diff.haproxy import Difference, difference
from steelyard.model.commands.command import Change, Command, required_permissions
from steelyard.model.commands.network import UndoNetwork
from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError
from steelyard.model.gateway_refusals import refuse_gateway_faults
from steelyard.model.network_refusals import refuse_network_faults
from steelyard.model.sources import refuse_source_faults
from steelyard.model.user import ADMINISTRATOR, ONLY_ADMINISTRATOR, PERMISSIONS
from steelyard.plan.haproxy import Bind, HaproxyPlan, Lookup
from steelyard.plan.kernel import KernelPlan
from steelyard.plan.layer4 import Layer4Service
from steelyard.plan.operations import LoadCertificate, Operation, ReplaceCertificate


@dataclass(frozen=True)
class Journey:
    """One command, thought through: what it changes, what it needs, what the operator would be told.

    `todo` is against the plan of the newest commit: what this command costs. What is run may be more, see
    `DataPlane.apply`.
    """

    change: Change
    plan: Plan
    todo: Difference
    preview: Preview

    @property
    def configuration(self) -> Configuration:
        return self.change.configuration


def check_permission(command: Command, actor: Actor) -> None:
    """Raise `OperatorError` with the field "permission" when the actor may not do that."""
    for permission in required_permissions(command):
        if permission == "read" or actor.user.may(permission):
            continue
        lacks = f"lacks the permission {PERMISSIONS.get(permission, permission)}"
        raise OperatorError(
            f"Only {ADMINISTRATOR} may do that" if permission == ONLY_ADMINISTRATOR else f"User {actor.name} {lacks}",
            field="permission",
            value=permission,
            remedy=f"Ask {ADMINISTRATOR}",
        )


def think_through(
    command: Command,
    *,
    revision: int,
    configuration: Configuration,
    wanted: HaproxyPlan,
    compiler: Compiler,
    describe: Callable[[Sequence[Operation]], tuple[str, ...]],
    describe_kernel: Callable[[KernelPlan], tuple[str, ...]] = lambda plan: (),
) -> Journey:
    """Apply a command to a configuration and find out what it takes. Raises the errors of `model.errors`."""
    change = command.apply(configuration)
    if not isinstance(command, UndoNetwork):
        # what has gone back in the kernel is followed whatever stands in the way
        refuse_network_faults(configuration, change.configuration)
    refuse_gateway_faults(configuration, change.configuration)
    refuse_source_faults(configuration, change.configuration)
    plan = compiler.compile(change.configuration)
    todo = difference(wanted, plan.haproxy)
    preview = Preview(
        based_on=revision,
        configuration=change.configuration,
        key=change.key,
        differences=differences(configuration, change.configuration),
        operations=(*describe_kernel(plan.kernel), *describe(todo.operations)),
        reload=bool(todo.reload_reasons),
        reload_reasons=todo.reload_reasons,
    )
    return Journey(change, plan, todo, preview)


def brings_certificates(todo: Difference) -> bool:
    """Whether certificates come into HAProxy at run time.

    Its TLS library may not take one, for its key or signature; that is to be said before anything is committed.
    """
    return any(isinstance(one, (LoadCertificate, ReplaceCertificate)) for one in todo.operations)


def changing_part(old: HaproxyPlan, new: HaproxyPlan) -> HaproxyPlan:
    """The services that differ, with what they need: what HAProxy must read before a change is committed.

    For a certificate that differs, one of the services that present it.
    """
    services = {key: service for key, service in new.services.items() if old.services.get(key) is not service}
    changed = {name for name, file in new.certificates.items() if old.certificates.get(name, file) != file}
    for key, service in new.services.items():
        if not changed:
            break
        if not changed.isdisjoint(service.certificates()):
            services[key] = service
            changed -= set(service.certificates())
    waiting = list(services.values())
    while waiting:
        for key in waiting.pop().needs:
            if key not in services:
                services[key] = new.services[key]
                waiting.append(new.services[key])
    names = {name for service in services.values() for name in service.certificates()}
    names |= {name for name, file in new.certificates.items() if old.certificates.get(name) != file}
    known = {lookup.name: lookup for lookup in old.all_lookups()}
    return HaproxyPlan(
        new.settings,
        {
            key: replace(service, lookups=_unread(service.lookups, known)) if service.lookups else service
            for key, service in services.items()
        },
        {name: new.certificates[name] for name in sorted(names)},
        lookups=_unread(new.lookups, known),
        sections=new.sections,
        # HAProxy reads those that the services name; there are few
        trust=new.trust,
    )


def _unread(lookups: tuple[Lookup, ...], known: Mapping[str, Lookup]) -> tuple[Lookup, ...]:
    """Lookups whose entries HAProxy has read already are given empty: reading 100,000 takes a while."""
    return tuple(replace(one, entries=()) if known.get(one.name) == one else one for one in lookups)


def new_sockets(old: HaproxyPlan, new: HaproxyPlan) -> list[tuple[str, int]]:
    """The (address, port) pairs that are listened on after the change and not before."""
    fresh: list[tuple[str, int]] = []
    for key, service in new.services.items():
        before = old.services.get(key)
        if before is service or service.frontend is None:
            continue
        held = _sockets(before.frontend.binds) if before is not None and before.frontend is not None else set()
        fresh.extend(sorted(_sockets(service.frontend.binds) - held))
    if not fresh:
        return fresh
    held_before = [service.frontend.binds for service in old.services.values() if service.frontend is not None]
    return [pair for pair in fresh if not any(_holds(binds, *pair) for binds in held_before)]


def new_places(old: KernelPlan, new: KernelPlan) -> list[tuple[str, int, Literal["tcp", "udp"]]]:
    """The places that layer 4 takes after the change and not before; port 0 is every port."""
    fresh: list[tuple[str, int, Literal["tcp", "udp"]]] = []
    for key, service in new.layer4.items():
        before = old.layer4.get(key)
        if before is service or not service.enabled:
            continue
        same = before is not None and (before.address, before.protocol) == (service.address, service.protocol)
        held = _ports(before) if before is not None and same and before.enabled else set()
        fresh += [(service.address, port, service.protocol) for port in sorted(_ports(service) - held)]
    return fresh


def _ports(service: Layer4Service) -> set[int]:
    if service.wildcard:
        return {0}
    return {port for ports in service.ports for port in range(ports.first, ports.last + 1)}


def _holds(binds: Sequence[Bind], address: str, port: int) -> bool:
    return any(bind.address == address and port in bind.ports for bind in binds)


def _sockets(binds: Sequence[Bind]) -> set[tuple[str, int]]:
    return {(bind.address, port) for bind in binds for port in bind.ports}
