"""Commands on revocation lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from steelyard.model.commands.command import Change
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, NotFound, OperatorError, located
from steelyard.model.revocation_list import RevocationList


@dataclass(frozen=True)
class PutRevocationList:
    """Bring a list (PEM); `replace` allows an existing name."""

    name: str
    pem: str = field(repr=False)
    replace: bool = False
    permission: ClassVar[str] = "cert3"

    @property
    def summary(self) -> str:
        return f"{'replace' if self.replace else 'import'} revocation list {self.name}"

    def apply(self, configuration: Configuration) -> Change:
        before = configuration.revocation_lists.get(self.name)
        if before is not None and not self.replace:
            raise ConflictError(
                f"Revocation list {self.name} already exists; replace it or choose another name",
                field="name",
                with_what=self.name,
            )
        made = RevocationList.make({"name": self.name, "pem": self.pem})
        if not any(made.is_of(authority.parsed) for authority in configuration.intermediates.values()):
            issuer = made.parsed.issuer.rfc4514_string()
            raise OperatorError(
                f"The revocation list is of {issuer}, and no certificate here signed it",
                field="data",
                value=issuer,
                allowed=", ".join(configuration.intermediates) or "none imported yet",
                remedy="Import the certificate of its authority as an intermediate first",
            )
        if before is not None and before.parsed.issuer == made.parsed.issuer:
            _refuse_older(before, made)
        lists = {**configuration.revocation_lists, self.name: made}
        return Change(replace(configuration, revocation_lists=lists), self.name)


def declared_revocation_lists(wanted: Configuration, declared: Mapping[str, str]) -> dict[str, RevocationList]:
    """The lists of a declaration, which are all there are then.

    A declaration may have lain about while newer lists came: the one that is here stays where it is newer.
    """
    found: dict[str, RevocationList] = {}
    for number, (name, pem) in enumerate(declared.items()):
        with located(f"revocation_lists[{number}]"):
            before = wanted.revocation_lists.get(name)
            made = RevocationList.make({"name": name, "pem": pem})
            if before is not None and before.parsed.issuer == made.parsed.issuer and not _is_newer(made, before):
                found[name] = before
                continue
            change = PutRevocationList(name, pem, replace=True).apply(wanted)
            found[name] = change.configuration.revocation_lists[name]
    return found


def _is_newer(one: RevocationList, other: RevocationList) -> bool:
    return one.parsed.last_update_utc > other.parsed.last_update_utc


def _refuse_older(before: RevocationList, made: RevocationList) -> None:
    """A list from before the one that is here would let revoked certificates in again."""
    if made.parsed.last_update_utc < before.parsed.last_update_utc:
        raise ConflictError(
            f"The revocation list was made {made.parsed.last_update_utc:%Y-%m-%d %H:%M} UTC, the one that is here"
            f" {before.parsed.last_update_utc:%Y-%m-%d %H:%M} UTC; remove that first to go back",
            field="data",
            with_what=before.name,
        )


@dataclass(frozen=True)
class RemoveRevocationList:
    """Remove a list: the certificates it names are accepted again."""

    name: str
    permission: ClassVar[str] = "cert3"

    @property
    def summary(self) -> str:
        return f"remove revocation list {self.name}"

    def apply(self, configuration: Configuration) -> Change:
        if self.name not in configuration.revocation_lists:
            raise NotFound("revocation list", self.name)
        lists = {name: one for name, one in configuration.revocation_lists.items() if name != self.name}
        return Change(replace(configuration, revocation_lists=lists), self.name)
