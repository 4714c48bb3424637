"""Who watches what TLS rests on besides certificates: answers for stapling, and revocation lists that grow old."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from steelyard.appliance.problems import Problems
from steelyard.appliance.stapling import Stapler
from steelyard.model.configuration import Configuration
from steelyard.model.revocation_expiry import outdated_lists

log = logging.getLogger("steelyard.trust")

#: how often a look is taken
LOOK_SECONDS = 1.0


class TrustWatch:
    """Keeps stapling going, and says what is wrong: `told` hears of each concern when it begins and when it ends."""

    def __init__(
        self, stapler: Stapler, configuration: Callable[[], Configuration], told: Callable[[str, str | None], None]
    ) -> None:
        self._stapler = stapler
        self._configuration = configuration
        self._problems = Problems(told)

    def problems(self) -> tuple[str, ...]:
        """What is wrong now, in words."""
        return tuple(self._current(datetime.now(UTC)).values())

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look(datetime.now(UTC))
            except Exception:
                # a bug here must not end stapling for good
                log.exception("OCSP stapling failed in itself")
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self, now: datetime) -> None:
        """Ask the responders that are due, and tell what has changed."""
        await self._stapler.look(now)
        current = self._current(now)
        for concern in [one for one in self._problems if one not in current]:
            self._problems.pop(concern)
        for concern, words in current.items():
            self._problems[concern] = words

    def _current(self, now: datetime) -> dict[str, str]:
        return {**self._stapler.problems(), **_outdated(self._configuration(), now)}


def _outdated(configuration: Configuration, now: datetime) -> dict[str, str]:
    """Revocation lists that are too old, while services verify clients."""
    if not any(service.verifies_clients for service in configuration.services.values()):
        return {}
    return {
        f"revocation list {one.name}": (
            f"Revocation list {one.name} has held until {one.next_update:%Y-%m-%d %H:%M} UTC: clients of"
            f" {one.parsed.issuer.rfc4514_string()} are refused until a newer one is imported"
        )
        for one in outdated_lists(configuration, now)
    }
