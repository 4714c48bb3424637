"""Answers of OCSP responders beside the certificates they are about: HAProxy reads them at its start.

`NAME.pem.ocsp` is the answer, `NAME.pem.issuer` the certificate of the authority, which HAProxy (2.6, 2.8) needs to
find the answer by and otherwise refuses to start; so both are always there together. In a running process an answer of
a certificate that had one is replaced as it is, the first one goes in by a transaction on the certificate.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Collection
from pathlib import Path

from steelyard.engines.haproxy.layout import cannot_write, write
from steelyard.engines.haproxy.runtime import ask
from steelyard.model.errors import EngineRefused

_ANSWER, _ISSUER = ".pem.ocsp", ".pem.issuer"


class Staples:
    """The answers in one directory of certificates."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def kept(self, certificate: str) -> bytes | None:
        """The answer that lies beside a certificate."""
        try:
            return self._file(certificate, _ANSWER).read_bytes()
        except OSError:
            return None

    def keep(self, certificate: str, issuer_pem: str, answer: bytes) -> None:
        """Write an answer. Raises `HostLacks`."""
        write(self._file(certificate, _ISSUER), issuer_pem)
        write(self._file(certificate, _ANSWER), answer)

    def forget(self, certificate: str) -> None:
        """Remove the answer of a certificate that gets other content. Raises `HostLacks`."""
        # the answer first: without the issuer HAProxy would not start with it
        for ending in (_ANSWER, _ISSUER):
            path = self._file(certificate, ending)
            try:
                path.unlink(missing_ok=True)
            except OSError as failure:
                raise cannot_write(path, failure) from failure

    def forget_others(self, certificates: Collection[str]) -> None:
        """Remove the answers of all other certificates."""
        for path in self._directory.glob(f"*{_ANSWER}"):
            name = path.name.removesuffix(_ANSWER)
            if name not in certificates:
                self.forget(name)

    def _file(self, certificate: str, ending: str) -> Path:
        return self._directory / f"{certificate}{ending}"


async def send_staple(socket: Path, path: str, issuer_pem: str, answer: bytes) -> None:
    """Give the running process an answer about the certificate in that file. Raises `EngineRefused`."""
    encoded = base64.b64encode(answer).decode()
    said = await ask(socket, "set ssl ocsp-response", payload=encoded)
    if "updated" in said:
        return
    steps = (
        (f"set ssl cert {path}.issuer", issuer_pem, "transaction"),
        (f"set ssl cert {path}.ocsp", encoded, "transaction"),
        (f"commit ssl cert {path}", None, "success"),
    )
    for command, payload, good in steps:
        said = await ask(socket, command, payload=payload)
        if good not in said.lower():
            with contextlib.suppress(EngineRefused):  # the first complaint is what matters
                await ask(socket, f"abort ssl cert {path}")
            raise EngineRefused("HAProxy refuses the answer of the OCSP responder", words=said.strip())
