"""What HAProxy asks about clients' certificates, on a socket of its own (`engines/haproxy/client_ocsp.lua`).

A request is a line: the file of the accepted authorities, the responder or `-` for the one the certificate names, the
certificate and those the client sent with it, both in hexadecimal. The answer is a word and for how many seconds it may
be remembered: `good`, `revoked`, `unknown` (to the responder), or `failed`: there is no valid answer. HAProxy has
verified the certificate before. A revocation is noticed when what is remembered has ended, after
`REMEMBERED_SECONDS` at the latest.

A responder that fails is left alone for a while, in which all questions to it fail at once: connections must not pile
up behind one that hangs.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import logging
import os
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from steelyard.engines.ocsp_responder import NoAnswer, ask_responder
from steelyard.model.ocsp import BadAnswer, Status, issuer_of, question, responder_of, status_of
from steelyard.plan.trust import trust_path

log = logging.getLogger(__name__)

REMEMBERED_SECONDS = 300
#: what nobody is sure of is asked again sooner
UNKNOWN_SECONDS = 60
#: a responder that failed is left alone for so long
FAILED_SECONDS = 10
ASK_SECONDS = 4.0
#: questions that are under way at the same time
AT_ONCE = 16
MOST_REMEMBERED = 50_000
LINE_BYTES = 1 << 20
_NAMED_IN_CERTIFICATE = "-"
_FILE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")

Ask = Callable[[str, bytes, float], bytes]


@dataclass(frozen=True, slots=True)
class _Said:
    word: str
    until: float


class ClientOcsp:
    """Answers HAProxy. `engine` is the directory of HAProxy's files. Made and used inside a running loop."""

    def __init__(self, path: Path, engine: Path, ask: Ask = ask_responder) -> None:
        self._path = path
        self._engine = engine
        self._ask = ask
        self._said: dict[str, _Said] = {}
        self._asking: dict[str, asyncio.Task[_Said]] = {}
        self._failing: dict[str, float] = {}
        self._authorities: dict[str, tuple[tuple[int, int], tuple[x509.Certificate, ...]]] = {}
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="ocsp")

    async def run(self) -> None:
        """Serve until cancelled."""
        before = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(self._connected, str(self._path), limit=LINE_BYTES)
        finally:
            os.umask(before)
        try:
            await asyncio.Event().wait()
        finally:
            server.close()
            self._path.unlink(missing_ok=True)
            # one that is under way ends within its time; nobody waits for it
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            said = await self.answer((await reader.readline()).decode("ascii", "replace"))
            writer.write(f"{said.word} {max(0, int(said.until - time.time()))}\n".encode())
            await writer.drain()
        except (OSError, ValueError) as failure:
            # HAProxy has gone, or sent an endless line; to HAProxy no answer is a failure
            log.info("A question about a client's certificate ended: %s", failure)
        finally:
            writer.close()

    async def answer(self, line: str) -> _Said:
        """What is known, or what the responder says. Equal questions at the same time are one."""
        # what the client sent along may differ each time and changes nothing
        key = hashlib.sha256(" ".join(line.split(" ")[:3]).encode()).hexdigest()
        said = self._said.get(key)
        if said is not None and said.until > time.time():
            return said
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._find_out(line))
            asking.add_done_callback(lambda _: self._asking.pop(key, None))
        said = await asyncio.shield(asking)
        self._remember(key, said)
        return said

    def _remember(self, key: str, said: _Said) -> None:
        if len(self._said) >= MOST_REMEMBERED:
            now = time.time()
            self._said = {name: one for name, one in self._said.items() if one.until > now}
        if len(self._said) < MOST_REMEMBERED:
            self._said[key] = said

    async def _find_out(self, line: str) -> _Said:
        try:
            return await self._asked(line)
        except (NoAnswer, BadAnswer) as failure:
            log.warning("OCSP: %s", failure)
        except Exception:
            # a bug here must not look like a good certificate, and must not end the checking of real servers
            log.exception("A question about a client's certificate failed in itself")
        return _Said("failed", time.time() + FAILED_SECONDS)

    async def _asked(self, line: str) -> _Said:
        file, responder, leaf, chain = _read(line)
        who = f"{leaf.subject.rfc4514_string()} ({leaf.serial_number:X})"
        issuer = issuer_of(leaf, (*self._accepted(file), *chain))
        if issuer is None:
            raise NoAnswer(f"the certificate of the authority of {who} is not here")
        url = responder_of(leaf) or "" if responder == _NAMED_IN_CERTIFICATE else responder
        if not url:
            raise NoAnswer(f"the certificate of {who} names no responder, and OCSPServer is empty")
        if self._failing.get(url, 0.0) > time.time():
            return _Said("failed", self._failing[url])
        try:
            call = functools.partial(self._ask, url, question(leaf, issuer), ASK_SECONDS)
            der = await asyncio.get_running_loop().run_in_executor(self._threads, call)
            status = status_of(der, leaf, issuer, datetime.now(UTC))
        except NoAnswer as failure:
            self._failing[url] = time.time() + FAILED_SECONDS
            raise NoAnswer(f"{url}, asked about {who}: {failure}") from failure
        except BadAnswer as failure:
            raise BadAnswer(f"the answer of {url} about {who} {failure}") from failure
        self._failing.pop(url, None)
        if status.word != "good":
            log.warning("OCSP: the certificate of %s is %s, its client is refused", who, status)
        return _Said(status.word, time.time() + _seconds(status))

    def _accepted(self, file: str) -> tuple[x509.Certificate, ...]:
        """The authorities in a file, read again when it has changed."""
        path = self._engine / trust_path(file)
        try:
            found = path.stat()
            sign = (found.st_mtime_ns, found.st_size)
            known = self._authorities.get(file)
            if known is None or known[0] != sign:
                known = sign, tuple(x509.load_pem_x509_certificates(path.read_bytes()))
                self._authorities[file] = known
        except (OSError, ValueError) as failure:
            raise NoAnswer(f"{path} cannot be read: {failure}") from failure
        return known[1]


def _seconds(status: Status) -> float:
    if status.word == "unknown":
        return UNKNOWN_SECONDS
    left = REMEMBERED_SECONDS if status.until is None else (status.until - datetime.now(UTC)).total_seconds()
    return min(max(left, 1.0), REMEMBERED_SECONDS)


def _read(line: str) -> tuple[str, str, x509.Certificate, tuple[x509.Certificate, ...]]:
    """A request. Raises `NoAnswer`."""
    words = line.rstrip("\n").split(" ")
    try:
        file, responder, leaf, chain = words
        if not _FILE.fullmatch(file):
            raise ValueError("the file of authorities has a strange name")
        return file, responder, x509.load_der_x509_certificate(bytes.fromhex(leaf)), _split(bytes.fromhex(chain))
    except ValueError as failure:
        raise NoAnswer(f"a question from HAProxy cannot be read: {failure}") from failure


def _split(chain: bytes) -> tuple[x509.Certificate, ...]:
    """Certificates that stand one behind the other, DER sequences of 128 bytes to 64 KiB.

    What cannot be read is left out: a client must not make a failure, which may let it in, by what it sends along.
    """
    found: list[x509.Certificate] = []
    while len(chain) > 4 and chain[:2] in (b"\x30\x81", b"\x30\x82"):
        octets = chain[1] & 0x7F
        length = 2 + octets + int.from_bytes(chain[2 : 2 + octets], "big")
        with contextlib.suppress(ValueError):
            found.append(x509.load_der_x509_certificate(chain[:length]))
        chain = chain[length:]
    return tuple(found)
