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
from steelyard.model.slot import Slot
from steelyard.model.user import User
from steelyard.model.virtual_service import VirtualService

_MASK = "(not shown)"

Member = RealServer | Slot


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
        if name in ("index", "servers", "slots"):
            continue
        old = getattr(before, name) if before is not None else info.get_default(call_default_factory=True)
        new = getattr(after, name)
        if old != new and not (before is None and info.is_required() and name in ("address", "port", "name")):
            yield _line(after, name, old if before is not None else None, new)
    if isinstance(after, VirtualService):
        yield from _member_lines(before.members if isinstance(before, VirtualService) else (), after.members)


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


def _member_lines(before: tuple[Member, ...], after: tuple[Member, ...]) -> Iterator[str]:
    old = {member.index: member for member in before}
    new = {member.index: member for member in after}
    for index, member in new.items():
        was = old.get(index)
        if was is None:
            extra = [line for line in _lines(None, member) if not line.startswith(("address", "port", "service"))]
            yield f"{_member(member)}: added" + (f" ({', '.join(extra)})" if extra else "")
        elif was != member:
            yield from (f"{_member(member)}: {line}" for line in _lines(was, member))
    for index, member in old.items():
        if index not in new:
            yield f"{_member(member)}: removed"


def _member(member: Member) -> str:
    if isinstance(member, Slot):
        return f"slot {member.index} of sub-service {member.service}"
    return f"real server {member.index} {member.address}:{member.port}"
