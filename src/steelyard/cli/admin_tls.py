"""TLS of the administration interface as the parameters say, from the start and after each change.

OpenSSL takes protocols and ciphers of a context anew for each connection, so what is open goes on and nothing restarts.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from functools import cache

from steelyard.appliance.contract import ApplianceApi
from steelyard.model.cipher_set import CipherSets, members
from steelyard.model.ciphers import is_weak
from steelyard.model.tls_parameters import TlsParameters

log = logging.getLogger("steelyard.admin")

_LOOK_SECONDS = 0.5
_VERSIONS = {
    "TLSv1.0": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}
_WEAKLY_SIGNED = frozenset({"TLSv1.0", "TLSv1.1"})


class NoneOfThem(Exception):
    """This Python's OpenSSL has no cipher of the set."""


@cache
def _known() -> frozenset[str]:
    """The ciphers of this Python's OpenSSL, which is not HAProxy's. It takes a list of names it has none of, too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    return frozenset(str(one["name"]) for one in context.get_ciphers())


def set_up(context: ssl.SSLContext, parameters: TlsParameters, sets: CipherSets) -> None:
    """Make a context offer what the parameters say. Raises `NoneOfThem`; the context is then as it was."""
    offered = parameters.admin_protocols
    names = tuple(name for name in members(sets, parameters.admin_cipher_set) if name in _known())
    if not names:
        raise NoneOfThem
    weak = any(map(is_weak, names)) or _WEAKLY_SIGNED.intersection(offered)
    context.set_ciphers(":".join((*names, *(("@SECLEVEL=0",) if weak else ()))))
    # a lowest above the highest would be refused for a moment
    context.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    context.minimum_version = _VERSIONS[offered[0]]
    context.maximum_version = _VERSIONS[offered[-1]]


async def follow(appliance: ApplianceApi, context: ssl.SSLContext) -> None:
    """Keep a context at what the committed parameters say."""
    seen: tuple[object, object] = (None, None)
    while True:
        configuration = appliance.snapshot().configuration
        now = (configuration.tls, configuration.cipher_sets)
        if now[0] is not seen[0] or now[1] is not seen[1]:
            seen = now
            try:
                set_up(context, configuration.tls, configuration.cipher_sets)
            except NoneOfThem:
                name = configuration.tls.admin_cipher_set
                log.error("the administration interface keeps its ciphers: OpenSSL has none of cipher set %s", name)
        await asyncio.sleep(_LOOK_SECONDS)
