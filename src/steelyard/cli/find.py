"""Which object is meant: by its index, its name, or its address and port."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from steelyard.cli import output
from steelyard.cli.failures import Refused
from steelyard.cli.session import Session

Found = Mapping[str, Any]


def service(session: Session, word: str) -> int:
    """The index of the virtual service a person means. Raises `Refused` when there is none, or more than one."""
    if _is_index(word):
        return int(word)
    candidates = session.api.get("/virtual-services", fields="index,name,address,port,protocol")

    def fits(found: Found) -> bool:
        where = output.endpoint(found)
        return word in (found["name"], where, f"{found['protocol']}/{where}")

    def said(found: Found) -> str:
        return f"{found['index']} ({found['name'] or output.endpoint(found)})"

    return _only("virtual service", word, candidates, fits, said, "`steelyard vs list` shows those there are")


def server(session: Session, index: int, word: str) -> int:
    """The index of the real server a person means, in that service."""
    if _is_index(word):
        return int(word)
    candidates = session.api.get(f"/virtual-services/{index}/real-servers")

    def fits(found: Found) -> bool:
        return word in (output.endpoint(found), found["address"], found["dns_name"])

    def said(found: Found) -> str:
        return f"{found['index']} ({output.endpoint(found)})"

    return _only("real server", word, candidates, fits, said, f"`steelyard rs list {index}` shows those there are")


def slot(session: Session, parent: int, word: str) -> Found:
    """The slot of the sub-service a person means, by the index or the name of the sub-service."""
    slots: dict[int, Found] = {
        found["service"]: found for found in session.api.get(f"/virtual-services/{parent}/slots")
    }
    candidates = session.api.get(f"/virtual-services/{parent}/sub-services")

    def fits(found: Found) -> bool:
        return word in (str(found["index"]), found["name"])

    def said(found: Found) -> str:
        return f"{found['index']} ({found['name']})"

    remedy = f"`steelyard sub list {parent}` shows those there are"
    return slots[_only("sub-service", word, candidates, fits, said, remedy)]


def member(session: Session, index: int, word: str) -> int:
    """The index of a real server or slot; a slot is also known by the name of its sub-service."""
    subs = [] if _is_index(word) else session.api.get(f"/virtual-services/{index}/sub-services")
    return int(slot(session, index, word)["index"]) if subs else server(session, index, word)


def _is_index(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) < 10


def _only(
    noun: str,
    word: str,
    candidates: Sequence[Found],
    fits: Callable[[Found], bool],
    said: Callable[[Found], str],
    remedy: str,
) -> int:
    found = [candidate for candidate in candidates if word and fits(candidate)]
    if len(found) == 1:
        return int(found[0]["index"])
    if not found:
        raise Refused({"kind": "not_found", "message": f"There is no {noun} {word!r}", "remedy": remedy})
    meant = ", ".join(said(candidate) for candidate in found)
    raise Refused({"kind": "ambiguous", "message": f"{word!r} may be {meant}", "remedy": "Give the index"})
