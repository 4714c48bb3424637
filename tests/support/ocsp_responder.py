"""A real OCSP responder: `openssl ocsp`, with the statuses of certificates in a file of its own.

with OcspResponder(authority) as responder:
    shop = leaf("shop.example", issuer=authority, responder=responder.url)
    responder.knows(shop)
    responder.revokes(shop)
    responder.stop()                # and `start` again
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from tests.support.certificates import Certified
from tests.support.ports import free_port

_YEAR_LATER = "491231235959Z"


class OcspResponder:
    """The responder of one authority. `signer` answers in its place; `valid_days` is how long answers hold."""

    def __init__(self, issuer: Certified, *, signer: Certified | None = None, valid_days: int = 3) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self._issuer = issuer
        self._signer = signer or issuer
        self._valid_days = valid_days
        self._statuses: dict[Certified, str] = {}
        self._process: subprocess.Popen[str] | None = None
        self._directory = Path(tempfile.mkdtemp(prefix="ocsp"))
        (self._directory / "ca.pem").write_bytes(issuer.pem)
        (self._directory / "signer.pem").write_bytes(self._signer.pem)
        (self._directory / "signer.key").write_bytes(self._signer.key_pem)
        (self._directory / "index.txt.attr").write_text("unique_subject = no\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def knows(self, *certified: Certified) -> None:
        """From now on it calls them good."""
        self._statuses.update(dict.fromkeys(certified, f"V\t{_YEAR_LATER}\t"))
        self.start()

    def revokes(self, certified: Certified) -> None:
        self._statuses[certified] = f"R\t{_YEAR_LATER}\t250101000000Z"
        self.start()

    def start(self) -> None:
        """Start it, or start it anew: it reads its file once."""
        self.stop()
        lines = [f"{status}\t{one.serial:040X}\tunknown\t/CN={one.serial}\n" for one, status in self._statuses.items()]
        (self._directory / "index.txt").write_text("".join(lines))
        words = ["openssl", "ocsp", "-port", str(self.port), "-index", "index.txt", "-CA", "ca.pem"]
        words += ["-rsigner", "signer.pem", "-rkey", "signer.key", "-ndays", str(self._valid_days)]
        self._process = subprocess.Popen(
            words, cwd=self._directory, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        # a connection without a request would keep it waiting for ever, so its own word is taken
        said = self._process.stdout.readline()
        if not said.startswith("ACCEPT"):
            raise RuntimeError(f"openssl ocsp does not listen: {said!r}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
