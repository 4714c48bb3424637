"""Where programs are on this host, and how long one that only reports may take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

#: Searched after the PATH: an ordinary user's PATH often lacks them, and Debian's haproxy and nft live there.
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")

#: How long a probed program may take, in seconds.
PROBE_SECONDS = 10.0


def programs(name: str) -> Iterator[str]:
    """Where a program is, by the PATH and then the system's folders; one that is reached by two names comes once."""
    seen = set()
    for folder in (*os.environ.get("PATH", os.defpath).split(os.pathsep), *SYSTEM_FOLDERS):
        path = Path(folder or ".") / name
        if path.is_file() and os.access(path, os.X_OK) and (real := path.resolve()) not in seen:
            seen.add(real)
            yield str(path)
