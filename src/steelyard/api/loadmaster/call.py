"""One call of a command: its parameters, who asks, and what carries it out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from steelyard.api.loadmaster.answers import Answer
from steelyard.api.loadmaster.bodies import MAX_UPLOAD_BYTES
from steelyard.api.loadmaster.failures import Refusal, missing
from steelyard.appliance.contract import Actor, ApplianceApi, Outcome
from steelyard.model.commands.command import Command
from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError
from steelyard.observe.host_figures import HostFigureSource

TRUE_WORDS = frozenset({"y", "yes", "1", "true"})
FALSE_WORDS = frozenset({"n", "no", "0", "false"})


class Parameters:
    """The parameters of a call, whatever case their names came in. JSON null counts as left out."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = {name.lower(): value for name, value in given.items() if value is not None}

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._given

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def raw(self, name: str) -> Any:
        """The value as it came: text, and in v2 also number, boolean or list. None when left out."""
        return self._given.get(name.lower())

    def without(self, *names: str) -> Parameters:
        """The same parameters but for some."""
        hidden = {name.lower() for name in names}
        return Parameters({name: value for name, value in self._given.items() if name not in hidden})

    def text(self, name: str) -> str | None:
        """A text. None when it is left out. Raises `Refusal` when it is no scalar."""
        value = self.raw(name)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, bool):
            return "1" if value else "0"
        if isinstance(value, (int, float)):
            return str(int(value)) if float(value).is_integer() else str(value)
        raise missing(name)

    def required(self, name: str, kind: str = "String") -> str:
        """A text that is there and not empty. Raises `Refusal` with LoadMaster's own words."""
        value = self.text(name)
        if value is None or not value.strip():
            raise missing(name, kind)
        return value.strip()

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean in any of its spellings; empty is the default. Raises `OperatorError`."""
        value = self.text(name)
        if value is None or not value.strip():
            return default
        return as_boolean(name, value)


def as_boolean(name: str, value: str) -> bool:
    """One of the spellings of a boolean (`reference/loadmaster-api/01`, 1.6). Raises `OperatorError`."""
    word = value.strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    allowed = "Y, N, yes, no, 1, 0, true, false"
    raise OperatorError(f"{name} {value[:40]!r} is no yes or no; allowed: {allowed}", field=name, allowed=allowed)


@dataclass(frozen=True)
class Call:
    """A command about to be carried out. `upload` holds the bytes of an upload command."""

    name: str
    parameters: Parameters
    version: Literal[1, 2]
    actor: Actor
    appliance: ApplianceApi
    host: HostFigureSource
    upload: bytes = field(default=b"", repr=False)
    #: where the request comes from
    address: str = "unknown"

    @property
    def configuration(self) -> Configuration:
        """The committed configuration now."""
        return self.appliance.snapshot().configuration

    async def execute(self, command: Command) -> Outcome:
        """Send a change down the road. Raises the errors of `model.errors`."""
        return await self.appliance.execute(command, self.actor)

    def need(self, permission: str) -> None:
        """Raises `Refusal` 403 when the user lacks a permission that only some forms of the command need."""
        if not self.actor.user.may(permission):
            raise Refusal(403, f"User {self.actor.name} lacks the permission {permission!r}")


Handler = Callable[[Call], Awaitable[Answer]]

#: the permission of commands any signed-in user may give
READ = "read"


@dataclass(frozen=True)
class Entry:
    """A command of the registry. `upload`: its v1 body is raw bytes, its v2 bytes come as base64 in `data`.

    `most_bytes` is how long that body may be. One that is not `listed` is another spelling of a command with certain
    parameters. `first` are those of an appliance that is not set up yet: "open" to anybody until then, or only to who
    is "signed" in.
    """

    name: str
    handler: Handler
    permission: str = READ
    upload: bool = False
    aliases: tuple[str, ...] = ()
    listed: bool = True
    first: Literal["", "open", "signed"] = ""
    most_bytes: int = MAX_UPLOAD_BYTES
