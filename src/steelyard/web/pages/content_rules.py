"""Content rules: the list, the editor by type, and trying one out on a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from steelyard.model.commands import AddRule, ChangeRule, RemoveRule
from steelyard.model.commands.attachments import place_of, users_of
from steelyard.model.content_rule import (
    MATCH,
    MODIFY_URL,
    REPLACE_BODY,
    RULE_TYPES,
    TLS_FIELDS,
    USED_BY,
    ContentRule,
)
from steelyard.model.errors import OperatorError, SteelyardError
from steelyard.model.rule_matching import (
    Request,
    changed_body,
    changed_headers,
    changed_request,
    matches,
    subjects,
)
from steelyard.model.text import canonical_address
from steelyard.model.virtual_service import VirtualService
from steelyard.web.confirming import Question, confirmed
from steelyard.web.editing import Changes, Editor, Outlook, Part, edited
from steelyard.web.forms.field import Offer
from steelyard.web.frame import Visit, page
from steelyard.web.pages.service import BOTH, scrolled

_PARTS = (
    Part("rule", "Rule", ("name", "rule_type", "match_type", "header", "pattern", "replacement")),
    Part("options", "Options", ("negate", "ignore_case", "include_host", "include_query", "must_fail")),
    Part("flags", "Flags", ("set_on_match", "only_on_flag", "only_on_no_flag"), open=False),
)
_MOST_TRIED = 64 * 1024


def _outlook(values: dict[str, Any], changes: Changes) -> Outlook:
    """A type leaves out what it does not use; what looks at a header does not look at the URL."""
    kind = changes.get("rule_type", values["rule_type"])
    header = changes.get("header", values["header"])
    idle = {
        name: f"a rule of the type {RULE_TYPES.get(kind, kind)} does not use it"
        for name, types in USED_BY.items()
        if kind not in types
    }
    if kind == MATCH and header:
        idle |= dict.fromkeys(("include_host", "include_query"), "it belongs to the URL, and this looks at a header")
    return Outlook(idle=idle)


def _flags() -> Offer:
    return Offer((("0", "none"), *((str(flag), f"flag {flag}") for flag in range(1, 10))))


_OFFERS = {"set_on_match": _flags(), "only_on_flag": _flags(), "only_on_no_flag": _flags()}


async def show_list(visit: Visit) -> Response:
    """Every rule, what it does and who uses it."""
    configuration = visit.snapshot.configuration
    wanted = visit.query("q").strip().lower()
    rows = [
        (rule, users_of(configuration.services, rule.name))
        for rule in configuration.rules.values()
        if wanted in f"{rule.name} {rule.pattern} {rule.header} {rule.replacement} {RULE_TYPES[rule.rule_type]}".lower()
    ]
    return visit.render(
        "pages/content_rules.html",
        {
            "rows": rows[:1000],
            "more": max(0, len(rows) - 1000),
            "total": len(configuration.rules),
            "q": visit.query("q"),
            "types": RULE_TYPES,
            "place_of": place_of,
        },
    )


def _values(rule: ContentRule | None) -> dict[str, Any]:
    declared = ContentRule.declared()
    if rule is None:
        return {name: one.default for name, one in declared.items()} | {"name": "", "match_type": "regex"}
    return {name: getattr(rule, name) for name in declared}


async def add(visit: Visit) -> Response:
    """Make a rule; `like` copies one."""
    source = visit.query("like")
    like = visit.snapshot.configuration.rules.get(source)
    values = _values(like) | {"name": ""}
    kind = visit.query("type")
    if like is None and kind.isdecimal() and int(kind) in RULE_TYPES:
        values["rule_type"] = int(kind)
    kept = tuple(name for name in ContentRule.declared() if like is not None or name in ("name", "rule_type"))
    editor = Editor(
        model=ContentRule,
        values=values,
        parts=_PARTS,
        command=AddRule,
        done=lambda key: visit.url("content-rule", name=key),
        offers=_OFFERS,
        outlook=lambda changes: _outlook(values, changes),
        permission="rules",
        fresh=True,
        noun="content rule",
        apply_label="Create Rule",
        always=kept,
    )
    context = {
        "title": "Create a content rule",
        "sub": f"as {source} is" if like is not None else "It does nothing until it is attached",
        "back": visit.url("content-rules"),
        "above": ("Content Rules", visit.url("content-rules")),
    }
    return await edited(
        visit, editor, lambda drawn: scrolled(visit, drawn, visit.render("editor.html", context, drawn=drawn))
    )


@dataclass(frozen=True)
class Tried:
    """What a rule makes of a request. `lines` are what it changed, before and after."""

    verdict: str
    good: bool
    looked_at: tuple[str, ...] = ()
    lines: tuple[tuple[str, str, str], ...] = ()


def _headers(text: str) -> tuple[tuple[str, str], ...]:
    found = []
    for line in text.replace("\r", "").split("\n"):
        name, colon, value = line.partition(":")
        if not line.strip():
            continue
        if not colon or not name.strip():
            raise OperatorError(f"{line[:60]!r} is no header", field="headers", remedy="Write Name: value, one a line")
        found.append((name.strip(), value.strip()))
    return tuple(found)


def try_out(rule: ContentRule, request: Request, body: bytes = b"") -> Tried:
    """What the rule does to a request, or, for a rule about bodies, to the body of an answer. Pure."""
    flags = frozenset({rule.only_on_flag} - {0})
    if rule.rule_type == MATCH:
        if rule.header in TLS_FIELDS and rule.header != "ssl-sni":
            return Tried("It looks at what the TLS handshake agrees on, which is not known here", False)
        looked = tuple(text.decode("utf-8", "replace") for text in subjects(rule, request))
        found = matches(rule, request, flags)
        words = "The rule matches" if found else "The rule does not match"
        if found and rule.must_fail:
            words += ", so the request is refused"
        elif found and rule.set_on_match:
            words += f", and sets flag {rule.set_on_match}"
        return Tried(words, found, looked)
    if rule.rule_type == REPLACE_BODY:
        after = changed_body(rule, body, flags)
        shown = (("Body", body.decode("utf-8", "replace"), after.decode("utf-8", "replace")),)
        changed = after != body
        return Tried(
            "The body is changed" if changed else "The body stays as it is", changed, (), shown if changed else ()
        )
    if rule.rule_type == MODIFY_URL:
        target = changed_request(rule, request, flags).target
        changed = target != request.target
        words = "The URL is changed" if changed else "The URL stays as it is: the pattern is not found in it"
        return Tried(words, changed, (request.target,), (("URL", request.target, target),) if changed else ())
    headers = changed_headers(rule, request.headers, flags)
    lines = tuple(_header_lines(request.headers, headers))
    return Tried("The headers are changed" if lines else "No header is changed", bool(lines), (), lines)


def _header_lines(
    before: tuple[tuple[str, str], ...], after: tuple[tuple[str, str], ...]
) -> list[tuple[str, str, str]]:
    found = [(name, value, "") for name, value in before if (name, value) not in after]
    for name, value in after:
        if (name, value) in before:
            continue
        was = next((each for each in found if each[0] == name and not each[2]), None)
        if was is not None:
            found[found.index(was)] = (name, was[1], value)
        else:
            found.append((name, "", value))
    return found


def _tried(visit: Visit, rule: ContentRule) -> tuple[dict[str, str], Tried | None, str]:
    """What was asked, what came of it, and what is wrong with the question."""
    asked = {
        name: visit.query(name, default)
        for name, default in (
            ("method", "GET"), ("target", "/"), ("host", ""), ("client", "192.0.2.10"), ("headers", ""), ("body", ""),
            ("sni", ""),
        )
    }  # fmt: skip
    if "target" not in visit.request.query_params:
        return asked, None, ""
    try:
        if sum(map(len, asked.values())) > _MOST_TRIED:
            raise OperatorError("That is too long to try out", field="body")
        headers = _headers(asked["headers"])
        if asked["host"]:
            headers = (("Host", asked["host"].strip()), *headers)
        try:
            client = canonical_address(asked["client"].strip())
        except ValueError:
            raise OperatorError(f"{asked['client'][:60]!r} is no address", field="client") from None
        body = asked["body"].replace("\r\n", "\n").encode()
        request = Request(asked["method"].strip(), asked["target"].strip() or "/", headers, client, body, asked["sni"])
        return asked, try_out(rule, request, body), ""
    except SteelyardError as failure:
        return asked, None, failure.message


def _chains(
    visit: Visit, users: Iterable[VirtualService], asked: Mapping[str, str]
) -> tuple[tuple[VirtualService, str], ...]:
    """The services that use a rule, each with the page that shows what all its rules make of the same request."""
    services = visit.snapshot.configuration.services
    whole = {one.parent or one.index: services[one.parent or one.index] for one in users}
    found = []
    for index, service in sorted(whole.items()):
        scheme = "https" if service.ssl_acceleration else "http"
        target = asked["target"].strip()
        place = asked["host"].strip() or f"{service.host}:{service.port}"
        query = {
            "service": str(index),
            "url": f"{scheme}://{place}{target if target.startswith('/') else '/' + target}",
            "method": asked["method"].strip(),
            "client": asked["client"].strip(),
            "headers": asked["headers"],
            "body": asked["body"],
            "server_name": asked["sni"],
        }
        said = urlencode({name: value for name, value in query.items() if value})
        found.append((service, f"{visit.url('explain')}?{said}"))
    return tuple(found)


async def modify(visit: Visit) -> Response:
    """A rule, who uses it, and trying it out."""
    configuration = visit.snapshot.configuration
    rule = configuration.rule(visit.request.path_params["name"])
    here = visit.url("content-rule", name=rule.name)
    values = _values(rule)
    users = users_of(configuration.services, rule.name)
    fixed = {"name": "The name of a rule cannot be changed; duplicate it instead."}
    if users:
        fixed["rule_type"] = "The rule is in use, so its type cannot be changed."
    editor = Editor(
        model=ContentRule,
        values=values,
        parts=_PARTS,
        command=lambda changes: ChangeRule(rule.name, changes),
        done=lambda key: here,
        offers=_OFFERS,
        outlook=lambda changes: _outlook(values, changes),
        permission="rules",
        noun="content rule",
        fixed=fixed,
    )
    asked, tried, trouble = _tried(visit, rule)
    context = {
        "title": rule.name,
        "sub": f"Content rule: {RULE_TYPES[rule.rule_type]}",
        "back": here,
        "above": ("Content Rules", visit.url("content-rules")),
        "rule": rule,
        "users": users,
        "place_of": place_of,
        "asked": asked,
        "tried": tried,
        "trouble": trouble,
        "about_body": rule.rule_type == REPLACE_BODY,
        "chains": _chains(visit, users, asked) if tried is not None and rule.rule_type != REPLACE_BODY else (),
        "here": here,
    }
    return await edited(
        visit,
        editor,
        lambda drawn: scrolled(visit, drawn, visit.render("pages/content_rule.html", context, drawn=drawn)),
    )


async def remove(visit: Visit) -> Response:
    """Ask, and remove a rule; one that is in use is detached everywhere first."""
    name: str = visit.request.path_params["name"]
    users = users_of(visit.snapshot.configuration.services, name)
    text = "Nobody uses it."
    if users:
        text = f"It is in use, and is detached everywhere first: {'; '.join(place_of(one, name) for one in users[:8])}."
    back = visit.url("content-rules")
    question = Question(
        f"Delete rule {name}?", "Delete", visit.url("content-rule", name=name), back, f"Rule {name} was deleted", text
    )
    return await confirmed(visit, RemoveRule(name, detach=True), question)


ROUTES = [
    page("/content-rules", show_list, name="content-rules"),
    page("/add/content-rule", add, name="add-content-rule", belongs="content-rules", methods=BOTH),
    page("/content-rules/{name}", modify, name="content-rule", belongs="content-rules", methods=BOTH),
    page("/content-rules/{name}/remove", remove, name="remove-content-rule", belongs="content-rules", methods=BOTH),
]
