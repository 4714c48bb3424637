"""Backups: the configuration as a file, and back (`reference/loadmaster-api/09`, 9.3).

A LoadMaster's backup is a gzip tar without keys and so is this one. Beyond LoadMaster, `password` makes a complete one,
and `restore` takes it together with `users`, `network` and `incomplete`.
"""

from __future__ import annotations

import base64

from steelyard.api.loadmaster.answers import Answer, Data, Download, Message
from steelyard.api.loadmaster.bodies import MAX_BACKUP_BYTES
from steelyard.api.loadmaster.call import Call, Entry
from steelyard.model.backup import parts_of_bits
from steelyard.model.errors import OperatorError


async def backup(call: Call) -> Answer:
    """The configuration: the file itself in v1, base64 in v2."""
    file = await call.appliance.back_up(call.actor, call.parameters.text("password") or None)
    if call.version == 1:
        return Download(file)
    return Data({"data": base64.b64encode(file).decode()})


async def restore(call: Call) -> Answer:
    """Bring parts of the configuration back, which `type` names by the sum of their bits."""
    parameters = call.parameters
    given = parameters.required("type")
    if not (given.isascii() and given.isdigit() and len(given) < 4):
        raise OperatorError(
            f"type {given[:40]!r} is no number", field="type", value=given[:40], allowed="1 to 15", remedy="Give 15"
        )
    command = await call.appliance.restoring(
        call.upload,
        parameters.text("password") or None,
        parts_of_bits(int(given)),
        users=parameters.flag("users", True),
        network="restore" if parameters.flag("network") else "keep",
        incomplete=parameters.flag("incomplete"),
    )
    left_out = command.left_out(call.configuration)
    await call.execute(command)
    return Message("\n".join(("Restored, except:", *left_out))) if left_out else Message()


COMMANDS = (
    Entry("backup", backup, "backup"),
    Entry("restore", restore, "root", upload=True, most_bytes=MAX_BACKUP_BYTES),
)
