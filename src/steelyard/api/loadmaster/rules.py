"""Commands on content rules (`reference/loadmaster-api/04`, 4.1 to 4.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from steelyard.api.loadmaster.answers import ABSENT, Answer, Data, Message, PerVersion, Record, Value
from steelyard.api.loadmaster.call import Call, Entry, Handler, Parameters
from steelyard.api.loadmaster.failures import Refusal, missing
from steelyard.api.loadmaster.references import server_of, service_of
from steelyard.api.loadmaster.values import decoded
from steelyard.model.commands import AddRule, AttachRule, ChangeRule, Command, DetachRule, MoveRule, RemoveRule
from steelyard.model.commands.rules import ListName, RulePlace
from steelyard.model.configuration import Configuration
from steelyard.model.content_rule import ADD_HEADER, MATCH, RULE_TYPES, USED_BY, ContentRule
from steelyard.model.errors import NotFound, OperatorError
from steelyard.model.setting import Declared, Setting
from steelyard.model.virtual_service import VirtualService

#: type -> the tag its rules are grouped under
GROUPS = (
    "MatchContentRule",
    "AddHeaderRule",
    "DeleteHeaderRule",
    "ReplaceHeaderRule",
    "ModifyURLRule",
    "ReplaceBodyRule",
)
#: the document prints the match types with an l before them, and records say them with a capital
_MATCH_TYPES = {"lregex": "regex", "lprefix": "prefix", "lpostfix": "postfix"}
#: names that clients send besides those of the document: the names of records, and one as the Python SDK spells it
_OTHER_NAMES = {
    "addhost": "inchost",
    "caseindependent": "nocase",
    "caseindependant": "nocase",
    "includequery": "incquery",
    "headervalue": "replacement",
    "setflagonmatch": "setonmatch",
}
_FLAGS = ("set_on_match", "only_on_flag", "only_on_no_flag")
_HIGHEST_FLAG = 9
_POSITION = Declared("position", Setting("position", "rules", "Position", "", ge=1), 1, "integer")
_OF_URL = ("include_host", "include_query")


def _given(parameters: Parameters, rule_type: int) -> dict[str, Any]:
    """Field name -> value of what the request says and a rule of that type uses; LoadMaster ignores the rest."""
    by_wire = ContentRule.by_wire()
    found: dict[str, Any] = {}
    for name in parameters:
        other = _OTHER_NAMES.get(name)
        if other is not None and other in parameters:
            continue
        declared = by_wire.get(other or name)
        if declared is None or rule_type not in USED_BY.get(declared.name, ()):
            continue
        value = decoded(declared, parameters.raw(name))
        if declared.name == "match_type":
            value = _MATCH_TYPES.get(value.lower(), value.lower())
        if declared.name in _FLAGS and value > _HIGHEST_FLAG:
            # dropped without an error, as observed
            continue
        found[declared.name] = value
    return found


def _type(parameters: Parameters, otherwise: int) -> int:
    """The type a request names. Raises `OperatorError`."""
    text = (parameters.text("type") or "").strip()
    if not text:
        return otherwise
    kind = decoded(ContentRule.by_wire()["type"], text)
    if kind not in RULE_TYPES:
        allowed = ", ".join(f"{one} ({says})" for one, says in RULE_TYPES.items())
        raise OperatorError(f"type {kind} is no type of rule; allowed: {allowed}", field="rule_type", allowed=allowed)
    return int(kind)


def rule_record(rule: ContentRule) -> Record:
    """The record of a rule: the members its type has, flags only when they are set."""
    found: dict[str, Value] = {"Name": rule.name}
    for field, types in USED_BY.items():
        if rule.rule_type not in types or field in _FLAGS:
            continue
        value: Value = getattr(rule, field)
        if value == "regex" and field == "match_type":
            value = "Regex"
        if value == "":
            # the captured record of v1 has an empty header, that of v2 has none
            value = PerVersion("", ABSENT)
        name = ContentRule.declared()[field].setting.spelled or field
        found["HeaderValue" if field == "replacement" and rule.rule_type == ADD_HEADER else name] = value
    for field in _FLAGS:
        if getattr(rule, field):
            found[ContentRule.declared()[field].setting.spelled or field] = getattr(rule, field)
    return found


def _grouped(rules: tuple[ContentRule, ...]) -> Data:
    groups: dict[str, Value] = {}
    for kind, tag in enumerate(GROUPS):
        records = tuple(rule_record(rule) for rule in rules if rule.rule_type == kind)
        if records:
            groups[tag] = records
    return Data(groups)


def _named(configuration: Configuration, parameters: Parameters) -> ContentRule:
    return configuration.rule(parameters.required("name"))


async def showrule(call: Call) -> Answer:
    """All rules, those of a type, or one by its name; groups that are empty are left out."""
    name = (call.parameters.text("name") or "").strip()
    configuration = call.configuration
    rules = (configuration.rule(name),) if name else tuple(configuration.rules.values())
    wanted = _type(call.parameters, -1)
    return _grouped(tuple(rule for rule in rules if wanted in (-1, rule.rule_type)))


async def addrule(call: Call) -> Answer:
    """Make a rule. Answers it in its group."""
    name = call.parameters.required("name")
    kind = _type(call.parameters, MATCH)
    settings = _given(call.parameters, kind)
    if kind != ADD_HEADER and not settings.get("pattern"):
        raise missing("pattern")
    if settings.get("header"):
        settings |= {one: False for one in _OF_URL if one in settings}
    try:
        outcome = await call.execute(AddRule({**settings, "name": name, "rule_type": kind}))
    except OperatorError as failure:
        if failure.field != "name":
            raise
        # LoadMaster's own words for a bad name (quirk 87), and what they leave out
        raise Refusal(422, f"Cannot read rules: {failure.message}") from failure
    return _grouped((outcome.configuration.rule(name),))


async def modrule(call: Call) -> Answer:
    """Change a rule; what is left out keeps its value. Another type begins with that type's own defaults."""
    before = _named(call.configuration, call.parameters)
    kind = _type(call.parameters, before.rule_type)
    changes = _given(call.parameters, kind)
    if kind != before.rule_type:
        unused = (field for field, types in USED_BY.items() if kind not in types)
        changes |= {field: ContentRule.declared()[field].default for field in unused}
        changes["rule_type"] = kind
    if kind == MATCH and changes.get("header", before.header):
        # they belong to the URL: LoadMaster keeps them and makes nothing of them
        changes |= {name: False for name in _OF_URL if changes.get(name, getattr(before, name))}
    outcome = await call.execute(ChangeRule(before.name, changes))
    return _grouped((outcome.configuration.rule(before.name),))


