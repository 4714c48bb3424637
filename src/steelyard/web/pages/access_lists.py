"""Access lists: who may connect, to all services and to each; the packet filter's switches."""

from __future__ import annotations

from typing import get_args

from starlette.responses import Response

from steelyard.model.access_list import EVERY_SERVICE, AccessLists, Entries, ListName, decision, network
from steelyard.model.commands import AddEntries, Command, RemoveEntries, ReplaceList
from steelyard.model.commands.access_lists import lines
from steelyard.model.errors import OperatorError, SteelyardError
from steelyard.web.editing import Drawn, Part, edited
from steelyard.web.frame import Visit, page
from steelyard.web.pages.parameters import parameter_editor
from steelyard.web.pages.service import BOTH, scrolled
from steelyard.web.wording import plural

#: entries of a list on a page; a list may have 100,000
_SHOWN = 200
_PARTS = (Part("filter", "Packet Routing Filter", ("enabled", "drop", "include_wui", "restrict_interfaces")),)


async def show_all(visit: Visit) -> Response:
    """The lists for all services, and the switches."""
    here = visit.url("access-lists")
    editor = parameter_editor(visit, "access", _PARTS, here)
    configuration = visit.snapshot.configuration
    context = {
        "title": "Packet Routing Filter",
        "sub": "Access lists for all virtual services",
        "back": here,
        "above": None,
        "scoped": [
            (configuration.services[scope], lists)
            for scope, lists in configuration.access_lists.items()
            if scope in configuration.services
        ],
        **_lists(visit, EVERY_SERVICE),
    }

    def draw(drawn: Drawn) -> Response:
        return scrolled(visit, drawn, visit.render("pages/access_lists.html", context, drawn=drawn))

    return await edited(visit, editor, draw)


async def show_service(visit: Visit) -> Response:
    """The lists of one service."""
    index: int = visit.request.path_params["index"]
    service = visit.snapshot.configuration.service(index)
    if service.is_sub:
        return visit.go("service-access", index=service.parent)
    context = {
        "title": "Access Control",
        "sub": f"Access lists of {service.title}; those for all services hold as well",
        "above": (service.title, visit.url("service", index=index)),
        "scoped": [],
        "drawn": None,
        **_lists(visit, index),
    }
    return visit.render("pages/access_lists.html", context)


def _lists(visit: Visit, scope: int) -> dict[str, object]:
    configuration = visit.snapshot.configuration
    lists = configuration.access_lists.get(scope, AccessLists())
    wanted = visit.query("q").strip().lower()
    shown = []
    for which in get_args(ListName):
        found = [(a, c) for a, c in lists.entries(which) if wanted in a or wanted in c.lower()]
        shown.append((which, found[:_SHOWN], len(found), lists.count(which)))
    asked = visit.query("client").strip()
    verdict, trouble = None, ""
    if asked:
        subject = configuration.services.get(scope) or next(iter(configuration.services.values()), None)
        try:
            verdict = decision(configuration, subject, asked) if subject is not None else None
        except SteelyardError as failure:
            trouble = failure.message
    return {
        "scope": scope,
        "lists": shown,
        "otherwise": lists.otherwise,
        "q": visit.query("q"),
        "asked": asked,
        "verdict": verdict,
        "trouble": trouble,
        "may_change": visit.may("vs" if scope else "root"),
        "here_lists": visit.url("service-access", index=scope) if scope else visit.url("access-lists"),
    }


async def change(visit: Visit) -> Response:
    """Add entries, one or many lines, remove one, or put other entries in place of a list."""
    scope = int(visit.field("scope")) if visit.field("scope").isdecimal() else EVERY_SERVICE
    back = visit.url("service-access", index=scope) if scope else visit.url("access-lists")
    which, doing = visit.field("list"), visit.field("do")
    if which not in ("block", "allow"):
        raise OperatorError(f"{which[:40]!r} is no access list", field="list", allowed="block, allow")
    name: ListName = "block" if which == "block" else "allow"
    command: Command
    try:
        if doing == "remove":
            command = RemoveEntries(scope, name, Entries.of([(network(visit.field("address")), "")]))
        else:
            given = Entries.read(visit.field("entries"))
            if not given.comments:
                raise OperatorError(
                    "No address was given", field="entries", remedy="Give one address or network a line"
                )
            command = ReplaceList(scope, name, given) if doing == "replace" else AddEntries(scope, name, given)
        outcome = await visit.execute(command)
    except SteelyardError as failure:
        where = f"{failure.position}: " if failure.position else ""
        remedy = getattr(failure, "remedy", None) or ""
        visit.session.say(f"Nothing was changed. {where}{failure.message}", "down", remedy)
        return visit.go_to(f"{back}#{name}")
    if outcome.applied == "unchanged":
        visit.session.say("It is so already; nothing was changed.", "info")
    else:
        counted = outcome.preview.configuration.access_lists.get(scope, AccessLists()).count(name)
        visit.session.say(
            f"The {name} list has {plural(counted, 'entry', 'entries')} now: revision {outcome.revision}."
        )
    return visit.go_to(f"{back}#{name}")


async def download(visit: Visit) -> Response:
    """A list as the text that can be pasted back."""
    scope: int = visit.request.path_params["scope"]
    lists = visit.snapshot.configuration.access_lists.get(scope, AccessLists())
    which: ListName = "block" if visit.request.path_params["which"] == "block" else "allow"
    text = "\n".join(lines(lists).get(which, [])) + "\n"
    name = f"{which}-{f'service-{scope}' if scope else 'all'}.txt"
    return Response(
        text, media_type="text/plain; charset=utf-8", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


ROUTES = [
    page("/access-lists", show_all, name="access-lists", methods=BOTH),
    page("/access-lists/change", change, name="change-access-list", methods=("POST",)),
    page("/access-lists/{scope:int}/{which}.txt", download, name="access-list-file"),
    page("/virtual-services/{index:int}/access", show_service, name="service-access", belongs="services"),
]
