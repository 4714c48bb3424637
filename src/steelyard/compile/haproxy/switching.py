"""Content switching: which of its members a service's request goes to (`reference/behaviour.md`, section 11).

The members are looked at in order, and their rules in order; the first rule that matches selects every member that has
it. What no rule matches goes to the members with the rule `default`. A set of real servers is a backend of its own, one
sub-service is its own backend, and several are a backend of inner servers.

The choice is made on the request as it was received, before any rule changes it, and kept in a variable, because
HAProxy reads `use_backend` only after all other rules. What a rule selects stands in a lookup, so that another choice
needs no reload as long as its backend is there.

A service that passes bytes chooses by the client's address and by the name in its TLS hello, for which it waits: until
the hello is whole, until it is seen that there is none, or for a while. HAProxy (2.6, 2.8) reads a hello from one TLS
record; one spread over several counts as one without a name.

A sub-service that switches among its own real servers is reached through a listener of its own: HAProxy cannot go from
one backend to the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha1

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.limits import limited_apart
from steelyard.compile.haproxy.matching import flag, matches, prepared
from steelyard.compile.haproxy.part import Family, Part
from steelyard.compile.haproxy.rules import mark, pre_rules
from steelyard.compile.haproxy.switching_maps import Choice, Run, segments
from steelyard.model.content_rule import DEFAULT_RULE, MATCH, ContentRule
from steelyard.model.real_server import RealServer
from steelyard.model.slot import Slot
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import Directive, Lookup, directive, lookup_path

_CHOSEN = "txn.switch"
_UNDECIDED = ("!{", f"var({_CHOSEN})", "-m", "found", "}")
#: how long a hello that has not come whole is waited for
HELLO_SECONDS = 5
#: members that a group's name tells one by one
_MOST_NAMED = 5
_NO_MATCH = (
    "<!DOCTYPE html><html><head><title>404 Not Found</title></head>"
    "<body><h1>404 Not Found</h1><p>No content rule matches this request.</p></body></html>"
)


@dataclass(frozen=True)
class Group:
    """A set of members that a rule selects, as a backend of the service, whose name and a dash `name` begins with."""

    name: str
    members: tuple[RealServer | Slot, ...]


@dataclass(frozen=True)
class Switching:
    """The rules that choose, and the backends they choose from besides the service's own and its sub-services'.

    `own` are the members of the service's own backend.
    """

    part: Part
    own: tuple[RealServer | Slot, ...]
    groups: tuple[Group, ...] = ()


def switches(service: VirtualService) -> bool:
    """Whether content rules choose among its members."""
    return service.switches_content


def is_balanced(service: VirtualService, family: Family, context: ServiceContext) -> bool:
    """Whether a sub-service is reached as a server of its parent, by a listener of its own."""
    parent = family.parent
    if parent is None:
        return False
    if not switches(parent) or switches(service) or limited_apart(service, parent, context):
        return True
    mine = next((slot for slot in parent.slots if slot.service == service.index), None)
    others = [slot for slot in parent.slots if slot is not mine]
    return mine is not None and any(rule in other.rules for rule in mine.rules for other in others)


def answered_through(service: VirtualService, family: Family, context: ServiceContext) -> tuple[VirtualService, ...]:
    """The services whose backend an answer of this service's real servers passes, in that order: no other has one.

    A sub-service that its parent selects alone is reached by its own backend, so what the parent does to answers in its
    backend has to be done there.
    """
    parent = family.parent
    return (service,) if parent is None or is_balanced(service, family, context) else (service, parent)


def compile_switching(service: VirtualService, family: Family, context: ServiceContext) -> Switching:
    """How a service shares its requests among its members; the rules that come before all others are in it."""
    if not service.is_http and not switches(service):
        return Switching(Part(), service.members)
    before = pre_rules(service, family)
    marks = tuple(line for rule in before for line in mark(rule))
    if not switches(service):
        return Switching(Part(frontend=(*prepared(before), *marks)), service.members)
    targets = _Targets(service, family, context)
    choices = [Choice(rule, "" if rule.must_fail else targets.of(rule.name)) for rule in _rules(service, family)]
    ready = prepared((*before, *(choice.rule for choice in choices)))
    lines, lookups = _decisions(service, choices, targets)
    if not service.is_http:
        ready, lines = _hello(service), tuple(map(_of_connection, lines))
    return Switching(
        Part(frontend=(*ready, *marks, *lines), lookups=lookups),
        # sub-services are servers only where rules select several of them
        () if service.slots else service.members,
        tuple(targets.groups.values()),
    )


def _hello(service: VirtualService) -> tuple[Directive, ...]:
    """What keeps the name a client asks for. A client that is silent is waited for: its hello may be under way."""
    if service.ssl_acceleration:
        return (directive("tcp-request", "content", "set-var(txn.sni)", "ssl_fc_sni,lower"),)
    is_hello = ("{", "req.ssl_hello_type", "1", "}")
    return (
        directive("tcp-request", "inspect-delay", f"{HELLO_SECONDS}s"),
        directive("tcp-request", "content", "set-var(txn.sni)", "req.ssl_sni,lower", "if", *is_hello),
    )


def _of_connection(line: Directive) -> Directive:
    """A rule for requests as one for bytes; there is no answer to refuse with, so the connection is closed."""
    first, *words = line.words
    if first != "http-request":
        return line
    if words[0] == "return":
        words = ["reject", *words[words.index("if") :]]
    return directive("tcp-request", "content", *words)


def _rules(service: VirtualService, family: Family) -> Iterator[ContentRule]:
    """The rules of the members in the order they are looked at."""
    seen: set[str] = set()
    for member in service.members:
        for name in member.rules:
            rule = family.rules.get(name)
            if rule is not None and rule.rule_type == MATCH and name not in seen:
                seen.add(name)
                yield rule


def _decisions(
    service: VirtualService, choices: Iterable[Choice], targets: _Targets
) -> tuple[tuple[Directive, ...], tuple[Lookup, ...]]:
    """The lines that choose a backend, and the lookups they use."""
    selected = f"{service.engine_name}-selected"
    where = f"map({lookup_path(selected)})"
    lines: list[Directive] = []
    lookups: list[Lookup] = []
    entries: dict[str, str] = {}
    for one in segments(choices, service.engine_name):
        undecided = _UNDECIDED if lines else ()
        if isinstance(one, Run):
            lookups.append(one.lookup)
            lines.append(_set(one.expression, undecided))
            continue
        lines += _choose(one.rule, where, undecided)
        if not one.rule.must_fail:
            entries[one.rule.name] = one.backend
    lines.append(_set(f"str({DEFAULT_RULE}),{where}", _UNDECIDED if lines else ()))
    lines += targets.limits()
    lines.append(
        directive(
            *("http-request", "return", "status", "404", "content-type", "text/html", "string", _NO_MATCH),
            *("if", *_UNDECIDED),
        )
    )
    lines.append(directive("use_backend", f"%[var({_CHOSEN})]"))
    lookups.append(Lookup(selected, (*entries.items(), *targets.default())))
    return tuple(lines), tuple(lookups)


def _set(sample: str, conditions: tuple[str, ...]) -> Directive:
    # an expression without a result leaves the variable as it is
    return directive("http-request", f"set-var({_CHOSEN})", sample, *(("if", *conditions) if conditions else ()))


def _choose(rule: ContentRule, where: str, undecided: tuple[str, ...]) -> tuple[Directive, ...]:
    """The lines of a rule that stands alone. A rule chooses before it sets its flag, on which it may depend itself."""
    if rule.must_fail:
        return mark(rule, *undecided)
    named = f"str({rule.name})"
    if not rule.set_on_match:
        return (_set(f"{named},{where}", (*undecided, *matches(rule))),)
    hit = ("{", "var(txn.rule)", "-m", "str", "--", rule.name, "}")
    return (
        directive("http-request", "set-var(txn.rule)", named, "if", *undecided, *matches(rule)),
        _set(f"{named},{where}", hit),
        directive("http-request", f"set-var({flag(rule.set_on_match)})", "bool(true)", "if", *hit),
    )


class _Targets:
    """The backends that rules select; a set of members is one backend, whatever number of rules selects it."""

    def __init__(self, service: VirtualService, family: Family, context: ServiceContext) -> None:
        self._service = service
        self._context = context
        self._subs = {sub.index: sub for sub in family.subs}
        self._having: dict[str, list[RealServer | Slot]] = {}
        for member in service.members:
            for name in dict.fromkeys(member.rules):
                self._having.setdefault(name, []).append(member)
        #: by name
        self.groups: dict[str, Group] = {}
        self._direct: dict[str, Slot] = {}

    def of(self, rule: str) -> str:
        """The backend of a rule."""
        members = tuple(self._having[rule])
        if isinstance(members[0], RealServer) and len(members) == len(self._service.members):
            return self._service.engine_name
        if len(members) == 1 and isinstance(members[0], Slot):
            found = self._alone(members[0])
            if found is not None:
                return found
        return self._group(_group_name(self._service, members), members)

    def _alone(self, slot: Slot) -> str | None:
        """The backend of a sub-service that is selected alone; None when it is reached as a server."""
        sub = self._subs.get(slot.service)
        if sub is None or is_balanced(sub, Family(parent=self._service), self._context):
            return None
        # always there, so that switching a slot off and on needs no reload
        nowhere = self._group(f"{self._service.engine_name}-none", ())
        if not slot.enabled:
            return nowhere
        self._direct[sub.engine_name] = slot
        return sub.engine_name

    def _group(self, name: str, members: tuple[RealServer | Slot, ...]) -> str:
        self.groups.setdefault(name, Group(name, members))
        return name

    def default(self) -> tuple[tuple[str, str], ...]:
        """The entry of what no rule matches, if any member takes it."""
        return ((DEFAULT_RULE, self.of(DEFAULT_RULE)),) if DEFAULT_RULE in self._having else ()

    def limits(self) -> Iterator[Directive]:
        """A sub-service that is its own backend has no server whose limit would count."""
        for name, slot in self._direct.items():
            if slot.limit:
                chosen = ("{", f"var({_CHOSEN})", "-m", "str", "--", name, "}")
                full = ("{", f"be_conn({name})", "ge", str(slot.limit), "}")
                yield _set(f"str({self._service.engine_name}-none)", (*chosen, *full))


def _group_name(service: VirtualService, members: tuple[RealServer | Slot, ...]) -> str:
    indexes = "-".join(str(member.index) for member in members)
    if len(members) > _MOST_NAMED:
        indexes = sha1(indexes.encode(), usedforsecurity=False).hexdigest()[:12]
    return f"{service.engine_name}-{indexes}"
