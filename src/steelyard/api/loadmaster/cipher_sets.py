"""Commands on cipher sets (`reference/loadmaster-api/05`, 5.2)."""

from __future__ import annotations

from steelyard.api.loadmaster.answers import Answer, Data, Message
from steelyard.api.loadmaster.call import Call, Entry
from steelyard.model.cipher_set import members
from steelyard.model.commands import PutCipherSet, RemoveCipherSet


def _names(text: str) -> tuple[str, ...]:
    """Ciphers joined by colons; commas and blanks are taken too."""
    return tuple(name for name in text.replace(",", ":").replace(" ", ":").split(":") if name)


async def modifycipherset(call: Call) -> Answer:
    """Make a set or replace its ciphers."""
    parameters = call.parameters
    await call.execute(PutCipherSet(parameters.required("name"), _names(parameters.required("value"))))
    return Message()


async def getcipherset(call: Call) -> Answer:
    """The ciphers of a set, built-in ones too."""
    return Data({"cipherset": ":".join(members(call.configuration.cipher_sets, call.parameters.required("name")))})


async def delcipherset(call: Call) -> Answer:
    """Remove a set no service uses."""
    await call.execute(RemoveCipherSet(call.parameters.required("name")))
    return Message()


COMMANDS = (
    Entry("modifycipherset", modifycipherset, "certs"),
    Entry("getcipherset", getcipherset),
    Entry("delcipherset", delcipherset, "certs"),
)
