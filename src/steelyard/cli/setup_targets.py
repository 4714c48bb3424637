"""What `steelyard setup` sets up: a Steelyard that runs, by its API, or a host on which none was ever started.

Before the first start nothing is written until everything has been answered: the model itself looks at each value, and
the appliance is started for the one change alone, with which its administrator comes into being.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, TypeVar

from steelyard.cli.connection import ApiClient
from steelyard.cli.failures import Misuse, Refused

Json = Mapping[str, Any]
_Found = TypeVar("_Found")


class Target(Protocol):
    """What is asked of either. Every method raises `Failure`."""

    def facts(self) -> Json:
        """As GET /setup answers."""
        ...

    def attempt(self, changes: Json) -> tuple[str, ...]:
        """What these changes would do, in words, if nothing stands against them. Raises `Refused`."""
        ...

    def apply(self, changes: Json) -> int:
        """Make the change; the revision."""
        ...

    def keep(self) -> None:
        """Keep a change that waits to be confirmed."""
        ...

    def undo(self) -> None:
        """Take it back now."""
        ...

    def close(self) -> None:
        """Let go."""
        ...


class RunningSteelyard:
    """By the native API, as every other command."""

    def __init__(self, api: ApiClient) -> None:
        self.api = api

    def facts(self) -> Json:
        found: Json = self.api.get("/setup")
        return found

    def attempt(self, changes: Json) -> tuple[str, ...]:
        found = self.api.request("PUT", "/setup/network", body=dict(changes), query={"dry_run": True})
        return tuple(found["operations"])

    def apply(self, changes: Json) -> int:
        query = {"reason": "quick setup on the console", "wait": True}
        return int(self.api.request("PUT", "/setup/network", body=dict(changes), query=query)["revision"])

    def keep(self) -> None:
        self.api.request("POST", "/network/confirm")

    def undo(self) -> None:
        self.api.request("POST", "/network/undo")

    def close(self) -> None:
        """The connection is the session's."""


class NewHost:
    """A host with an empty state directory. `announce` is told the administrator's password for one time."""

    def __init__(self, state_dir: Path, announce: Callable[[str], None]) -> None:
        from steelyard.observe.network_state import read_network

        self._state_dir = state_dir.resolve()
        self._announce = announce
        self._runner = asyncio.Runner()
        self._started: Any = None
        _refuse_foreign(self._state_dir)
        self._network = _said(read_network)

    def facts(self) -> Json:
        from steelyard import __version__
        from steelyard.model.configuration import Configuration
        from steelyard.observe.network_sides import network_sides
        from steelyard.observe.network_state import read_network

        if self._started is None:
            configuration, step, waiting = Configuration(), "licence", None
        else:
            appliance = self._started.appliance
            self._network, configuration = read_network(), appliance.snapshot().configuration
            step, waiting = configuration.first_step, appliance.network_waiting()
        return {
            "version": __version__,
            "first_step": step,
            "web": None,
            "network": asdict(network_sides(self._network, configuration)),
            "waiting": None if waiting is None else {"revision": waiting.revision, "seconds": waiting.seconds},
        }

    def attempt(self, changes: Json) -> tuple[str, ...]:
        from steelyard.engines.netd_process import may_start
        from steelyard.model.configuration import Configuration
        from steelyard.model.errors import HostLacks
        from steelyard.model.network_refusals import refuse_network_faults

        def thought() -> tuple[str, ...]:
            if not may_start():
                raise HostLacks(
                    "This process must not change the network",
                    lacks="CAP_NET_ADMIN",
                    remedy="Run it as root, or leave the network to the tool that owns it",
                )
            before = Configuration()
            refuse_network_faults(before, self._command(changes).apply(before).configuration)
            return ()

        return _said(thought)

    def apply(self, changes: Json) -> int:
        from steelyard.appliance.contract import Actor
        from steelyard.appliance.network_setup import set_up_network
        from steelyard.appliance.startup import start_appliance
        from steelyard.engines.haproxy.layout import Layout
        from steelyard.engines.sole_use import take
        from steelyard.model.user import ADMINISTRATOR

        async def carry_out() -> int:
            if self._started is None:
                os.umask(0o077)
                layout = Layout(self._state_dir)
                layout.make()
                take(layout.root)
                self._started = await start_appliance(self._state_dir, announce=self._announce)
            appliance = self._started.appliance
            actor = Actor(appliance.snapshot().configuration.user(ADMINISTRATOR), "cli")
            reason = "quick setup on the console"
            return int((await set_up_network(appliance, self._command(changes), actor, reason=reason)).revision)

        return self._run(carry_out())

    def keep(self) -> None:
        self._run(self._started.appliance.confirm_network(self._actor()))

    def undo(self) -> None:
        self._run(self._started.appliance.undo_network(self._actor()))

    def close(self) -> None:
        if self._started is not None:
            # what the kernel has of the host's network stays
            self._run(self._started.appliance.close(stop_engines=True))
        self._runner.close()

    def _actor(self) -> Any:
        from steelyard.appliance.contract import Actor
        from steelyard.model.user import ADMINISTRATOR

        return Actor(self._started.appliance.snapshot().configuration.user(ADMINISTRATOR), "cli")

    def _run(self, work: Coroutine[Any, Any, _Found]) -> _Found:
        return _said(lambda: self._runner.run(work))

    def _command(self, changes: Json) -> Any:
        from steelyard.model.commands import SetUpNetwork
        from steelyard.observe.known_interfaces import taken_over

        names = ("host_name", "name_servers", "search_domains")
        return SetUpNetwork(
            network_side=changes["network_side"],
            network_address=changes.get("network_address"),
            farm_side=changes.get("farm_side", ""),
            farm_address=changes.get("farm_address"),
            gateway=changes.get("default_gateway"),
            host={name: changes[name] for name in names if name in changes},
            take_over=taken_over(self._network),
        )


def _said(work: Callable[[], _Found]) -> _Found:
    """The result; a refusal of the model or the host as one of the command line's failures."""
    from steelyard.model.errors import SteelyardError

    try:
        return work()
    except SteelyardError as refusal:
        raise Refused(refusal.details()) from refusal


def _refuse_foreign(state_dir: Path) -> None:
    """A state directory of another user belongs to a service that only has to be started."""
    try:
        owner = state_dir.stat().st_uid
    except OSError:
        return
    if owner != os.geteuid():
        raise Misuse(
            f"{state_dir} belongs to another user, and no Steelyard answers there",
            "Start its service first: systemctl start steelyard",
        )
