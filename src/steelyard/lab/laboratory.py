"""Machines in a thread: what tests and the command line hold in their hands.

    with Laboratory() as lab:
        fe1 = lab.start(FrontEnd("fe1", "127.0.1.41", organisation, authority.issue("pool.lync.example")))
        fe1.close_port(443)

A machine of a network namespace is started with `inside`, a context manager within which this thread is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

from steelyard.lab.machine import Asked, Inside, Machine
from steelyard.lab.roles import Role

_Result = TypeVar("_Result")
_SECONDS = 20.0


class Server:
    """A machine, from another thread than its own."""

    def __init__(self, lab: Laboratory, role: Role, inside: Inside) -> None:
        self._lab = lab
        self._machine = Machine(role, inside)
        self.running = False

    @property
    def name(self) -> str:
        return self._machine.role.name

    @property
    def role(self) -> Role:
        return self._machine.role

    @property
    def statuses(self) -> dict[str, int]:
        """Statuses it answers with in place of its own, by path in lower case; may be changed while it runs."""
        return self._machine.statuses

    @property
    def seen(self) -> list[Asked]:
        """The HTTP requests it got since it was made or since `forget`, oldest first."""
        return list(self._machine.seen)

    def forget(self) -> None:
        """Begin `seen` anew."""
        self._machine.seen.clear()

    @property
    def connections(self) -> int:
        """TCP connections that are open."""
        return self._machine.connections

    def start(self) -> Self:
        """Start it, with an empty memory. Raises `OSError` when an address or port is not to be had."""
        sockets = self._machine.open_sockets(self._machine.renew())
        self._lab.run(self._machine.serve(sockets))
        self.running = True
        return self

    def stop(self) -> None:
        """The power cord: listeners go, connections are reset, sessions are lost."""
        if self.running:
            self.running = False
            self._lab.run(self._machine.stop())

    def close_port(self, port: int, address: str | None = None) -> None:
        """Stop listening on a port (the one in use, not the well-known one), and reset what is open there."""
        self._lab.run(self._machine.shut(self._machine.known(port, address)))

    def open_port(self, port: int, address: str | None = None) -> None:
        """Listen again on a port that was closed."""
        self._lab.run(self._machine.serve(self._machine.open_sockets(self._machine.known(port, address))))

    def reset_connections(self) -> None:
        """Cut all open connections off."""
        self._lab.call(self._machine.reset)


class Laboratory:
    """A thread with a loop, and the machines on it. All are ended with it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lab", daemon=True)
        self.servers: dict[str, Server] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, role: Role, *, inside: Inside = contextlib.nullcontext) -> Server:
        """Start a machine.

        Raises:
            OSError: an address is not there, or a port is taken.
            ssl.SSLError: its certificate is none.
        """
        made = Server(self, role, inside).start()
        self.servers[role.name] = made
        return made

    def close(self) -> None:
        """End every machine, then the thread."""
        if not self._thread.is_alive():
            return
        for server in self.servers.values():
            server.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_SECONDS)
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run a coroutine in the thread to its end."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_SECONDS)

    def call(self, work: Any) -> None:
        """Call a function in the thread."""

        async def calling() -> None:
            work()

        self.run(calling())
