"""Configurations compared for people: one entry an object, one line a setting, secrets masked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from pydantic import BaseModel

from steelyard.appliance.access_differences import PartChange, access_differences
from steelyard.appliance.contract import ObjectDifference
from steelyard.model.acme_account import AcmeAccount
from steelyard.model.acme_certificate import AcmeCertificate
from steelyard.model.acme_dns import DnsProvider
from steelyard.model.certificate import Certificate
from steelyard.model.cipher_set import CipherSet
from steelyard.model.configuration import ACCESS, Configuration, changed_objects
from steelyard.model.content_rule import ContentRule
from steelyard.model.first_start import FirstStart
from steelyard.model.intermediate import Intermediate
from steelyard.model.ldap_endpoint import LdapEndpoint
from steelyard.model.real_server import RealServer
from steelyard.model.revocation_list import RevocationList
from steelyard.model.setting import Settings
from steelyard.model.signing_request import SigningRequest
from steelyard.model.slot import Slot
from steelyard.model.template import Template
from steelyard.model.user import User
from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service.further import FurtherCheck

_MASK = "(not shown)"
#: fields that say where a secret is, and what they are called
_PLACES = {"hmac_place": "hmac", "key_place": "key"}

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
    if isinstance(value, FirstStart):
        return "first start"
    if isinstance(value, Intermediate):
        return f"intermediate certificate {value.name}"
    if isinstance(value, RevocationList):
        return f"revocation list {value.name}"
    if isinstance(value, SigningRequest):
        return f"signing request {value.name}"
    if isinstance(value, ContentRule):
        return f"content rule {value.name}"
    if isinstance(value, Template):
        return f"template {value.name}"
    if isinstance(value, LdapEndpoint):
        return f"LDAP endpoint {value.name}"
    if isinstance(value, CipherSet):
        return f"cipher set {value.name}"
    if isinstance(value, (AcmeAccount, AcmeCertificate, DnsProvider)):
        return f"{value.noun} {value.name}"
    return f"{key} {kind}"


def _lines(before: BaseModel | None, after: BaseModel) -> Iterator[str]:
    for name, info in type(after).model_fields.items():
        if name in ("index", "servers", "slots", "further_checks"):
            continue
        old = getattr(before, name) if before is not None else info.get_default(call_default_factory=True)
        new = getattr(after, name)
        if old != new and not (before is None and info.is_required() and name in ("address", "port", "name")):
            yield _line(after, name, old if before is not None else None, new)
    if isinstance(after, VirtualService):
        was = before if isinstance(before, VirtualService) else None
        yield from _check_lines(was.further_checks if was is not None else (), after.further_checks)
        yield from _member_lines(was.members if was is not None else (), after.members)


def _line(value: BaseModel, name: str, old: Any, new: Any) -> str:
    declared = type(value).declared().get(name) if isinstance(value, Settings) else None
    if declared is not None and declared.setting.secret:
        return f"{name}: changed {_MASK}"
    if name in ("chain_pem", "pem") and isinstance(value, (Certificate, Intermediate)):
        return "certificate: new content"
    if name == "pem" and isinstance(value, RevocationList):
        return f"list: of {value.parsed.last_update_utc:%Y-%m-%d %H:%M} UTC, {len(value.parsed)} certificates revoked"
    if name == "body" and isinstance(value, Template):
        return f"content: {len(value.content.services)} services"
    if name == "request_pem":
        return "request: new content"
    if name == "error_page":
        return f"error_page: {'new content' if new else 'removed'}"
    if name == "password_key":
        return f"password: {'changed (not shown)' if new else 'taken away'}"
    if name in _PLACES and isinstance(value, (AcmeAccount, DnsProvider)):
        return f"{_PLACES[name]}: {'changed ' + _MASK if new else 'taken away'}"
    if name == "authority_pem":
        return f"authority of the directory: {'new content' if new else 'taken away'}"
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


def _check_lines(before: tuple[FurtherCheck, ...], after: tuple[FurtherCheck, ...]) -> Iterator[str]:
    old = {check.name: check for check in before}
    new = {check.name: check for check in after}
    for name, check in new.items():
        was = old.get(name)
        if was is None:
            settings = [line for line in _lines(None, check) if not line.startswith("name")]
            yield f"further check {name}: added" + (f" ({', '.join(settings)})" if settings else "")
        elif was != check:
            yield from (f"further check {name}: {line}" for line in _lines(was, check))
    yield from (f"further check {name}: removed" for name in old if name not in new)


def _member(member: Member) -> str:
    if isinstance(member, Slot):
        return f"slot {member.index} of sub-service {member.service}"
    return f"real server {member.index} {member.address}:{member.port}"
