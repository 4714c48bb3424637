"""Values on the wire: from what a client sent to what the model holds, and back to what LoadMaster would show.

Requests are read generously, as LoadMaster does (`reference/loadmaster-api/01`, 1.6): a boolean in any spelling, a
number as text or number, a list with any separator clients use. What a value may be is the model's business, not this
module's.
"""

from __future__ import annotations

import re
from typing import Any

from steelyard.api.loadmaster.answers import Value
from steelyard.api.loadmaster.call import FALSE_WORDS, TRUE_WORDS, as_boolean
from steelyard.model.errors import OperatorError
from steelyard.model.setting import Declared

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")

#: `SSLRewrite` is set by word and answered as a number; clients write back what they read
SSL_REWRITE = ("", "http", "https")

#: separators that clients use besides the documented one
_FURTHER_SEPARATORS = {
    "certfile": ",",
    "checkcodes": ",",
    "extraports": " ",
    "intermediatecerts": "+,",
    "interceptopts": ",",
    "owaspopts": ",",
    "perms": " ",
    "tls13cipherset": ":,",
}
MASK = "*****"


def decoded(declared: Declared, raw: Any) -> Any:
    """The model's value of a setting. An empty value is the default: it clears. Raises `OperatorError`."""
    if declared.kind == "list":
        return _list(declared, raw)
    if isinstance(raw, (list, dict)):
        raise _wrong(declared, raw, "is not a single value")
    if isinstance(raw, str) and not raw.strip() and declared.kind != "boolean":
        return declared.default
    if declared.kind == "boolean":
        return _boolean(declared, raw)
    if declared.kind == "integer":
        return _integer(declared, raw)
    return _text(declared, raw)


def is_masked(declared: Declared, raw: Any) -> bool:
    """Whether a client writes back the asterisks it read of a secret: that changes nothing (13, quirk 29)."""
    return declared.setting.secret and isinstance(raw, str) and set(raw.strip()) == {"*"}


def shown(declared: Declared, value: Any) -> Value:
    """A setting's value as a record member, in the form most records use."""
    setting = declared.setting
    if setting.secret and value:
        return MASK
    if isinstance(value, tuple):
        return (setting.separator or " ").join(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        if setting.wildcard and value == 0:
            return "*"
        return str(value) if setting.text_number else value
    return str(value)


def _name(declared: Declared) -> str:
    return declared.setting.wire or declared.name


def _wrong(declared: Declared, raw: Any, why: str) -> OperatorError:
    allowed = declared.setting.allowed()
    given = ascii(raw)[:60]
    return OperatorError(
        f"{_name(declared)} {given} {why}; allowed: {allowed}",
        field=declared.name,
        value=None if declared.setting.secret else given,
        allowed=allowed,
    )


def _boolean(declared: Declared, raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, (int, float)):
        raw = str(int(raw)) if raw in (0, 1) else str(raw)
    return as_boolean(_name(declared), raw)


def _integer(declared: Declared, raw: Any) -> int:
    if isinstance(raw, (bool, int)):
        return int(raw)
    if isinstance(raw, float):
        if raw.is_integer():
            return int(raw)
        raise _wrong(declared, raw, "is not a whole number")
    text = str(raw).strip()
    if _INTEGER.fullmatch(text):
        return int(text)
    if {0, 1} <= set(declared.setting.choices):
        if text.lower() in TRUE_WORDS:
            return 1
        if text.lower() in FALSE_WORDS:
            return 0
    if text == "*" and declared.setting.wildcard:
        return 0
    raise _wrong(declared, raw, "is not a whole number")


def _text(declared: Declared, raw: Any) -> str:
    text = raw if isinstance(raw, str) else str(int(raw)) if isinstance(raw, bool) else str(raw)
    if declared.setting.wire == "SSLRewrite" and text in ("0", "1", "2"):
        return SSL_REWRITE[int(text)]
    choices = declared.setting.choices
    if choices and text not in choices and text.lower() in choices:
        return text.lower()
    return text


def _list(declared: Declared, raw: Any) -> tuple[str, ...]:
    if isinstance(raw, list):
        items = [str(item) for item in raw]
    else:
        separators = (declared.setting.separator or " ") + _FURTHER_SEPARATORS.get(_name(declared).lower(), "")
        items = re.split(f"[{re.escape(separators)}]", str(raw))
    return tuple(item.strip() for item in items if item.strip())
