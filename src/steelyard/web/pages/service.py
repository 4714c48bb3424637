"""One virtual service or sub-service: its properties, its real servers, its rules; adding, copying and removing one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from steelyard.api.exported_template import exported_template
from steelyard.appliance.shipped_templates import every_template
from steelyard.health.weight_status import WeightStatus
from steelyard.model.commands import (
    AddRedirector,
    AddService,
    AttachRule,
    Command,
    DetachRule,
    DuplicateService,
    MoveRule,
    RemoveService,
    RulePlace,
)
from steelyard.model.commands.attachments import LISTS, MEMBER_TYPES
from steelyard.model.configuration import Configuration
from steelyard.model.content_rule import DEFAULT_RULE, RULE_TYPES
from steelyard.model.errors import OperatorError, SteelyardError
from steelyard.model.real_server import RealServer
from steelyard.model.slot import Slot
from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service.checks import CHECK_TYPES
from steelyard.model.virtual_service.effect import without_effect
from steelyard.observe.statistics import TrafficCounters
from steelyard.observe.status import ServerState, ServiceState
from steelyard.web.confirming import Question, confirmed
from steelyard.web.editing import Changes, Drawn, Editor, Outlook, Part, edited
from steelyard.web.forms.field import Offer
from steelyard.web.frame import Visit, page
from steelyard.web.service_form import offers_for, service_editor, thought, values_of

#: schedules under which weights move by themselves
_MOVING = frozenset({"adaptive", "sdn-adaptive", "dl"})
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
    #: what it counts as now, where weights move
    weight: WeightStatus | None = None

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


def properties_title(service: VirtualService, layer: int) -> str:
    """LoadMaster's title of the page."""
    if service.is_sub:
        return f"Properties for sub-service of {service.parent} (Id:{service.index})"
    where = f"{service.protocol}/{service.host}:{service.port}"
    return f"Properties for {where} (Id:{service.index}) - Operating at Layer {layer}"


async def member_rows(visit: Visit, service: VirtualService, state: ServiceState) -> list[MemberRow]:
    """The members of a service with their states, counters and weights of this moment."""
    configuration, statistics = visit.snapshot.configuration, await visit.appliance.statistics()
    weights: Mapping[int, WeightStatus] = {}
    if service.schedule in _MOVING:
        with suppress(SteelyardError):
            # the checking process may be about to start again; the configured weights are shown then
            weights = await visit.appliance.weights(service.index)
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
                weights.get(member.index),
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
        "title": properties_title(service, state.layer.number),
        "rows": await member_rows(visit, service, state),
        "counters": statistics.services.get(index, TrafficCounters()),
        "parent": configuration.services.get(service.parent),
        "slot": slot,
        "subs_of": service.slots,
        "rule_lists": rule_lists(configuration, service),
        "rule_types": RULE_TYPES,
        "check_types": CHECK_TYPES,
        "rules": configuration.rules,
        "access": configuration.access_lists.get(index),
        "here": here,
    }

    def draw(drawn: Drawn) -> Response:
        answer = visit.render("pages/service.html", {**context, "drawn": drawn})
        return scrolled(visit, drawn, answer)

    return await edited(visit, service_editor(configuration, service, here), draw)


async def members(visit: Visit) -> Response:
    """The members as they are now, which the page asks for every few seconds."""
    index: int = visit.request.path_params["index"]
    service = visit.snapshot.configuration.service(index)
    statistics = await visit.appliance.statistics()
    state = visit.appliance.states()[index]
    return visit.render(
        "pages/service_members.html",
        {
            "service": service,
            "state": state,
            "rows": await member_rows(visit, service, state),
            "counters": statistics.services.get(index, TrafficCounters()),
        },
    )


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
    Part("kind", "Type and TLS", ("service_type", "ssl_acceleration", "certificates", "ssl_reencrypt")),
)
_BY_PORT = "by-port"


def _new_values() -> dict[str, Any]:
    found: dict[str, Any] = {name: one.default for name, one in VirtualService.declared().items()}
    return {**found, "address": "", "port": 80, "service_type": _BY_PORT}


def _types() -> Offer:
    built = VirtualService.declared()["service_type"].setting
    kinds = tuple((kind, label) for kind, label in built.choices.items() if kind not in built.unbuilt)
    return Offer(((_BY_PORT, "by port: HTTP on 80, generic on others"), *kinds))


def _new_outlook(changes: Changes) -> Outlook:
    values = thought(_new_values(), changes)
    if values["service_type"] == _BY_PORT:
        values["service_type"] = "http"
    return Outlook(idle=without_effect(values))


async def add(visit: Visit) -> Response:
    """Make a virtual service; its page follows."""

    def command(changes: Changes) -> AddService:
        chosen = {name: value for name, value in changes.items() if (name, value) != ("service_type", _BY_PORT)}
        return AddService(chosen)

    editor = Editor(
        model=VirtualService,
        values=_new_values(),
        parts=_NEW,
        command=command,
        done=lambda key: visit.url("service", index=key),
        offers={**offers_for(visit.snapshot.configuration, None), "service_type": _types()},
        outlook=_new_outlook,
        fresh=True,
        noun="virtual service",
        apply_label="Add this Virtual Service",
        always=("address", "port"),
    )
    context = {
        "title": "Add New",
        "sub": "Please specify the parameters for the virtual service",
        "back": visit.url("services"),
        "above": ("Virtual Services", visit.url("services")),
        "templates": await run_in_threadpool(every_template, visit.snapshot.configuration),
    }

    def drawing(drawn: Drawn) -> Response:
        return scrolled(visit, drawn, visit.render("pages/service_add.html", context, drawn=drawn))

    return await edited(visit, editor, drawing)


