"""Real servers: one of a service, its last checks, and the machines of all services together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

from starlette.responses import Response

from steelyard.api.loadmaster.references import address_or_none, resolved
from steelyard.model.commands import (
    AddServer,
    AddServerToAll,
    ChangeServer,
    ChangeSlot,
    Command,
    EnableAddress,
    RemoveServer,
)
from steelyard.model.commands.sub_services import slot_of
from steelyard.model.configuration import Configuration
from steelyard.model.content_rule import RULE_TYPES
from steelyard.model.errors import NotFound, OperatorError, SteelyardError
from steelyard.model.real_server import RealServer
from steelyard.model.slot import Slot
from steelyard.model.virtual_service import VirtualService
from steelyard.observe.statistics import TrafficCounters
from steelyard.observe.status import ServerState
from steelyard.web.confirming import Question, confirmed
from steelyard.web.editing import STEP, Changes, Editor, Outlook, Part, edited
from steelyard.web.forms.field import Offer
from steelyard.web.frame import Visit, page
from steelyard.web.pages.service import BOTH, possible_rules, scrolled
from steelyard.web.wording import duration

_PARTS = (
    Part("server", "Real Server", ("address", "port", "forward", "weight", "limit", "rate_limit", "non_local")),
    Part("state", "State", ("enabled", "critical", "standby_below")),
    Part("check", "Health check", ("follow", "check_port"), open=False),
)
_SLOT_PARTS = (
    Part("slot", "Slot", ("weight", "limit", "rate_limit")),
    Part("state", "State", ("enabled", "critical", "standby_below")),
    Part("check", "Health check", ("follow",), open=False),
)
_BY_NAME = "By its address, or by a name that the name servers of this host know: the address it has now is kept."
_SHOWN_CHECKS = 20
_SHOWN_MACHINES, _SHOWN_PLACES = 200, 8


def _server(visit: Visit) -> tuple[VirtualService, RealServer]:
    service = visit.snapshot.configuration.service(visit.request.path_params["index"])
    server = service.server(visit.request.path_params["server"])
    if server is None:
        raise NotFound("RS", visit.request.path_params["server"])
    return service, server


def shown(address: str, port: int) -> str:
    """An address with its port."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _leaders(configuration: Configuration, own: int, verb: str) -> Offer:
    """Whose verdict a member may take."""
    found = [("0", verb)]
    for service in configuration.services.values():
        for member in service.members:
            if member.index != own:
                name = shown(member.address, member.port) if isinstance(member, RealServer) else f"slot {member.index}"
                found.append((str(member.index), f"{name} of {service.title}"))
    return Offer(tuple(found[:500]))


def _outlook(service: VirtualService, follow: Any) -> Outlook:
    idle: dict[str, str] = {}
    if service.check_type == "none":
        idle = dict.fromkeys(("follow", "check_port"), "the service's real servers are not checked")
    elif follow:
        idle = {"check_port": "the server is up when the other one is"}
    return Outlook(idle=idle)


def _back(visit: Visit, service: VirtualService) -> str:
    return visit.url("service", index=service.index)


async def add(visit: Visit) -> Response:
    """Add a real server; the form stays for the next one."""
    configuration = visit.snapshot.configuration
    service = configuration.service(visit.request.path_params["index"])
    declared = RealServer.declared()
    values: dict[str, Any] = {name: one.default for name, one in declared.items()}
    values |= {"address": visit.query("address"), "port": service.port or _usual_port(configuration, service)}
    to_all = visit.field("to_all") == "1"
    named = visit.field("address").strip()
    address = await _address_of(named, service) if visit.field(STEP) else ""

    def command(changes: Changes) -> Command:
        if address:
            changes = {**changes, "address": address, "dns_name": named}
        return AddServerToAll(service.index, changes) if to_all else AddServer(service.index, changes)

    editor = Editor(
        model=RealServer,
        values=values,
        parts=(replace(_PARTS[0], hint=_BY_NAME), *_PARTS[1:]),
        command=command,
        done=lambda key: visit.url("add-server", index=service.index),
        offers={"follow": _leaders(configuration, 0, "Self")},
        outlook=lambda changes: _outlook(service, changes.get("follow")),
        permission="real",
        fresh=True,
        noun="real server",
        apply_label="Add This Real Server",
        always=("address", "port"),
    )
    known = {server.address for one in configuration.services.values() for server in one.servers}
    context = {
        "title": "Add a Real Server",
        "sub": f"to {service.title}",
        "back": _back(visit, service),
        "above": (service.title, _back(visit, service)),
        "service": service,
        "known": sorted(known)[:200],
        "to_all": to_all,
        "siblings": len(configuration.service(service.parent).slots) if service.is_sub else 0,
    }
    return await edited(
        visit, editor, lambda drawn: scrolled(visit, drawn, visit.render("pages/server_add.html", context, drawn=drawn))
    )


