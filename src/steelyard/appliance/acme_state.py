"""How it stands with the orders of a certificate: kept beside the configuration, so that a restart forgets no failure
and no authority is asked too often.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from steelyard.model.acme_renewal import retry_after
from steelyard.model.errors import SteelyardError


@dataclass(frozen=True, slots=True)
class AcmeState:
    """What came of the orders so far.

    `ordered` is when the last attempt ended, `retry` when a failed one is made again; `due` is when the next is made,
    whatever for. `trouble`, `remedy` and `words` (the authority's problem document) are of the last attempt, empty
    after a good one; `output` is what hooks printed.
    """

    certificate: str
    under_way: bool = False
    failures: int = 0
    ordered: datetime | None = None
    retry: datetime | None = None
    due: datetime | None = None
    trouble: str = ""
    remedy: str = ""
    words: str = ""
    output: str = ""

    def good(self, at: datetime, output: str) -> AcmeState:
        """After an order that brought a certificate."""
        return AcmeState(self.certificate, ordered=at, output=output)

    def failed(self, at: datetime, failure: SteelyardError, output: str, chance: float) -> AcmeState:
        """After one that did not. `chance` (0 to 1) spreads the next attempt."""
        said = failure.details()
        return replace(
            self,
            under_way=False,
            failures=self.failures + 1,
            ordered=at,
            retry=at + retry_after(self.failures + 1, chance),
            trouble=failure.message,
            remedy=str(said.get("remedy", "")),
            words=str(said.get("words", "")),
            output=output,
        )

    def as_bytes(self) -> bytes:
        """What is kept."""
        found = {name: value for name, value in asdict(self).items() if name not in ("under_way", "due")}
        found |= {name: _seconds(found[name]) for name in ("ordered", "retry")}
        return json.dumps(found).encode()


def _seconds(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def read_state(certificate: str, kept: bytes) -> AcmeState:
    """The opposite of `AcmeState.as_bytes`; what cannot be read counts as nothing known."""
    try:
        found: dict[str, Any] = json.loads(kept)
        known = {name: found[name] for name in ("failures", "trouble", "remedy", "words", "output")}
        known |= {name: datetime.fromisoformat(found[name]) for name in ("ordered", "retry") if found[name]}
        return AcmeState(certificate, **known)
    except (ValueError, KeyError, TypeError, AttributeError):
        return AcmeState(certificate)
