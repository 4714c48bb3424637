"""Clients' addresses towards real servers need a privilege of HAProxy's; where it is missing, that is said by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from steelyard.appliance.host_needs import refuse_what_host_lacks
from steelyard.engines.host import DEBIAN_12
from steelyard.model.commands import AddService, SetParameters
from steelyard.model.configuration import Configuration
from steelyard.model.errors import HostLacks

WITHOUT = DEBIAN_12.capabilities()
WITH = replace(DEBIAN_12, kernel=replace(DEBIAN_12.kernel, granted=frozenset({"CAP_NET_RAW"}))).capabilities()
EMPTY = Configuration()


def made(**settings: Any) -> Configuration:
    data = {"address": "192.0.2.1", "port": 80, "service_type": "gen", **settings}
    return AddService(data).apply(EMPTY).configuration


def test_transparency_needs_the_privilege_where_it_has_an_effect() -> None:
    new = made(transparent=True)
    refuse_what_host_lacks(EMPTY, new, WITH)
    with pytest.raises(HostLacks, match="Transparent") as refusal:
        refuse_what_host_lacks(EMPTY, new, WITHOUT)
    assert "CAP_NET_RAW" in refusal.value.message
    refuse_what_host_lacks(EMPTY, made(), WITHOUT)
    refuse_what_host_lacks(EMPTY, made(transparent=True, ssl_acceleration=True, ssl_reencrypt=True), WITHOUT)
    refuse_what_host_lacks(EMPTY, made(transparent=True, force_l4=True, force_l7=False), WITHOUT)


def test_what_takes_effect_by_another_change_is_seen_too() -> None:
    off = SetParameters("layer7", {"transparent": False}).apply(made(transparent=True)).configuration
    refuse_what_host_lacks(EMPTY, off, WITHOUT)
    on = SetParameters("layer7", {"transparent": True}).apply(off).configuration
    with pytest.raises(HostLacks, match="Transparent"):
        refuse_what_host_lacks(off, on, WITHOUT)
    # what is there already does not stand in the way of other changes
    second = AddService({"address": "192.0.2.1", "port": 81}).apply(on).configuration
    refuse_what_host_lacks(on, second, WITHOUT)


def test_alternate_addresses_need_it_too() -> None:
    scaling = SetParameters("layer7", {"alternate_sources": True}).apply(EMPTY).configuration
    data = {"address": "192.0.2.1", "port": 80, "local_bind_addresses": ["192.0.2.7"]}
    with pytest.raises(HostLacks, match="LocalBindAddrs"):
        refuse_what_host_lacks(scaling, AddService(data).apply(scaling).configuration, WITHOUT)
