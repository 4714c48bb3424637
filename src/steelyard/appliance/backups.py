"""Backups as the appliance makes and reads them: its configuration, its secrets, the clock, chance."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import datetime

from steelyard import __version__
from steelyard.appliance.contract import Actor, Snapshot
from steelyard.model.backup import PARTS, Part, Saved, kept_beside, needed_secrets, without_private
from steelyard.model.commands.restore_backup import NetworkChoice, RestoreBackup
from steelyard.model.errors import OperatorError
from steelyard.model.sealed_file import NONCE_BYTES, SALT_BYTES, check_pass_phrase
from steelyard.model.user import ADMINISTRATOR, ONLY_ADMINISTRATOR, PERMISSIONS
from steelyard.observe.network_state import NetworkState
from steelyard.store.backup_file import pack, read_backup, seal
from steelyard.store.contract import SecretMissing

PERMISSION = "backup"


def require_permission(actor: Actor, *, complete: bool) -> None:
    """Raise `OperatorError` with the field "permission".

    A complete backup holds every password and every key, so who has one and its password can do what anybody can.
    """
    needed = ONLY_ADMINISTRATOR if complete else PERMISSION
    if actor.user.may(needed):
        return
    raise OperatorError(
        f"Only {ADMINISTRATOR} may make a backup with a password, which holds everybody's secrets"
        if complete
        else f"User {actor.name} lacks the permission {PERMISSIONS[PERMISSION]}",
        field="permission",
        value=needed,
        remedy="Make one without a password" if complete and actor.user.may(PERMISSION) else f"Ask {ADMINISTRATOR}",
    )


def back_up(
    snapshot: Snapshot, password: str | None, *, now: datetime, secret: Callable[[str], bytes], **cost: int
) -> bytes:
    """The file: plain, or complete and sealed by the password. It takes a moment. `cost` is that of `seal_file`."""
    if password is None:
        saved = Saved(without_private(snapshot.configuration), revision=snapshot.revision, product=__version__)
        return pack(saved)
    check_pass_phrase(password)
    configuration = snapshot.configuration
    secrets = {need.name: secret(need.name) for need in needed_secrets(configuration)}
    secrets |= found_secrets((name for name, _ in kept_beside(configuration)), secret)
    saved = Saved(configuration, frozenset(PARTS), True, secrets, snapshot.revision, __version__)
    return seal(pack(saved), password, salt=os.urandom(SALT_BYTES), nonce=os.urandom(NONCE_BYTES), at=now, **cost)


def restoring(
    file: bytes,
    password: str | None,
    parts: frozenset[Part],
    *,
    users: bool,
    network: NetworkChoice,
    incomplete: bool,
    host: NetworkState | None,
    secret: Callable[[str], bytes],
) -> RestoreBackup:
    """The command that restores a file. It takes a moment. Raises `OperatorError`. `host` is asked about its ports."""
    saved = read_backup(file, password)
    if network == "restore" and host is not None:
        _refuse_foreign_ports(saved, host)
    names = (need.name for need in needed_secrets(saved.configuration))
    here = frozenset(found_secrets((name for name in names if name not in saved.secrets), secret))
    return RestoreBackup(saved, parts, users, network, incomplete, here)


def _refuse_foreign_ports(saved: Saved, host: NetworkState) -> None:
    """Another host's interfaces cannot be given their addresses here."""
    here = {one.name for one in host.interfaces if one.kind == "port"}
    wanted = [one.name for one in saved.configuration.interfaces.values() if one.kind == "port"]
    missing = [name for name in wanted if name not in here]
    if missing:
        raise OperatorError(
            f"The network of the backup has interfaces that this host has not: {', '.join(missing)}",
            field="network",
            value="restore",
            allowed=f"a backup of this host, or keep; the ports here are {', '.join(sorted(here)) or 'none'}",
            remedy="Keep the network of this host, and set it up by hand",
        )


def found_secrets(names: Iterable[str], secret: Callable[[str], bytes]) -> dict[str, bytes]:
    """Those of the secrets that are there."""
    found: dict[str, bytes] = {}
    for name in names:
        try:
            found[name] = secret(name)
        except SecretMissing:
            continue
    return found