async def _address_of(named: str, service: VirtualService) -> str:
    """The address of a host name; empty where it is an address already, or nobody knows it, which the model refuses."""
    if not named or address_or_none(named) is not None:
        return ""
    try:
        return await resolved(named, service.address)
    except OperatorError:
        return ""


def _usual_port(configuration: Configuration, service: VirtualService) -> int:
    return configuration.service(service.parent).port if service.is_sub else 80


async def modify(visit: Visit) -> Response:
    """Properties of one real server."""
    configuration = visit.snapshot.configuration
    service, server = _server(visit)
    editor = Editor(
        model=RealServer,
        values={name: getattr(server, name) for name in RealServer.declared()},
        parts=_PARTS,
        command=lambda changes: ChangeServer(service.index, server.index, changes),
        done=lambda key: visit.url("server", index=service.index, server=server.index),
        offers={"follow": _leaders(configuration, server.index, "Self")},
        outlook=lambda changes: _outlook(service, changes.get("follow", server.follow)),
        permission="real",
        noun="real server",
    )
    state = visit.appliance.states()[service.index].servers.get(server.index)
    counters = (await visit.appliance.statistics()).servers.get((service.index, server.index), TrafficCounters())
    context = {
        "title": shown(server.address, server.port),
        "sub": f"Real server {server.index} of {service.title}",
        "back": visit.url("server", index=service.index, server=server.index),
        "above": (service.title, _back(visit, service)),
        "service": service,
        "member": server,
        "kind": "server",
        "state": state or ServerState(server.index, "Down", "not checked yet"),
        "counters": counters,
        "possible": possible_rules(configuration, server.rules),
        "rules": configuration.rules,
        "rule_types": RULE_TYPES,
    }
    return await edited(
        visit, editor, lambda drawn: scrolled(visit, drawn, visit.render("pages/member.html", context, drawn=drawn))
    )


async def modify_slot(visit: Visit) -> Response:
    """The place of a sub-service in its parent."""
    configuration = visit.snapshot.configuration
    service = configuration.service(visit.request.path_params["index"])
    slot = slot_of(service, visit.request.path_params["slot"])
    sub = configuration.service(slot.service)
    editor = Editor(
        model=Slot,
        values={name: getattr(slot, name) for name in Slot.declared()},
        parts=_SLOT_PARTS,
        command=lambda changes: ChangeSlot(service.index, slot.index, changes),
        done=lambda key: visit.url("slot", index=service.index, slot=slot.index),
        offers={"follow": _leaders(configuration, slot.index, "its own real servers")},
        permission="real",
        noun="slot",
    )
    state = visit.appliance.states()[service.index].slots.get(slot.index)
    context = {
        "title": f"Slot of {sub.name or 'SubVS'}",
        "sub": f"How {service.title} uses its sub-service {sub.index}",
        "back": visit.url("slot", index=service.index, slot=slot.index),
        "above": (service.title, _back(visit, service)),
        "service": service,
        "member": slot,
        "kind": "slot",
        "state": state or ServerState(slot.index, "Down", "not checked yet"),
        "counters": (await visit.appliance.statistics()).servers.get((service.index, slot.index), TrafficCounters()),
        "possible": possible_rules(configuration, slot.rules),
        "rules": configuration.rules,
        "rule_types": RULE_TYPES,
    }
    return await edited(
        visit, editor, lambda drawn: scrolled(visit, drawn, visit.render("pages/member.html", context, drawn=drawn))
    )


async def set_state(visit: Visit) -> Response:
    """Enable or disable a real server or a slot, at once."""
    index: int = visit.request.path_params["index"]
    configuration = visit.snapshot.configuration
    service = configuration.service(index)
    enabled = visit.field("enabled") == "1"
    command: Command
    if "server" in visit.request.path_params:
        _, server = _server(visit)
        command, name = ChangeServer(index, server.index, {"enabled": enabled}), shown(server.address, server.port)
    else:
        slot = slot_of(service, visit.request.path_params["slot"])
        command, name = ChangeSlot(index, slot.index, {"enabled": enabled}), f"Slot {slot.index}"
    outcome = await visit.execute(command)
    said = f"{name} is enabled" if enabled else f"{name} is disabled{_draining(configuration, service)}"
    visit.session.say(f"{said}: revision {outcome.revision}.")
    return visit.go_to(visit.url("service", index=index) + "#servers")


def _draining(configuration: Configuration, service: VirtualService) -> str:
    drain = configuration.layer7.drain_time
    if service.persistence == "none" or not drain:
        return ""
    return f" and drains: clients it knows may come for {duration(drain)} more"


async def remove(visit: Visit) -> Response:
    """Ask, and remove a real server from a service."""
    service, server = _server(visit)
    name = shown(server.address, server.port)
    question = Question(
        f"Delete real server {name}?",
        "Delete",
        _back(visit, service),
        _back(visit, service),
        f"Real server {name} was deleted",
        f"It leaves {service.title}; other services keep it.",
    )
    return await confirmed(visit, RemoveServer(service.index, server.index), question)


