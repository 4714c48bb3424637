"""How many connections a limit of file descriptors allows. Pure."""

from __future__ import annotations

#: listeners are counted in steps, so that adding a service rarely changes the process-wide limit
_LISTENER_STEP = 512


def counted_listeners(listeners: int) -> int:
    """Listeners rounded up to the next step."""
    return -(-max(1, listeners) // _LISTENER_STEP) * _LISTENER_STEP
