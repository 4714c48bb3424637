"""`syslognone`: takes syslog hosts out of every level. It is written and never read (13, quirk 108)."""

from __future__ import annotations

import re
from typing import Any

from steelyard.model.errors import OperatorError
from steelyard.model.notification import SyslogParameters
from steelyard.model.severity import LEVELS

NO_LEVEL = "syslognone"


def without_hosts(before: SyslogParameters, raw: Any) -> dict[str, Any]:
    """The changes that take these hosts out. Raises `OperatorError` for one that is in no level."""
    items = raw if isinstance(raw, list) else re.split(r"[,\s]+", str(raw))
    gone = {str(item).strip() for item in items} - {""}
    known = {host for _, host in before.hosts()}
    for host in sorted(gone - known):
        raise OperatorError(
            f"{NO_LEVEL} names {ascii(host)[:80]}, which is no syslog host",
            field=NO_LEVEL,
            value=ascii(host)[:80],
            allowed=", ".join(sorted(known)) or "none: there are no syslog hosts",
            remedy="Name hosts of a level",
        )
    return {level: tuple(host for host in getattr(before, level) if host not in gone) for level in LEVELS}
