"""Restoring a backup: parts of the configuration become what a file says, in one change.

What a file cannot bring, or must not, is never left out in silence: `left_out` says it of the very configuration the
command is applied to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from steelyard.model.access_list import EVERY_SERVICE, AccessLists
from steelyard.model.backup import ATTRIBUTES, NETWORK, Part, Saved, kept_beside, needed_secrets, said_parts
from steelyard.model.backup_missing import without_secrets
from steelyard.model.commands.command import Change
from steelyard.model.commands.whole import refuse_broken
from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError
from steelyard.model.revocation_list import RevocationList
from steelyard.model.user import ONLY_ADMINISTRATOR

#: missing secrets that a refusal names one by one
_NAMED = 12

#: what becomes of the host's network: it stays, or the file's takes its place
NetworkChoice = Literal["keep", "restore"]


@dataclass(frozen=True)
class RestoreBackup:
    """Make `parts` of the configuration what a backup says. What is not in the backup's parts is removed.

    `users` brings users, passwords and API keys back, which only a complete backup has. `network` says whether the
    host's network is the backup's or stays. A backup whose secrets are missing, in it and here, is refused unless
    `incomplete`; what needed them is left out then. `here` names the secrets that this appliance has of its own.
    """

    saved: Saved
    parts: frozenset[Part]
    users: bool = True
    network: NetworkChoice = "keep"
    incomplete: bool = False
    here: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def permission(self) -> str:
        return "root"

    @property
    def needed_permissions(self) -> frozenset[str]:
        """Who brings the users back could bring himself back as another."""
        return frozenset({"root", ONLY_ADMINISTRATOR}) if self._brings_users else frozenset({"root"})

    @property
    def summary(self) -> str:
        return f"restore a backup of revision {self.saved.revision}: {said_parts(self.restored)}"

    @property
    def restored(self) -> frozenset[Part]:
        """The parts that are asked for and in the file."""
        return self.parts & self.saved.parts

    @property
    def _brings_users(self) -> bool:
        return self.users and self.saved.complete and "base" in self.restored

    def apply(self, configuration: Configuration) -> Change:
        if not self.restored:
            raise OperatorError(
                f"The file holds no {said_parts(self.parts)}",
                field="parts",
                allowed=said_parts(self.saved.parts),
                remedy="Restore what it holds",
            )
        saved, missing = self._without_missing()
        if missing and not self.incomplete:
            more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
            raise OperatorError(
                f"The file lacks secrets that are not here either: {', '.join(missing[:_NAMED])}{more}",
                field="data",
                remedy="Restore a backup that was made with a password; or bring the certificates back first"
                " (restorecert); or restore it as incomplete, without them",
            )
        wanted = self._merged(configuration, saved)
        refuse_broken(wanted)
        gone = {digest for user in configuration.users.values() for digest in user.api_keys}
        gone -= {digest for user in wanted.users.values() for digest in user.api_keys}
        return Change(wanted, None, self._secrets(wanted), tuple(f"apikey/{digest}" for digest in sorted(gone)))

    def left_out(self, configuration: Configuration) -> tuple[str, ...]:
        """What is not restored and why, a sentence each."""
        _, missing = self._without_missing()
        return tuple(self._said(configuration, missing))

    def _said(self, configuration: Configuration, missing: list[str]) -> Iterable[str]:
        for part in sorted(self.parts - self.saved.parts):
            yield f"The file has no {said_parts(frozenset({part}))}"
        if "base" in self.restored:
            if not self.saved.complete:
                yield "Users, passwords and API keys stay as they are: a backup made without a password holds none"
            elif not self.users:
                yield "Users, passwords and API keys stay as they are, as was asked"
            if self.network == "keep" and _network(configuration) != _network(self.saved.configuration):
                yield (
                    "The host's network (interfaces, routes, gateways, names) stays as it is here, which differs from"
                    " the file's; restore the network too if this is the same host"
                )
        for name in self._newer_lists(configuration):
            yield f"Revocation list {name} stays: the one here is newer"
        for what in missing:
            yield f"Not in the file and not here: {what}"

    # --- what the file brings

    def _secrets(self, wanted: Configuration) -> dict[str, bytes]:
        """Those of the file that the result refers to."""
        names = {need.name for need in needed_secrets(wanted)} | {name for name, _ in kept_beside(wanted)}
        return {name: value for name, value in self.saved.secrets.items() if name in names}

    def _has(self, name: str) -> bool:
        return name in self.saved.secrets or name in self.here

    def _without_missing(self) -> tuple[Configuration, list[str]]:
        """The file's configuration without what lacks its secret, and what that is, in words."""
        saved = self.saved.configuration
        lacking = [need for need in needed_secrets(saved) if need.part in self.restored and not self._has(need.name)]
        if not lacking:
            return saved, []
        names = {need.name for need in lacking}
        return without_secrets(saved, names), list(dict.fromkeys(need.what for need in lacking))

    # --- how it meets what is here

    def _merged(self, configuration: Configuration, saved: Configuration) -> Configuration:
        parts: dict[str, Any] = {}
        for part in self.restored:
            parts |= {name: getattr(saved, name) for name in ATTRIBUTES[part] if name not in NETWORK}
        if "base" in self.restored and self.network == "restore":
            parts |= {name: getattr(saved, name) for name in NETWORK}
        if self._brings_users:
            parts["users"] = saved.users
        parts["access_lists"] = self._access_lists(configuration, saved)
        if "vs" in self.restored:
            parts["certificates"] = _with_temporary(saved, configuration)
            newer = self._newer_lists(configuration)
            parts["revocation_lists"] = {
                name: configuration.revocation_lists[name] if name in newer else one
                for name, one in saved.revocation_lists.items()
            }
            counters = configuration.counters.model_copy(
                update={
                    "next_server": max(
                        configuration.counters.next_server,
                        saved.counters.next_server,
                        # a file put together by hand must not make an index be used twice
                        *(member.index + 1 for one in saved.services.values() for member in one.members),
                    )
                }
            )
            parts["counters"] = counters
        # what is as it was stays the very same object: only what differs is compiled anew
        return replace(
            configuration, **{name: _shared(getattr(configuration, name), new) for name, new in parts.items()}
        )

    def _access_lists(self, configuration: Configuration, saved: Configuration) -> dict[int, AccessLists]:
        found: dict[int, AccessLists] = {}
        for lists, from_file in ((saved.access_lists, True), (configuration.access_lists, False)):
            for scope, one in lists.items():
                part: Part = "base" if scope == EVERY_SERVICE else "vs"
                if (part in self.restored) is from_file:
                    found[scope] = one
        return dict(sorted(found.items()))

    def _newer_lists(self, configuration: Configuration) -> frozenset[str]:
        """An earlier list would let clients in again whose certificates were revoked since."""
        if "vs" not in self.restored:
            return frozenset()
        here = configuration.revocation_lists
        return frozenset(
            name
            for name, one in self.saved.configuration.revocation_lists.items()
            if name in here and _newer(here[name], one)
        )


def _newer(one: RevocationList, other: RevocationList) -> bool:
    if one.pem == other.pem:
        return False
    try:
        same = one.parsed.issuer == other.parsed.issuer
        return same and one.parsed.last_update_utc > other.parsed.last_update_utc
    except ValueError:
        # one that cannot be read is refused with the rest
        return False


def _with_temporary(saved: Configuration, configuration: Configuration) -> dict[str, Any]:
    """The file's certificates. The one that every appliance makes itself is the file's, if it has it with its key."""
    temporary = {name: one for name, one in configuration.certificates.items() if one.temporary}
    if any(one.temporary for one in saved.certificates.values()):
        return dict(saved.certificates)
    return {**saved.certificates, **temporary}


def _network(configuration: Configuration) -> tuple[Any, ...]:
    return tuple(getattr(configuration, name) for name in NETWORK)


def _shared(before: Any, after: Any) -> Any:
    """`after`, with the objects of `before` where they are equal."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return {key: before[key] if key in before and before[key] == value else value for key, value in after.items()}
    return before if before == after else after


__all__ = ["NetworkChoice", "RestoreBackup"]
