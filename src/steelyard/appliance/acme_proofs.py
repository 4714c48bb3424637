"""Proving names to an ACME authority: answers are put where it will look, it is asked to look, they are taken away."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steelyard.appliance.blocking import in_own_thread
from steelyard.compile.haproxy.challenges import CHALLENGE_PATH
from steelyard.model.acme_certificate import HTTP, AcmeCertificate
from steelyard.model.acme_dns import HOOK, DnsProvider
from steelyard.model.acme_problem import AuthorityRefused
from steelyard.model.configuration import Configuration
from steelyard.model.errors import EngineRefused, SteelyardError

if TYPE_CHECKING:
    from steelyard.engines.acme.authority import Authority, Challenge

log = logging.getLogger("steelyard.acme")

#: how long an authority may take to look; Let's Encrypt takes seconds, others look again and again
_PROOF_SECONDS = 180.0
_FIRST_POLL, _LONGEST_POLL = 0.2, 5.0
_CHECK_SECONDS = 0.5

Talk = Callable[[Callable[["Authority"], Any]], Awaitable[Any]]


class Proofs:
    """The answers that are shown now, for all orders under way."""

    def __init__(
        self, show: Callable[[Mapping[str, str]], Awaitable[None]], secret: Callable[[str], bytes], hooks: Path
    ) -> None:
        self._show = show
        self._secret = secret
        self._hooks = hooks
        self._answers: dict[str, str] = {}

    async def prove(
        self,
        talk: Talk,
        wanted: AcmeCertificate,
        authorizations: Sequence[Any],
        configuration: Configuration,
        output: list[str],
    ) -> None:
        """Prove every name that is not proved yet. Raises the errors of `model.errors`; nothing is left behind."""
        kinds = {one.domain: one.kind for one in wanted.proofs()}
        found: list[Challenge] = []
        for one in authorizations:
            domain = ("*." if one.body.wildcard else "") + one.body.identifier.value
            kind = kinds.get(domain)
            if kind is None:
                raise AuthorityRefused(f"The authority asks for {domain}, which was not ordered", remedy="Tell it so")
            found.append(await talk(partial(_challenge, one, kind)))
        by_http = [one for one in found if one.kind == HTTP]
        by_dns = [one for one in found if one.kind != HTTP]
        provider = configuration.dns_providers.get(wanted.dns_provider)
        made: list[Challenge] = []
        try:
            if by_http:
                await self._put_up(by_http)
            if by_dns and provider is not None:
                for one in by_dns:
                    # noted first: a hook that fails half-way has its cleaning up called, too
                    made.append(one)
                    output.append(await self._record(provider, one, "present"))
                await self._seen(provider, by_dns)
            for one in found:
                await talk(partial(_answer, one))
            for one in found:
                await self._believed(talk, one)
        finally:
            await asyncio.shield(self._clean_up(by_http, provider, made, output))

    async def _put_up(self, challenges: Sequence[Challenge]) -> None:
        self._answers |= {CHALLENGE_PATH + one.token: one.answer for one in challenges}
        await self._show(dict(self._answers))

    async def _clean_up(
        self, by_http: Sequence[Challenge], provider: DnsProvider | None, made: Sequence[Challenge], output: list[str]
    ) -> None:
        """What fails here is told in the log: whether names were proved does not depend on it."""
        if by_http:
            for one in by_http:
                self._answers.pop(CHALLENGE_PATH + one.token, None)
            try:
                await self._show(dict(self._answers))
            except SteelyardError as failure:
                log.warning("answers to ACME challenges are still shown: %s", failure.message)
        for one in made:
            if provider is None:
                break
            try:
                output.append(await self._record(provider, one, "cleanup"))
            except SteelyardError as failure:
                log.warning("the record %s was not removed: %s", one.record, failure.message)
                output.append(f"{failure.message}\n")

    async def _record(self, provider: DnsProvider, challenge: Challenge, action: str) -> str:
        """Have the record of a challenge made ("present") or removed ("cleanup"); what was said of it."""
        domain, record, value = challenge.domain, challenge.record, challenge.answer
        if provider.kind == HOOK:
            from steelyard.engines.acme.hooks import run_hook

            seconds = provider.program_seconds
            return await in_own_thread(
                lambda: run_hook(self._hooks, provider.program, action, domain, record, value, seconds)
            )
        from steelyard.engines.acme.dns import change_record

        key = self._secret(provider.key_place).decode() if provider.key_place else ""
        return await in_own_thread(lambda: f"{change_record(provider, key, record, value, add=action == 'present')}\n")

    async def _seen(self, provider: DnsProvider, challenges: Sequence[Challenge]) -> None:
        """Wait until every server that is asked shows every record."""
        from steelyard.engines.acme.dns import shows

        deadline = time.monotonic() + provider.check_seconds
        for server, port in provider.asked():
            for one in challenges:
                while not await in_own_thread(partial(shows, server, port, one.record, one.answer)):
                    if time.monotonic() > deadline:
                        raise EngineRefused(
                            f"The DNS server {server} does not show the record {one.record} after"
                            f" {provider.check_seconds} s; see that it gets what DNS provider {provider.name} makes,"
                            " or give it more time (check_seconds)"
                        )
                    await asyncio.sleep(_CHECK_SECONDS)

    async def _believed(self, talk: Talk, challenge: Challenge) -> None:
        """Wait until the authority has looked."""
        deadline, wait = time.monotonic() + _PROOF_SECONDS, _FIRST_POLL
        while not await talk(lambda authority: authority.proved(challenge)):
            if time.monotonic() > deadline:
                raise AuthorityRefused(
                    f"The authority has not looked for the proof of {challenge.domain} within {_PROOF_SECONDS:.0f} s",
                    remedy="It is tried again later by itself",
                )
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_POLL)


def _challenge(authorization: Any, kind: str, authority: Authority) -> Challenge:
    return authority.challenge(authorization, kind)


def _answer(challenge: Challenge, authority: Authority) -> None:
    authority.answer(challenge)
