"""Differences of objects in the words of pages: labels in place of field names, meanings in place of values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from steelyard.appliance.contract import ObjectDifference
from steelyard.model.acme_account import AcmeAccount
from steelyard.model.acme_certificate import AcmeCertificate
from steelyard.model.acme_dns import DnsProvider
from steelyard.model.certificate import Certificate
from steelyard.model.cipher_set import CipherSet
from steelyard.model.content_rule import ContentRule
from steelyard.model.ldap_endpoint import LdapEndpoint
from steelyard.model.network import HostsEntry, Interface, StaticRoute
from steelyard.model.parameters import SECTIONS
from steelyard.model.real_server import RealServer
from steelyard.model.setting import Declared, Settings
from steelyard.model.slot import Slot
from steelyard.model.user import User
from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service.further import FurtherCheck
from steelyard.web.forms.wording import unit_of

_KINDS: Mapping[str, type[Settings]] = {
    "service": VirtualService,
    "rule": ContentRule,
    "certificate": Certificate,
    "cipher_set": CipherSet,
    "ldap_endpoint": LdapEndpoint,
    "acme_account": AcmeAccount,
    "acme_certificate": AcmeCertificate,
    "dns_provider": DnsProvider,
    "user": User,
    "interface": Interface,
    "route": StaticRoute,
    "hosts_entry": HostsEntry,
}
_MEMBERS: Mapping[str, type[Settings]] = {
    "real server": RealServer,
    "slot": Slot,
    "further check": FurtherCheck,
}
_LINE = re.compile(
    r"(?P<member>(?P<sort>real server|slot|further check) .*?: )?(?P<name>[a-z][a-z0-9_]*): (?P<rest>.*)", re.DOTALL
)
_NUMBERED = re.compile(r"^real server [0-9]+ ")


@dataclass(frozen=True)
class Line:
    """One setting that differs. `old` is None where there was nothing before; `text` is a line that is no setting's."""

    label: str = ""
    old: str | None = None
    new: str = ""
    text: str = ""


@dataclass(frozen=True)
class Readable:
    """One object that differs."""

    title: str
    action: str
    lines: tuple[Line, ...]


def readable(difference: ObjectDifference) -> Readable:
    """A difference as a page shows it."""
    model = _model(difference)
    title = "Global parameters" if difference.kind == "parameters" else difference.title
    return Readable(
        title[:1].upper() + title[1:], difference.action, tuple(_line(model, line) for line in difference.lines)
    )


def _model(difference: ObjectDifference) -> type[Settings] | None:
    return SECTIONS.get(difference.key) if difference.kind == "parameters" else _KINDS.get(difference.kind)


def _line(model: type[Settings] | None, line: str) -> Line:
    found = _LINE.fullmatch(line)
    if found is None:
        return Line(text=line)
    owner = _MEMBERS[found["sort"]] if found["sort"] else model
    declared = owner.declared().get(found["name"]) if owner is not None else None
    member = _NUMBERED.sub("", (found["member"] or "").removesuffix(": "))
    if declared is None:
        return Line(text=line)
    label = f"{member}: {declared.setting.label}" if member else declared.setting.label
    old, arrow, new = found["rest"].partition(" -> ")
    if not arrow:
        return Line(label, None, _meaning(declared, old))
    return Line(label, _meaning(declared, old), _meaning(declared, new))


def _meaning(declared: Declared, text: str) -> str:
    setting = declared.setting
    if declared.kind != "boolean":
        by_text: dict[str, Any] = {("(none)" if key == "" else str(key)): says for key, says in setting.choices.items()}
        if by_text.get(text):
            return str(by_text[text])
    unit = unit_of(declared)
    return f"{text} {unit}" if unit and text.isdecimal() else text


__all__ = ["Line", "Readable", "readable"]
