"""Cipher sets: the built-in ones to look at, those of one's own to change."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from steelyard.model.cipher_set import BUILT_IN, CipherSet, members
from steelyard.model.ciphers import CIPHERS
from steelyard.model.commands import PutCipherSet, RemoveCipherSet
from steelyard.model.configuration import Configuration
from steelyard.web.confirming import Question, confirmed
from steelyard.web.editing import Changes, Editor, Part, edited
from steelyard.web.forms.field import Offer
from steelyard.web.frame import Visit, page
from steelyard.web.pages.service import BOTH, scrolled

_PARTS = (Part("set", "Cipher Set", ("name", "ciphers")),)


def _known(visit: Visit) -> Offer:
    """Every cipher that a set may have, those first that HAProxy's library has."""
    has = visit.appliance.ciphers()
    labels = [
        (name, name if has is None or name in has else f"{name} (not in this host's TLS library)") for name in CIPHERS
    ]
    return Offer(tuple(sorted(labels, key=lambda pair: pair[0] != pair[1])))


def users_of_set(configuration: Configuration, name: str) -> int:
    """How many services with SSL acceleration name a set."""
    return sum(one.cipher_set == name and one.ssl_acceleration for one in configuration.services.values())


async def show_list(visit: Visit) -> Response:
    """Every set."""
    configuration = visit.snapshot.configuration
    rows = [
        (name, len(members(configuration.cipher_sets, name)), name in BUILT_IN, users_of_set(configuration, name))
        for name in (*configuration.cipher_sets, *BUILT_IN)
    ]
    return visit.render("pages/cipher_sets.html", {"rows": rows, "own": len(configuration.cipher_sets)})


async def show_one(visit: Visit) -> Response:
    """A set: built-in ones can be looked at and copied."""
    name: str = visit.request.path_params["name"]
    configuration = visit.snapshot.configuration
    found = members(configuration.cipher_sets, name)
    if name in BUILT_IN:
        return visit.render("pages/cipher_set.html", {"name": name, "ciphers": found, "has": visit.appliance.ciphers()})
    editor = Editor(
        model=CipherSet,
        values={"name": name, "ciphers": found},
        parts=_PARTS,
        command=lambda changes: PutCipherSet(name, changes["ciphers"]),
        done=lambda key: visit.url("cipher-sets"),
        offers={"ciphers": _known(visit)},
        permission="certs",
        noun="cipher set",
        always=("ciphers",),
        fixed={"name": "The name of a set cannot be changed; copy it instead."},
    )
    return await _edit(visit, editor, name, f"{users_of_set(configuration, name)} services offer it")


async def add(visit: Visit) -> Response:
    """Make a set; `like` begins with the ciphers of another."""
    like = visit.query("like")
    sets = visit.snapshot.configuration.cipher_sets
    known = like in BUILT_IN or like in sets

    def command(changes: Changes) -> PutCipherSet:
        return PutCipherSet(str(changes.get("name", "")), tuple(changes.get("ciphers", ())), fresh=True)

    values: dict[str, Any] = {"name": "", "ciphers": members(sets, like) if known else members(sets, "BestPractices")}
    editor = Editor(
        model=CipherSet,
        values=values,
        parts=_PARTS,
        command=command,
        done=lambda key: visit.url("cipher-sets"),
        offers={"ciphers": _known(visit)},
        permission="certs",
        fresh=True,
        noun="cipher set",
        apply_label="Save Cipher Set",
        always=("name", "ciphers"),
    )
    return await _edit(
        visit, editor, "New cipher set", f"beginning with the ciphers of {like if known else 'BestPractices'}"
    )


async def _edit(visit: Visit, editor: Editor, title: str, sub: str) -> Response:
    back = visit.url("cipher-sets")
    context = {"title": title, "sub": sub, "back": back, "above": ("Cipher Sets", back)}
    return await edited(
        visit, editor, lambda drawn: scrolled(visit, drawn, visit.render("editor.html", context, drawn=drawn))
    )


async def remove(visit: Visit) -> Response:
    """Ask, and remove a set that nobody uses."""
    name: str = visit.request.path_params["name"]
    back = visit.url("cipher-sets")
    question = Question(f"Delete cipher set {name}?", "Delete", back, back, f"Cipher set {name} was deleted")
    return await confirmed(visit, RemoveCipherSet(name), question)


ROUTES = [
    page("/cipher-sets", show_list, name="cipher-sets"),
    page("/add/cipher-set", add, name="add-cipher-set", belongs="cipher-sets", methods=BOTH),
    page("/cipher-sets/{name}", show_one, name="cipher-set", belongs="cipher-sets", methods=BOTH),
    page("/cipher-sets/{name}/remove", remove, name="remove-cipher-set", belongs="cipher-sets", methods=BOTH),
]
