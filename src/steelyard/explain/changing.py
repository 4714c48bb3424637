"""Rules and settings that change a request before it goes to the real server, as far as what follows looks at it."""

from __future__ import annotations

from dataclasses import replace

from steelyard.explain.report import Result
from steelyard.explain.request import Headers
from steelyard.explain.selecting import as_rules_see, marked
from steelyard.explain.situation import Visit
from steelyard.model.content_rule import MATCH, ContentRule
from steelyard.model.rule_matching import Flags, changed_request


def change(visit: Visit, flags: Flags) -> tuple[Visit, Flags] | Result:
    """The visit with the request, and the flags, as the service's rules leave them; a result when one refuses."""
    service = visit.service
    if not service.is_http:
        return visit, flags
    details: list[str] = []
    for name in service.request_rules:
        rule = visit.family.rules.get(name)
        if rule is None:
            continue
        if rule.rule_type == MATCH:
            flags, refused = marked(visit, "request rules", (rule,), flags)
            if refused is not None:
                return refused
            continue
        visit = _changed(visit, rule, flags, details)
    if details:
        visit.note("request rules", "the request is changed", *details)
    headers = _copied(visit, visit.request.headers)
    return replace(visit, request=replace(visit.request, headers=headers)), flags


def _changed(visit: Visit, rule: ContentRule, flags: Flags, details: list[str]) -> Visit:
    before = as_rules_see(visit)
    after = changed_request(rule, before, flags)
    if after == before:
        return visit
    if after.target != before.target:
        details.append(f"rule {rule.name}: URL {before.target} becomes {after.target}")
    if after.headers != before.headers:
        details.append(f"rule {rule.name}: headers change")
    target = after.target if after.target != before.target else visit.request.target
    return replace(visit, request=replace(visit.request, target=target, headers=after.headers))


def _copied(visit: Visit, headers: Headers) -> Headers:
    """The headers that settings copy and add. Who the client is, which no key is made of, is left out."""
    service = visit.service
    if service.copy_header_from and service.copy_header_to:
        value = visit.request.last_line(service.copy_header_from)
        if value is not None:
            kept = tuple(pair for pair in headers if pair[0].lower() != service.copy_header_to.lower())
            headers = (*kept, (service.copy_header_to, value))
    if service.extra_header_name:
        headers = (*headers, (service.extra_header_name, service.extra_header_value))
    return headers
