"""From what the engine has to what it must have, as ordered operations. Pure.

The order never leaves a moment with no server: weights are raised, servers come up, servers go down, weights are
lowered, sessions are dropped. HAProxy 2.6 and 2.8 forget a verdict when a server leaves `maint` (it comes back up),
so a server that is down leaves it by way of `drain`, in which it gets no new clients.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from steelyard.health.effects import Wanted
from steelyard.plan.operations import AdminState, DropSessions, Operation, SetHealth, SetState, SetWeight

Server = tuple[str, str]

_RAISE, _IN, _OUT, _LOWER, _DROP = range(5)


@dataclass(frozen=True, slots=True)
class Have:
    """What the engine has. `up` means nothing while `admin` is `maint`: HAProxy shows such a server as stopped."""

    up: bool
    admin: AdminState
    weight: int


#: A server whose state is not known is treated as one in maintenance: every command is sent.
NOTHING = Have(up=False, admin="maint", weight=-1)


def _state_steps(backend: str, server: str, have: Have, want: Wanted) -> list[tuple[int, Operation]]:
    if want.admin == "maint":
        return [(_OUT, SetState(backend, server, "maint"))] if have.admin != "maint" or have is NOTHING else []
    if have.admin == "maint":
        if want.up:
            return [(_IN, SetState(backend, server, want.admin)), (_IN, SetHealth(backend, server, True))]
        quiet: list[tuple[int, Operation]] = [
            (_IN, SetState(backend, server, "drain")),
            (_IN, SetHealth(backend, server, False)),
        ]
        return quiet if want.admin == "drain" else [*quiet, (_IN, SetState(backend, server, "ready"))]
    steps: list[tuple[int, Operation]] = []
    if have.up != want.up:
        steps.append((_IN if want.up else _OUT, SetHealth(backend, server, want.up)))
    if have.admin != want.admin:
        steps.append((_OUT if want.admin == "drain" else _IN, SetState(backend, server, want.admin)))
    if not want.up:
        steps = [(_OUT, operation) for _, operation in steps]
    return steps


def operations(
    changes: Iterable[tuple[Server, Have | None, Wanted]], drops: Iterable[Server] = ()
) -> list[tuple[Server, Operation]]:
    """Operations that bring every server from what it is to what is wanted, and then drop sessions."""
    steps: list[tuple[int, Server, Operation]] = []
    for name, known, want in changes:
        have = known or NOTHING
        backend, server = name
        if want.weight is not None and want.weight != have.weight:
            phase = _RAISE if want.weight > 0 else _LOWER
            steps.append((phase, name, SetWeight(backend, server, want.weight)))
        steps += [(phase, name, operation) for phase, operation in _state_steps(backend, server, have, want)]
    steps += [(_DROP, name, DropSessions(*name)) for name in drops]
    steps.sort(key=lambda step: step[0])
    return [(name, operation) for _, name, operation in steps]
