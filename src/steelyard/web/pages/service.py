"""One virtual service or sub-service: its properties, its real servers, its rules; adding, copying and removing one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from steelyard.model.commands import (
    AddService,
    ChangeService,
    DuplicateService,
    RemoveService,
)
from steelyard.model.commands.attachments import LISTS, MEMBER_TYPES
from steelyard.model.configuration import Configuration
from steelyard.model.content_rule import DEFAULT_RULE, RULE_TYPES
from steelyard.model.errors import OperatorError, SteelyardError
from steelyard.model.real_server import RealServer
from steelyard.model.slot import Slot
from steelyard.model.virtual_service import VirtualService
from steelyard.observe.statistics import Statistics, TrafficCounters
from steelyard.observe.status import ServerState, ServiceState
from steelyard.web.confirming import Question, confirmed
from steelyard.web.editing import Changes, Drawn, Editor, Outlook, Part, edited
from steelyard.web.forms.making import complaints_of
from steelyard.web.frame import Visit, page
from steelyard.web.service_form import offers_for, service_editor, values_of

_LIST_TITLES: Mapping[str, str] = {
    "pre_rules": "Content matching rules",
    "request_rules": "HTTP header and URL rules for requests",
    "response_rules": "HTTP header rules for answers",
    "body_rules": "Response body rules",
}


@dataclass(frozen=True)
class MemberRow:
    """A real server or a sub-service slot as the table shows it."""

    member: RealServer | Slot
    state: ServerState
    counters: TrafficCounters
    sub: VirtualService | None = None

    @property
    def address(self) -> str:
        """Address and port of a real server."""
        if not isinstance(self.member, RealServer):
            return ""
        host = f"[{self.member.address}]" if ":" in self.member.address else self.member.address
        return f"{host}:{self.member.port}"


@dataclass(frozen=True)
class RuleList:
    """The rules of one list of a service, and those that could be attached."""

    name: str
    title: str
    names: tuple[str, ...]
    possible: tuple[str, ...]


def layer_of(service: VirtualService) -> int:
    """The layer it operates at."""
    return 4 if service.force_l4 or service.protocol == "udp" else 7


def properties_title(service: VirtualService) -> str:
    """LoadMaster's title of the page."""
    if service.is_sub:
        return f"Properties for sub-service of {service.parent} (Id:{service.index})"
    where = f"{service.protocol}/{service.host}:{service.port}"
    return f"Properties for {where} (Id:{service.index}) - Operating at Layer {layer_of(service)}"


def member_rows(
    configuration: Configuration, service: VirtualService, state: ServiceState, statistics: Statistics
) -> list[MemberRow]:
    """The members of a service with their states and counters."""
    none = TrafficCounters()
    rows = []
    for member in service.members:
        known = (state.slots if isinstance(member, Slot) else state.servers).get(member.index)
        rows.append(
            MemberRow(
                member,
                known or ServerState(member.index, "Down", "not checked yet"),
                statistics.servers.get((service.index, member.index), none),
                configuration.services.get(member.service) if isinstance(member, Slot) else None,
            )
        )
    return rows


def rule_lists(configuration: Configuration, service: VirtualService) -> tuple[RuleList, ...]:
    """The lists of rules a service has."""
    return tuple(
        RuleList(
            name.removesuffix("_rules"),
            title,
            getattr(service, name),
            tuple(
                rule.name
                for rule in configuration.rules.values()
                if rule.rule_type in LISTS[name] and rule.name not in getattr(service, name)
            ),
        )
        for name, title in _LIST_TITLES.items()
    )


def possible_rules(configuration: Configuration, names: tuple[str, ...]) -> tuple[str, ...]:
    """The rules that could select a member that has those already."""
    found = [rule.name for rule in configuration.rules.values() if rule.rule_type in MEMBER_TYPES]
    return tuple(name for name in (*found, DEFAULT_RULE) if name not in names)


async def show(visit: Visit) -> Response:
    """Properties of a service, and the changes of them."""
    index: int = visit.request.path_params["index"]
    configuration = visit.snapshot.configuration
    service = configuration.service(index)
    statistics = await visit.appliance.statistics()
    state = visit.appliance.states()[index]
    here = visit.url("service", index=index)
    slot = _own_slot(configuration, service)
    context = {
        "service": service,
        "state": state,
        "title": properties_title(service),
        "layer": layer_of(service),
        "rows": member_rows(configuration, service, state, statistics),
        "counters": statistics.services.get(index, TrafficCounters()),
        "parent": configuration.services.get(service.parent),
        "slot": slot,
        "subs_of": service.slots,
        "rule_lists": rule_lists(configuration, service),
        "rule_types": RULE_TYPES,
        "rules": configuration.rules,
        "access": configuration.access_lists.get(index),
        "here": here,
    }

    def draw(drawn: Drawn) -> Response:
        answer = visit.render("service.html", {**context, "drawn": drawn})
        return scrolled(visit, drawn, answer)

    return await edited(visit, service_editor(configuration, service, here), draw)


def scrolled(visit: Visit, drawn: Drawn, answer: Response) -> Response:
    """Have htmx bring what was found into view."""
    if visit.by_htmx and (drawn.review or drawn.has_error or drawn.nothing):
        answer.headers["HX-Reswap"] = "morph:outerHTML show:#outcome:top"
    return answer


def _own_slot(configuration: Configuration, service: VirtualService) -> Slot | None:
    if not service.is_sub:
        return None
    parent = configuration.service(service.parent)
    return next((slot for slot in parent.slots if slot.service == service.index), None)


# ------------------------------------------------------------------------------------------------------------ making


_NEW = (
    Part("service", "Virtual Service", ("address", "port", "protocol", "name")),
    Part("kind", "Type and TLS", ("service_type", "ssl_acceleration", "certificates", "ssl_reencrypt"), open=False),
)


async def add(visit: Visit) -> Response:
    """Make a virtual service; its page follows."""
    configuration = visit.snapshot.configuration
    declared = VirtualService.declared()
    values: dict[str, Any] = {name: one.default for name, one in declared.items()}
    values |= {"address": "", "port": 80, "service_type": "http"}

    def command(changes: Changes) -> AddService:
        # the type follows the port unless somebody has chosen one
        kind = changes.get("service_type")
        settings = {name: value for name, value in changes.items() if name != "service_type"}
        return AddService({**settings, "service_type": kind} if kind and kind != "auto" else settings)

    editor = Editor(
        model=VirtualService,
        values=values,
        parts=_NEW,
        command=command,
        done=lambda key: visit.url("service", index=key),
        offers={
            **offers_for(configuration, None),
            "service_type": _types(),
        },
        outlook=lambda changes: _new_outlook(changes),
        fresh=True,
        noun="virtual service",
        apply_label="Add this Virtual Service",
        always=("address", "port"),
    )
    return await edited(visit, editor, lambda drawn: scrolled(visit, drawn, visit.render("service_add.html", drawn=drawn)))
