"""What a change is: a command, and what applying it gives.

A command is a frozen value with a pure `apply`: configuration in, configuration out. It raises the errors of
`model.errors` and nothing else. The appliance alone decides when one is applied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

from steelyard.model.configuration import Configuration
from steelyard.model.errors import located


@dataclass(frozen=True)
class Change:
    """What applying a command gives: the new configuration and the key of what it made or changed.

    `secrets` are to be kept under their names, those named in `forget` are needed no more.
    """

    configuration: Configuration
    key: int | str | None = None
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    forget: tuple[str, ...] = ()


class Command(Protocol):
    """One change, as a frozen value."""

    @property
    def permission(self) -> str:
        """The permission a user needs for it."""
        ...

    @property
    def summary(self) -> str:
        """One line for the history, without secrets."""
        ...

    def apply(self, configuration: Configuration) -> Change:
        """The changed configuration. Raises `OperatorError`, `NotFound` or `ConflictError`."""
        ...


@dataclass(frozen=True)
class Batch:
    """Several commands that take effect together or not at all. An error says which: its position is "commands[2]"."""

    commands: Sequence[Command]
    permission: ClassVar[str] = "read"

    @property
    def summary(self) -> str:
        if len(self.commands) == 1:
            return self.commands[0].summary
        return f"{len(self.commands)} changes: " + "; ".join(command.summary for command in self.commands[:3])

    def apply(self, configuration: Configuration) -> Change:
        secrets: dict[str, bytes] = {}
        forget: tuple[str, ...] = ()
        key: int | str | None = None
        for number, command in enumerate(self.commands):
            with located(f"commands[{number}]"):
                change = command.apply(configuration)
            configuration, key = change.configuration, change.key
            secrets.update(change.secrets)
            forget += change.forget
        return Change(configuration, key, secrets, forget)


@runtime_checkable
class NeedsSeveral(Protocol):
    """A command that one permission is not enough for."""

    @property
    def needed_permissions(self) -> frozenset[str]:
        """All it needs, `permission` among them."""
        ...


def required_permissions(command: Command) -> frozenset[str]:
    """Every permission a command needs; a batch needs those of its parts."""
    if isinstance(command, NeedsSeveral):
        return command.needed_permissions
    if isinstance(command, Batch):
        return frozenset().union(*(required_permissions(part) for part in command.commands))
    return frozenset({command.permission})
