"""The rules every store enforces before it writes, as functions of what is stored. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from steelyard.model.errors import ConflictError, InternalError, NotFound
from steelyard.store.contract import RevisionRecord

#: How many revisions a conflict names; a longer sentence is not read.
NAMED_IN_CONFLICT = 3

#: A listing longer than this is a mistake, and SQLite takes a negative or 64-bit-overflowing limit badly.
LONGEST_LISTING = 1_000_000


def conflict(expected_head: int, head: int, newest: Sequence[RevisionRecord]) -> ConflictError:
    """Who changed what since `expected_head`. `newest` holds up to `NAMED_IN_CONFLICT` revisions, newest first."""
    if expected_head > head:
        return ConflictError(
            f"The change is based on revision {expected_head}, but the newest revision here is {head}",
            with_what=f"revision {head}",
        )
    since = [record for record in newest if record.number > expected_head]
    said = []
    for record in since:
        failed = " (failed)" if record.status == "failed" else ""
        said.append(f"revision {record.number} by {record.author}{failed}: {record.summary}")
    earlier = head - expected_head - len(since)
    if earlier:
        said.append(f"and {earlier} earlier")
    return ConflictError(
        f"The configuration changed since revision {expected_head}: {'; '.join(said)}", with_what=f"revision {head}"
    )


def require_known(number: int, head: int) -> None:
    """`NotFound` for a number no revision has."""
    if not 1 <= number <= head:
        raise NotFound("revision", number)


def require_markable(number: int, status: str, withdrawn: bool) -> None:
    """`InternalError` unless it is an outcome, and of a revision that stands."""
    if status not in ("applied", "failed"):
        raise InternalError(f"A revision cannot be marked {status}")
    if withdrawn:
        raise InternalError(f"Revision {number} was withdrawn and cannot be marked {status}")


def require_withdrawable(number: int, withdrawn: bool, newest_standing: int) -> None:
    """`InternalError` unless the revision is the newest that stands: its `before` documents are then the past."""
    if withdrawn:
        raise InternalError(f"Revision {number} was withdrawn already")
    if number != newest_standing:
        raise InternalError(f"Revision {number} cannot be withdrawn: revision {newest_standing} stands on it")


def require_past(rollback_of: int | None, head: int) -> None:
    """`InternalError` when a rollback names a revision that does not exist yet. 0 is the empty store."""
    if rollback_of is not None and not 0 <= rollback_of <= head:
        raise InternalError(f"Revision {rollback_of} cannot be rolled back to: the newest is {head}")


def instant(at: float) -> float:
    """Seconds since the epoch. `InternalError` for NaN (SQLite stores it as NULL) and infinity."""
    if not math.isfinite(at):
        raise InternalError(f"{at} is not a time")
    return float(at)


def page(limit: int) -> int:
    """The limit of a listing, 0 to `LONGEST_LISTING`."""
    return max(0, min(limit, LONGEST_LISTING))
