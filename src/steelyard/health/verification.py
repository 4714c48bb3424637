"""TLS contexts that verify real servers: by the authorities of the check, and of the name that is asked for.

A chain has to end in a root that is among them, as HAProxy demands of real servers.
"""

from __future__ import annotations

import logging
import ssl
from functools import lru_cache

from steelyard.engines.authorities import system_authorities
from steelyard.health.conversation import unverified
from steelyard.model.errors import HostLacks
from steelyard.plan.health import Check

log = logging.getLogger("steelyard.health")


def context_of(check: Check) -> ssl.SSLContext:
    """The context a check's conversation is secured with."""
    if check.trust is None:
        return unverified()
    return _verifying(check.trust.pem, _of_the_system() if check.trust.system else "", named=check.sni is not None)


def _of_the_system() -> str:
    try:
        return system_authorities()
    except HostLacks as failure:
        # HAProxy goes on with those it has read; here nobody of theirs is believed until they are back
        log.error("%s", failure.message)
        return ""


@lru_cache(maxsize=64)
def _verifying(own: str, system: str, *, named: bool) -> ssl.SSLContext:
    """Reading the system's authorities takes milliseconds, so contexts are kept."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = named
    if own or system:
        context.load_verify_locations(cadata=own + system)
    return context
