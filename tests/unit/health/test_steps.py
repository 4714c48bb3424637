"""The order of operations never leaves a moment without a server, and ends where it should."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from steelyard.health.effects import Wanted
from steelyard.health.steps import Have, Server, operations
from steelyard.plan.operations import DropSessions, Operation, SetHealth, SetState, SetWeight

A, B = ("vs1", "rs1"), ("vs1", "rs2")


def _only(changes: list[tuple[Server, Have | None, Wanted]], drops: list[Server] | None = None) -> list[Operation]:
    return [operation for _, operation in operations(changes, drops or [])]


def test_nothing_is_sent_when_nothing_differs() -> None:
    assert _only([(A, Have(True, "ready", 5), Wanted(True, "ready", None))]) == []
    assert _only([(A, Have(False, "maint", 5), Wanted(True, "maint", None))]) == []


def test_a_failure_is_one_command_and_drops_come_after_it() -> None:
    found = _only([(A, Have(True, "ready", 5), Wanted(False, "ready", None))], [A])
    assert found == [SetHealth(*A, False), DropSessions(*A)]


def test_a_server_that_is_down_leaves_maintenance_without_a_moment_up() -> None:
    found = _only([(A, Have(False, "maint", 5), Wanted(False, "ready", None))])
    assert found == [SetState(*A, "drain"), SetHealth(*A, False), SetState(*A, "ready")]


def test_fixed_weighting_raises_before_it_lowers() -> None:
    found = _only(
        [
            (A, Have(True, "ready", 1), Wanted(False, "ready", 0)),
            (B, Have(True, "ready", 0), Wanted(True, "ready", 1)),
        ]
    )
    assert found == [SetWeight(*B, 1), SetHealth(*A, False), SetWeight(*A, 0)]


def _engine(have: Have | None, operations: list[Operation]) -> list[Have]:
    """What HAProxy does: leaving maintenance forgets the verdict (2.6 and 2.8, server without a check)."""
    now = have or Have(True, "ready", 100)
    states = [now]
    for operation in operations:
        match operation:
            case SetHealth(_, _, up):
                now = replace(now, up=up) if now.admin != "maint" else now
            case SetState(_, _, state):
                leaves = now.admin == "maint" and state != "maint"
                now = replace(now, admin=state, up=True if leaves else now.up)
            case SetWeight(_, _, weight):
                now = replace(now, weight=weight)
            case _:
                pass
        states.append(now)
    return states


_ADMIN = st.sampled_from(["ready", "drain", "maint"])
_HAVE = st.none() | st.builds(Have, st.booleans(), _ADMIN, st.integers(0, 2))
_WANT = st.builds(Wanted, st.booleans(), _ADMIN, st.none() | st.integers(0, 1))


@given(_HAVE, _WANT)
def test_the_engine_ends_as_wanted(have: Have | None, want: Wanted) -> None:
    states = _engine(have, _only([(A, have, want)]))
    end = states[-1]
    assert end.admin == want.admin
    assert want.weight is None or end.weight == want.weight
    assert end.up == want.up or want.admin == "maint"
    if not want.up and have is not None and not (have.up and have.admin == "ready"):
        assert not any(state.up and state.admin == "ready" for state in states)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 1)), min_size=1, max_size=5),
    st.lists(st.tuples(st.booleans(), st.integers(0, 1)), min_size=1, max_size=5),
)
def test_there_is_never_a_moment_with_no_server(old: list[tuple[bool, int]], new: list[tuple[bool, int]]) -> None:
    count = min(len(old), len(new))
    names = [("vs1", f"rs{n}") for n in range(count)]
    have = {name: Have(up, "ready", weight) for name, (up, weight) in zip(names, old, strict=False)}
    want = {name: Wanted(up, "ready", weight) for name, (up, weight) in zip(names, new, strict=False)}

    def carries(states: dict[Server, Have]) -> bool:
        return any(one.up and one.weight for one in states.values())

    if not carries(have) or not any(one.up and one.weight for one in want.values()):
        return
    states = dict(have)
    for name, operation in operations([(name, have[name], want[name]) for name in names]):
        states[name] = _engine(states[name], [operation])[-1]
        assert carries(states)
