"""QoS/Limiting: limits of everything together, of clients, and limiting rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from steelyard.model.commands import (
    AddLimitRule,
    ChangeLimitRule,
    Command,
    MoveLimitRule,
    RemoveClientLimit,
    RemoveLimitRule,
    SetClientLimit,
)
from steelyard.model.errors import NotFound, OperatorError, SteelyardError
from steelyard.model.limits import KINDS, Kind, LimitRule
from steelyard.web.editing import Drawn, Editor, Part, edited
from steelyard.web.frame import Visit, page
from steelyard.web.pages.parameters import parameter_editor
from steelyard.web.pages.service import BOTH, scrolled

_PARTS = (
    Part(
        "global",
        "All virtual services together",
        ("max_connections", "connections_per_second", "requests_per_second", "bandwidth", "answer"),
    ),
    Part(
        "clients",
        "Each client",
        ("client_connections", "client_connections_per_second", "client_requests_per_second", "client_bandwidth"),
    ),
    Part("messages", "Messages", ("fail_on_rate_limit", "logging", "repeat_delay")),
)
_RULE = (Part("rule", "Limiting rule", ("name", "match", "pattern", "limit")),)
KIND_TITLES: Mapping[Kind, tuple[str, str]] = {
    "connections": ("Concurrent connections", ""),
    "connections_per_second": ("Connections per second", "/s"),
    "requests_per_second": ("Requests per second", "/s"),
    "bandwidth": ("Bandwidth", "kbit/s"),
}
_SHOWN = 200


async def show(visit: Visit) -> Response:
    """Every limit but those of services."""
    here = visit.url("limits")
    configuration = visit.snapshot.configuration
    entries = configuration.limit_entries
    context = {
        "title": "QoS/Limiting",
        "sub": "Limits of everything together, of clients, and of requests that match",
        "back": here,
        "above": None,
        "kinds": [
            (
                kind,
                *KIND_TITLES[kind],
                list(entries.of(kind).items())[:_SHOWN],
                len(entries.of(kind)),
                configuration.limits.of_client(kind),
            )
            for kind in KINDS
        ],
        "rules": entries.rules,
        "matches": LimitRule.declared()["match"].setting.choices,
        "may_change": visit.may("root"),
        "services": [
            (one, [(title, value) for title, value in _own(one) if value])
            for one in configuration.services.values()
            if any(value for _, value in _own(one))
        ][:_SHOWN],
    }

    def draw(drawn: Drawn) -> Response:
        return scrolled(visit, drawn, visit.render("pages/limits.html", context, drawn=drawn))

    return await edited(visit, parameter_editor(visit, "limits", _PARTS, here), draw)


def _own(service: Any) -> list[tuple[str, int]]:
    names = {"connections": "max_connections"}
    return [(KIND_TITLES[kind][0], getattr(service, names.get(kind, kind))) for kind in KINDS]


async def change_client(visit: Visit) -> Response:
    """Set or remove what the clients of a network may do."""
    wanted = visit.field("kind")
    kind: Kind = next((one for one in KINDS if one == wanted), "connections")
    where, limit = visit.field("network").strip(), visit.field("limit").strip()
    command: Command
    try:
        if visit.field("do") == "remove":
            command = RemoveClientLimit(kind, where)
        else:
            if not (limit.isascii() and limit.isdecimal() and len(limit) < 12):
                raise OperatorError(
                    f"{limit[:40]!r} is no number", field="limit", remedy="Give a number; 0 is no limit"
                )
            command = SetClientLimit(kind, where, int(limit))
        outcome = await visit.execute(command)
    except SteelyardError as failure:
        visit.session.say(f"Nothing was changed. {failure.message}", "down", getattr(failure, "remedy", None) or "")
        return visit.go_to(visit.url("limits") + f"#{kind}")
    visit.session.say(f"{command.summary[:1].upper()}{command.summary[1:]}: revision {outcome.revision}.")
    return visit.go_to(visit.url("limits") + f"#{kind}")


def _values(rule: LimitRule | None) -> dict[str, Any]:
    if rule is None:
        return {name: one.default for name, one in LimitRule.declared().items()} | {
            "name": "",
            "pattern": "",
            "limit": "",
        }
    return {name: getattr(rule, name) for name in LimitRule.declared()}


def _rule(visit: Visit) -> LimitRule:
    name: str = visit.request.path_params["name"]
    rule = visit.snapshot.configuration.limit_entries.rule(name)
    if rule is None:
        raise NotFound("limiting rule", name)
    return rule


async def add_rule(visit: Visit) -> Response:
    """Make a limiting rule."""
    return await _edit_rule(visit, None)


async def modify_rule(visit: Visit) -> Response:
    """Change a limiting rule."""
    return await _edit_rule(visit, _rule(visit))


async def _edit_rule(visit: Visit, rule: LimitRule | None) -> Response:
    here = visit.url("limits")
    editor = Editor(
        model=LimitRule,
        values=_values(rule),
        parts=_RULE,
        command=lambda changes: AddLimitRule(changes) if rule is None else ChangeLimitRule(rule.name, changes),
        done=lambda key: here,
        permission="root",
        fresh=rule is None,
        noun="limiting rule",
        apply_label="Add Rule" if rule is None else "Apply",
        always=("name", "pattern", "limit") if rule is None else (),
        fixed={} if rule is None else {"name": "The name of a limiting rule cannot be changed."},
    )
    context = {
        "title": rule.name if rule is not None else "Add a limiting rule",
        "sub": "How many requests a second that match each client may send",
        "back": here,
        "above": ("QoS/Limiting", here),
    }
    return await edited(
        visit, editor, lambda drawn: scrolled(visit, drawn, visit.render("editor.html", context, drawn=drawn))
    )


async def arrange_rule(visit: Visit) -> Response:
    """Move or remove a limiting rule, at once."""
    rule = _rule(visit)
    rules = visit.snapshot.configuration.limit_entries.rules
    position = rules.index(rule) + 1
    doing = visit.field("do")
    command: Command = RemoveLimitRule(rule.name)
    if doing in ("up", "down"):
        command = MoveLimitRule(rule.name, max(1, position + (1 if doing == "down" else -1)))
    outcome = await visit.execute(command)
    done = "was moved" if doing in ("up", "down") else "was removed"
    visit.session.say(f"Limiting rule {rule.name} {done}: revision {outcome.revision}.")
    return visit.go_to(visit.url("limits") + "#rules")


ROUTES = [
    page("/limits", show, name="limits", methods=BOTH),
    page("/limits/clients", change_client, name="client-limit", methods=("POST",)),
    page("/add/limit-rule", add_rule, name="add-limit-rule", belongs="limits", methods=BOTH),
    page("/limits/rules/{name}", modify_rule, name="limit-rule", belongs="limits", methods=BOTH),
    page("/limits/rules/{name}/arrange", arrange_rule, name="arrange-limit-rule", methods=("POST",)),
]
