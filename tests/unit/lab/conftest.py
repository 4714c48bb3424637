"""A deployment on loopback addresses of this process's own, without a balancer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.unit.lab.direct import Direct

from steelyard.lab.laboratory import Laboratory
from steelyard.lab.lync import Lync
from steelyard.lab.ports import MOVED, Ports
from steelyard.lab.roles import Director, Edge


@pytest.fixture(scope="session")
def lync() -> Lync:
    """Addresses no other process of this run uses: 127.64.0.0/10 by the process's number."""
    return Lync(Ports(MOVED), net=f"127.{64 + os.getpid() % 64}")


@pytest.fixture(scope="module")
def direct(lync: Lync) -> Iterator[Direct]:
    """The deployment's servers, all of them running, and users whose names lead to servers and not to a balancer."""
    with Laboratory() as lab:
        for given in lync.roles():
            role = given
            # without a balancer the next one is a server
            if isinstance(role, Edge):
                role = replace(role, next_hop=(lync.directors[0], lync.ports.of(5061)))
            if isinstance(role, Director):
                role = replace(role, home=(lync.front_ends[0], lync.ports.of(5061)))
            lab.start(role)
        yield Direct(lync, lab)
