"""Commands on real servers (`reference/loadmaster-api/03`, 3.3)."""

from __future__ import annotations

from typing import Any

from steelyard.api.loadmaster.answers import Answer, Data, Message, MessageWithData, Record
from steelyard.api.loadmaster.call import Call, Entry, Parameters
from steelyard.api.loadmaster.failures import not_built
from steelyard.api.loadmaster.references import address_or_none, resolved, server_of, service_of
from steelyard.api.loadmaster.server_record import server_record
from steelyard.api.loadmaster.values import decoded
from steelyard.appliance.contract import Outcome
from steelyard.model.commands import AddServer, ChangeServer, EnableAddress, RemoveServer
from steelyard.model.configuration import Configuration
from steelyard.model.errors import InternalError, NotFound
from steelyard.model.real_server import RealServer
from steelyard.model.virtual_service import VirtualService
from steelyard.observe.status import service_state

#: the reference, and `forward`, which addrs ignores as observed
_NO_SETTINGS = frozenset({"rs", "rsport"})


def _settings(parameters: Parameters) -> dict[str, Any]:
    by_wire = RealServer.by_wire()
    return {
        by_wire[name].name: decoded(by_wire[name], parameters.raw(name))
        for name in parameters
        if name in by_wire and name not in _NO_SETTINGS
    }


def _record(call: Call, service: VirtualService, server: RealServer) -> Record:
    state = call.appliance.states().get(service.index)
    return server_record(service, server, state if state is not None else service_state(service, {}))


def _changed(call: Call, service: int, outcome: Outcome) -> Record:
    """The record of the server a command made or changed, from the very configuration it made."""
    after = outcome.configuration.service(service)
    server = after.server(outcome.key) if isinstance(outcome.key, int) else None
    if server is None:
        raise InternalError("a command on a real server gave no index")
    return _record(call, after, server)


async def showrs(call: Call) -> Answer:
    """One real server, as a list of one."""
    service = service_of(call.configuration, call.parameters)
    return Data({"Rs": (_record(call, service, await server_of(service, call.parameters)),)})


async def addrs(call: Call) -> Answer:
    """Add a real server, by address or by name. Answers exactly the new one: clients take the first or the last."""
    parameters = call.parameters
    service = service_of(call.configuration, parameters)
    if parameters.flag("addtoallsubvs"):
        raise not_built("Parameter addtoallsubvs (sub-services)")
    named = parameters.required("rs", "Address")
    settings = _settings(parameters.without("forward"))
    address = address_or_none(named)
    if address is None:
        address = await resolved(named, service.address)
        settings["dns_name"] = named
    settings["address"] = address
    port = (parameters.text("rsport") or "").strip()
    settings["port"] = decoded(RealServer.by_wire()["rsport"], port) if port else service.port
    outcome = await call.execute(AddServer(service.index, settings))
    return Data({"Rs": (_changed(call, service.index, outcome),)})


async def modrs(call: Call) -> Answer:
    """Change a real server. Record members such as `Addr`, `Port` and `Nrules` come along and are ignored."""
    parameters = call.parameters
    service = service_of(call.configuration, parameters)
    server = await server_of(service, parameters)
    changes = _settings(parameters)
    port = (parameters.text("newport") or "").strip()
    if port:
        changes["port"] = decoded(RealServer.by_wire()["rsport"], port)
    outcome = await call.execute(ChangeServer(service.index, server.index, changes))
    return MessageWithData({"Rs": (_changed(call, service.index, outcome),)})


async def delrs(call: Call) -> Answer:
    """Remove a real server from a service."""
    service = service_of(call.configuration, call.parameters)
    server = await server_of(service, call.parameters)
    await call.execute(RemoveServer(service.index, server.index))
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
    Entry("addrs", addrs, "real"),
    Entry("modrs", modrs, "real"),
    Entry("delrs", delrs, "real"),
    Entry("enablers", enablers, "real"),
    Entry("disablers", disablers, "real"),
)
