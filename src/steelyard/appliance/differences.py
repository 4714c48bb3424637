"""Configurations compared for people: one entry an object, one line a setting, secrets masked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from pydantic import BaseModel

from steelyard.appliance.access_differences import PartChange, access_differences
from steelyard.appliance.contract import ObjectDifference
from steelyard.model.certificate import Certificate
from steelyard.model.configuration import ACCESS, Configuration, changed_objects
from steelyard.model.content_rule import ContentRule
from steelyard.model.real_server import RealServer
from steelyard.model.setting import Settings
from steelyard.model.user import User
from steelyard.model.virtual_service import VirtualService

_MASK = "(not shown)"


def differences(old: Configuration, new: Configuration) -> tuple[ObjectDifference, ...]:
    """What differs between two configurations, counters excepted."""
    return told(changed_objects(old, new))


def told(changes: Iterable[tuple[str, str, BaseModel | None, BaseModel | None]]) -> tuple[ObjectDifference, ...]:
    """Object changes (kind, key, before, after) for people; those of access lists are summed up."""
    found: list[ObjectDifference] = []
    access: list[PartChange] = []
    for kind, key, before, after in changes:
        if kind == ACCESS:
            access.append((key, before, after))
        elif kind != "counters":
            found.append(compare(kind, key, before, after))
    return (*found, *access_differences(access))


def compare(kind: str, key: str, before: BaseModel | None, after: BaseModel | None) -> ObjectDifference:
    """One object's difference."""
    present = after if after is not None else before
    action: Literal["add", "change", "remove"] = "add" if before is None else "remove" if after is None else "change"
    lines = tuple(_lines(before, after)) if after is not None else ()
    return ObjectDifference(kind, key, _title(kind, key, present), action, lines)


def _title(kind: str, key: str, value: BaseModel | None) -> str:
    if isinstance(value, VirtualService):
        return f"virtual service {value.index} {value.title}"
    if isinstance(value, (Certificate, User)):
        return f"{kind} {value.name}"
    if isinstance(value, ContentRule):
        return f"content rule {value.name}"
    return f"{key} {kind}"


def _lines(before: BaseModel | None, after: BaseModel) -> Iterator[str]:
    for name, info in type(after).model_fields.items():
        if name in ("index", "servers"):
            continue
        old = getattr(before, name) if before is not None else info.get_default(call_default_factory=True)
        new = getattr(after, name)
        if old != new and not (before is None and info.is_required() and name in ("address", "port", "name")):
            yield _line(after, name, old if before is not None else None, new)
    if isinstance(after, VirtualService):
        yield from _server_lines(before.servers if isinstance(before, VirtualService) else (), after.servers)


def _line(value: BaseModel, name: str, old: Any, new: Any) -> str:
    declared = type(value).declared().get(name) if isinstance(value, Settings) else None
    if declared is not None and declared.setting.secret:
        return f"{name}: changed {_MASK}"
    if name == "chain_pem":
        return "certificate: new content"
    if name == "error_page":
        return f"error_page: {'new content' if new else 'removed'}"
    if name == "key_id":
        return "private key: changed (not shown)"
    return f"{name}: {_text(new)}" if old is None else f"{name}: {_text(old)} -> {_text(new)}"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "(none)"
    return str(value) if value != "" else "(none)"


def _server_lines(before: tuple[RealServer, ...], after: tuple[RealServer, ...]) -> Iterator[str]:
    old = {server.index: server for server in before}
    new = {server.index: server for server in after}
    for index, server in new.items():
        was = old.get(index)
        where = f"real server {server.index} {server.address}:{server.port}"
        if was is None:
            extra = [line for line in _lines(None, server) if not line.startswith(("address", "port"))]
            yield f"{where}: added" + (f" ({', '.join(extra)})" if extra else "")
        elif was != server:
            yield from (f"{where}: {line}" for line in _lines(was, server))
    for index, server in old.items():
        if index not in new:
            yield f"real server {server.index} {server.address}:{server.port}: removed"
