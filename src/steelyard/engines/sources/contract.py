"""What `steelyard-netd` asks of the kernel for source addresses."""

from __future__ import annotations

from typing import Protocol

from steelyard.plan.sources import SourcesPlan, Surroundings


class SourcesKernel(Protocol):
    """Blocks for milliseconds; one thread at a time."""

    def apply(self, plan: SourcesPlan, here: Surroundings) -> None:
        """Have exactly this. Raises `EngineRefused` or `HostLacks`, and everything is as before."""
        ...

    def check(self, plan: SourcesPlan, here: Surroundings) -> None:
        """Raise what `apply` would raise, as far as it can be known."""
        ...

    def clear(self) -> None:
        """Remove all of it."""
        ...
