"""What the appliance says of itself through `get`.

Names and values that are no settings (`reference/loadmaster-api/08`, 8.1).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from steelyard.api.loadmaster.answers import Value, YesNo
from steelyard.api.loadmaster.call import TRUE_WORDS, Call
from steelyard.model.errors import OperatorError

#: The first three fields are compared as text with such as 7.2.37.0, so the third has two digits (quirk 30).
_FIRMWARE = "7.2.61.0"
NO_ADMIN_CERTIFICATE = "No Admin Certificate assigned"


def version(call: Call) -> str:
    """The firmware whose API is answered, and Steelyard's own version as its build number."""
    major, minor, patch = ([int(part) for part in re.findall(r"[0-9]+", call.appliance.health().version)] + [0] * 3)[:3]
    return f"{_FIRMWARE}.{major * 10_000 + minor * 100 + patch}.STEELYARD"


def _boot_time(call: Call) -> int:
    return int(call.appliance.health().boot_time)


#: Outside a pair the active time is the boot time.
IDENTITY: Mapping[str, Callable[[Call], Value]] = {
    "version": version,
    "serialnumber": lambda call: call.host.serial_number(),
    "boottime": _boot_time,
    "activetime": _boot_time,
    "time": lambda call: int(time.time()),
    "enableapi": lambda call: YesNo(True),
    "apiport": lambda call: "",
    "admincert": lambda call: NO_ADMIN_CERTIFICATE,
    "hastatus": lambda call: "HA not configured",
    "hamode": lambda call: 0,
}


def set_identity(call: Call, name: str, raw: Any) -> None:
    """Refuses, but for switching on the interface, which is on. Raises `OperatorError`."""
    if name == "enableapi":
        _keep_api_on(call, raw)
        return
    remedies = {
        "apiport": "the port is given to `steelyard serve` by --admin-port",
        "admincert": "certificates of the administration port are not built in Steelyard yet",
        "hamode": "high availability is not built in Steelyard yet",
    }
    raise OperatorError(f"{name} cannot be set: {remedies.get(name, 'it is read-only')}", field=name)


def _keep_api_on(call: Call, raw: Any) -> None:
    """v1 takes the word yes alone, as LoadMaster does; v2 any spelling."""
    word = str(raw).strip().lower()
    if word == "yes" or (call.version == 2 and word in TRUE_WORDS):
        return
    if call.version == 1 and word in TRUE_WORDS:
        raise OperatorError("enableapi takes the value yes", field="enableapi", allowed="yes")
    raise OperatorError("enableapi stays on: Steelyard cannot switch this interface off", field="enableapi")
