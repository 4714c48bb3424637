"""Commands on LDAP endpoints (`reference/loadmaster-api/06`, 6.4). Passwords go in and come out as asterisks."""

from __future__ import annotations

import secrets
from typing import Any

from steelyard.api.loadmaster.answers import Answer, Data, Message, Record, Value
from steelyard.api.loadmaster.call import Call, Entry, Parameters
from steelyard.api.loadmaster.values import MASK, decoded
from steelyard.model.commands import AddLdapEndpoint, ChangeLdapEndpoint, RemoveLdapEndpoint
from steelyard.model.commands.ldap_endpoints import Password
from steelyard.model.ldap_endpoint import LdapEndpoint

_PASSWORD = "adminpass"
#: names of answers that clients write back
_OTHER_NAMES = {"refcnt": "referralcount"}


def _record(endpoint: LdapEndpoint) -> Record:
    found: dict[str, Value] = {}
    for name, declared in LdapEndpoint.declared().items():
        spelled, value = declared.setting.spelled, getattr(endpoint, name)
        if spelled is not None and value != "":
            # the list ends with its separator, as captured
            found[spelled] = "".join(f"{server} " for server in value) if isinstance(value, tuple) else value
    if endpoint.password_key:
        found[_PASSWORD] = MASK
    return found


def _given(parameters: Parameters) -> dict[str, Any]:
    """Field name -> value of what the request says; others are ignored."""
    by_wire = LdapEndpoint.by_wire()
    found: dict[str, Any] = {}
    for name in parameters:
        declared = by_wire.get(_OTHER_NAMES.get(name, name))
        if declared is not None and declared.name != "name":
            found[declared.name] = decoded(declared, parameters.raw(name))
    return found


def _password(parameters: Parameters) -> Password | None:
    """The password of the request; None when it has none, or the asterisks of an answer."""
    text = parameters.text(_PASSWORD)
    if text is None or (text and set(text) == {"*"}):
        return None
    return Password(secrets.token_hex(16), text)


async def addldapendpoint(call: Call) -> Answer:
    """Make an endpoint."""
    name = call.parameters.required("name")
    await call.execute(AddLdapEndpoint({**_given(call.parameters), "name": name}, _password(call.parameters)))
    return Message()


async def modifyldapendpoint(call: Call) -> Answer:
    """Change an endpoint; what is not named keeps its value."""
    name = call.parameters.required("name")
    await call.execute(ChangeLdapEndpoint(name, _given(call.parameters), _password(call.parameters)))
    return Message()


async def deleteldapendpoint(call: Call) -> Answer:
    """Remove an endpoint no service uses."""
    await call.execute(RemoveLdapEndpoint(call.parameters.required("name")))
    return Message()


async def showldapendpoint(call: Call) -> Answer:
    """One endpoint: its members are those of the answer in v1, and one level deeper in v2 (13, quirk 52)."""
    record = _record(call.configuration.ldap_endpoint(call.parameters.required("name")))
    return Data({"Data": record} if call.version == 2 else record)


async def showldaplist(call: Call) -> Answer:
    """Every endpoint."""
    return Data({"EndPoint": tuple(_record(one) for one in call.configuration.ldap_endpoints.values())})


COMMANDS = (
    Entry("addldapendpoint", addldapendpoint, "root"),
    Entry("modifyldapendpoint", modifyldapendpoint, "root"),
    Entry("deleteldapendpoint", deleteldapendpoint, "root"),
    Entry("showldapendpoint", showldapendpoint),
    Entry("showldaplist", showldaplist),
)
