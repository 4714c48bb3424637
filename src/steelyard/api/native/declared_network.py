"""The host's network in the declarative document.

"network": {"interfaces": [{"name": "eth0", "number": 0, "address": "192.0.2.5/24"}],
            "routes": [{"destination": "10.0.0.0/8", "gateway": "192.0.2.254"}],
            "hosts": [{"address": "192.0.2.9", "names": ["web1.example.com"]}]}

It is there where Steelyard manages the network, together with the parameters of the host.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from steelyard.api.native.bodies import mapping, objects, only
from steelyard.api.native.writing import settings_given
from steelyard.model.commands.declared_network import DeclaredNetwork
from steelyard.model.configuration import Configuration
from steelyard.model.errors import located
from steelyard.model.network import HostsEntry, Interface, StaticRoute
from steelyard.model.setting import Settings

NETWORK = "network"
_PARTS: Mapping[str, type[Settings]] = {"interfaces": Interface, "routes": StaticRoute, "hosts": HostsEntry}
#: without its number an interface that is declared again would get another one
_ALWAYS = frozenset({"number"})

Differing = Callable[[Settings, frozenset[str]], dict[str, Any]]


def network_document(configuration: Configuration, differing: Differing) -> dict[str, Any]:
    """The network, every part of it; nothing where another tool owns it."""
    if not configuration.host.managed:
        return {}
    parts: Mapping[str, Mapping[str, Settings]] = {name: getattr(configuration, name) for name in _PARTS}
    return {NETWORK: {name: [differing(one, _ALWAYS) for one in part.values()] for name, part in parts.items()}}


def declares_interfaces(data: Mapping[str, Any]) -> bool:
    """Whether a document says which interfaces there are."""
    network = data.get(NETWORK)
    return isinstance(network, dict) and "interfaces" in network


def declared_network(data: Mapping[str, Any], found: Mapping[str, Interface]) -> DeclaredNetwork | None:
    """The network of a document, None when it does not speak of it. `found`: ports that only the kernel knows."""
    if NETWORK not in data:
        return None
    network = mapping(data, NETWORK)
    parts: dict[str, list[dict[str, Any]]] = {}
    with located(NETWORK):
        only(network, _PARTS, "the network")
        for name, model in _PARTS.items():
            if name not in network:
                continue
            parts[name] = []
            for number, item in enumerate(objects(network, name)):
                with located(f"{name}[{number}]"):
                    parts[name].append(settings_given(model, item))
    return DeclaredNetwork(**parts, found=found)
