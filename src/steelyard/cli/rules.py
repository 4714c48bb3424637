"""`steelyard rule`: content rules, where they are attached, and trying one out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.table import Table

from steelyard.cli import find, output, values
from steelyard.cli.failures import Misuse
from steelyard.cli.session import Session, command
from steelyard.model.content_rule import MATCH, REPLACE_BODY, RULE_TYPES, ContentRule
from steelyard.model.rule_matching import Flags, Request, changed_request, is_performed, is_refused, matches

app = typer.Typer(no_args_is_help=True, help="Content rules: what requests and answers are matched and changed by.")

_LISTS = ("pre", "request", "response", "body")

Name = Annotated[str, typer.Argument(metavar="RULE", help="Its name.", show_default=False)]
Service = Annotated[str, typer.Argument(metavar="VS", help="Index, name or ADDRESS:PORT.", show_default=False)]
Pairs = Annotated[
    list[str] | None,
    typer.Argument(metavar="SETTING=VALUE", help="See `steelyard settings rule`.", show_default=False),
]
Where = Annotated[str | None, typer.Option("--list", help="pre, request, response or body.", show_default=False)]
Member = Annotated[
    str | None,
    typer.Option(
        "--rs", metavar="RS", help="A real server; a slot by its index or its sub-service's name.", show_default=False
    ),
]


@command(app, "list")
def list_rules(session: Session) -> None:
    """Show every content rule."""
    found = session.api.get("/rules")
    session.show(found, lambda: _table(found))


def _table(found: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (
            rule["name"],
            RULE_TYPES[rule["rule_type"]],
            rule["header"] or ("URL" if rule["rule_type"] == MATCH else ""),
            rule["pattern"],
            rule["replacement"],
            ", ".join(map(str, rule["used_by"])) or "none",
        )
        for rule in found
    ]
    return output.table(("name", "type", "header", "pattern", "replacement", "used by vs"), rows)


@command(app, "show")
def show(session: Session, name: Name) -> None:
    """Show one content rule: what was set on it, and who uses it."""
    found = session.api.get(f"/rules/{quote(name, safe='')}")
    declared = ContentRule.declared()

    def page() -> Table:
        rows = [
            (member, output.setting_value(value), declared[member].setting.label)
            for member, value in found.items()
            if member in declared and not declared[member].is_default(value)
        ]
        rows.append(("used_by", ", ".join(map(str, found["used_by"])) or "none", "Virtual services"))
        return output.table(("setting", "value", ""), rows)

    session.show(found, page)


@command(app, "add", change=True)
def add(session: Session, name: Name, pairs: Pairs = None) -> None:
    """Make a content rule: steelyard rule add api match_type=prefix pattern=/api/."""
    change = session.write("POST", "/rules", {"name": name, **values.settings(ContentRule, pairs or ())})
    session.report(change, f"Content rule {name} made")


@command(app, "set", change=True)
def change_settings(session: Session, name: Name, pairs: Pairs = None) -> None:
    """Change a content rule wherever it is used: steelyard rule set api ignore_case=yes."""
    change = session.write("PATCH", _path(name), values.settings(ContentRule, pairs or ()))
    session.report(change, f"Content rule {name} changed")


@command(app, "remove", change=True)
def remove(
    session: Session,
    name: Name,
    detach: Annotated[bool, typer.Option("--detach", help="Detach it wherever it is used.")] = False,
) -> None:
    """Remove a content rule. One in use is refused without --detach."""
    change = session.write("DELETE", _path(name), detach=True if detach else None)
    session.report(change, f"Content rule {name} removed")


@command(app, "attach", change=True)
def attach(
    session: Session,
    service: Service,
    name: Name,
    where: Where = None,
    member: Member = None,
    position: Annotated[int | None, typer.Option(help="Counted from 1; last without it.")] = None,
) -> None:
    """Attach a rule: steelyard rule attach web api --rs 10.0.0.5:80, or --list request."""
    path, said = _place(session, service, where, member)
    body: dict[str, Any] = {"rule": name}
    if position is not None:
        body["position"] = position
    session.report(session.write("POST", path, body), f"Content rule {name} attached to {said}")


@command(app, "detach", change=True)
def detach(session: Session, service: Service, name: Name, where: Where = None, member: Member = None) -> None:
    """Detach a rule: steelyard rule detach web api --list request."""
    path, said = _place(session, service, where, member)
    change = session.write("DELETE", f"{path}/{quote(name, safe='')}")
    session.report(change, f"Content rule {name} detached from {said}")


@command(app, "move", change=True)
def move(
    session: Session,
    service: Service,
    name: Name,
    position: Annotated[int, typer.Argument(metavar="POSITION", help="Counted from 1.", show_default=False)],
    where: Where = None,
    member: Member = None,
) -> None:
    """Give an attached rule another position: steelyard rule move web api 1 --list request."""
    path, said = _place(session, service, where, member)
    change = session.write("PATCH", f"{path}/{quote(name, safe='')}", {"position": position})
    session.report(change, f"Content rule {name} moved in {said}")


@command(app, "test")
def test(
    session: Session,
    name: Name,
    target: Annotated[str, typer.Argument(metavar="PATH", help="Path and query.")] = "/",
    method: Annotated[str, typer.Option(help="Method of the request.")] = "GET",
    headers: Annotated[
        list[str] | None, typer.Option("--header", "-H", metavar="NAME:VALUE", help="May be repeated.")
    ] = None,
    client: Annotated[str, typer.Option(help="Address of the client.")] = "127.0.0.1",
    body: Annotated[str, typer.Option(help="Body of the request.")] = "",
    flags: Annotated[list[int] | None, typer.Option("--flag", help="A flag that is set; may be repeated.")] = None,
) -> None:
    """Say what a rule makes of a request, without sending one: steelyard rule test api /api/users -H Host:shop."""
    found = session.api.get(_path(name))
    rule = ContentRule.make({member: value for member, value in found.items() if member != "used_by"})
    request = Request(method, target, _headers(headers or ()), client, body.encode("utf-8", "surrogateescape"))
    tried = _tried(rule, request, frozenset(flags or ()))
    session.show(tried, lambda: tried["says"])


def _tried(rule: ContentRule, request: Request, flags: Flags) -> dict[str, Any]:
    if not is_performed(rule, flags):
        return {"performed": False, "says": "The flags keep the rule from being performed"}
    if rule.rule_type == REPLACE_BODY:
        return {"performed": True, "says": "The rule changes bodies of answers; nothing of a request"}
    if rule.rule_type == MATCH:
        found = matches(rule, request, flags)
        refused = is_refused(rule, request, flags)
        says = "It matches, and the request is refused" if refused else "It matches" if found else "It does not match"
        return {"performed": True, "matches": found, "refused": refused, "says": says}
    after = changed_request(rule, request, flags)
    lines = [f"{one}: {value}" for one, value in after.headers]
    says = "Nothing changes" if after == request else "\n".join((f"{after.method} {after.target}", *lines))
    return {"performed": True, "changed": after != request, "target": after.target, "headers": lines, "says": says}


def _headers(given: Sequence[str]) -> tuple[tuple[str, str], ...]:
    found = []
    for word in given:
        name, colon, value = word.partition(":")
        if not colon or not name.strip():
            raise Misuse(f"{word!r} is not of the form NAME:VALUE", "Write a header as Host:shop.example")
        found.append((name.strip(), value.strip()))
    return tuple(found)


def _path(name: str) -> str:
    return f"/rules/{quote(name, safe='')}"


def _place(session: Session, service: str, where: str | None, member: str | None) -> tuple[str, str]:
    """The path of a list of rules, and what people call it. Raises `Misuse`."""
    if (where is None) == (member is None):
        raise Misuse("A rule belongs to a list of the service or to a member", "Give one of --list and --rs")
    if where is not None and where not in _LISTS:
        raise Misuse(f"{where!r} is no list of rules", f"Choose one of {', '.join(_LISTS)}")
    index = find.service(session, service)
    if member is None:
        return f"/virtual-services/{index}/rules/{where}", f"the {where} rules of virtual service {index}"
    number = find.member(session, index, member)
    return f"/virtual-services/{index}/members/{number}/rules", f"member {number} of virtual service {index}"
