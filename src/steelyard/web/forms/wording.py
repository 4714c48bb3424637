"""The catalogue's words as a page says them.

Messages of the model name settings as LoadMaster's API does and choices by their values, because most callers are
programs. On a page the same things have labels.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from steelyard.model.setting import Declared, Settings

#: a name of the API that is no ordinary word: it has a capital letter that is not its first, or a number
_API_NAME = re.compile(r"\b[A-Za-z]+[A-Z0-9][A-Za-z0-9.]*\b|\b[a-z]{2,}_[a-z_]+\b")
#: names that people know, too
_ALSO_WORDS = frozenset({"HTTPS", "HTTP", "URL", "SSL", "TLS", "SNI", "UDP", "TCP", "IPv4", "IPv6", "HAProxy"})

#: service types in messages, but for http, which says it already
_SERVICE_TYPES = {"gen": "Generic", "ts": "Remote Terminal"}
_SERVICE_TYPE = re.compile(r"\b(?:gen|ts)\b")


def unit_of(declared: Declared) -> str:
    """The unit as it stands behind a number."""
    return {"seconds": "s", "percent": "%"}.get(declared.setting.unit or "", declared.setting.unit or "")


#: help for programs says how a value is put together, which fields show by themselves
_HELP = {
    "tls_type": "Which protocols clients are offered. TLS 1.0 and 1.1 are broken: leave them on only for clients that"
    " know nothing else.",
    "admin_tls_type": "Which protocols browsers and programs are offered by this interface and the APIs.",
    "error_page": "Page sent when no real server is available and the error code is no redirect: text or HTML of at"
    " most 15,000 bytes. Without it a plain one is sent.",
    "esp_logs": "What is logged.",
    "check_headers": "Up to four headers, Name:value each.",
    "follow_vs": "The service that this one follows: a client known there goes to the same real server here. Only"
    " services with the same real servers can be followed. Set it on both for both directions.",
    "follow": "Whose health check decides whether this one is up.",
}


def help_of(model: type[Settings], declared: Declared) -> str:
    """What a field says of itself."""
    found = _HELP.get(declared.name)
    return found if found is not None else plainly(model, declared.setting.help)


def range_of(declared: Declared) -> str:
    """What may be given where that is no choice: a range, or the form of a text."""
    setting = declared.setting
    if declared.name in _HELP:
        return ""
    if setting.choices or declared.kind == "boolean":
        return ""
    if setting.ge is not None and setting.le is not None:
        unit = f" {setting.unit}" if setting.unit else ""
        return f"{'0 or ' if setting.or_zero else ''}{setting.ge:,} to {setting.le:,}{unit}"
    says = setting.pattern_says or ""
    return "" if says.removeprefix("an ").removeprefix("a ") in setting.help else says


def in_words(declared: Declared, value: Any) -> str:
    """A value as a page shows it."""
    if declared.setting.secret:
        return "set" if value else "not set"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    meant = declared.setting.choices.get(value) if declared.setting.choices else None
    if meant:
        return str(meant)
    if value == "" or value is None:
        return "empty"
    unit = unit_of(declared)
    if isinstance(value, int):
        return f"{value} {unit}".strip()
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


@cache
def _labels(model: type[Settings]) -> dict[str, str]:
    found: dict[str, str] = {}
    for declared in model.declared().values():
        for name in (declared.setting.wire, declared.setting.answer, declared.name):
            if name:
                found.setdefault(name, declared.setting.label)
    return found


def plainly(model: type[Settings], message: str, about: str | None = None) -> str:
    """A message of the model in the words of a page. `about` is the field it stands at, which need not be named.

    >>> plainly(VirtualService, "SSLReencrypt needs SSLAcceleration")
    'Reencrypt needs SSL Acceleration'
    """
    declared = model.declared().get(about or "")
    if declared is not None:
        for name in (declared.setting.wire, declared.setting.answer, declared.name):
            if name and message.startswith(f"{name}: "):
                message = message[len(name) + 2 :]
                break
        for value, meaning in declared.setting.choices.items():
            if isinstance(value, str) and value and meaning:
                message = re.sub(rf"'{re.escape(value)}'", f"“{meaning}”", message)
    if "service_type" in model.model_fields:
        message = _SERVICE_TYPE.sub(lambda found: _SERVICE_TYPES[found.group()], message)
    labels = _labels(model)

    def label(found: re.Match[str]) -> str:
        word = found.group()
        return word if word in _ALSO_WORDS else labels.get(word, word)

    message = _API_NAME.sub(label, message)
    return message[:1].upper() + message[1:]


__all__ = ["help_of", "in_words", "plainly", "range_of", "unit_of"]
