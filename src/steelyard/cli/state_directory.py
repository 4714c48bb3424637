"""Where Steelyard keeps its state when nothing else is said: /var/lib/steelyard for root, a user's own place otherwise."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "STEELYARD_STATE_DIR"


def default_state_directory(environment: Mapping[str, str] | None = None, user: int | None = None) -> Path:
    """The state directory of STEELYARD_STATE_DIR, or the usual one of that user id (None: the one this runs as)."""
    variables = os.environ if environment is None else environment
    if variables.get(VARIABLE):
        return Path(variables[VARIABLE])
    if (os.geteuid() if user is None else user) == 0:
        return Path("/var/lib/steelyard")
    home = variables.get("XDG_STATE_HOME")
    return (Path(home) if home else Path("~/.local/state").expanduser()) / "steelyard"


def api_socket(state_directory: Path) -> Path:
    """The Unix socket on which the native API answers the user Steelyard runs as."""
    return state_directory / "run" / "api.sock"
