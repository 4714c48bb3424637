"""Whoever follows what happens to the engines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from steelyard.health.status import Event, TargetStatus


class Follower(Protocol):
    """Is told as things happen; must not wait."""

    def position(self) -> tuple[str, int]:
        """The run of the checking process and the number of its event that was heard last."""
        ...

    def heard(self, event: Event) -> None:
        """The checking process says so."""
        ...

    def compared(self, statuses: Mapping[str, TargetStatus]) -> None:
        """That is the status of every target."""
        ...

    def problem(self, concern: str, words: str | None) -> None:
        """Something is wrong, or with None well again."""
        ...

    def haproxy_restarted(self) -> None:
        """HAProxy had ended by itself and runs again."""
        ...

    def checks_restarted(self) -> None:
        """The checking process had ended by itself and runs again."""
        ...


class Nobody:
    """Follows nothing."""

    def position(self) -> tuple[str, int]:
        return "-", 0

    def heard(self, event: Event) -> None:
        pass

    def compared(self, statuses: Mapping[str, TargetStatus]) -> None:
        pass

    def problem(self, concern: str, words: str | None) -> None:
        pass

    def haproxy_restarted(self) -> None:
        pass

    def checks_restarted(self) -> None:
        pass