async def checks(visit: Visit) -> Response:
    """The last checks of a real server: what was asked, what came back, why that was good or bad."""
    service, server = _server(visit)
    state = visit.appliance.states()[service.index].servers.get(server.index)
    found: list[Mapping[str, Any]] = []
    trouble = ""
    try:
        found = list(await visit.appliance.transcripts(service.index, server.index))[:_SHOWN_CHECKS]
    except SteelyardError as failure:
        trouble = failure.message
    return visit.render(
        "pages/checks.html",
        {
            "service": service,
            "server": server,
            "name": shown(server.address, server.port),
            "state": state or ServerState(server.index, "Down", "not checked yet"),
            "checks": found,
            "trouble": trouble,
            "several": bool(service.further_checks),
        },
    )


# ---------------------------------------------------------------------------------------------------------- machines


@dataclass(frozen=True)
class Machine:
    """One address with everything it serves; `shown` are the first of its places with their states."""

    address: str
    name: str
    places: tuple[tuple[VirtualService, RealServer], ...]
    shown: tuple[tuple[VirtualService, RealServer, ServerState], ...] = ()
    connections: int = 0

    @property
    def enabled(self) -> int:
        """In how many places it is enabled."""
        return sum(server.enabled for _, server in self.places)


def machines(configuration: Configuration, wanted: str) -> list[Machine]:
    """Every machine whose address or name, or a service of which, holds the text; in the order of addresses."""
    by_address: dict[str, list[tuple[VirtualService, RealServer]]] = {}
    for service in configuration.services.values():
        for server in service.servers:
            by_address.setdefault(server.address, []).append((service, server))
    found = []
    for address, places in by_address.items():
        name = next((server.dns_name for _, server in places if server.dns_name), "")
        fits = wanted in address or wanted in name.lower()
        if fits or any(wanted in service.title.lower() for service, _ in places):
            found.append(Machine(address, name, tuple(places)))
    return sorted(found, key=lambda one: (ip_address(one.address).version, int(ip_address(one.address))))


def _seen(visit: Visit, machine: Machine, counters: Mapping[tuple[int, int], TrafficCounters]) -> Machine:
    """With the states and connections of this moment."""
    states, none = visit.appliance.states(), TrafficCounters()
    shown = tuple(
        (
            service,
            server,
            states[service.index].servers.get(server.index) or ServerState(server.index, "Down", "not checked yet"),
        )
        for service, server in machine.places[:_SHOWN_PLACES]
    )
    open_now = sum(counters.get((s.index, r.index), none).active_connections for s, r in machine.places)
    return replace(machine, shown=shown, connections=open_now)


async def show_machines(visit: Visit) -> Response:
    """Enable or disable each machine in all its services."""
    wanted = visit.query("q").strip()
    found = machines(visit.snapshot.configuration, wanted.lower())
    counters = (await visit.appliance.statistics()).servers
    rows = [_seen(visit, one, counters) for one in found[:_SHOWN_MACHINES]]
    more = max(0, len(found) - _SHOWN_MACHINES)
    return visit.render("pages/real_servers.html", {"machines": rows, "total": len(found), "more": more, "q": wanted})


async def set_machine(visit: Visit) -> Response:
    """Enable or disable a machine everywhere, after a question when it is switched off."""
    address, enabled = visit.request.path_params["address"], visit.request.path_params["state"] == "enable"
    back = visit.url("real-servers")
    command = EnableAddress(address, enabled)
    if enabled and visit.request.method == "POST":
        outcome = await visit.execute(command)
        visit.session.say(f"{address} is enabled in all its services: revision {outcome.revision}.")
        return visit.go_to(back)
    question = Question(
        f"{'Enable' if enabled else 'Disable'} {address} in every virtual service?",
        "Enable" if enabled else "Disable",
        back,
        back,
        f"{address} is {'enabled' if enabled else 'disabled'} in all its services",
        "",
        danger=not enabled,
    )
    return await confirmed(visit, command, question)


_OF = "/virtual-services/{index:int}/real-servers"
_SLOT = "/virtual-services/{index:int}/slots/{slot:int}"
ROUTES = [
    page(f"{_OF}/add", add, name="add-server", belongs="services", methods=BOTH),
    page(f"{_OF}/{{server:int}}", modify, name="server", belongs="services", methods=BOTH),
    page(f"{_OF}/{{server:int}}/state", set_state, name="server-state", methods=("POST",)),
    page(f"{_OF}/{{server:int}}/remove", remove, name="remove-server", belongs="services", methods=BOTH),
    page(f"{_OF}/{{server:int}}/checks", checks, name="server-checks", belongs="services"),
    page(_SLOT, modify_slot, name="slot", belongs="services", methods=BOTH),
    page(f"{_SLOT}/state", set_state, name="slot-state", methods=("POST",)),
    page("/real-servers", show_machines, name="real-servers"),
    page("/real-servers/{address}/{state}", set_machine, name="machine-state", belongs="real-servers", methods=BOTH),
]
