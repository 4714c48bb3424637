"""HAProxy's server-state file, version 1 (management guide of 2.6, `show servers state`).

A process that starts with it begins with these verdicts and administrative states. Servers are matched by name; the
numbers of backends are not forced, so they may differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from steelyard.plan.haproxy import Server

_HEADER = (
    "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight"
    " srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state"
    " bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr"
    " srv_agent_addr srv_agent_port\n"
)
_ADMIN = {"ready": 0, "maint": 1, "drain": 8}


@dataclass(frozen=True)
class ServerState:
    """The state one server starts with; `weight` is its effective weight, 0-256."""

    backend: str
    server: Server
    up: bool
    admin: Literal["ready", "drain", "maint"]
    weight: int


def server_state_text(states: Iterable[ServerState]) -> str:
    """The whole file."""
    lines = [_HEADER]
    for state in states:
        server = state.server
        # one that leads to an inner listener has no address; blanks alone would shift all that follows
        address = server.address or "-"
        lines.append(
            f"0 {state.backend} {server.id} {server.name} {address} {2 if state.up else 0} {_ADMIN[state.admin]}"
            f" {state.weight} {server.weight} 0 1 0 0 0 0 0 1 - {server.port or 0} - {1 if server.tls else 0} 0 - - 0\n"
        )
    return "".join(lines)
