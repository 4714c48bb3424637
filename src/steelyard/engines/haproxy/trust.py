"""Files of authorities and revocation lists: written for HAProxy, and replaced in the running one.

`set ssl ca-file` and `set ssl crl-file` (2.5) put new content into every listener and server that names the file, once
it is committed. Handshakes that are under way finish with what they began with.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from steelyard.engines.authorities import system_authorities
from steelyard.engines.haproxy.layout import write
from steelyard.engines.haproxy.runtime import ask
from steelyard.model.errors import EngineRefused, HostLacks
from steelyard.plan.trust import TrustFile, trust_path

log = logging.getLogger("steelyard.haproxy")


def content(file: TrustFile) -> bytes:
    """What the file holds. Raises `HostLacks` when the system's authorities are wanted and there are none."""
    return (file.pem + (system_authorities() if file.system else "")).encode()


def contents(base: Path, files: Iterable[TrustFile]) -> Iterator[tuple[Path, bytes]]:
    """Where each belongs below that directory, and what it holds."""
    for file in files:
        yield base / trust_path(file.name), content(file)


def write_trust(base: Path, files: Iterable[TrustFile], *, staged: bool) -> None:
    """Write them. Staged ones raise `HostLacks`; HAProxy starts with what was there when the system's are gone."""
    for file in files:
        path = base / trust_path(file.name)
        try:
            found = content(file)
        except HostLacks as failure:
            if staged or not path.exists():
                raise
            log.error("%s; %s stays as it was", failure.message, path)
        else:
            write(path, found)


async def replace_trust(socket: Path, base: Path, file: TrustFile) -> None:
    """Put new content in place of the old. Raises `EngineRefused`."""
    write(base / trust_path(file.name), content(file))
    kind = "crl-file" if file.revocations else "ca-file"
    path = trust_path(file.name)
    answer = await ask(socket, f"set ssl {kind} {path}", payload=file.pem)
    if "transaction" not in answer.lower():
        raise EngineRefused(_refused(file), words=answer.strip())
    answer = await ask(socket, f"commit ssl {kind} {path}")
    if "Success" not in answer:
        await ask(socket, f"abort ssl {kind} {path}")
        raise EngineRefused(_refused(file), words=answer.strip())


def _refused(file: TrustFile) -> str:
    return f"HAProxy refuses the {'revocation lists' if file.revocations else 'authorities'}"


def describe_trust(file: TrustFile) -> str:
    """The operation for people."""
    return f"set ssl {'crl' if file.revocations else 'ca'}-file {trust_path(file.name)} (new content)"
