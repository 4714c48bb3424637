"""States of services that were worked out before, for as long as everything they follow from stays what it was.

With 10,000 real servers it takes a tenth of a second to work all of them out, and between two looks hardly any change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

from steelyard.model.virtual_service import VirtualService

_State = TypeVar("_State")
#: states of services that are gone are removed when there are so many more than services
_SLACK = 100


@runtime_checkable
class Marked(Protocol):
    """Verdicts that say when those of a service have changed."""

    def mark(self, service: str) -> object:
        """Another value whenever a verdict of the service of that engine name may have changed."""
        ...


@dataclass(frozen=True)
class _Kept(Generic[_State]):
    family: tuple[VirtualService | None, ...]
    mark: object
    state: _State


class KeptStates(Generic[_State]):
    """By the index of the service. Settings are compared by identity: they never change, they are replaced."""

    def __init__(self) -> None:
        self._kept: dict[int, _Kept[_State]] = {}

    def get(
        self, index: int, family: tuple[VirtualService | None, ...], mark: object, make: Callable[[], _State]
    ) -> _State:
        """The state of a service with that family (itself, its parent, its sub-services) and mark of its verdicts."""
        kept = self._kept.get(index)
        if (
            kept is None
            or kept.mark != mark
            or len(kept.family) != len(family)
            or any(one is not other for one, other in zip(kept.family, family, strict=True))
        ):
            kept = self._kept[index] = _Kept(family, mark, make())
        return kept.state

    def prune(self, services: Collection[int]) -> None:
        """Forget services that are gone, when there are many."""
        if len(self._kept) > len(services) + _SLACK:
            self._kept = {index: kept for index, kept in self._kept.items() if index in services}
