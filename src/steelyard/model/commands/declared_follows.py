"""Who takes whose verdict, in a declared configuration.

Members may follow members that are declared later, so this is left out at first and said when all are there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from steelyard.model.commands.services import with_service
from steelyard.model.configuration import Configuration
from steelyard.model.errors import located
from steelyard.model.virtual_service import VirtualService

Declared = Mapping[str, Any]


def without_follows(settings: Declared) -> dict[str, Any]:
    """The settings of a declared service, or of a sub-service, without what its members follow."""
    found = dict(settings)
    if "servers" in found:
        found["servers"] = [_without(server) for server in found["servers"]]
    if "sub_services" in found:
        found["sub_services"] = [without_follows(sub) for sub in found["sub_services"]]
    if "slot" in found:
        found["slot"] = _without(found["slot"])
    return found


def _without(member: Declared) -> dict[str, Any]:
    return {name: value for name, value in member.items() if name != "follow"}


def with_follows(configuration: Configuration, index: int, settings: Declared) -> Configuration:
    """The configuration with what the members of one declared service follow. Errors have their position in it."""
    service = configuration.services[index]
    configuration = _servers(configuration, service, settings.get("servers", ()))
    for number, (slot, declared) in enumerate(zip(service.slots, settings.get("sub_services", ()), strict=True)):
        with located(f"sub_services[{number}]"):
            sub = configuration.services[slot.service]
            configuration = _servers(configuration, sub, declared.get("servers", ()))
            follow = declared.get("slot", {}).get("follow")
            if follow:
                parent = configuration.services[index]
                slots = tuple(one.changed({"follow": follow}) if one is slot else one for one in parent.slots)
                with located("slot"):
                    configuration = with_service(configuration, parent.changed({"slots": slots}))
    return configuration


def _servers(configuration: Configuration, service: VirtualService, declared: Sequence[Declared]) -> Configuration:
    for number, settings in enumerate(declared):
        if not settings.get("follow"):
            continue
        with located(f"servers[{number}]"):
            now = configuration.services[service.index]
            servers = list(now.servers)
            servers[number] = servers[number].changed({"follow": settings["follow"]})
            configuration = with_service(configuration, now.changed({"servers": tuple(servers)}))
    return configuration


__all__ = ["with_follows", "without_follows"]
