"""Commands on virtual services (`reference/loadmaster-api/02`, 2.1)."""

from __future__ import annotations

from steelyard.api.loadmaster.answers import Answer, Data, Message, Record
from steelyard.api.loadmaster.call import Call, Entry
from steelyard.api.loadmaster.failures import missing
from steelyard.api.loadmaster.references import address_or_none, service_of
from steelyard.api.loadmaster.rules import precedence_moves, refuse_precedence
from steelyard.api.loadmaster.service_changes import refuse_zero, service_settings
from steelyard.api.loadmaster.service_record import service_record, temporary_certificate
from steelyard.api.loadmaster.templates import add_from_template, template_asked_for
from steelyard.api.loadmaster.values import decoded
from steelyard.appliance.contract import Outcome
from steelyard.model.commands import (
    AddService,
    Batch,
    ChangeService,
    Command,
    CreateSubService,
    DuplicateService,
    RemoveService,
)
from steelyard.model.configuration import Configuration
from steelyard.model.errors import InternalError, OperatorError
from steelyard.model.virtual_service import VirtualService


def _record(call: Call, configuration: Configuration, service: VirtualService) -> Record:
    states, temporary = call.appliance.states(), temporary_certificate(configuration)
    return service_record(service, states, temporary, configuration.services, configuration.cipher_sets)


def _changed(call: Call, outcome: Outcome) -> Data:
    """The record of the service a command made or changed, from the very configuration it made."""
    if not isinstance(outcome.key, int):
        raise InternalError("a command on a virtual service gave no index")
    return Data(_record(call, outcome.configuration, outcome.configuration.service(outcome.key)))


async def listvs(call: Call) -> Answer:
    """All services. Filters are accepted and everything is returned, as observed."""
    configuration = call.configuration
    states, temporary = call.appliance.states(), temporary_certificate(configuration)
    services, sets = configuration.services, configuration.cipher_sets
    return Data({"VS": tuple(service_record(s, states, temporary, services, sets) for s in services.values())})


async def showvs(call: Call) -> Answer:
    """One service."""
    configuration = call.configuration
    return Data(_record(call, configuration, service_of(configuration, call.parameters)))


async def addvs(call: Call) -> Answer:
    """Make a service, or with `template` those of a template.

    `vs`, `port` and `prot` are what counts; `VSAddress` and `VSPort` of a whole record are not.
    """
    configuration, parameters = call.configuration, call.parameters
    template = template_asked_for(call)
    if template:
        return await add_from_template(call, template)
    named = parameters.required("vs", "Address")
    port = parameters.required("port")
    address = address_or_none(named)
    if address is None:
        raise OperatorError(
            "vs is not an address; allowed: an IPv4 or IPv6 address", field="address", allowed="an IPv4 or IPv6 address"
        )
    if "createsubvs" in parameters:
        raise OperatorError(
            "createsubvs makes a sub-service of a service there is",
            field="createsubvs",
            remedy="Give it to modvs, after addvs",
        )
    declared = VirtualService.by_wire()
    refuse_precedence(parameters)
    settings = service_settings(configuration, parameters.without("vsaddress", "vsport"), None)
    settings["address"] = address
    refuse_zero(port)
    settings["port"] = decoded(declared["vsport"], port)
    settings["protocol"] = decoded(declared["prot"], parameters.text("prot") or parameters.text("protocol") or "tcp")
    return _changed(call, await call.execute(AddService(settings)))


async def modvs(call: Call) -> Answer:
    """Change a service; what is left out keeps its value. `createsubvs`, whatever its value, makes a SubVS, too.

    That answers the parent; the new one is the last of its list.
    """
    configuration = call.configuration
    service = service_of(configuration, call.parameters)
    changes: list[Command] = [*await precedence_moves(configuration, call.parameters, service)]
    settings = service_settings(configuration, call.parameters, service)
    creates = "createsubvs" in call.parameters
    if settings or not (changes or creates):
        changes.append(ChangeService(service.index, settings))
    if creates:
        changes.append(CreateSubService(service.index))
    outcome = await call.execute(Batch(tuple(changes)) if len(changes) > 1 else changes[0])
    return Data(_record(call, outcome.configuration, outcome.configuration.service(service.index)))


async def delvs(call: Call) -> Answer:
    """Remove a service with its real servers; a parent with its SubVSs, a SubVS with its slot."""
    await call.execute(RemoveService(service_of(call.configuration, call.parameters).index))
    return Message()


async def dupvs(call: Call) -> Answer:
    """Copy a service to another address or port, or a SubVS within its parent."""
    parameters = call.parameters
    service = service_of(call.configuration, parameters)
    address = (parameters.text("newvs") or "").strip() or None
    port = (parameters.text("newport") or "").strip() or None
    if address is None and port is None and not service.is_sub:
        raise missing("newvs", "Address")
    number = decoded(VirtualService.by_wire()["vsport"], port) if port is not None else None
    await call.execute(DuplicateService(service.index, address, number))
    return Message()


async def vstotals(call: Call) -> Answer:
    """How many services and real servers are up, down and disabled. No client was found that reads the tag names."""
    states, services = call.appliance.states(), call.configuration.services
    servers = [server.status for service in states.values() for server in service.servers.values()]
    subs = {index for index, service in services.items() if service.is_sub}
    return Data(
        {
            "VS": _totals([state.status for index, state in states.items() if index not in subs]),
            "SubVS": _totals([state.status for index, state in states.items() if index in subs]),
            "RS": _totals(servers),
        }
    )


def _totals(statuses: list[str]) -> Record:
    disabled = sum(status in ("Disabled", "Draining") for status in statuses)
    up = sum(status in _IN_ORDER for status in statuses)
    return {"Total": len(statuses), "Up": up, "Down": len(statuses) - up - disabled, "Disabled": disabled}


#: what serves its clients as it is meant to; a sorry server does not
_IN_ORDER = frozenset({"Up", "Unchecked", "Standby", "Redirect", "Fail Message"})

COMMANDS = (
    Entry("listvs", listvs),
    Entry("showvs", showvs),
    Entry("addvs", addvs, "vs"),
    Entry("modvs", modvs, "vs"),
    Entry("delvs", delvs, "vs"),
    Entry("dupvs", dupvs, "vs", aliases=("dupvip",)),
    Entry("vstotals", vstotals),
)
