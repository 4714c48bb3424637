"""Factory reset: everything as at the first start.

What is asked for is one file, on the disk before anybody is told that it will happen. From then on the control plane
takes no change and ends its engines; the next start, of the same process or of a later one, clears the state directory
and makes the first configuration. Whatever is killed in between, the start after it begins again at the same place: the
file goes last.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from steelyard.engines.haproxy.layout import Layout, cannot_write, write
from steelyard.engines.stopping import stop_engines
from steelyard.model.backup import NETWORK
from steelyard.model.commands.command import Change
from steelyard.model.configuration import Configuration, from_documents, objects_of, stored_document
from steelyard.model.errors import HostLacks, OperatorError
from steelyard.model.user import ONLY_ADMINISTRATOR

log = logging.getLogger("steelyard.reset")

_ATTEMPTS = 20

MARKER = "factory-reset.json"
#: what is not the configuration's: programs an administrator put there, the lock this process holds, and what
#: steelyard-netd keeps, which learns at the start what there is no longer
_STAYS = frozenset({MARKER, "acme-hooks", "steelyard.lock", "netd"})


@dataclass(frozen=True)
class Asked:
    """What a factory reset needs of who asks: it gives the administrator a new password, and removes the history."""

    permission: ClassVar[str] = ONLY_ADMINISTRATOR
    summary: ClassVar[str] = "factory reset"

    def apply(self, configuration: Configuration) -> Change:
        return Change(Configuration())


@dataclass(frozen=True)
class Reset:
    """What the first configuration after it is made of. `network` are the stored documents of one that stays."""

    password_hash: str = field(repr=False)
    one_time: bool
    author: str
    origin: str
    network: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)

    def applied(self, first: Configuration) -> Configuration:
        """The first configuration with the network that stays."""
        if not self.network:
            return first
        kept = from_documents(self.network)
        parts: dict[str, Any] = {name: getattr(kept, name) for name in NETWORK}
        return replace(first, **parts)


def network_documents(configuration: Configuration) -> dict[str, dict[str, dict[str, Any]]]:
    """What is stored of the host's network."""
    alone: dict[str, Any] = {name: getattr(configuration, name) for name in NETWORK}
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for kind, key, value in objects_of(Configuration(**alone)):
        document = stored_document(kind, value)
        if document:
            found.setdefault(kind, {})[key] = document
    return found


def ask(root: Path, reset: Reset) -> None:
    """Have the next start reset; on the disk when it returns. Raises `HostLacks`."""
    said = {
        "password_hash": reset.password_hash,
        "one_time": reset.one_time,
        "author": reset.author,
        "origin": reset.origin,
        "network": reset.network,
    }
    write(root / MARKER, json.dumps(said), durable=True)
    _sync(root)


def asked(root: Path) -> Reset | None:
    """What was asked for and is not done yet. Raises `HostLacks` for a file that nobody wrote here."""
    path = root / MARKER
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    except OSError as failure:
        raise cannot_write(path, failure) from failure
    try:
        found = Reset(**json.loads(text))
        found.applied(Configuration())
    except (ValueError, TypeError, KeyError, AttributeError, OperatorError) as failure:
        raise HostLacks(
            f"{path} is not what a factory reset has written",
            lacks="an undamaged state directory",
            remedy="Remove it to go on without a reset",
        ) from failure
    return found


def clear(layout: Layout) -> Reset | None:
    """Do what was asked for before anything is started here; None when nothing was. It blocks for seconds."""
    reset = asked(layout.root)
    if reset is None:
        return None
    log.warning("factory reset, asked for by %s through %s", reset.author, reset.origin)
    # those of a control plane that was killed before it had ended them
    stop_engines(layout.root)
    for attempt in range(_ATTEMPTS, 0, -1):
        try:
            _remove(layout.root)
            break
        except OSError as failure:
            # a checking process with a unit of its own is started again at once, and writes meanwhile
            if failure.errno != errno.ENOTEMPTY or attempt == 1:
                raise cannot_write(layout.root, failure) from failure
    _sync(layout.root)
    layout.make()
    return reset


def _remove(root: Path) -> None:
    for path in root.iterdir():
        if path.name in _STAYS:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def done(root: Path) -> None:
    """The first configuration is on the disk: the reset is over. Raises `HostLacks`."""
    try:
        (root / MARKER).unlink(missing_ok=True)
    except OSError as failure:
        raise cannot_write(root / MARKER, failure) from failure
    _sync(root)


def _sync(root: Path) -> None:
    """Names are durable only once their directory is."""
    try:
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as failure:
        raise cannot_write(root, failure) from failure
