"""Content switching: each rule that is looked at, whether it matches and why, and what it selects."""

from __future__ import annotations

from collections.abc import Iterator

from steelyard.compile.haproxy.part import Family
from steelyard.compile.haproxy.rules import pre_rules
from steelyard.compile.haproxy.switching import compile_switching, is_balanced, switches
from steelyard.explain.place import Member, Place
from steelyard.explain.report import Result
from steelyard.explain.situation import Visit
from steelyard.model.content_rule import DEFAULT_RULE, MATCH, TLS_FIELDS, ContentRule
from steelyard.model.rule_matching import Flags, Request, is_performed, matches, subjects
from steelyard.model.slot import Slot
from steelyard.model.virtual_service import VirtualService

_LONGEST_SHOWN = 80
_VERBS = {"regex": "matches", "prefix": "begins with", "postfix": "ends with", "exact": "is"}
_VERBS_NOT = {
    "regex": "does not match",
    "prefix": "does not begin with",
    "postfix": "does not end with",
    "exact": "is not",
}


def as_rules_see(visit: Visit) -> Request:
    """The request as content rules look at it."""
    request = visit.request
    says_hello = visit.service.ssl_acceleration if request.tls is None else request.tls
    return Request(
        request.method,
        request.path_and_query,
        request.headers,
        request.client,
        request.body,
        request.server_name if says_hello else "",
    )


def before_all(visit: Visit, flags: Flags) -> tuple[Flags, Result | None]:
    """The rules before all others: the flags they leave; a result when one refuses."""
    if not visit.service.is_http:
        return flags, None
    return marked(visit, "pre rules", pre_rules(visit.service, visit.family), flags)


def marked(visit: Visit, name: str, rules: tuple[ContentRule, ...], flags: Flags) -> tuple[Flags, Result | None]:
    """What matching rules do by themselves, one after the other: set flags, refuse."""
    request, details = as_rules_see(visit), list[str]()
    refused = None
    for rule in rules:
        hit = matches(rule, request, flags)
        details.append(told(rule, request, flags))
        if hit and rule.must_fail:
            refused = Result("closed", f"content rule {rule.name} refuses it: the connection is closed")
            break
        if hit and rule.set_on_match:
            flags |= {rule.set_on_match}
    if details:
        says = refused.why if refused is not None else f"flags set: {_numbers(flags)}"
        visit.note(name, says, *details)
    return flags, refused


def select(visit: Visit, flags: Flags) -> tuple[Place | VirtualService, Flags] | Result:
    """The members that content rules select: a backend of this service, or a sub-service by itself."""
    service, family = visit.service, visit.family
    if not switches(service):
        return Place(visit, service.engine_name, service.members), flags
    request, details = as_rules_see(visit), list[str]()
    chosen = None
    for rule in _rules(service, family):
        hit = matches(rule, request, flags)
        details.append(told(rule, request, flags))
        if hit and rule.must_fail:
            visit.note("content switching", f"rule {rule.name} refuses the request", *details)
            return Result("closed", f"content rule {rule.name} refuses it: the connection is closed")
        if hit:
            chosen = rule.name
            flags |= {rule.set_on_match} if rule.set_on_match else frozenset()
            break
    if chosen is None:
        if not any(DEFAULT_RULE in member.rules for member in service.members):
            visit.note("content switching", "no rule matches, and no member takes what no rule matches", *details)
            if not service.is_http:
                return Result("closed", "no content rule matches it: the connection is closed")
            return Result("answered", "no content rule matches it", status=404)
        chosen = DEFAULT_RULE
        details.append("no rule matches, so the members with the rule default take it")
    found = _selected(visit, chosen)
    place = Place(visit, service.engine_name, service.members)
    names = (found.title,) if isinstance(found, VirtualService) else tuple(map(place.title, found.members))
    visit.note("content switching", f"rule {chosen} selects {', '.join(names) or 'nothing that is on'}", *details)
    return found, flags


def _rules(service: VirtualService, family: Family) -> Iterator[ContentRule]:
    seen: set[str] = set()
    for member in service.members:
        for name in member.rules:
            rule = family.rules.get(name)
            if rule is not None and rule.rule_type == MATCH and name not in seen:
                seen.add(name)
                yield rule


def _selected(visit: Visit, name: str) -> Place | VirtualService:
    service, family = visit.service, visit.family
    members = tuple(member for member in service.members if name in member.rules)
    if len(members) == 1 and isinstance(members[0], Slot):
        sub = visit.situation.configuration.service(members[0].service)
        if not is_balanced(sub, visit.situation.family(sub), visit.situation.context):
            on = members[0].enabled and sub.enabled
            return sub if on else Place(visit, f"{service.engine_name}-none", ())
    groups = compile_switching(service, family, visit.situation.context).groups
    backend = next((group.name for group in groups if _same(group.members, members)), service.engine_name)
    return Place(visit, backend, members)


def _same(one: tuple[Member, ...], two: tuple[Member, ...]) -> bool:
    return [member.index for member in one] == [member.index for member in two]


def told(rule: ContentRule, request: Request, flags: Flags) -> str:
    """A rule, whether it matches and why."""
    if not is_performed(rule, flags):
        needs = (
            f"flag {rule.only_on_flag} is not set"
            if rule.only_on_flag and rule.only_on_flag not in flags
            else f"flag {rule.only_on_no_flag} is set"
        )
        return f"rule {rule.name} is not looked at: {needs}"
    hit = matches(rule, request, flags)
    fits = hit != rule.negate
    what = {
        "": "the URL",
        "body": "the body",
        "src-ip": "the client's address",
        "method": "the method",
        "ssl-sni": "the name in the TLS hello",
    }.get(rule.header, f"header {rule.header}")
    if rule.header in TLS_FIELDS[1:]:
        return f"rule {rule.name} {_hits(hit)}: {rule.header} is known only in the handshake, and taken as not there"
    seen = subjects(rule, request)
    shown = " or ".join(_quoted(_short(text)) for text in seen) or "that is not there"
    if rule.network is not None:
        verb = "is in" if fits else "is not in"
    else:
        verb = (_VERBS if fits else _VERBS_NOT)[rule.match_type]
    negated = ", and the rule is negated" if rule.negate else ""
    return f"rule {rule.name} {_hits(hit)}: {what} {shown} {verb} {_quoted(rule.pattern)}{negated}"


def _hits(hit: bool) -> str:
    return "matches" if hit else "does not match"


def _short(text: bytes) -> str:
    found = text.decode("utf-8", "replace")
    return found if len(found) <= _LONGEST_SHOWN else found[: _LONGEST_SHOWN - 3] + "..."


def _quoted(text: str) -> str:
    """As the rule has it or the request brought it, backslashes too; only what cannot be printed is escaped."""
    return "'" + "".join(one if one.isprintable() else repr(one)[1:-1] for one in text) + "'"


def _numbers(flags: Flags) -> str:
    return ", ".join(map(str, sorted(flags))) or "none"
