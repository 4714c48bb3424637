"""OCSP stapling: the authorities of assigned certificates are asked, and HAProxy is given their answers.

The control plane does it. An answer holds for hours or days and lies on the disk beside its certificate, so HAProxy
goes on handing it out, also after a reload or a start of its own, while the control plane is gone; it never hands out
one that has expired. A responder that fails stops nothing: the last answer counts as long as it holds, then clients get
none, which they accept. It is asked again, less and less often up to the interval.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from steelyard.engines.ocsp_responder import NoAnswer, ask_responder
from steelyard.model.errors import EngineRefused, SteelyardError
from steelyard.model.ocsp import Answer, BadAnswer, issuer_of, judged, question, responder_of
from steelyard.plan.haproxy import CertificateFile

log = logging.getLogger("steelyard.stapling")

#: how soon a responder that failed is asked again; doubled each time, up to the interval
_FIRST_RETRY = timedelta(seconds=30)
#: a responder may give an answer that it made long ago; it is not asked again at once for that
_LEAST = timedelta(seconds=60)
#: responders that are asked at the same time
_AT_ONCE = 8

Ask = Callable[[str, bytes], bytes]
Give = Callable[[CertificateFile, str, bytes], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Stapling:
    """How it stands with one certificate.

    `answer_until` is until when the answer holds that clients get, None when they get none. `trouble` says what went
    wrong at the last attempt, empty after a good one; `never` says why nobody is asked at all.
    """

    certificate: str
    responder: str
    answer_made: datetime | None = None
    answer_until: datetime | None = None
    asked: datetime | None = None
    next: datetime | None = None
    failures: int = 0
    trouble: str = ""
    never: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be stapled: the certificates listeners have, further authorities, and how often to ask."""

    on: bool
    interval: timedelta
    certificates: tuple[CertificateFile, ...]
    authorities: tuple[x509.Certificate, ...]


class Stapler:
    """Keeps the answers fresh. `give` hands one to HAProxy and tells whether the certificate is still that one."""

    def __init__(
        self, wanted: Callable[[], Wanted], kept: Callable[[str], bytes | None], give: Give, ask: Ask = ask_responder
    ) -> None:
        self._wanted = wanted
        self._kept = kept
        self._give = give
        self._ask = ask
        self._seen: dict[str, tuple[CertificateFile, Stapling]] = {}
        self._authorities: tuple[x509.Certificate, ...] = ()
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def states(self) -> tuple[Stapling, ...]:
        """Every certificate that listeners have, by name; nothing while stapling is off."""
        return tuple(state for _, (_, state) in sorted(self._seen.items()))

    def problems(self) -> dict[str, str]:
        """What goes wrong now, in words, by what it concerns."""
        return {
            f"OCSP of certificate {state.certificate}": (
                f"OCSP: certificate {state.certificate} gets no answer from {state.responder}: {state.trouble};"
                f" {_meanwhile(state)}"
            )
            for state in self.states()
            if state.trouble
        }

    async def look(self, now: datetime) -> None:
        """Ask every responder that is due."""
        wanted = self._wanted()
        if not wanted.on:
            self._seen = {}
            return
        names = {file.name for file in wanted.certificates}
        self._seen = {name: seen for name, seen in self._seen.items() if name in names}
        others, self._authorities = wanted.authorities != self._authorities, wanted.authorities
        due: list[CertificateFile] = []
        for file in wanted.certificates:
            seen = self._seen.get(file.name)
            if seen is None or seen[0] != file or (seen[1].never and others):
                seen = self._seen[file.name] = (file, self._first(file, wanted, now))
            if seen[1].next is not None and seen[1].next <= now:
                due.append(file)
        await asyncio.gather(*(self._refresh(file, wanted, now) for file in due))

    def _first(self, file: CertificateFile, wanted: Wanted, now: datetime) -> Stapling:
        """What is known of a certificate that was not there before: an answer may lie beside it."""
        leaf, issuer = _pair(file, wanted.authorities)
        url = responder_of(leaf) or ""
        if not url:
            return Stapling(file.name, "", never="the certificate names no responder")
        if issuer is None:
            never = "the certificate of its authority is not here; import it as an intermediate"
            return Stapling(file.name, url, never=never)
        kept = self._kept(file.name)
        state = Stapling(file.name, url, next=now)
        if kept is None:
            return state
        try:
            answer = judged(kept, leaf, issuer, now)
        except BadAnswer as failure:
            log.info("the answer kept for certificate %s %s", file.name, failure)
            return state
        return _with(state, answer, answer.due(now, wanted.interval))

    async def _refresh(self, file: CertificateFile, wanted: Wanted, now: datetime) -> None:
        state = self._seen[file.name][1]
        try:
            fresh = await self._refreshed(file, state, wanted, now)
        except (NoAnswer, BadAnswer, SteelyardError) as failure:
            fresh = _failed(state, failure, now, wanted.interval)
            tell = log.warning if not state.failures else log.info
            tell("OCSP: certificate %s gets no answer from %s: %s", file.name, state.responder, fresh.trouble)
        seen = self._seen.get(file.name)
        if seen is not None and seen[0] is file:
            self._seen[file.name] = (file, fresh)

    async def _refreshed(self, file: CertificateFile, state: Stapling, wanted: Wanted, now: datetime) -> Stapling:
        leaf, issuer = _pair(file, wanted.authorities)
        if issuer is None:  # its authority was removed meanwhile
            return self._first(file, wanted, now)
        async with self._slots:
            der = await asyncio.to_thread(self._ask, state.responder, question(leaf, issuer))
        answer = judged(der, leaf, issuer, now)
        await self._give(file, issuer.public_bytes(Encoding.PEM).decode(), der)
        if state.failures:
            log.info("OCSP: certificate %s has an answer again", file.name)
        due = max(answer.due(now, wanted.interval), now + _LEAST)
        return _with(state, answer, due, asked=now)


def _pair(file: CertificateFile, more: Iterable[x509.Certificate]) -> tuple[x509.Certificate, x509.Certificate | None]:
    """The certificate and that of its authority."""
    leaf, *chain = x509.load_pem_x509_certificates(file.chain_pem.encode())
    return leaf, issuer_of(leaf, (*chain, *more))


def _with(state: Stapling, answer: Answer, due: datetime, asked: datetime | None = None) -> Stapling:
    return replace(
        state,
        answer_made=answer.made,
        answer_until=answer.until,
        asked=asked,
        next=due,
        failures=0,
        trouble="",
    )


def _failed(state: Stapling, failure: Exception, now: datetime, interval: timedelta) -> Stapling:
    if isinstance(failure, BadAnswer):
        words = f"the responder's answer {failure}"
    else:
        said = f": {failure.words}" if isinstance(failure, EngineRefused) else ""
        words = f"{failure}{said}"
    wait = min(_FIRST_RETRY * 2 ** min(state.failures, 12), interval)
    lapsed = state.answer_until is not None and state.answer_until <= now
    return replace(
        state,
        asked=now,
        next=now + wait,
        failures=state.failures + 1,
        trouble=words,
        answer_made=None if lapsed else state.answer_made,
        answer_until=None if lapsed else state.answer_until,
    )


def _meanwhile(state: Stapling) -> str:
    if state.answer_until is None:
        return "clients get none"
    return f"clients get the last one, which holds until {state.answer_until:%Y-%m-%d %H:%M} UTC"
