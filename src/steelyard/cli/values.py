"""What people type: `setting=value`, `ADDRESS:PORT`. Types come from the catalogue; the API judges the values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from steelyard.cli.failures import Misuse
from steelyard.model.setting import Declared, Settings

_TRUE = frozenset({"true", "yes", "on", "1", "y"})
_FALSE = frozenset({"false", "no", "off", "0", "n"})
_NAME = re.compile(r"[A-Za-z][\w.-]*")
_NUMBER = re.compile(r"-?[0-9]{1,18}")


def settings(model: type[Settings], given: Iterable[str]) -> dict[str, Any]:
    """`["schedule=lc", "extra_ports=81,90-95"]` as plain data. A name that is no setting is left to the API."""
    found: dict[str, Any] = {}
    declared = model.declared()
    for word in given:
        name, equals, value = word.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name:
            raise Misuse(
                f"{word!r} is not of the form setting=value",
                f"A name is given as name={word}; `steelyard settings` shows the settings there are"
                if _NAME.fullmatch(word)
                else "`steelyard settings` shows the settings there are",
            )
        if name in found:
            raise Misuse(f"{name} is given twice", "Give it once")
        found[name] = _typed(declared[name], value) if name in declared else value
    return found


def _typed(declared: Declared, value: str) -> Any:
    """The value as JSON has it; what cannot be read stays text, so that the complaint about it shows it."""
    if declared.kind == "list":
        return [part for part in _split(value, declared.setting.separator) if part]
    if declared.kind == "integer" and _NUMBER.fullmatch(value):
        return int(value)
    if declared.kind == "boolean":
        return True if value.lower() in _TRUE else False if value.lower() in _FALSE else value
    return value


def _split(value: str, separator: str | None) -> list[str]:
    """Items of a list: `|` parts headers, which may hold commas and blanks; commas or blanks part everything else."""
    return [part.strip() for part in value.split("|")] if separator == "|" else re.split(r"[,\s]+", value)


def endpoint(word: str) -> dict[str, Any]:
    """`127.0.0.1:8080`, `[2001:db8::1]:443` as address and port, `10.0.0.5:*` with port 0. Raises `Misuse`."""
    address, colon, port = word.rpartition(":")
    bracketed = address.startswith("[") and address.endswith("]")
    # 0 by itself is a slip; every port is meant by a star alone
    port = "0" if port == "*" else port if port.strip("0") else ""
    if not colon or not address or not port.isascii() or not port.isdigit() or (":" in address and not bracketed):
        raise Misuse(f"{word!r} is not of the form ADDRESS:PORT", "Write 127.0.0.1:8080 or [2001:db8::1]:8080")
    return {"address": address[1:-1] if bracketed else address, "port": int(port[:9])}
