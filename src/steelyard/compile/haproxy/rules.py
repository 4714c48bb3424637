r"""Content rules that change requests and answers (`reference/behaviour.md`, section 11).

Rules stand in the order of their list. A rule that replaces does so with the first match in each line of a header. Text
of operators goes through two readers: in log-format text a percent sign is doubled, and in the text that is put in
place of a match a backslash is too, unless a digit follows it that names a group.

"Fail on match" closes the connection without an answer.
"""

from __future__ import annotations

from collections.abc import Iterable

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.matching import flag, matches, prepared, when_flags_allow
from steelyard.compile.haproxy.part import Family, Part
from steelyard.model.captures import around
from steelyard.model.content_rule import (
    ADD_HEADER,
    DELETE_HEADER,
    MATCH,
    MODIFY_URL,
    REPLACE_HEADER,
    ContentRule,
    replacement_parts,
)
from steelyard.model.regular_expression import expression, is_between_slashes
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import Directive, directive


def rules_part(service: VirtualService, family: Family, context: ServiceContext) -> Part:
    """The rules of one service that change requests and answers; those before all others stand with switching."""
    if not service.is_http:
        return Part()
    frontend: list[Directive] = []
    for rule in _found(service.request_rules, family):
        frontend += _on_request(rule)
    for rule in _found(service.response_rules, family):
        frontend += _change("http-response", rule)
    return Part(frontend=tuple(frontend))


def pre_rules(service: VirtualService, family: Family) -> tuple[ContentRule, ...]:
    """The rules that are looked at before all others."""
    return tuple(rule for rule in _found(service.pre_rules, family) if rule.rule_type == MATCH)


def mark(rule: ContentRule, *conditions: str) -> tuple[Directive, ...]:
    """What a matching rule does by itself: set its flag, refuse the request."""
    when = ("if", *conditions, *matches(rule))
    found: tuple[Directive, ...] = ()
    if rule.must_fail:
        found += (directive("http-request", "reject", *when),)
    elif rule.set_on_match:
        found += (directive("http-request", f"set-var({flag(rule.set_on_match)})", "bool(true)", *when),)
    return found


def _found(names: Iterable[str], family: Family) -> Iterable[ContentRule]:
    return (family.rules[name] for name in names if name in family.rules)


def _on_request(rule: ContentRule) -> tuple[Directive, ...]:
    if rule.rule_type == MATCH:
        # it looks at the request as the rules before it have left it
        marks = mark(rule)
        return (*prepared([rule]), *marks) if marks else ()
    return _change("http-request", rule)


def _change(when: str, rule: ContentRule) -> tuple[Directive, ...]:
    """A rule that changes a header or the URL."""
    allowed = when_flags_allow(rule)
    condition = ("if", *allowed) if allowed else ()
    match rule.rule_type:
        case kind if kind == ADD_HEADER:
            # an empty value would be a missing word
            value = _log_format(rule.replacement) or "%[str()]"
            return (directive(when, "add-header", rule.header, value, *condition),)
        case kind if kind == DELETE_HEADER:
            return (directive(when, "del-header", *_named(rule.pattern), *condition),)
        case kind if kind == REPLACE_HEADER:
            return (directive(when, "replace-header", rule.header, *_replacing(rule), *condition),)
        case kind if kind == MODIFY_URL and when == "http-request":
            return (directive(when, "replace-pathq", *_replacing(rule), *condition),)
        case _:
            return ()


def _named(pattern: str) -> tuple[str, ...]:
    """The headers to delete: one by its name, or all whose names an expression matches."""
    if not is_between_slashes(pattern):
        return (pattern,)
    # HAProxy keeps names in lower case
    return (f"(?i){expression(pattern)}", "-m", "reg")


def _replacing(rule: ContentRule) -> tuple[str, str]:
    """The expression that matches a whole value, and what the value becomes."""
    found = around(rule.pattern, rule.replacement)
    pattern = f"(?i){found.pattern}" if rule.ignore_case else found.pattern

    text = "".join(
        part.replace("\\", "\\\\")
        if isinstance(part, str)
        else f"\\{found.groups[part]}"
        if part in found.groups
        else ""
        for part in replacement_parts(rule.replacement)
    )
    return pattern, _log_format(f"{found.before}{text}{found.after}")


def _log_format(text: str) -> str:
    """Text as log-format text that prints it."""
    return text.replace("%", "%%")