async def delrule(call: Call) -> Answer:
    """Remove a rule, and detach it everywhere, as observed (quirk 91)."""
    await call.execute(RemoveRule(_named(call.configuration, call.parameters).name, detach=True))
    return Message()


def _rule_to_attach(call: Call) -> str:
    name = call.parameters.required("rule")
    if name not in call.configuration.rules:
        raise NotFound("rule", name)
    return name


def _attaching(where: ListName) -> Handler:
    async def attach(call: Call) -> Answer:
        service = service_of(call.configuration, call.parameters)
        await call.execute(AttachRule(RulePlace(service.index, where), _rule_to_attach(call)))
        return Message()

    return attach


def _detaching(where: ListName) -> Handler:
    async def detach(call: Call) -> Answer:
        service = service_of(call.configuration, call.parameters)
        await call.execute(DetachRule(RulePlace(service.index, where), call.parameters.required("rule")))
        return Message()

    return detach


async def member_place(configuration: Configuration, parameters: Parameters) -> RulePlace:
    """The list of rules of the real server or slot a request means; a slot also goes by the name of its sub-service."""
    service = service_of(configuration, parameters)
    if not service.slots:
        return RulePlace(service.index, member=(await server_of(service, parameters)).index)
    named = parameters.required("rs", "Address")
    for slot in service.slots:
        if named in (f"!{slot.index}", configuration.service(slot.service).name):
            return RulePlace(service.index, member=slot.index)
    raise NotFound("RS", named)


async def addrsrule(call: Call) -> Answer:
    """Attach a rule, or `default`, to a real server or to the slot of a sub-service."""
    await call.execute(
        AttachRule(await member_place(call.configuration, call.parameters), call.parameters.required("rule"))
    )
    return Message()


async def delrsrule(call: Call) -> Answer:
    """Detach a rule from a real server or from the slot of a sub-service."""
    await call.execute(
        DetachRule(await member_place(call.configuration, call.parameters), call.parameters.required("rule"))
    )
    return Message()


#: parameter of modvs -> the list it moves a rule in (`reference/loadmaster-api/02`, 2.6)
_PRECEDENCE: Mapping[str, ListName | None] = {
    "PreProcPrecedence": "pre",
    "RequestPrecedence": "request",
    "ResponsePrecedence": "response",
    "MatchBodyPrecedence": "body",
    "RSRulePrecedence": None,
}


def refuse_precedence(parameters: Parameters) -> None:
    """Raises `OperatorError` where a new service is to have its rules in another order."""
    for name in _PRECEDENCE:
        if parameters.text(name):
            raise OperatorError(
                f"{name} moves a rule, and a new service has none yet", field=name, remedy="Attach the rule first"
            )


async def precedence_moves(
    configuration: Configuration, parameters: Parameters, service: VirtualService
) -> tuple[Command, ...]:
    """The commands that give rules another place, as the precedence parameters of modvs say.

    Rules of real servers and slots have an order for each: without `rs` it changes wherever the rule is.
    """
    found: list[Command] = []
    for name, where in _PRECEDENCE.items():
        rule = (parameters.text(name) or "").strip()
        if not rule:
            continue
        position = int(decoded(_POSITION, parameters.required(f"{name}Pos", "Integer")))
        if where is not None:
            places = [RulePlace(service.index, where)]
        elif "rs" in parameters:
            places = [await member_place(configuration, parameters)]
        else:
            places = [RulePlace(service.index, member=one.index) for one in service.members if rule in one.rules]
            if not places:
                raise NotFound("rule", rule)
        found += [MoveRule(place, rule, position) for place in places]
    return tuple(found)


_WIRE: Mapping[ListName, str] = {
    "pre": "prerule",
    "request": "requestrule",
    "response": "responserule",
    "body": "responsebodyrule",
}

COMMANDS = (
    Entry("showrule", showrule),
    Entry("addrule", addrule, "rules"),
    Entry("modrule", modrule, "rules"),
    Entry("delrule", delrule, "rules"),
    *(Entry(f"add{_WIRE[where]}", _attaching(where), "vs") for where in get_args(ListName)),
    *(Entry(f"del{_WIRE[where]}", _detaching(where), "vs") for where in get_args(ListName)),
    Entry("addrsrule", addrsrule, "real"),
    Entry("delrsrule", delrsrule, "real"),
)
