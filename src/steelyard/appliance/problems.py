"""What is wrong now, by what it concerns. Who follows is told when something begins to be wrong, and when it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Problems(dict[str, str]):
    """A dictionary that tells of its changes: what it concerns, and words or None when it is over."""

    def __init__(self, told: Callable[[str, str | None], None]) -> None:
        super().__init__()
        self._told = told

    def __setitem__(self, concern: str, words: str) -> None:
        before = self.get(concern)
        super().__setitem__(concern, words)
        if before != words:
            self._told(concern, words)

    def pop(self, concern: str, default: Any = None) -> Any:
        """It is well again, if it was not."""
        if concern not in self:
            return default
        words = super().pop(concern)
        self._told(concern, None)
        return words
