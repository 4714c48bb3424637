"""Content rules: `/rules`, and where they are attached: `/virtual-services/{index}/rules` and `.../members/{}/rules`.

A member is a real server or the slot of a sub-service; both have their index from one counter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from fastapi import Query
from fastapi.responses import JSONResponse

from steelyard.api.native.access import Appliance
from steelyard.api.native.bodies import JsonObject, flag, mapping, number, only, optional_number, optional_text, text
from steelyard.api.native.objects import Json, settings_json
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schema_words import list_of
from steelyard.api.native.schemas import CHANGED, MADE, answers, body
from steelyard.api.native.writing import Render, Writing, read, settings_given
from steelyard.model.commands import AddRule, AttachRule, ChangeRule, Command, DetachRule, MoveRule, RemoveRule
from steelyard.model.commands.rules import FIELDS, RulePlace
from steelyard.model.configuration import Configuration
from steelyard.model.content_rule import ContentRule
from steelyard.model.errors import OperatorError

router = NativeRouter(tags=["content rules"])

List = Literal["pre", "request", "response", "body"]

_NAMES = {"type": "array", "items": {"type": "string"}}


def rule_json(rule: ContentRule, used_by: tuple[int, ...]) -> Json:
    """A rule, and the services that use it."""
    return {**settings_json(rule), "used_by": list(used_by)}


def usage(configuration: Configuration) -> Mapping[str, tuple[int, ...]]:
    """Rule name -> indexes of the services that use it."""
    found: dict[str, list[int]] = {}
    for service in configuration.services.values():
        for name in dict.fromkeys(service.rule_names()):
            found.setdefault(name, []).append(service.index)
    return {name: tuple(indexes) for name, indexes in found.items()}


def _rendered(configuration: Configuration, key: int | str | None) -> Any:
    if key is None:
        return None
    return rule_json(configuration.rule(str(key)), usage(configuration).get(str(key), ()))


def _order(place: RulePlace) -> Render:
    """The rules of a list after the change, in their order."""

    def render(configuration: Configuration, _: int | str | None) -> Any:
        return list(place.names(configuration))

    return render


@router.get("/rules", responses=answers(list_of("ContentRule")))
async def list_rules(appliance: Appliance) -> JSONResponse:
    """Every content rule."""
    snapshot = appliance.snapshot()
    used = usage(snapshot.configuration)
    found = [rule_json(rule, used.get(rule.name, ())) for rule in snapshot.configuration.rules.values()]
    return read(snapshot.revision, found)


@router.post("/rules", status_code=201, responses=MADE, openapi_extra=body("NewContentRule"))
async def add_rule(write: Writing, data: JsonObject) -> JSONResponse:
    """Make a content rule."""
    return await write.carry_out(AddRule(settings_given(ContentRule, data)), _rendered, made="rules")


@router.get("/rules/{name}", responses=answers("ContentRule"))
async def show_rule(appliance: Appliance, name: str) -> JSONResponse:
    """One content rule."""
    snapshot = appliance.snapshot()
    return read(snapshot.revision, _rendered(snapshot.configuration, name))


@router.patch("/rules/{name}", responses=CHANGED, openapi_extra=body("ContentRuleChanges"))
async def change_rule(write: Writing, name: str, data: JsonObject) -> JSONResponse:
    """Change a content rule wherever it is used.

    What is not named keeps its value.
    """
    return await write.carry_out(ChangeRule(name, settings_given(ContentRule, data)), _rendered)


@router.delete("/rules/{name}", responses=CHANGED)
async def remove_rule(
    write: Writing,
    name: str,
    detach: Annotated[
        bool, Query(description="Detach it wherever it is used; without, one in use is refused.")
    ] = False,
) -> JSONResponse:
    """Remove a content rule."""
    return await write.carry_out(RemoveRule(name, detach))


def _attachment(place: RulePlace, data: Mapping[str, Any]) -> AttachRule:
    only(data, ("rule", "position"), "an attachment")
    return AttachRule(place, text(data, "rule"), optional_number(data, "position"))


def _move(place: RulePlace, rule: str, data: Mapping[str, Any]) -> MoveRule:
    only(data, ("position",), "a move")
    return MoveRule(place, rule, number(data, "position"))


@router.get("/virtual-services/{index}/rules/{rules}", responses=answers(_NAMES))
async def list_attached_rules(appliance: Appliance, index: int, rules: List) -> JSONResponse:
    """The rules of one list of a service, in their order."""
    snapshot = appliance.snapshot()
    return read(snapshot.revision, list(RulePlace(index, rules).names(snapshot.configuration)))


@router.post("/virtual-services/{index}/rules/{rules}", responses=CHANGED, openapi_extra=body("Attachment"))
async def attach_rule(write: Writing, index: int, rules: List, data: JsonObject) -> JSONResponse:
    """Attach a rule to a service.

    It goes last, or to a position counted from 1.
    """
    place = RulePlace(index, rules)
    return await write.carry_out(_attachment(place, data), _order(place))


@router.patch("/virtual-services/{index}/rules/{rules}/{rule}", responses=CHANGED, openapi_extra=body("Position"))
async def move_rule(write: Writing, index: int, rules: List, rule: str, data: JsonObject) -> JSONResponse:
    """Give an attached rule another position."""
    place = RulePlace(index, rules)
    return await write.carry_out(_move(place, rule, data), _order(place))


@router.delete("/virtual-services/{index}/rules/{rules}/{rule}", responses=CHANGED)
async def detach_rule(write: Writing, index: int, rules: List, rule: str) -> JSONResponse:
    """Detach a rule from a service."""
    place = RulePlace(index, rules)
    return await write.carry_out(DetachRule(place, rule), _order(place))


@router.get("/virtual-services/{index}/members/{member}/rules", responses=answers(_NAMES))
async def list_rules_of_member(appliance: Appliance, index: int, member: int) -> JSONResponse:
    """The rules that select a real server or a sub-service, in their order."""
    snapshot = appliance.snapshot()
    return read(snapshot.revision, list(RulePlace(index, member=member).names(snapshot.configuration)))


@router.post("/virtual-services/{index}/members/{member}/rules", responses=CHANGED, openapi_extra=body("Attachment"))
async def attach_rule_to_member(write: Writing, index: int, member: int, data: JsonObject) -> JSONResponse:
    """Let a rule select a real server or a sub-service.

    The name `default` stands for what no rule matches.
    """
    place = RulePlace(index, member=member)
    return await write.carry_out(_attachment(place, data), _order(place))


@router.patch(
    "/virtual-services/{index}/members/{member}/rules/{rule}", responses=CHANGED, openapi_extra=body("Position")
)
async def move_rule_of_member(write: Writing, index: int, member: int, rule: str, data: JsonObject) -> JSONResponse:
    """Give a rule of a real server or a sub-service another position."""
    place = RulePlace(index, member=member)
    return await write.carry_out(_move(place, rule, data), _order(place))


@router.delete("/virtual-services/{index}/members/{member}/rules/{rule}", responses=CHANGED)
async def detach_rule_from_member(write: Writing, index: int, member: int, rule: str) -> JSONResponse:
    """Detach a rule from a real server or a sub-service."""
    place = RulePlace(index, member=member)
    return await write.carry_out(DetachRule(place, rule), _order(place))


def _place(item: Mapping[str, Any]) -> RulePlace:
    """The list an item of a batch means."""
    where, member = optional_text(item, "list"), optional_number(item, "member")
    if (where is None) == (member is None):
        raise OperatorError(
            "A rule is attached to a list of the service or to a member",
            field="list",
            allowed="one of list, member",
            remedy="Give one of the two",
        )
    if where is not None and where not in FIELDS:
        raise OperatorError(
            f"{where[:80]!r} is no list of rules", field="list", value=where[:80], allowed=", ".join(FIELDS)
        )
    return RulePlace(number(item, "service"), cast(List | None, where), member)


def batch_command(item: Mapping[str, Any]) -> Command:
    """The command of an item of a batch whose operation is one on rules."""
    match text(item, "op"):
        case "add-rule":
            return AddRule(settings_given(ContentRule, mapping(item, "settings")))
        case "change-rule":
            return ChangeRule(text(item, "name"), settings_given(ContentRule, mapping(item, "changes")))
        case "remove-rule":
            return RemoveRule(text(item, "name"), flag(item, "detach"))
        case "attach-rule":
            return AttachRule(_place(item), text(item, "rule"), optional_number(item, "position"))
        case "move-rule":
            return MoveRule(_place(item), text(item, "rule"), number(item, "position"))
        case _:
            return DetachRule(_place(item), text(item, "rule"))
