"""Which content rules may be attached where, in which order, and who uses a rule.

A request meets the rules of a service list by list: those before all others, those that select a member, those that
change the request, then the same lists of the sub-service it goes to, then those for the answer, first of the
sub-service and then of the parent. Flags that one rule sets another can ask for later on this way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from steelyard.model.content_rule import (
    ADD_HEADER,
    DEFAULT_RULE,
    DELETE_HEADER,
    MATCH,
    MODIFY_URL,
    OF_CONNECTIONS,
    REPLACE_BODY,
    REPLACE_HEADER,
    RULE_TYPES,
    TLS_FIELDS,
    ContentRule,
)
from steelyard.model.errors import ConflictError, OperatorError
from steelyard.model.virtual_service import VirtualService

#: field of a service -> the types of rules it takes (`reference/loadmaster-api/04`, 4.1)
LISTS: Mapping[str, tuple[int, ...]] = {
    "pre_rules": (MATCH,),
    "request_rules": (MATCH, ADD_HEADER, DELETE_HEADER, REPLACE_HEADER, MODIFY_URL),
    "response_rules": (ADD_HEADER, DELETE_HEADER, REPLACE_HEADER),
    "body_rules": (REPLACE_BODY,),
}
#: what a real server or a slot takes
MEMBER_TYPES = (MATCH,)


def check_attachments(
    services: Mapping[int, VirtualService], rules: Mapping[str, ContentRule], service: VirtualService
) -> None:
    """Check the rules of one service and its members. Raises `OperatorError` or `ConflictError`."""
    named = list(service.rule_names())
    if not named and not service.slots and not service.is_sub:
        return
    if named and not service.is_http:
        _check_of_connections(rules, service)
    _check_of_tls(rules, service)
    for name, types in LISTS.items():
        _check_list(rules, getattr(service, name), name, types)
    for member in service.members:
        _check_list(rules, member.rules, "rules", MEMBER_TYPES, default=True)
    _check_flags(services, rules, service)


def _check_of_connections(rules: Mapping[str, ContentRule], service: VirtualService) -> None:
    """Where bytes are passed, rules can choose a member, by what is known of a connection."""
    lists = [name for name in LISTS if getattr(service, name)]
    members = (name for member in service.members for name in member.rules)
    reads = [name for name in members if name in rules and rules[name].header not in OF_CONNECTIONS]
    if service.starttls_mode:
        raise OperatorError(
            f"{service.title} begins TLS by STARTTLS, and no content rules are looked at there",
            field="starttls_mode",
            value=service.starttls_mode,
            allowed="0, or a service without content rules",
            remedy="Detach the rules first",
        )
    if lists or reads:
        what = f"Rule {reads[0]} reads" if reads else "Rules that change requests and answers read"
        raise OperatorError(
            f"{service.title} passes bytes, and its service type must be http: {what} HTTP requests",
            field="service_type",
            value=service.service_type,
            allowed="http; for other types rules of members on ssl-sni and src-ip",
            remedy="Detach the rules first, or let the type be http",
        )


def _check_of_tls(rules: Mapping[str, ContentRule], service: VirtualService) -> None:
    """What the client's TLS is, is known where it ends; the name it asks for also where it passes through."""
    seen = service.ssl_acceleration and not service.is_sub
    for name in service.rule_names():
        rule = rules.get(name)
        if rule is None or rule.header not in TLS_FIELDS or seen:
            continue
        if rule.header in OF_CONNECTIONS and not service.is_http and not service.is_sub:
            continue
        where = "a sub-service does not see it" if service.is_sub else "it ends TLS only with SSLAcceleration"
        raise OperatorError(
            f"Rule {name} looks at {rule.header}, the client's TLS: {where}",
            field="rules",
            value=name,
            allowed="rules on other fields" if service.is_sub else "SSLAcceleration, or rules on other fields",
            remedy="Attach it to the parent" if service.is_sub else "Switch SSL acceleration on first",
        )


def _check_list(
    rules: Mapping[str, ContentRule],
    names: tuple[str, ...],
    field: str,
    types: tuple[int, ...],
    *,
    default: bool = False,
) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise ConflictError(f"Rule {name} is already attached there", field=field, with_what=name)
        if default and name == DEFAULT_RULE:
            continue
        if name not in rules:
            known = ", ".join(list(rules)[:20]) or "none made yet"
            raise OperatorError(
                f"{name!r} is no content rule here",
                field=field,
                value=name,
                allowed=known if len(rules) <= 20 else f"{known} and {len(rules) - 20} more",
                remedy="Make the rule first",
            )
        if rules[name].rule_type not in types:
            allowed = ", ".join(f"{one} ({RULE_TYPES[one]})" for one in types)
            kind = rules[name].rule_type
            raise OperatorError(
                f"Rule {name} is of type {kind} ({RULE_TYPES[kind]}), which cannot be attached there",
                field=field,
                value=name,
                allowed=f"rules of type {allowed}",
                remedy="Attach it to the list of its type",
            )


def _check_flags(
    services: Mapping[int, VirtualService], rules: Mapping[str, ContentRule], service: VirtualService
) -> None:
    """A flag that only later rules set is never set in time. One that no rule sets may be set by one to come."""
    ways: list[tuple[VirtualService | None, VirtualService | None]]
    if service.is_sub:
        ways = [(services.get(service.parent), service)]
    else:
        ways = [(service, services.get(slot.service)) for slot in service.slots] or [(service, None)]
    together = {service.index: service for way in ways for service in way if service is not None}
    named = (rules.get(name) for one in together.values() for name in one.rule_names())
    if not any(rule is not None and rule.only_on_flag for rule in named):
        # most services: and the ways of a parent with a thousand sub-services are long
        return
    for parent, sub in ways:
        on_way = list(_on_way(parent, sub))
        ever = {rules[name].set_on_match for name in on_way if name in rules}
        already: set[int] = set()
        for name in on_way:
            rule = rules.get(name)
            if rule is None:
                continue
            needed = rule.only_on_flag
            if needed and needed in ever and needed not in already:
                later = next(other for other in on_way if other in rules and rules[other].set_on_match == needed)
                who = "itself" if later == name else f"{later}, which comes after it"
                raise OperatorError(
                    f"Rule {name} is performed only if flag {needed} is set, and flag {needed} is set only by {who}:"
                    " a loop of flags",
                    field="only_on_flag",
                    value=needed,
                    remedy="Attach the rule that sets a flag before those that ask for it",
                )
            already.add(rule.set_on_match)


def _on_way(parent: VirtualService | None, sub: VirtualService | None) -> Iterator[str]:
    """The names of rules in the order a request and its answer meet them."""
    for service in (parent, sub):
        if service is not None:
            yield from service.pre_rules
            for member in service.members:
                yield from member.rules
            yield from service.request_rules
    for service in (sub, parent):
        if service is not None:
            yield from service.response_rules
            yield from service.body_rules


def users_of(services: Mapping[int, VirtualService], name: str) -> tuple[VirtualService, ...]:
    """The services that use a rule, in whatever place."""
    return tuple(service for service in services.values() if name in service.rule_names())


def place_of(service: VirtualService, name: str) -> str:
    """Where a service uses a rule, for people."""
    lists = [field.replace("_", " ") for field in LISTS if name in getattr(service, field)]
    members = [f"member {member.index}" for member in service.members if name in member.rules]
    return f"{service.title} ({', '.join(lists + members)})"
