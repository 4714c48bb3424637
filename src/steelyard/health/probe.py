"""A probe: one check of one address and port, asked once however many services share it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from steelyard.health.check_agent import AgentCheck
from steelyard.health.check_binary import BinaryCheck
from steelyard.health.check_dns import DnsCheck
from steelyard.health.check_greeting import GreetingCheck
from steelyard.health.check_http import HttpCheck
from steelyard.health.check_icmp import IcmpCheck
from steelyard.health.check_ldap import LdapCheck
from steelyard.health.check_rdp import RdpCheck
from steelyard.health.check_tcp import TcpCheck
from steelyard.health.transcript import Transcript
from steelyard.health.verdict import again
from steelyard.model.errors import InternalError
from steelyard.plan.health import Check, CheckKind


class Prepared(Protocol):
    """A check that can be asked. `number` counts the attempts of one cycle from 1."""

    async def ask(self, number: int) -> Transcript: ...


_KINDS: Mapping[CheckKind, Callable[[Check, str, int], Prepared]] = {
    "icmp": IcmpCheck,
    "tcp": TcpCheck,
    "http": HttpCheck,
    "https": HttpCheck,
    **dict.fromkeys(("smtp", "pop3", "imap", "nntp", "ftp", "telnet"), GreetingCheck),
    "ldap": LdapCheck,
    "rdp": RdpCheck,
    "dns": DnsCheck,
    "bdata": BinaryCheck,
    "agent": AgentCheck,
}


def prepared(check: Check, address: str, port: int) -> Prepared:
    """The check, ready to ask. Raises `OperatorError` for a check that cannot be sent."""
    kind = _KINDS.get(check.kind)
    if kind is None:
        raise InternalError("A service without checks has no probe")
    return kind(check, address, port)


async def cycle(asker: Prepared, attempts: int) -> list[Transcript]:
    """One cycle: attempts until an answer is final or all are used. The last transcript decides."""
    said: list[Transcript] = []
    for number in range(1, attempts + 1):
        said.append(await asker.ask(number))
        if not again(said[-1].outcome, number, attempts):
            break
    return said
