"""What is wrong now, by what it concerns. Whoever follows is told when something begins to be wrong and when it ends."""

from __future__ import annotations

from collections.abc import Callable

#: called with what it concerns, and words; None when it is over
OnProblem = Callable[[str, str | None], None]


class Problems(dict[str, str]):
    """A dictionary that tells of its changes."""

    def __init__(self, on_problem: OnProblem = lambda _, __: None) -> None:
        super().__init__()
        self.on_problem = on_problem

    def __setitem__(self, concern: str, words: str) -> None:
        before = self.get(concern)
        super().__setitem__(concern, words)
        if before != words:
            self.on_problem(concern, words)

    def over(self, concern: str) -> None:
        """It is well again, if it was not."""
        if concern in self:
            del self[concern]
            self.on_problem(concern, None)
