"""The checking process's durable files: what it was asked to do (`plan.json`) and what it knows (`verdicts.json`).

Both are written whole to a new file that then takes the old one's name, so a killed process leaves either the old or
the new content. Each service and each target is kept as a printed piece; a change prints only its own piece again,
which keeps a change of one service of 1,000 cheap. Mode 0600: a plan may hold credentials in headers.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from steelyard.health.board import Board, Known, Memory, TargetName
from steelyard.health.transcript import Transcript
from steelyard.plan.health import HealthPlan, Service

log = logging.getLogger(__name__)

_STATES = ("unknown", "up", "down", "unchecked")


def write_whole(path: Path, pieces: Iterable[str]) -> None:
    """Replace a file at once; its content is on the disk before the name changes. Raises `OSError`."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write("".join(pieces).encode())
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)


class PlanFile:
    """`plan.json`: a `HealthPlan` as JSON."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "plan.json"
        self._pieces: dict[str, str] = {}

    def load(self) -> HealthPlan | None:
        """The plan of the last run; None when there is none. A file that cannot be read is reported and left aside."""
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as failure:
            log.error("%s cannot be read: %s", self.path, failure)
            return None
        try:
            return HealthPlan.model_validate_json(text)
        except ValidationError as failure:
            # Without the values: they may be passwords.
            faults = failure.errors(include_input=False, include_url=False)[:3]
            said = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
            log.error("%s holds no health plan: %s", self.path, said)
            return None

    def note(self, services: Mapping[str, Service | None]) -> None:
        """Print these services again; None forgets one."""
        for key, service in services.items():
            if service is None:
                self._pieces.pop(key, None)
            else:
                self._pieces[key] = f"{json.dumps(key)}:{service.model_dump_json()}"

    def content(self, drain_seconds: int, drop_at_drain_end: bool) -> list[str]:
        """The whole file."""
        settings = {"drain_seconds": drain_seconds, "drop_at_drain_end": drop_at_drain_end}
        return [json.dumps(settings)[:-1], ',"services":{', ",\n".join(self._pieces.values()), "}}\n"]


class VerdictFile:
    """`verdicts.json`: one record a target, and the sessions still to be dropped."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "verdicts.json"
        self._pieces: dict[TargetName, str] = {}
        # Not a set: `pop` of one that has once been large looks for an entry from its beginning, 40 us each time.
        self._stale: dict[TargetName, None] = {}

    def load(self) -> tuple[dict[TargetName, Memory], list[TargetName]]:
        """What the last run knew. A file or record that cannot be read is reported; those servers are checked anew."""
        try:
            data = json.loads(self.path.read_bytes())
            targets, drops = dict(data["targets"]), [_name(name) for name in data["drops"]]
        except FileNotFoundError:
            return {}, []
        except (OSError, ValueError, KeyError, TypeError) as failure:
            log.error("%s cannot be used, every server is checked anew: %s", self.path, failure)
            return {}, []
        found: dict[TargetName, Memory] = {}
        for name, record in targets.items():
            try:
                found[_name(name)] = _memory(record)
            except (KeyError, TypeError, ValueError) as failure:
                log.error("%s: the record of %s cannot be used: %r", self.path, name, failure)
        return found, drops

    def note(self, names: Iterable[TargetName]) -> None:
        """These targets have changed, or have gone."""
        self._stale.update(dict.fromkeys(names))

    def print_some(self, board: Board, most: int) -> None:
        """Print at most so many of the changed records, so that none of the work waits for the write."""
        while self._stale and most > 0:
            most -= 1
            name, _ = self._stale.popitem()
            known = board.find(name)
            if known is None:
                self._pieces.pop(name, None)
            else:
                self._pieces[name] = f"{json.dumps('/'.join(name))}:{json.dumps(_record(known))}"

    def content(self, board: Board, drops: Iterable[TargetName]) -> list[str]:
        """The whole file."""
        self.print_some(board, len(self._stale))
        waiting = json.dumps(["/".join(name) for name in drops])
        return ['{"drops":', waiting, ',"targets":{', ",\n".join(self._pieces.values()), "}}\n"]


def _name(text: str) -> TargetName:
    service, slash, target = text.partition("/")
    if not slash:
        raise ValueError(f"{text!r} is not service/server")
    return service, target


def _record(known: Known) -> dict[str, Any]:
    last = known.probe.last if known.probe is not None else None
    return {
        "address": known.target.address,
        "state": known.state,
        "since": known.since,
        "disabled_at": known.standing.disabled_at,
        "drained": known.standing.drained,
        "transcript": None if last is None else last.as_json(),
    }


def _memory(record: Mapping[str, Any]) -> Memory:
    state, disabled_at, transcript = record["state"], record["disabled_at"], record["transcript"]
    if state not in _STATES:
        raise ValueError(f"{state!r} is no state")
    return Memory(
        address=str(record["address"]),
        state=state,
        since=float(record["since"]),
        disabled_at=None if disabled_at is None else float(disabled_at),
        drained=bool(record["drained"]),
        transcript=None if transcript is None else Transcript.from_json(transcript),
    )
