"""Certificates on HAProxy's runtime socket: new content, new ones, and which listener presents which.

HAProxy (2.6 and 2.8, tried) makes a certificate in three steps, a store, content in a transaction, commit; and has one
transaction at a time, so one that is refused has to be given up, or the next certificate would be refused as well.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection
from pathlib import Path

from steelyard.engines.haproxy.runtime import ask
from steelyard.model.errors import EngineRefused

log = logging.getLogger("steelyard.haproxy")

_UNLOADABLE = "unable to load SSL certificate into SSL Context"
_REFUSED = "HAProxy refuses the certificate"


async def replace_certificate(socket: Path, path: str, pem: str) -> None:
    """New content for a certificate that is in memory. Raises `EngineRefused`; then the old content stays."""
    try:
        answer = await ask(socket, f"set ssl cert {path}", payload=pem)
        if "transaction" not in answer.lower():
            raise EngineRefused(_REFUSED, words=answer.strip())
        await tell_of_certificates(socket, f"commit ssl cert {path}")
    except EngineRefused:
        with contextlib.suppress(EngineRefused):  # the first complaint is what matters
            await ask(socket, f"abort ssl cert {path}")
        raise


async def load_certificate(socket: Path, path: str, pem: str) -> None:
    """A certificate that listeners can be given. Raises `EngineRefused`.

    One that is there already, because a list that had it went by a reload, gets the content.
    """
    answer = await ask(socket, f"new ssl cert {path}")
    if "New empty" not in answer and "already exists" not in answer:
        raise EngineRefused(_REFUSED, words=answer.strip())
    await replace_certificate(socket, path, pem)


async def tell_of_certificates(socket: Path, command: str) -> None:
    """A command on certificates without a payload. Raises `EngineRefused`."""
    answer = (await ask(socket, command)).strip()
    removed = answer.startswith(("Entry '", "Certificate '")) and " deleted" in answer
    if "Success!" not in answer and not removed:
        raise EngineRefused(refused_certificate(answer) or _REFUSED, words=answer)


def refused_certificate(words: str) -> str | None:
    """What HAProxy's refusal means, if it is about what is in a certificate."""
    if _UNLOADABLE not in words:
        return None
    return (
        "HAProxy's TLS library refuses the certificate, mostly for an RSA key under 2048 bits or a SHA-1 signature;"
        " have a new one issued"
    )


def remove_other_certificates(directory: Path, certificates: Collection[str]) -> None:
    """Remove the files of certificates that no listener presents any more: they hold keys."""
    for path in directory.glob("*.pem"):
        if path.name.removesuffix(".pem") not in certificates and not path.name.startswith("."):
            try:
                path.unlink(missing_ok=True)
            except OSError as failure:
                log.warning("%s, which holds a private key, cannot be removed: %s", path, failure.strerror)
