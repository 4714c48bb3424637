"""Real clients at a virtual service: which real servers answer, and whether any does."""

from __future__ import annotations

import ssl
from collections import Counter

from tests.clients.waiting import eventually
from tests.support.clients import Connection, fetch


def answering(port: int, requests: int = 8, *, address: str = "127.0.0.1", tls: bool = False) -> Counter[str]:
    """How often each origin answered that many requests, every one on a connection of its own.

    A request the service itself answers counts under its status, one that got no connection under the error.
    """
    return Counter(_one(port, address, tls) for _ in range(requests))


def _one(port: int, address: str, tls: bool) -> str:
    try:
        reply = fetch(f"{'https' if tls else 'http'}://{address}:{port}/", timeout=5.0)
    except (OSError, ssl.SSLError) as error:
        return type(error).__name__
    return reply.header("x-origin") or str(reply.status)


def wait_for_origins(port: int, *names: str, tls: bool = False, seconds: float = 15.0) -> Counter[str]:
    """Wait until exactly these origins answer, and return how often each did."""
    return eventually(lambda: answering(port, tls=tls), lambda found: set(found) == set(names), seconds=seconds)


def wait_for_shares(port: int, seconds: float = 15.0, **shares: int) -> None:
    """Wait until so many connections are shared exactly so: a change that needs a reload may take a second."""
    eventually(lambda: answering(port, sum(shares.values())), lambda found: found == shares, seconds=seconds)


def refuses_connections(port: int, address: str = "127.0.0.1") -> bool:
    """Whether nobody listens there."""
    try:
        Connection(address, port, timeout=2.0).close()
    except ConnectionRefusedError:
        return True
    return False
