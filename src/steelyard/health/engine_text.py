"""HAProxy's answers on its runtime sockets, read into values. Pure.

Columns and wording are those of 2.6 and 2.8. `srv_op_state`: 0 is stopped, anything else takes traffic.
`srv_admin_state`: 0x01 is forced maintenance, 0x08 forced drain. A worker that drains after a reload refuses every
`set server` and `shutdown sessions server` ("Proxy is disabled"), but still lists its sessions and shuts them down
one by one.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from steelyard.health.steps import Have, Server
from steelyard.model.errors import EngineRefused
from steelyard.plan.operations import AdminState

_MAINTENANCE, _DRAIN = 0x01, 0x08
_SESSION = re.compile(r"(0x[0-9a-f]+): .* be=(\S+) srv=(\S+) ")
_MISSING = ("No such server.", "No such backend.")


def servers_state(text: str) -> dict[Server, Have]:
    """The answer to `show servers state`. Raises `EngineRefused` when it is something else."""
    columns: dict[str, int] = {}
    found: dict[Server, Have] = {}
    for line in text.splitlines():
        if line.startswith("# be_id"):
            columns = {name: index for index, name in enumerate(line[2:].split())}
        elif columns and line.strip():
            words = line.split()
            try:
                name = (words[columns["be_name"]], words[columns["srv_name"]])
                flags = int(words[columns["srv_admin_state"]])
                up = words[columns["srv_op_state"]] != "0"
                weight = int(words[columns["srv_uweight"]])
            except (KeyError, IndexError, ValueError) as failure:
                raise EngineRefused("HAProxy's list of servers cannot be read", words=line[:200]) from failure
            admin: AdminState = "maint" if flags & _MAINTENANCE else "drain" if flags & _DRAIN else "ready"
            found[name] = Have(up, admin, weight)
    if not columns:
        raise EngineRefused("HAProxy's list of servers cannot be read", words=text[:200])
    return found


def old_workers(text: str) -> list[int]:
    """Process ids of the workers that still drain, from the master's `show proc`."""
    _, _, rest = text.partition("# old workers")
    rest, _, _ = rest.partition("\n#")
    lines = [line.split() for line in rest.splitlines()]
    return [int(words[0]) for words in lines if len(words) > 1 and words[0].isdigit() and words[1] == "worker"]


def sessions_of(text: str, servers: Collection[Server]) -> list[str]:
    """Session pointers on these servers, from `show sess`."""
    found = (_SESSION.match(line) for line in text.splitlines())
    return [match[1] for match in found if match is not None and (match[2], match[3]) in servers]


def answers(text: str) -> list[str]:
    """One text a command: each answer ends with an empty line."""
    found: list[str] = []
    lines: list[str] = []
    for line in text.split("\n"):
        if line:
            lines.append(line)
        else:
            found.append(" ".join(lines))
            lines = []
    # The text ends with a line feed, so the last piece is no answer of its own.
    return found[:-1] if not lines else found


def is_missing(answer: str) -> bool:
    """True when HAProxy does not know the server yet, because it has not been reloaded."""
    return answer.startswith(_MISSING)
