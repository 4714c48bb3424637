"""A form on its way: drawn, changed, reviewed, applied. The same way for every object that has settings.

A page that edits something is one address. GET draws it; a POST says by `_step` how far it goes:

- draft: draw it again with what has been typed, so that what an option shows or forbids follows at once;
- review: the dry run, on the road every change takes, with its difference, its operations and who is affected;
- apply: carry it out, if it is still what was reviewed and nobody has changed anything since.

Without scripts these are buttons and whole pages; with htmx the same answers take the place of the form.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.background import BackgroundTask
from starlette.responses import Response

from steelyard.appliance.contract import HistoryEntry, Preview
from steelyard.model.barred import Bars
from steelyard.model.commands import Command
from steelyard.model.errors import ConflictError, NotFound, OperatorError, SteelyardError
from steelyard.model.setting import Settings
from steelyard.web.forms.field import Complaint, Offer, Section
from steelyard.web.forms.making import Maker, complaints_of
from steelyard.web.forms.posted import ORIGINAL, changes, posted_form, read_originals, texts
from steelyard.web.frame import Visit
from steelyard.web.impact import Effect, effects
from steelyard.web.readable import Readable, readable

STEP, REVISION, REVIEWED, OPEN = "_step", "_revision", "_reviewed", "_open"
#: revisions told when a form is stale
_MOST_NEWER = 5
#: other forms of a session whose secrets are kept until they are applied
_MOST_TYPED = 8
#: operations of the engine shown one by one
_MOST_OPERATIONS = 40
_ENGINE_NAME = re.compile(r"\bvs([0-9]{1,9})\b")

Changes = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """Some settings under a title, as a page lays them out. `state` says in a few words how things stand."""

    key: str
    title: str
    names: tuple[str, ...]
    open: bool = True
    state: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Outlook:
    """What the settings say of each other, with changes that are only thought of."""

    bars: Bars = field(default_factory=Bars)
    idle: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Editor:
    """What is edited. `command` makes the change; `done` says where to go afterwards, given what it made.

    `fresh` is for something that is not there yet: everything that is posted goes into it, and it may be applied
    without a review. `fixed` are settings that can be seen and not changed. `departs`: the browser's own way here goes
    with the change, so the answer, which sends it to where `done` says, is given before the change is made.
    """

    model: type[Settings]
    values: Mapping[str, Any]
    parts: tuple[Part, ...]
    command: Callable[[Changes], Command]
    done: Callable[[int | str | None], str]
    offers: Mapping[str, Offer] = field(default_factory=dict)
    outlook: Callable[[Changes], Outlook] = lambda changes: Outlook()
    permission: str = "vs"
    fresh: bool = False
    noun: str = ""
    apply_label: str = "Apply"
    #: settings that the command needs even where they are as the form was drawn
    always: tuple[str, ...] = ()
    fixed: Mapping[str, str] = field(default_factory=dict)
    departs: bool = False

    def names(self) -> tuple[str, ...]:
        """Every setting the form may show."""
        return tuple(name for part in self.parts for name in part.names)


@dataclass(frozen=True)
class Newer:
    """A revision made after the form was drawn."""

    entry: HistoryEntry
    differences: tuple[Readable, ...]
    #: it changed what this form changes
    concerns: bool = False


@dataclass(frozen=True)
class Review:
    """What the dry run said."""

    preview: Preview
    differences: tuple[Readable, ...]
    effects: tuple[Effect, ...]
    operations: tuple[str, ...]
    more_operations: int
    token: str
    newer: tuple[Newer, ...] = ()

    @property
    def reload_reasons(self) -> tuple[str, ...]:
        """Why HAProxy is reloaded, with services by the names people know."""
        services = self.preview.configuration.services

        def title(found: re.Match[str]) -> str:
            service = services.get(int(found[1]))
            return service.title if service is not None else found.group()

        named = (_ENGINE_NAME.sub(title, why) for why in self.preview.reload_reasons)
        return tuple(why[:1].upper() + why[1:] for why in named)

    @property
    def changes_anything(self) -> bool:
        return bool(self.preview.differences)


@dataclass(frozen=True)
class Drawn:
    """A form as a template needs it."""

    editor: Editor
    sections: tuple[Section, ...]
    originals: str
    revision: int
    action: str
    may: bool
    review: Review | None = None
    complaint: Complaint | None = None
    newer: tuple[Newer, ...] = ()
    nothing: bool = False
    #: what was chosen has settings that the form had not shown before
    more: bool = False

    @property
    def count(self) -> int:
        """How many settings are changed."""
        return sum(section.changes for section in self.sections)

    @property
    def has_error(self) -> bool:
        return self.complaint is not None or any(section.has_error for section in self.sections)

    def names(self) -> set[str]:
        """The settings that can be changed in it."""
        return {one.name for section in self.sections for one in section.fields if not one.barred}


async def edited(visit: Visit, editor: Editor, draw: Callable[[Drawn], Response]) -> Response:
    """Answer a request for a page that edits something. `draw` makes the page of the form."""
    if visit.request.method in ("GET", "HEAD"):
        visit.session.typed.pop(visit.request.url.path, None)
        return draw(_drawn(visit, editor, {}, {}))
    posted = {name: [one for one in visit.form.getlist(name) if isinstance(one, str)] for name in visit.form}
    _keep_secrets(visit, editor, posted)
    was = _was(editor, posted)
    held = texts(editor.model, posted, was)
    asked = changes(editor.model, posted)
    wanted = {name: value for name, value in asked.items() if name in set(editor.names()) and name not in editor.fixed}
    # a field that was touched sends the form without a button
    step = visit.field(STEP) or ("draft" if visit.by_htmx else "review")
    if step == "draft":
        return draw(_drawn(visit, editor, was, held, wanted))
    if not wanted and not editor.fresh:
        return draw(_drawn(visit, editor, was, held, wanted, nothing=True))
    if editor.fresh and step == "apply" and not visit.by_htmx:
        # without scripts nobody has seen yet what the choices bring along
        drawn = _drawn(visit, editor, was, held, wanted)
        if drawn.names() - set(was):
            return draw(replace(drawn, more=True))
    command = editor.command({**_always(editor, held), **wanted})
    based_on = _number(visit.field(REVISION)) or visit.snapshot.revision
    try:
        if step == "apply" and (editor.fresh or visit.field(REVIEWED) == _token(wanted)):
            if editor.departs:
                await visit.preview(command, based_on=based_on)
                answer = visit.go_to(editor.done(None))
                answer.background = BackgroundTask(_carry_out, visit, command, based_on)
                return answer
            outcome = await visit.execute(command, based_on=None if editor.fresh else based_on)
            visit.session.typed.pop(visit.request.url.path, None)
            _say(visit, editor, outcome.revision, outcome.applied, len(wanted))
            return visit.go_to(editor.done(outcome.key))
        return draw(await _reviewed(visit, editor, command, was, held, wanted, based_on))
    except NotFound as failure:
        if failure.what == "VS" and not editor.fresh:
            raise
        return draw(_complained(visit, editor, was, held, wanted, failure))
    except ConflictError as failure:
        if failure.field == "revision":
            return draw(await _reviewed(visit, editor, command, was, held, wanted, based_on))
        return draw(_complained(visit, editor, was, held, wanted, failure))
    except SteelyardError as failure:
        if isinstance(failure, OperatorError) and failure.field == "permission":
            raise
        return draw(_complained(visit, editor, was, held, wanted, failure))


async def _carry_out(visit: Visit, command: Command, based_on: int) -> None:
    """Make a change whose answer has been given."""
    try:
        await visit.execute(command, based_on=based_on)
    except SteelyardError as refused:
        # whoever waits at the new place finds nothing there, and reads why where the browser was
        visit.session.say(refused.message, "down")


def _keep_secrets(visit: Visit, editor: Editor, posted: dict[str, list[str]]) -> None:
    """A page never holds a secret, so one that was typed is kept here until its form is applied or opened anew."""
    path, declared = visit.request.url.path, editor.model.declared()
    typed = visit.session.typed.get(path, {})
    for name in editor.names():
        if declared[name].setting.secret:
            given = next((text for text in posted.get(name, ()) if text), "")
            if given:
                typed = {**typed, name: given}
            elif name in typed:
                posted[name] = [typed[name]]
    if typed:
        others = [(one, kept) for one, kept in visit.session.typed.items() if one != path]
        visit.session.typed = {**dict(others[-_MOST_TYPED:]), path: typed}


def _was(editor: Editor, posted: Mapping[str, list[str]]) -> dict[str, str]:
    """What the fields held when the form was drawn; nothing is believed of what the form does not have."""
    known = set(editor.names())
    sent = read_originals(next(iter(posted.get(ORIGINAL, ())), ""))
    return {name: text for name, text in sent.items() if name in known}


def _always(editor: Editor, held: Mapping[str, str]) -> Changes:
    from steelyard.web.forms.posted import value_of

    declared = editor.model.declared()
    return {name: value_of(declared[name], held[name]) for name in editor.always if name in held}


def _token(wanted: Changes) -> str:
    """What was reviewed, in short: another set of changes has another one. Secrets cannot be read from it."""
    said = json.dumps(wanted, sort_keys=True, default=list)
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else 0


def _drawn(
    visit: Visit,
    editor: Editor,
    was: Mapping[str, str],
    held: Mapping[str, str],
    wanted: Changes | None = None,
    *,
    errors: Mapping[str, Complaint] | None = None,
    complaint: Complaint | None = None,
    review: Review | None = None,
    revision: int = 0,
    nothing: bool = False,
) -> Drawn:
    outlook = editor.outlook(wanted or {})
    maker = Maker(
        editor.model,
        editor.values,
        was=was,
        texts=held,
        offers=editor.offers,
        bars=Bars({**outlook.bars.settings, **editor.fixed}, outlook.bars.choices),
        idle=outlook.idle,
        errors=errors,
    )
    unfolded = set(visit.field(OPEN).split()) if OPEN in visit.form else None
    sections = tuple(section for part in editor.parts if (section := _section(maker, part, unfolded)).fields)
    shown = [one.name for section in sections for one in section.fields if not one.barred]
    base = {
        name: posted_form(editor.model.declared()[name], editor.values[name], offered=name in editor.offers)
        for name in shown
    }
    originals = {name: was.get(name, base[name]) for name in shown}
    return Drawn(
        editor,
        sections,
        json.dumps(originals, separators=(",", ":")),
        revision or _number(visit.field(REVISION)) or visit.snapshot.revision,
        visit.request.url.path + (f"?{visit.request.url.query}" if visit.request.url.query else ""),
        visit.may(editor.permission),
        review,
        complaint,
        nothing=nothing,
    )


def _section(maker: Maker, part: Part, unfolded: Collection[str] | None) -> Section:
    """`unfolded` are the sections that are open in the browser; None where it did not say."""
    fields = maker.fields(part.names)
    touched = any(one.changed or one.error is not None for one in fields)
    is_open = part.open if unfolded is None else part.key in unfolded
    return Section(part.key, part.title, fields, part.state, is_open or touched, part.hint)


def _complained(
    visit: Visit,
    editor: Editor,
    was: Mapping[str, str],
    held: Mapping[str, str],
    wanted: Changes,
    failure: SteelyardError,
) -> Drawn:
    names = set(editor.names())
    errors, complaint = complaints_of(editor.model, failure, shown=names.__contains__)
    return _drawn(visit, editor, was, held, wanted, errors=errors, complaint=complaint)


async def _reviewed(
    visit: Visit,
    editor: Editor,
    command: Command,
    was: Mapping[str, str],
    held: Mapping[str, str],
    wanted: Changes,
    based_on: int,
) -> Drawn:
    """The dry run against the newest revision; what is newer than the form is told with it."""
    preview = await visit.preview(command)
    newer = () if editor.fresh else newer_than(visit, based_on, preview)
    found = await review_of(visit, preview, token=_token(wanted), newer=newer)
    return _drawn(visit, editor, was, held, wanted, review=found, revision=preview.based_on)


async def review_of(visit: Visit, preview: Preview, *, token: str = "", newer: tuple[Newer, ...] = ()) -> Review:
    """A dry run as a page shows it: the difference, who is affected, and the first operations one by one."""
    operations = preview.operations
    return Review(
        preview,
        tuple(map(readable, preview.differences)),
        effects(visit.appliance.snapshot().configuration, preview, await visit.appliance.statistics()),
        operations[:_MOST_OPERATIONS],
        max(0, len(operations) - _MOST_OPERATIONS),
        token,
        newer,
    )


def newer_than(visit: Visit, revision: int, preview: Preview | None = None) -> tuple[Newer, ...]:
    """The revisions after one, newest first, with what they changed."""
    touched = {(one.kind, one.key) for one in preview.differences} if preview is not None else set()
    found = []
    for entry in visit.appliance.history(_MOST_NEWER):
        if entry.number <= revision:
            break
        whole = visit.appliance.revision(entry.number)
        concerns = any((one.kind, one.key) in touched for one in whole.differences)
        found.append(Newer(whole, tuple(map(readable, whole.differences)), concerns))
    return tuple(found)


def _say(visit: Visit, editor: Editor, revision: int, applied: str, count: int) -> None:
    if applied == "unchanged":
        visit.session.say("Nothing was different, so nothing was changed.", "info")
        return
    what = f"{editor.noun} made" if editor.fresh else f"{count} {'change' if count == 1 else 'changes'} applied"
    when = "in effect" if applied == "now" else "in effect within a second"
    visit.session.say(f"{what[:1].upper()}{what[1:]}: revision {revision} is {when}.")


def layout(
    model: type[Settings], parts: Iterable[tuple[str, str, str]], leave_out: Collection[str] = ()
) -> tuple[Part, ...]:
    """Parts of all settings of catalogue sections: (section, key, title)."""
    declared = model.declared().values()
    return tuple(
        Part(key, title, tuple(d.name for d in declared if d.setting.section == section and d.name not in leave_out))
        for section, key, title in parts
    )


__all__ = [
    "REVISION",
    "STEP",
    "Drawn",
    "Editor",
    "Newer",
    "Outlook",
    "Part",
    "Review",
    "edited",
    "layout",
    "newer_than",
]
