"""Limits of connections, requests and bandwidth (`reference/behaviour.md`, section 13).

What is let in is counted, what is refused is not, or a client that never stops asking would never be let in again. So
every limit is looked at first, and only what passes all of them counts. Two threads may look at the same moment, and
each lets one in: a rate may be exceeded by one a thread. Concurrent connections are counted before they are looked at,
so their limit is never exceeded. A rate is HAProxy's own: what came in this second and a part of what came in the last.

Counters stand in tables that a client connection holds from its acceptance to its end, which takes all three trackers
of HAProxy 2.6: the client in the first, the service in the second, everything in the third. A tracker that a connection
holds cannot be used again by its requests: HAProxy passes over the second use (2.6 and 2.8). So each limiting rule has
a counter of its own in the client's entry, and a sub-service whose backend its parent's listener leads to takes a
tracker that this listener leaves free. Where it leaves none, the sub-service gets a listener of its own.

The numbers are in lookups, so other numbers need no reload; the rules of a limit are there while it is set.

Bandwidth is a filter of HAProxy 2.7. It counts in each direction what all connections of a key have together. Its
number cannot be looked up, so clients have a filter for each number there is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.limit_rules import (
    ANSWERS,
    KEY_OF_ALL,
    BlockedBy,
    LimitPlan,
    address_lookup,
    limit_words,
)
from steelyard.compile.haproxy.part import Family, Part
from steelyard.model.limits import Kind
from steelyard.model.regular_expression import expression
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import Directive, Lookup, directive, lookup_path
from steelyard.plan.limit_tables import (
    ADMITTED_CONNECTIONS,
    ADMITTED_REQUESTS,
    BANDWIDTH,
    CLIENT_BANDWIDTH,
    CLIENTS,
    LIMITS,
    MATCHED,
    OF_CLIENTS,
    mark_of,
    rule_counter,
)

_SUBJECTS = ("pathq", "req.fhdr(host)", "req.fhdr(user-agent)")
_CLIENT, _SERVICE, _ALL = 0, 1, 2


def limits_part(service: VirtualService, family: Family, context: ServiceContext) -> Part:
    """The rules of one service, which for a sub-service are those of its own limits alone."""
    plan = context.limits
    lookup = Lookup(f"{service.engine_name}-limits", _numbers(service))
    bandwidth = _bandwidth(service, plan)
    if service.is_sub:
        rules = _sub_rules(service, plan, lookup, _tracker_of_sub(service, family, plan))
    elif service.enabled:
        rules = _connection_rules(service, plan, lookup) + _request_rules(service, plan, lookup)
    else:
        # a lookup that no rule uses is not in HAProxy, which then could not change it
        return Part()
    return Part(frontend=(*rules, *bandwidth), lookups=(lookup,) if lookup.entries else ())


def _numbers(service: VirtualService) -> tuple[tuple[str, str], ...]:
    found = (
        ("connections", service.max_connections),
        ("connections_per_second", service.connections_per_second),
        ("requests_per_second", service.requests_per_second),
    )
    return tuple((name, str(limit)) for name, limit in found if limit)


@dataclass(frozen=True)
class _Stage:
    """Where rules stand: `words` begin each, `scope` is that of their variables."""

    words: tuple[str, ...]
    scope: str

    def rule(self, *words: str) -> Directive:
        return directive(*self.words, *words)

    def is_over(self, expression_of_limit: str, counter: str, comparison: str, why: BlockedBy) -> list[Directive]:
        """Remember that a counter is over a limit, unless another is already. A limit of 0 is none."""
        return [
            self.rule(f"set-var({self.scope}.limit)", expression_of_limit),
            self.rule(
                f"set-var({self.scope}.blocked)",
                f"int({why.value})",
                "if",
                *("!{", f"var({self.scope}.blocked)", "-m", "found", "}"),
                *("{", f"var({self.scope}.limit)", "-m", "int", "gt", "0", "}"),
                *("{", f"{counter},sub({self.scope}.limit)", comparison, "0", "}"),
            ),
        ]

    def refuse(self, reasons: Iterable[BlockedBy], *answer: str, tracker: int = _SERVICE) -> list[Directive]:
        """Count and turn away what is over a limit."""
        blocked = f"var({self.scope}.blocked)"
        found = [
            self.rule(f"sc-inc-gpc({why.value},{tracker})", "if", "{", blocked, "-m", "int", str(why.value), "}")
            for why in dict.fromkeys(reasons)
        ]
        found += [
            self.rule(
                *(f"sc-set-gpt0({_CLIENT})", str(mark_of(why.value))),
                *("if", "{", blocked, "-m", "int", str(why.value), "}"),
            )
            for why in dict.fromkeys(reasons)
            if why.value in OF_CLIENTS
        ]
        return [*found, self.rule(*answer, "if", "{", blocked, "-m", "found", "}")]

    def count(self, counter: int, trackers: Iterable[int]) -> list[Directive]:
        return [self.rule(f"sc-inc-gpc({counter},{tracker})") for tracker in trackers]


_CONNECTION = _Stage(("tcp-request", "connection"), "sess")
_REQUEST = _Stage(("http-request",), "txn")
_CONTENT = _Stage(("tcp-request", "content"), "txn")


def _connection_rules(service: VirtualService, plan: LimitPlan, lookup: Lookup) -> list[Directive]:
    """Rules for new connections. They track for the requests too, whose counters are the same."""
    own = frozenset(name for name, _ in lookup.entries)
    trackers = _trackers(service, plan, own)
    if not trackers:
        return []
    stage, rules, reasons = _CONNECTION, [], []
    if _CLIENT in trackers:
        rules.append(stage.rule(f"track-sc{_CLIENT}", "src", "table", CLIENTS))
    rules.append(stage.rule(f"track-sc{_SERVICE}", f"int({service.index})", "table", LIMITS))
    if _ALL in trackers:
        rules.append(stage.rule(f"track-sc{_ALL}", f"int({KEY_OF_ALL})", "table", LIMITS))
    looks: list[tuple[bool, str, str, str, BlockedBy]] = []
    for tracker, numbers, name in ((_SERVICE, own, lookup.name), (_ALL, plan.of_all, "limits")):
        looks += [
            (
                "connections" in numbers,
                limit_words(name, "connections"),
                f"sc_conn_cur({tracker})",
                "gt",
                BlockedBy.CONNECTIONS,
            ),
            (
                "connections_per_second" in numbers,
                limit_words(name, "connections_per_second"),
                f"sc_gpc_rate({ADMITTED_CONNECTIONS},{tracker})",
                "ge",
                BlockedBy.CONNECTION_RATE,
            ),
        ]
    looks += [
        (
            "connections" in plan.clients,
            address_lookup("connections"),
            f"sc_conn_cur({_CLIENT})",
            "gt",
            BlockedBy.CLIENT_CONNECTIONS,
        ),
        (
            "connections_per_second" in plan.clients,
            address_lookup("connections_per_second"),
            f"sc_gpc_rate({ADMITTED_CONNECTIONS},{_CLIENT})",
            "ge",
            BlockedBy.CLIENT_CONNECTION_RATE,
        ),
    ]
    for there, limit, counter, comparison, why in looks:
        if there:
            rules += stage.is_over(limit, counter, comparison, why)
            reasons.append(why)
    if reasons:
        rules += stage.refuse(reasons, "reject")
    return rules + stage.count(ADMITTED_CONNECTIONS, sorted(trackers))


def _trackers(service: VirtualService, plan: LimitPlan, own: frozenset[str]) -> set[int]:
    """Who is counted. The service always is when anything is, since what is refused is told by service."""
    found: set[int] = set()
    if plan.clients - {"bandwidth"} or (plan.rules and service.is_http):
        found.add(_CLIENT)
    if plan.of_all:
        found.add(_ALL)
    if found or own or (plan.rules and service.is_http):
        found.add(_SERVICE)
    return found


def _request_rules(service: VirtualService, plan: LimitPlan, lookup: Lookup) -> list[Directive]:
    own = frozenset(name for name, _ in lookup.entries)
    trackers = _trackers(service, plan, own)
    if not service.is_http or not trackers:
        return []
    stage, rules, reasons = _REQUEST, [], []
    rate: Kind = "requests_per_second"
    looks: list[tuple[bool, str, int, BlockedBy]] = [
        (rate in own, limit_words(lookup.name, rate), _SERVICE, BlockedBy.REQUEST_RATE),
        (rate in plan.of_all, limit_words("limits", rate), _ALL, BlockedBy.REQUEST_RATE),
        (rate in plan.clients, address_lookup(rate), _CLIENT, BlockedBy.CLIENT_REQUEST_RATE),
    ]
    for there, limit, tracker, why in looks:
        if there:
            rules += stage.is_over(limit, f"sc_gpc_rate({ADMITTED_REQUESTS},{tracker})", "ge", why)
            reasons.append(why)
    for number, rule in enumerate(plan.rules):
        found, matched = f"limit-rule-{rule.key}", ("{", "var(txn.limit_rule)", "-m", "int", str(number), "}")
        rules.append(
            directive("acl", found, _SUBJECTS[rule.subject], "-m", "reg", "--", expression(rule.pattern)),
        )
        rules.append(
            stage.rule(
                "set-var(txn.limit_rule)",
                f"int({number})",
                "if",
                *("!{", "var(txn.limit_rule)", "-m", "found", "}"),
                f"!{found}" if rule.negated else found,
            )
        )
        look, verdict = stage.is_over(
            f"str({rule.key}),map_str_int({lookup_path('limits-rules')},0)",
            f"sc_gpc_rate({rule_counter(number)},{_CLIENT})",
            "ge",
            BlockedBy.RULE,
        )
        rules += [Directive((*look.words, "if", *matched)), Directive((*verdict.words, *matched))]
        reasons.append(BlockedBy.RULE)
    if reasons:
        rules += stage.refuse(reasons, *ANSWERS[plan.answer])
    rules += stage.count(ADMITTED_REQUESTS, sorted(trackers))
    for number in range(len(plan.rules)):
        when = ("if", "{", "var(txn.limit_rule)", "-m", "int", str(number), "}")
        rules += [
            stage.rule(f"sc-inc-gpc({MATCHED},{_SERVICE})", *when),
            stage.rule(f"sc-inc-gpc({rule_counter(number)},{_CLIENT})", *when),
        ]
    return rules


def limited_apart(service: VirtualService, parent: VirtualService, context: ServiceContext) -> bool:
    """Whether a sub-service has limits and its parent's listener has no tracker left for them."""
    return bool(_numbers(service)) and not _free(parent, context.limits)


