"""Content rules that replace text in the body of answers (`reference/behaviour.md`, section 11).

HAProxy has no such rule; a Lua filter does it (`engines/haproxy/body_replacement.lua`), one for all content rules of a
service. It sees bodies only as the real server sends them, so compressed ones are not asked for.
"""

from __future__ import annotations

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.part import Family, Part
from steelyard.compile.haproxy.switching import answered_through
from steelyard.model.content_rule import ContentRule
from steelyard.model.regular_expression import expression
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import directive

FILTER = "lua.replace_in_body"


def bodies_part(service: VirtualService, family: Family, context: ServiceContext) -> Part:
    """The filter of one service, with its rules in order: those of a sub-service before those of its parent."""
    through = answered_through(service, family, context)
    rules = [family.rules[name] for one in through for name in one.body_rules if name in family.rules]
    if not rules or not service.is_http:
        return Part()
    filters = [directive("filter", FILTER, *(word for rule in rules for word in _words(rule)))]
    if not any(one.compress for one in through):
        # compression takes it out itself, once it has seen what the client takes
        filters.append(directive("http-request", "del-header", "Accept-Encoding"))
    return Part(backend=tuple(filters))


def _words(rule: ContentRule) -> tuple[str, ...]:
    """Expression, replacement, case, the flag that has to be set and the one that must not be.

    An empty word would end them all (2.6 and 2.8, tried), so the replacement has a sign before it.
    """
    return (
        expression(rule.pattern),
        f"={rule.replacement}",
        "any-case" if rule.ignore_case else "case",
        str(rule.only_on_flag),
        str(rule.only_on_no_flag),
    )
