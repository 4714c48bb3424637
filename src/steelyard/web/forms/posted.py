"""What a browser posted, as changes of settings.

A form brings along what its fields held when it was drawn. What is posted is compared with that and not with what the
object is now: another administrator's change of another field must not look like one of this form's.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from steelyard.model.setting import Declared, Settings
from steelyard.web.forms.field import ON, Widget

#: the hidden field that holds what the fields held
ORIGINAL = "_original"
#: with the name of a secret after it: take it away
CLEAR = "_clear."

#: several values of one name, in the order of the form
Posted = Mapping[str, Collection[str]]

_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_SEPARATORS = {",": r"[,\s]+", ":": r"[:\s]+", " ": r"\s+"}
#: texts that are words with blanks between, too many for one line
WORDS = frozenset({"allowed_hosts", "allowed_directories", "excluded_directories"})
#: sums with the meaning of their parts
BITS: Mapping[str, Mapping[int, str]] = {"esp_logs": {1: "User Access", 2: "Security", 4: "Connection"}}
#: characters; longer texts are written on several lines
_LONG = 1100


def widget_of(declared: Declared, *, offered: bool = False) -> Widget:
    """How a setting is asked for. `offered` says that there is a list of what it may name."""
    setting = declared.setting
    if setting.secret:
        return "password"
    if declared.kind == "boolean":
        return "switch"
    if declared.name in BITS:
        return "bits"
    if declared.kind == "list":
        return "picks" if offered else "lines" if setting.separator not in _SEPARATORS else "text"
    if setting.choices or offered:
        return "select"
    if declared.kind == "integer":
        return "number"
    if declared.name in WORDS:
        return "words"
    if declared.name == "error_page":
        return "page"
    return "area" if setting.max_length is not None and setting.max_length > _LONG else "text"


def posted_form(declared: Declared, value: Any, *, offered: bool = False) -> str:
    """A value as the form posts it when nobody touches it."""
    match widget_of(declared, offered=offered):
        case "password":
            return ""
        case "switch":
            return ON if value else ""
        case "bits":
            return "\n".join(str(bit) for bit in BITS[declared.name] if value & bit)
        case "picks" | "lines":
            return "\n".join(value)
        case "text" if declared.kind == "list":
            separator = declared.setting.separator or " "
            return f"{separator.strip()} ".join(value)
        case "words":
            return "\n".join(str(value).split())
        case "page":
            return _page_text(str(value))
        case _:
            return "" if value is None else str(value)


def originals(model: type[Settings], values: Mapping[str, Any], names: Iterable[str], offered: Collection[str]) -> str:
    """The content of the hidden field for the fields of those names."""
    declared = model.declared()
    return json.dumps(
        {name: posted_form(declared[name], values[name], offered=name in offered) for name in names},
        ensure_ascii=True,
        separators=(",", ":"),
    )


def read_originals(text: str) -> dict[str, str]:
    """The opposite of `originals`; nothing of it is believed but that it is texts."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if isinstance(name, str) and isinstance(value, str)}


def texts(model: type[Settings], posted: Posted, was: Mapping[str, str]) -> dict[str, str]:
    """What each field of the form holds now, as `posted_form` would say it."""
    declared = model.declared()
    found: dict[str, str] = {}
    for name, before in was.items():
        one = declared.get(name)
        if one is None or not one.setting.built:
            continue
        given = list(posted.get(name, ()))
        if one.kind == "boolean":
            found[name] = ON if ON in given else ""
        elif name in BITS or one.kind == "list":
            # lists of choices come as several values, lists of lines as one
            found[name] = "\n".join(given).replace("\r\n", "\n").replace("\r", "\n")
        else:
            found[name] = _lines(given[-1], before) if given else before
    return found


def _lines(text: str, before: str) -> str:
    """Browsers send every end of a line as CR LF."""
    return text if "\r" in before else text.replace("\r\n", "\n")


def changes(model: type[Settings], posted: Posted) -> dict[str, Any]:
    """The settings that differ from what the form held, as plain data for a command. Nothing is checked here."""
    was = read_originals(next(iter(posted.get(ORIGINAL, ())), ""))
    found: dict[str, Any] = {}
    for name, text in texts(model, posted, was).items():
        declared = model.declared()[name]
        if declared.setting.secret:
            if ON in posted.get(CLEAR + name, ()):
                found[name] = ""
            elif text:
                found[name] = text
            continue
        if _same(declared, text, was[name]):
            continue
        found[name] = value_of(declared, text)
    return found


def _same(declared: Declared, text: str, before: str) -> bool:
    if text == before:
        return True
    if declared.kind == "list" or declared.name in WORDS or declared.name in BITS:
        return bool(value_of(declared, text) == value_of(declared, before))
    if declared.kind == "integer":
        return text.strip() == before
    return False


def value_of(declared: Declared, text: str) -> Any:
    """A field's text as the value the model takes; what cannot be one is left as it is, for the model to refuse."""
    setting = declared.setting
    if declared.kind == "boolean":
        return text == ON
    if declared.name in BITS:
        return sum(int(bit) for bit in set(text.split()) if _INTEGER.fullmatch(bit))
    if declared.kind == "integer":
        bare = text.strip()
        if not bare and isinstance(declared.default, int):
            return declared.default
        return int(bare) if _INTEGER.fullmatch(bare) else bare
    if declared.kind == "list":
        separators = _SEPARATORS.get(setting.separator or "", r"\n")
        return tuple(part.strip() for part in re.split(separators, text) if part.strip())
    if declared.name in WORDS:
        return " ".join(text.split())
    if declared.name == "error_page":
        return _page_value(text)
    # blanks around what has a form are slips; in a pattern or a replacement they may be meant
    return text.strip() if setting.pattern is not None or setting.pattern_says is not None else text


#: stands before a page that is no text, so that it is told from one that is
_ENCODED = "data:;base64,"


def _page_text(encoded: str) -> str:
    try:
        text = base64.b64decode(encoded, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return _ENCODED + encoded
    # browsers send every end of a line in one way, so a page with several kinds would come back as another
    mixed = "\r" in text and text.replace("\r\n", "\n").replace("\n", "\r\n") != text
    return _ENCODED + encoded if mixed or text.startswith(_ENCODED) else text


def _page_value(text: str) -> str:
    if text.startswith(_ENCODED):
        return text.removeprefix(_ENCODED)
    return base64.b64encode(text.encode("utf-8", "replace")).decode("ascii") if text else ""


__all__ = [
    "BITS",
    "CLEAR",
    "ORIGINAL",
    "WORDS",
    "Posted",
    "changes",
    "originals",
    "posted_form",
    "read_originals",
    "texts",
    "value_of",
    "widget_of",
]