def _free(parent: VirtualService, plan: LimitPlan) -> tuple[int, ...]:
    """The trackers that the listener of a service does not use, the one for services first."""
    used = _trackers(parent, plan, frozenset(name for name, _ in _numbers(parent)))
    return tuple(tracker for tracker in (_SERVICE, _ALL, _CLIENT) if tracker not in used)


def _tracker_of_sub(service: VirtualService, family: Family, plan: LimitPlan) -> int:
    """The tracker that requests of a sub-service use; in a listener of its own all are free."""
    free = _free(family.parent, plan) if family.parent is not None else ()
    return free[0] if free else _SERVICE


def _sub_rules(service: VirtualService, plan: LimitPlan, lookup: Lookup, tracker: int) -> list[Directive]:
    """Rules in the backends of a sub-service.

    It knows requests, and counts a client's connection when that asks it for the first time.
    """
    own = frozenset(name for name, _ in lookup.entries)
    if not own:
        return []
    stage = _REQUEST if service.is_http else _CONTENT
    answer = ANSWERS[plan.answer] if service.is_http else ("reject",)
    seen = f"sess.seen_{service.engine_name}"
    new = ("!{", f"var({seen})", "-m", "found", "}")
    rules = [stage.rule(f"track-sc{tracker}", f"int({service.index})", "table", LIMITS)]
    reasons: list[BlockedBy] = []
    if "connections" in own:
        rules += stage.is_over(
            limit_words(lookup.name, "connections"), f"sc_conn_cur({tracker})", "gt", BlockedBy.CONNECTIONS
        )
        reasons.append(BlockedBy.CONNECTIONS)
    if "connections_per_second" in own:
        look, verdict = stage.is_over(
            limit_words(lookup.name, "connections_per_second"),
            f"sc_gpc_rate({ADMITTED_CONNECTIONS},{tracker})",
            "ge",
            BlockedBy.CONNECTION_RATE,
        )
        rules += [look, Directive((*verdict.words, *new))]
        reasons.append(BlockedBy.CONNECTION_RATE)
    if "requests_per_second" in own:
        rules += stage.is_over(
            limit_words(lookup.name, "requests_per_second"),
            f"sc_gpc_rate({ADMITTED_REQUESTS},{tracker})",
            "ge",
            BlockedBy.REQUEST_RATE,
        )
        reasons.append(BlockedBy.REQUEST_RATE)
    rules += stage.refuse(reasons, *answer, tracker=tracker)
    rules += [
        stage.rule(f"sc-inc-gpc({ADMITTED_CONNECTIONS},{tracker})", "if", *new),
        stage.rule(f"set-var({seen})", "bool(true)"),
    ]
    return rules + stage.count(ADMITTED_REQUESTS, (tracker,))


def _bandwidth(service: VirtualService, plan: LimitPlan) -> list[Directive]:
    wanted: list[tuple[str, int, str, str, tuple[str, ...]]] = []
    if service.bandwidth:
        wanted.append((f"limit-{service.engine_name}", service.bandwidth, f"int({service.index})", BANDWIDTH, ()))
    if not service.is_sub:
        if plan.bandwidth:
            wanted.append(("limit-all", plan.bandwidth, f"int({KEY_OF_ALL})", BANDWIDTH, ()))
        for number in plan.client_bandwidths:
            mine: tuple[str, ...] = ("if", "{", address_lookup("bandwidth"), "-m", "int", str(number), "}")
            wanted.append((f"limit-client-{number}", number, "src", CLIENT_BANDWIDTH, mine))
    stage = _REQUEST if service.is_http else _CONTENT
    found: list[Directive] = []
    for name, kilobits, key, table, condition in wanted:
        for way in ("in", "out"):
            limit = str(kilobits * 1000 // 8)
            found.append(
                directive("filter", f"bwlim-{way}", f"{name}-{way}", "limit", limit, "key", key, "table", table)
            )
            found.append(stage.rule("set-bandwidth-limit", f"{name}-{way}", *condition))
    return found
