"""Commands on real servers (`reference/loadmaster-api/03`, 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steelyard.api.loadmaster.answers import ABSENT, Answer, Data, Message, MessageWithData, Record
from steelyard.api.loadmaster.call import Call, Entry, Parameters
from steelyard.api.loadmaster.failures import missing
from steelyard.api.loadmaster.references import address_or_none, member_of, resolved, server_of, service_of
from steelyard.api.loadmaster.server_record import server_record
from steelyard.api.loadmaster.slot_record import slot_record
from steelyard.api.loadmaster.values import decoded
from steelyard.appliance.contract import Outcome
from steelyard.model.commands import (
    AddServer,
    AddServerToAll,
    ChangeServer,
    ChangeSlot,
    EnableAddress,
    RemoveServer,
    RemoveService,
)
from steelyard.model.configuration import Configuration
from steelyard.model.errors import InternalError, NotFound
from steelyard.model.real_server import RealServer
from steelyard.model.setting import Settings
from steelyard.model.slot import Slot
from steelyard.model.virtual_service import VirtualService
from steelyard.observe.status import service_state

#: the reference, and `forward`, which addrs ignores as observed
_NO_SETTINGS = frozenset({"rs", "rsport"})


def _settings(parameters: Parameters, model: type[Settings] = RealServer) -> dict[str, Any]:
    by_wire = model.by_wire()
    return {
        by_wire[name].name: decoded(by_wire[name], parameters.raw(name))
        for name in parameters
        if name in by_wire and name not in _NO_SETTINGS
    }


def _record(call: Call, configuration: Configuration, service: VirtualService, member: RealServer | Slot) -> Data:
    known = call.appliance.states().get(service.index)
    state = known if known is not None else service_state(service, {})
    if isinstance(member, Slot):
        return Data({"Rs": (slot_record(member, state, configuration.services),)})
    return Data({"Rs": (server_record(service, member, state),)})


def _changed(call: Call, outcome: Outcome) -> Data:
    """The record of the member a command made or changed, from the very configuration it made."""
    for service in outcome.configuration.services.values():
        for member in service.members:
            if member.index == outcome.key:
                return _record(call, outcome.configuration, service, member)
    raise InternalError("a command on a real server gave no index")


async def showrs(call: Call) -> Answer:
    """One real server, or one slot of a parent, as a list of one."""
    configuration = call.configuration
    service = service_of(configuration, call.parameters)
    member = await member_of(configuration, service, call.parameters)
    return _record(call, configuration, service, member)


async def showrschecks(call: Call) -> Answer:
    """Steelyard's own: the last 20 checks of a real server, newest first, as records `Check`."""
    service = service_of(call.configuration, call.parameters)
    server = await server_of(service, call.parameters)
    said = await call.appliance.transcripts(service.index, server.index)
    return Data({"Check": tuple(_check_record(check) for check in said)})


def _check_record(check: Mapping[str, Any]) -> Record:
    """One attempt, times in seconds since the epoch and in milliseconds."""
    return {
        "Name": check["check"],
        "Time": f"{check['started']:.3f}",
        "Outcome": check["outcome"],
        "Reason": check["reason"],
        "Sent": check["sent"],
        "Received": check["received"],
        "Duration": f"{check['duration_ms']:.2f}",
        "ConnectTime": ABSENT if check["connect_ms"] is None else f"{check['connect_ms']:.2f}",
        "Attempt": check["attempt"],
        "Attempts": check["attempts"],
    }


async def addrs(call: Call) -> Answer:
    """Add a real server, by address or by name. Answers exactly the new one: clients take the first or the last."""
    parameters = call.parameters
    service = service_of(call.configuration, parameters)
    named = parameters.required("rs", "Address")
    settings = _settings(parameters.without("forward"))
    address = address_or_none(named)
    if address is None:
        address = await resolved(named, service.address)
        settings["dns_name"] = named
    settings["address"] = address
    port = (parameters.text("rsport") or "").strip()
    if not port and service.is_sub:
        raise missing("rsport")
    settings["port"] = decoded(RealServer.by_wire()["rsport"], port) if port else service.port
    everywhere = parameters.flag("addtoallsubvs")
    command = AddServerToAll(service.index, settings) if everywhere else AddServer(service.index, settings)
    return _changed(call, await call.execute(command))


async def modrs(call: Call) -> Answer:
    """Change a real server. Record members such as `Addr`, `Port` and `Nrules` come along and are ignored."""
    parameters = call.parameters
    service = service_of(call.configuration, parameters)
    member = await member_of(call.configuration, service, parameters)
    if isinstance(member, Slot):
        slot_changes = _settings(parameters, Slot)
        outcome = await call.execute(ChangeSlot(service.index, member.index, slot_changes))
        return MessageWithData(_changed(call, outcome).members)
    changes = _settings(parameters)
    port = (parameters.text("newport") or "").strip()
    if port:
        changes["port"] = decoded(RealServer.by_wire()["rsport"], port)
    outcome = await call.execute(ChangeServer(service.index, member.index, changes))
    return MessageWithData(_changed(call, outcome).members)


async def delrs(call: Call) -> Answer:
    """Remove a real server from a service; a slot goes with its sub-service."""
    service = service_of(call.configuration, call.parameters)
    member = await member_of(call.configuration, service, call.parameters)
    if isinstance(member, Slot):
        await call.execute(RemoveService(member.service))
    else:
        await call.execute(RemoveServer(service.index, member.index))
    return Message()


async def enablers(call: Call) -> Answer:
    """Enable an address in every service."""
    return await _switch(call, True)


async def disablers(call: Call) -> Answer:
    """Disable an address in every service."""
    return await _switch(call, False)


async def _switch(call: Call, enabled: bool) -> Answer:
    named = call.parameters.required("rs", "Address")
    address = address_or_none(named) or _address_of_name(call.configuration, named)
    await call.execute(EnableAddress(address, enabled))
    return Message()


def _address_of_name(configuration: Configuration, name: str) -> str:
    for service in configuration.services.values():
        for server in service.servers:
            if server.dns_name.lower() == name.lower():
                return server.address
    raise NotFound("RS", name)


COMMANDS = (
    Entry("showrs", showrs),
    Entry("showrschecks", showrschecks),
    Entry("addrs", addrs, "real"),
    Entry("modrs", modrs, "real"),
    Entry("delrs", delrs, "real"),
    Entry("enablers", enablers, "real"),
    Entry("disablers", disablers, "real"),
)
