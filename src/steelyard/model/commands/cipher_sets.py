"""Commands on cipher sets, and what services have to do with them.

The setting `ciphers` of a service is no state of its own: it makes or replaces the set Custom_<index>, as in
LoadMaster, and the service names that. Clients write back whole records, in which it is the list of the set the service
has already; that changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from steelyard.model.cipher_set import BUILT_IN, CipherSet, custom_name, members, refuse_misfit
from steelyard.model.ciphers import checked_ciphers
from steelyard.model.commands.command import Change
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, NotFound, OperatorError
from steelyard.model.virtual_service import VirtualService


@dataclass(frozen=True)
class PutCipherSet:
    """Make a cipher set or replace its ciphers; `fresh` refuses a name that is there already."""

    name: str
    ciphers: tuple[str, ...]
    fresh: bool = False
    permission: ClassVar[str] = "certs"

    @property
    def summary(self) -> str:
        return f"set the ciphers of cipher set {self.name}"

    def apply(self, configuration: Configuration) -> Change:
        if self.fresh and self.name in configuration.cipher_sets:
            raise ConflictError(
                f"Cipher set {self.name} already exists; change it or choose another name",
                field="name",
                with_what=self.name,
            )
        made = CipherSet.make({"name": self.name, "ciphers": self.ciphers})
        if configuration.cipher_sets.get(self.name) == made:
            return Change(configuration, self.name)
        changed = replace(configuration, cipher_sets={**configuration.cipher_sets, self.name: made})
        check_admin_cipher_set(changed)
        for service in configuration.services.values():
            if service.cipher_set == self.name:
                check_cipher_set(changed, service)
        return Change(changed, self.name)


@dataclass(frozen=True)
class RemoveCipherSet:
    """Remove a cipher set that no service uses."""

    name: str
    permission: ClassVar[str] = "certs"

    @property
    def summary(self) -> str:
        return f"remove cipher set {self.name}"

    def apply(self, configuration: Configuration) -> Change:
        if self.name in BUILT_IN:
            raise OperatorError(
                f"{self.name} is a built-in cipher set, which stays",
                field="name",
                value=self.name,
                allowed=", ".join(configuration.cipher_sets) or "none: there is no other cipher set",
                remedy="Name a cipher set of your own",
            )
        if self.name not in configuration.cipher_sets:
            raise NotFound("cipher set", self.name)
        if configuration.tls.admin_cipher_set == self.name:
            raise ConflictError("Cipher set in use", field="name", with_what="the administration interface")
        for service in configuration.services.values():
            if service.cipher_set == self.name:
                raise ConflictError("Cipher set in use", field="name", with_what=service.title)
        return Change(_without(configuration, self.name), self.name)


def _without(configuration: Configuration, name: str) -> Configuration:
    return replace(configuration, cipher_sets={k: v for k, v in configuration.cipher_sets.items() if k != name})


def declared_sets(configuration: Configuration, declared: Mapping[str, tuple[str, ...]]) -> dict[str, CipherSet]:
    """The sets of a declaration; what is as it was stays the same object. Raises `OperatorError`."""
    found: dict[str, CipherSet] = {}
    for name, ciphers in declared.items():
        made = CipherSet.make({"name": name, "ciphers": ciphers})
        before = configuration.cipher_sets.get(name)
        found[name] = before if before is not None and before == made else made
    return found


def check_cipher_set(configuration: Configuration, service: VirtualService) -> None:
    """Raise `OperatorError` where a service names a set there is not, or one that does not fit what it offers."""
    _refuse_unknown(configuration, service.cipher_set, "CipherSet", "cipher_set")
    if not service.ssl_acceleration:
        return
    assigned = (configuration.certificates.get(name) for name in service.certificates)
    refuse_misfit(
        members(configuration.cipher_sets, service.cipher_set),
        name=service.cipher_set,
        offered=service.offered_protocols,
        tls_type=service.tls_type,
        key_types=frozenset(one.key_type for one in assigned if one is not None and not one.temporary),
    )


def check_admin_cipher_set(configuration: Configuration) -> None:
    """The same for the administration interface."""
    parameters = configuration.tls
    name = parameters.admin_cipher_set
    _refuse_unknown(configuration, name, "wuicipherset", "admin_cipher_set")
    try:
        refuse_misfit(
            members(configuration.cipher_sets, name),
            name=name,
            offered=parameters.admin_protocols,
            tls_type=parameters.admin_tls_type,
            key_types=frozenset(),
        )
    except OperatorError as failure:
        raise OperatorError(
            f"The administration interface: {failure.message}",
            field="admin_cipher_set",
            value=name,
            allowed=failure.allowed,
            remedy=failure.remedy,
        ) from None


def _refuse_unknown(configuration: Configuration, name: str, wire: str, field: str) -> None:
    if name in BUILT_IN or name in configuration.cipher_sets:
        return
    known = ", ".join((*BUILT_IN, *configuration.cipher_sets))
    raise OperatorError(
        f"{wire} {name!r} is no cipher set here",
        field=field,
        value=name,
        allowed=known,
        remedy="Make it first, or name one of these: " + known,
    )


def with_ciphers(configuration: Configuration, changes: dict[str, Any], before: VirtualService | None) -> Configuration:
    """The configuration with the set that the setting `ciphers` makes; in `changes`, `cipher_set` takes its place."""
    given = changes.pop("ciphers", None)
    if not given:
        return configuration
    if not isinstance(given, str):
        raise OperatorError(
            "Ciphers is a list in one text", field="ciphers", allowed="names joined by colons", remedy="Join the names"
        )
    names = checked_ciphers(tuple(name for name in given.replace(" ", ":").split(":") if name), "ciphers")
    wanted = changes.get("cipher_set")
    current = before.cipher_set if before is not None else None
    for one in (wanted, current):
        if isinstance(one, str) and names == BUILT_IN.get(one, _own(configuration, one)):
            return configuration
    name = custom_name(before.index if before is not None else configuration.lowest_free_index())
    if wanted not in (None, name, current):
        raise OperatorError(
            f"Ciphers and CipherSet={wanted!r} are two different sets",
            field="ciphers",
            allowed="one of Ciphers, CipherSet",
            remedy="Give one of the two",
        )
    changes["cipher_set"] = name
    return PutCipherSet(name, names).apply(configuration).configuration


def _own(configuration: Configuration, name: str) -> tuple[str, ...] | None:
    found = configuration.cipher_sets.get(name)
    return found.ciphers if found is not None else None


def copied_set(configuration: Configuration, source: VirtualService) -> tuple[Configuration, str]:
    """The set for a copy of a service: one of its own where the source has one of its own."""
    own = configuration.cipher_sets.get(custom_name(source.index))
    if own is None or source.cipher_set != own.name:
        return configuration, source.cipher_set
    name = custom_name(configuration.lowest_free_index())
    return PutCipherSet(name, own.ciphers).apply(configuration).configuration, name


def without_own_set(configuration: Configuration, services: Mapping[int, VirtualService], index: int) -> Configuration:
    """The configuration without the own set of a service that is gone; one that another service names stays."""
    name = custom_name(index)
    if name not in configuration.cipher_sets or configuration.tls.admin_cipher_set == name:
        return configuration
    if any(one.cipher_set == name for one in services.values()):
        return configuration
    return _without(configuration, name)


__all__ = [
    "PutCipherSet",
    "RemoveCipherSet",
    "check_admin_cipher_set",
    "check_cipher_set",
    "declared_sets",
    "with_ciphers",
]
