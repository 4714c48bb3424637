"""What ACME needs of its appliance, and how an authority is spoken to: in threads, within a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from steelyard.appliance.blocking import in_own_thread
from steelyard.model.acme_account import AcmeAccount
from steelyard.model.commands.command import Command
from steelyard.model.configuration import Configuration
from steelyard.model.errors import HostLacks, OperatorError
from steelyard.model.user import ADMINISTRATOR, PERMISSIONS, User

if TYPE_CHECKING:
    from steelyard.appliance.contract import Actor
    from steelyard.engines.acme.authority import Authority

#: the longest of one question to an authority, with all its answers; the library's own limit is one of silence
_STEP_SECONDS = 180.0
PERMISSION = "certs"


class Committed(Protocol):
    """What the orders are taken from."""

    @property
    def configuration(self) -> Configuration: ...


class Execute(Protocol):
    """The road of a change."""

    async def __call__(self, command: Command, actor: Actor, *, reason: str = ..., wait: bool | None = ...) -> Any: ...


@dataclass(frozen=True)
class Surroundings:
    """What the orders are made with: the appliance's road, its secrets, HAProxy, the directory of hooks.

    `show` makes HAProxy answer exactly these challenges, path to answer; `keep` stores a secret; `told` makes an event
    of what goes wrong, or is well again (None).
    """

    snapshot: Callable[[], Committed]
    execute: Execute
    actor: Callable[[User], Actor]
    secret: Callable[[str], bytes]
    keep: Callable[[str, bytes], Awaitable[None]]
    show: Callable[[Mapping[str, str]], Awaitable[None]]
    hooks: Path
    told: Callable[[str, str | None], None] = lambda concern, words: None
    open: Callable[..., Authority] | None = None


class Conversation:
    """An authority whose blocking methods are called in threads, within a time."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    async def __aenter__(self) -> Conversation:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._authority.close)

    async def __call__(self, step: Callable[[Authority], Any]) -> Any:
        try:
            async with asyncio.timeout(_STEP_SECONDS):
                return await in_own_thread(lambda: step(self._authority))
        except TimeoutError as failure:
            raise HostLacks(
                f"The ACME authority did not finish its answer within {_STEP_SECONDS:.0f} s",
                lacks="a way to the ACME authority",
                remedy="It is tried again later by itself",
            ) from failure


async def opened(around: Surroundings, account: AcmeAccount, key: bytes) -> Conversation:
    """A conversation under an account. Raises `HostLacks` when the library is not here."""
    make = around.open or library().Authority
    # reading the host's own authorities takes a moment
    return Conversation(
        await asyncio.to_thread(make, account.directory_url, key, uri=account.uri, authority_pem=account.authority_pem)
    )


def library() -> Any:
    """The module that talks, which needs what not every installation has."""
    try:
        from steelyard.engines.acme import authority
    except ImportError as failure:
        raise HostLacks(
            f"ACME needs a library that is not installed ({failure.name})",
            lacks="the Python package acme",
            remedy="Install it: pip install 'steelyard[acme]'",
        ) from failure
    return authority


def require_permission(actor: Actor) -> None:
    """Raise `OperatorError` for who may not make certificates."""
    if not actor.user.may(PERMISSION):
        raise OperatorError(
            f"User {actor.name} lacks the permission {PERMISSIONS[PERMISSION]}",
            field="permission",
            value=PERMISSION,
            remedy=f"Ask {ADMINISTRATOR}",
        )
