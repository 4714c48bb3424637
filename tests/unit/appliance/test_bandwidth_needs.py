"""Limits of bandwidth are refused by name where HAProxy has no filters for them, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from steelyard.appliance.host_needs import refuse_what_host_lacks
from steelyard.engines.host import FakeHost
from steelyard.model.commands import AddService, Batch, Command, SetClientLimit, SetParameters
from steelyard.model.configuration import Configuration
from steelyard.model.errors import HostLacks

OLD = FakeHost().capabilities()
NEW = replace(OLD, bandwidth_limits=True)
SERVICE = {"address": "127.0.0.1", "port": 80, "service_type": "http"}


def test_two_six_has_none() -> None:
    assert OLD.haproxy_release[:2] == (2, 6)
    assert not OLD.bandwidth_limits


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (AddService({**SERVICE, "bandwidth": 64}), "Bandwidth"),
        (SetParameters("limits", {"bandwidth": 64}), "MaxBandwidthLimit"),
        (SetParameters("limits", {"client_bandwidth": 64}), "ClientMaxBandwidthLimit"),
    ],
)
def test_it_is_named(command: Command, name: str) -> None:
    wanted = command.apply(Configuration()).configuration
    refuse_what_host_lacks(Configuration(), wanted, NEW)
    with pytest.raises(HostLacks, match=rf"^{name} needs HAProxy 2\.7") as refusal:
        refuse_what_host_lacks(Configuration(), wanted, OLD)
    assert "2.8" in refusal.value.remedy
    # what is there already, as after a change of the host, does not stand in the way of other changes
    refuse_what_host_lacks(wanted, wanted, OLD)
    refuse_what_host_lacks(wanted, Configuration(), OLD)


def test_limits_of_other_kinds_need_nothing() -> None:
    commands = (
        SetParameters("limits", {"max_connections": 9, "client_requests_per_second": 5}),
        SetClientLimit("connections", "10.0.0.0/8", 5),
        AddService({**SERVICE, "requests_per_second": 5}),
    )
    refuse_what_host_lacks(Configuration(), Batch(commands).apply(Configuration()).configuration, OLD)