_COPIED = Part("copy", "Where the copy listens", ("address", "port"))


async def duplicate(visit: Visit) -> Response:
    """Copy a service with its real servers and sub-services to another address or port."""
    index: int = visit.request.path_params["index"]
    service = visit.snapshot.configuration.service(index)
    if service.is_sub:
        question = Question(
            f"Duplicate {service.title}",
            "Duplicate",
            visit.url("service", index=index),
            visit.url("service", index=service.parent),
            "Copied",
            "The copy is another sub-service of the same parent, with everything this one has.",
            danger=False,
        )
        return await confirmed(visit, DuplicateService(index), question)
    editor = Editor(
        model=VirtualService,
        values=values_of(service),
        parts=(_COPIED,),
        command=lambda changes: DuplicateService(index, changes.get("address"), changes.get("port")),
        done=lambda key: visit.url("service", index=key),
        fresh=True,
        noun="virtual service",
        apply_label="Duplicate",
        always=("address", "port"),
    )
    context = {
        "title": f"Duplicate {service.title}",
        "sub": "Everything is copied, its real servers and sub-services too",
        "back": visit.url("service", index=index),
        "above": (service.title, visit.url("service", index=index)),
    }
    return await edited(
        visit, editor, lambda drawn: scrolled(visit, drawn, visit.render("editor.html", context, drawn=drawn))
    )


async def remove(visit: Visit) -> Response:
    """Ask, and remove a service for good."""
    index: int = visit.request.path_params["index"]
    service = visit.snapshot.configuration.service(index)
    then = visit.url("service", index=service.parent) if service.is_sub else visit.url("services")
    text = "Its settings and real servers go with it; History can bring them back."
    if service.slots:
        text = f"Its {len(service.slots)} sub-services with their real servers go with it; History can bring them back."
    question = Question(
        f"Delete {service.title}?",
        "Delete",
        visit.url("service", index=index),
        then,
        f"{service.title} was deleted",
        text,
    )
    return await confirmed(visit, RemoveService(index), question)


async def export(visit: Visit) -> Response:
    """The service as a template: a file that makes such services here and elsewhere."""
    configuration = visit.snapshot.configuration
    found = exported_template(configuration.service(visit.request.path_params["index"]), configuration)
    name = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in found.name)
    disposition = f'attachment; filename="{name or "service"}.yaml"'
    return Response(found.file(), media_type="application/yaml", headers={"Content-Disposition": disposition})


async def redirect_to(visit: Visit) -> Response:
    """Make a service on another port of the same address that sends clients here; its page follows."""
    index: int = visit.request.path_params["index"]
    port = visit.field("port", "80")
    if not (port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65536):
        raise OperatorError(f"{port[:20]!r} is no port", field="port", allowed="1 to 65535", remedy="Give the port")
    outcome = await visit.execute(AddRedirector(index, int(port)))
    visit.session.say(f"Redirector made: revision {outcome.revision} is in effect.")
    return visit.go("service", index=outcome.key)


# ------------------------------------------------------------------------------------------------------------- rules


async def change_rules(visit: Visit) -> Response:
    """Attach, detach or move one rule of a service, a real server or a slot, at once."""
    index: int = visit.request.path_params["index"]
    member = visit.field("member")
    which: Any = visit.field("list")
    place = RulePlace(index, None, int(member)) if member.isdecimal() else RulePlace(index, which)
    rule, doing = visit.field("rule"), visit.field("do")
    names = place.names(visit.snapshot.configuration)
    command: Command
    if doing == "detach":
        command = DetachRule(place, rule)
    elif doing in ("up", "down") and rule in names:
        position = names.index(rule) + (0 if doing == "up" else 2)
        command = MoveRule(place, rule, max(1, min(len(names), position)))
    else:
        command = AttachRule(place, rule)
    outcome = await visit.execute(command)
    if outcome.applied != "unchanged":
        words = {"detach": "was detached", "up": "was moved", "down": "was moved"}.get(doing, "was attached")
        visit.session.say(f"Rule {rule} {words}: revision {outcome.revision} is in effect.")
    back = visit.field("back")
    if back == "member":
        return visit.go("server", index=index, server=int(member))
    if back == "slot":
        return visit.go("slot", index=index, slot=int(member))
    return visit.go_to(visit.url("service", index=index) + "#rules")


BOTH = ("GET", "POST")
ROUTES = [
    page("/virtual-services/add", add, name="add-service", methods=BOTH),
    page("/virtual-services/{index:int}", show, name="service", belongs="services", methods=BOTH),
    page("/virtual-services/{index:int}/members", members, name="service-members", belongs="services", touch=False),
    page("/virtual-services/{index:int}/copy", duplicate, name="copy-service", belongs="services", methods=BOTH),
    page("/virtual-services/{index:int}/template.yaml", export, name="export-template", belongs="services"),
    page("/virtual-services/{index:int}/redirector", redirect_to, name="add-redirector", methods=("POST",)),
    page("/virtual-services/{index:int}/remove", remove, name="remove-service", belongs="services", methods=BOTH),
    page("/virtual-services/{index:int}/rules", change_rules, name="service-rules", methods=("POST",)),
]
