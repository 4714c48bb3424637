"""From what the checks of one target say to the target's state. Pure.

- Each check has a vote of its own. It changes with the first answer, or after `rise` good or `fall` bad cycles in a row
  where a service asks for more. A target nobody has checked yet believes the first cycle, so that a new service does
  not wait for `rise` of them.
- All votes must be up, or one of them, as the service says. A vote that is not there yet keeps the target waiting
  only while it could still change the outcome.
"""

from __future__ import annotations

from collections.abc import Sequence

from steelyard.health.verdict import State


def vote(before: State, says: State, streak: int, *, rise: int, fall: int) -> State:
    """The vote of a check after `streak` cycles in a row that said the same."""
    if says == before or before not in ("up", "down"):
        return says
    needed = rise if says == "up" else fall
    return says if streak >= needed else before


def combined(votes: Sequence[State], *, any_check: bool) -> State:
    """The state of a target with these votes, at least one."""
    decisive: State = "up" if any_check else "down"
    if decisive in votes:
        return decisive
    if "unknown" in votes:
        return "unknown"
    return "down" if any_check else "up"


def deciding(votes: Sequence[State], *, any_check: bool) -> tuple[int, ...]:
    """Which votes make the state what it is: the first decisive one, or all."""
    state = combined(votes, any_check=any_check)
    if state == ("up" if any_check else "down"):
        return (votes.index(state),)
    return tuple(number for number, one in enumerate(votes) if one == state)


def pending(before: State, says: State, streak: int, *, rise: int, fall: int) -> str:
    """What is still needed for a change, in words; nothing when none is on its way."""
    if says == before or before not in ("up", "down") or says not in ("up", "down"):
        return ""
    needed = rise if says == "up" else fall
    what = "good cycles until it is up" if says == "up" else "bad cycles until it is down"
    return f"{streak} of {needed} {what}"
