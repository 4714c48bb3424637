"""Identity of the appliance: licence record and notices (`reference/loadmaster-api/01`, 1.8)."""

from __future__ import annotations

from steelyard.api.loadmaster.answers import Answer, Data, Message
from steelyard.api.loadmaster.call import Call, Entry

_NOTICE = (
    "Steelyard is licensed under the Apache License, Version 2.0. Traffic is carried by HAProxy (GPL-2.0-or-later)"
    " and by the Linux kernel (GPL-2.0). The licences of the Python packages are in their own distributions."
)
_NEVER = "unlimited"


async def licenseinfo(call: Call) -> Answer:
    """Steelyard has no licensing.

    Scripts read this record alone (09, 9.1). The keys are those the Python SDK looks up.
    """
    serial = call.host.serial_number()
    return Data(
        {
            "uuid": f"00000000-0000-0000-0000-{int(serial):012d}",
            "ActivationDate": _NEVER,
            "LicensedUntil": _NEVER,
            "SupportUntil": _NEVER,
            "SupportLevel": "Community",
            "LicenseType": "Steelyard, Apache License 2.0",
            "LicenseStatus": "Valid",
            "ApplianceModel": "Steelyard",
            "FreeLicense": "no",
        }
    )


async def notice(call: Call) -> Answer:
    """Third-party notices."""
    return Message(_NOTICE)


COMMANDS = (Entry("licenseinfo", licenseinfo, first="signed"), Entry("notice", notice, first="signed"))
