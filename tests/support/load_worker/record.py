"""Exact counting: every request ends as answered, as failed, or (HTTP/2, where the protocol says it is safe) again."""

from __future__ import annotations

import json
import time
from array import array
from collections import Counter
from typing import Any

_REMEMBERED_FAILURES = 200


class Record:
    """Counts of one run. One thread, one loop: no locks."""

    def __init__(self, expect: tuple[int, ...]) -> None:
        self._expect = expect
        self._started = self._last_success = time.monotonic()
        self._longest_gap = 0.0
        self._latencies = array("d")
        self._reasons: Counter[str] = Counter()
        self._servers: Counter[str] = Counter()
        self._failures: list[tuple[float, str]] = []
        self.reconnects = 0
        self.retried = 0

    @property
    def finished(self) -> int:
        return len(self._latencies) + self._reasons.total()

    def answered(self, status: int, body: bytes, seconds: float) -> None:
        """A whole response came: a success if its status is one of the expected."""
        if status not in self._expect:
            self.failure(f"status {status}: {body[:120].decode('utf-8', 'replace')!r}")
            return
        now = time.monotonic()
        self._longest_gap = max(self._longest_gap, now - self._last_success)
        self._last_success = now
        self._latencies.append(seconds)
        self._servers[_server_name(body)] += 1

    def failure(self, reason: str) -> None:
        self._reasons[reason] += 1
        if len(self._failures) < _REMEMBERED_FAILURES:
            self._failures.append((round(time.monotonic() - self._started, 3), reason))

    def counts(self) -> dict[str, Any]:
        """What may be read while the run goes on."""
        return {"requests": self.finished, "failed": self._reasons.total(), "servers": dict(self._servers)}

    def result(self) -> dict[str, Any]:
        """Everything. The time from the last success to now is a gap too, so an outage at the end shows."""
        now = time.monotonic()
        latencies = sorted(self._latencies)
        return self.counts() | {
            "reasons": dict(self._reasons),
            "failures": self._failures,
            "reconnects": self.reconnects,
            "retried": self.retried,
            "p50_ms": _percentile(latencies, 0.50) * 1000,
            "p99_ms": _percentile(latencies, 0.99) * 1000,
            "longest_gap": max(self._longest_gap, now - self._last_success),
            "seconds": now - self._started,
        }


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def _server_name(body: bytes) -> str:
    try:
        name = json.loads(body)["name"]
    except (ValueError, KeyError, TypeError):
        return "?"
    return str(name)
