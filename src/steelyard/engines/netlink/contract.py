"""The kernel's network as `steelyard-netd` changes it. `kernel` has the real one, `fake` one in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from steelyard.engines.netlink.present import Present
from steelyard.engines.netlink.steps import AddAddress, Step


class NetworkKernel(Protocol):
    """Reads and changes links, addresses, routes, rules and /proc/sys/net. All calls block for a moment."""

    def read(self) -> Present:
        """What is there now."""
        ...

    def run(self, steps: Sequence[Step]) -> None:
        """Do these in order. What is done already, or has gone already, is passed over.

        Raises `EngineRefused` with the kernel's words at the first that is refused; those before it are done.
        """
        ...

    def announce(self, addresses: Sequence[AddAddress]) -> None:
        """Tell neighbours of these addresses once. What cannot be told is logged."""
        ...

    def sysctl(self, name: str) -> str:
        """A value below /proc/sys/net. Raises `HostLacks`."""
        ...

    def set_sysctl(self, name: str, value: str) -> None:
        """Change it. Raises `HostLacks`."""
        ...
