"""Documents as canonical JSON text: two documents are the same exactly when their texts are.

Text, not Python equality, decides: Python holds `True == 1` and `1 == 1.0`, which are different configuration.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast

from steelyard.model.errors import InternalError
from steelyard.store.contract import Document, ObjectChange, Objects

#: Canonical texts by (kind, key).
Texts = dict[tuple[str, str], str]


class TextChange(NamedTuple):
    """An object change with canonical texts in place of documents."""

    kind: str
    key: str
    before: str | None
    after: str | None


def encode(kind: str, key: str, document: object) -> str:
    """The canonical text. `InternalError` unless it is exactly a JSON object: no tuple, number as key, NaN ..."""
    try:
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as failure:
        raise InternalError(f"The document of {kind} {key} is not JSON: {failure}") from failure
    # json.dumps turns tuples into lists and numbers used as keys into strings without a word.
    if not isinstance(document, dict) or json.loads(text) != document:
        raise InternalError(f"The document of {kind} {key} would not come back from JSON as it is")
    return text


def decode(text: str) -> Document:
    """The document of a canonical text; a new one at every call."""
    return cast(Document, json.loads(text))


def encode_changes(changes: Sequence[ObjectChange]) -> list[TextChange]:
    """Canonical changes. `InternalError` when one object is changed twice: its `before` would be ambiguous."""
    seen: set[tuple[str, str]] = set()
    encoded = []
    for change in changes:
        kind, key = exact(change.kind), exact(change.key)
        if (kind, key) in seen:
            raise InternalError(f"One commit changes {kind} {key} twice")
        seen.add((kind, key))
        before = None if change.before is None else encode(kind, key, change.before)
        after = None if change.after is None else encode(kind, key, change.after)
        encoded.append(TextChange(kind, key, before, after))
    return encoded


def decode_change(change: TextChange) -> ObjectChange:
    """The change with documents."""
    before = None if change.before is None else decode(change.before)
    after = None if change.after is None else decode(change.after)
    return ObjectChange(change.kind, change.key, before, after)


def decode_objects(texts: Texts) -> Objects:
    """Documents by kind and key, both sorted, so that the result does not depend on the order of changes."""
    objects: Objects = {}
    for kind, key in sorted(texts):
        objects.setdefault(kind, {})[key] = decode(texts[kind, key])
    return objects


def inverse(changes: Sequence[TextChange]) -> list[TextChange]:
    """The changes that undo these."""
    return [TextChange(change.kind, change.key, change.after, change.before) for change in reversed(changes)]


def advance(texts: Texts, changes: Iterable[TextChange]) -> None:
    """Change `texts` in place. `InternalError`, at the first change whose `before` is not there."""
    for change in changes:
        require_before(change, texts.get((change.kind, change.key)))
        if change.after is None:
            del texts[change.kind, change.key]
        else:
            texts[change.kind, change.key] = change.after


def require_before(change: TextChange, stored: str | None) -> None:
    """`InternalError` when the change was made on another document than the one stored (None: there is none)."""
    if change.before != stored:
        raise InternalError(f"{change.kind} {change.key} is not stored as the change says it was")


def exact(name: str) -> str:
    """A name that must come back as it is. `InternalError` for lone surrogates, which UTF-8 cannot carry."""
    try:
        name.encode()
    except UnicodeEncodeError as failure:
        raise InternalError(f"{name!r} cannot be stored as UTF-8") from failure
    return name


def legible(text: str) -> str:
    """Free text with lone surrogates spelled out: a record of a request must not fail on what a client sent."""
    return text.encode("utf-8", "backslashreplace").decode()
