"""What `steelyard-netd` keeps on disk, so that it goes on after a crash or a start of the host without anybody's help.

`plan.jsonl`: the plan whole in the first line, then a line a change, so that a change costs what it is and not what the
plan is. The last line may be half-written after a crash: it was never acknowledged and is left out. `standings.jsonl`:
the checking process's last words, in the same way. `network.json`: what is needed to take things back. All have mode
0600.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from steelyard.engines.haproxy.layout import write
from steelyard.model.errors import HostLacks
from steelyard.netd.protocol import Tell, standings_json
from steelyard.plan.kernel import KernelChange, KernelPlan
from steelyard.plan.layer4 import Driver, ServerName, Standing, Standings
from steelyard.plan.network import HostNetwork

log = logging.getLogger(__name__)

#: bytes of changes after which the plan is written whole again, beside as many as the plan itself has
_SLACK = 1_000_000
#: the same of standings
_STANDINGS_SLACK = 100_000


@dataclass(frozen=True)
class Pending:
    """A change of the host's network that nobody has confirmed: what was before, and when it goes back (epoch)."""

    generation: str
    before: HostNetwork | None
    deadline: float
    seconds: float


@dataclass(frozen=True)
class Notes:
    """What has to be known to take things back.

    `drivers` may have left something in the kernel, `sysctls` are the values from before, `undone` is the generation
    whose change of the host's network went back.
    """

    drivers: tuple[Driver, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    pending: Pending | None = None
    undone: str = ""


@dataclass(frozen=True)
class Kept:
    """Everything that was kept."""

    generation: str
    plan: KernelPlan
    standings: dict[ServerName, Standing]
    notes: Notes


class NetdFiles:
    """The files of one directory. Every method raises `HostLacks` when the disk refuses."""

    def __init__(self, directory: Path) -> None:
        self._plan = directory / "plan.jsonl"
        self._standings = directory / "standings.jsonl"
        self._network = directory / "network.json"
        self._whole = self._changes = 0
        self._words = self._more_words = 0

    def load(self) -> Kept:
        """What the last run left. What cannot be read is reported and left out."""
        generation, plan = self._load_plan()
        return Kept(generation, plan, self._load_standings(), self._load_notes())

    def save_plan(self, generation: str, plan: KernelPlan) -> None:
        """Keep a plan whole."""
        head = json.dumps({"generation": generation})[:-1]
        text = f'{head},"plan":{plan.model_dump_json()}}}\n'
        write(self._plan, text, durable=True)
        self._whole, self._changes = len(text), 0

    def add_change(self, generation: str, change: KernelChange, plan: KernelPlan) -> None:
        """Keep a change; `plan` is what it leads to, for when the file has grown too long.

        It need not be on the disk: after a power cut the control plane sends everything, and waiting would be most of
        what a change costs.
        """
        if not self._whole or self._changes > self._whole + _SLACK:
            self.save_plan(generation, plan)
            return
        head = json.dumps({"generation": generation})[:-1]
        line = f'{head},"change":{change.model_dump_json()}}}\n'.encode()
        _append(self._plan, line)
        self._changes += len(line)

    def save_standings(self, standings: Standings) -> None:
        """Keep the checks' last words whole."""
        line = _standings_line(standings)
        write(self._standings, line)
        self._words, self._more_words = len(line), 0

    def add_standings(self, told: Standings, standings: Standings) -> None:
        """Keep what was told; `standings` are all there are now, for when the file has grown too long."""
        if not self._words or self._more_words > self._words + _STANDINGS_SLACK:
            self.save_standings(standings)
            return
        line = _standings_line(told)
        _append(self._standings, line)
        self._more_words += len(line)

    def save_notes(self, notes: Notes) -> None:
        """Keep what is needed to take things back."""
        pending = notes.pending
        data = {
            "drivers": notes.drivers,
            "sysctls": dict(notes.sysctls),
            "undone": notes.undone,
            "pending": None
            if pending is None
            else {
                "generation": pending.generation,
                "deadline": pending.deadline,
                "seconds": pending.seconds,
                "before": None if pending.before is None else pending.before.model_dump(mode="json"),
            },
        }
        write(self._network, json.dumps(data), durable=True)

    def _load_plan(self) -> tuple[str, KernelPlan]:
        try:
            lines = self._plan.read_bytes().split(b"\n")
        except OSError:
            # never started here
            return "", KernelPlan()
        generation, plan = "", KernelPlan()
        *whole, half = lines
        self._whole, self._changes = (len(whole[0]), sum(map(len, whole[1:]))) if whole and not half else (0, 0)
        for line in whole:
            try:
                data = json.loads(line)
                plan = (
                    KernelPlan.model_validate(data["plan"])
                    if "plan" in data
                    else KernelChange.model_validate(data["change"]).applied(plan)
                )
                generation = str(data["generation"])
            except (ValueError, KeyError, TypeError) as failure:
                # the control plane sends everything when it does not know the generation
                log.error("%s: a line cannot be used: %s", self._plan, _said(failure))
                self._whole = 0
                return "", plan
        return generation, plan

    def _load_standings(self) -> dict[ServerName, Standing]:
        found: dict[ServerName, Standing] = {}
        try:
            *whole, half = self._standings.read_bytes().split(b"\n")
            for line in whole:
                found |= Tell.model_validate_json(line).values()
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as failure:
            log.error("%s cannot be used: %s", self._standings, _said(failure))
            return found
        # nothing is written behind half a line
        self._words, self._more_words = (len(whole[0]), sum(map(len, whole[1:]))) if whole and not half else (0, 0)
        return found

    def _load_notes(self) -> Notes:
        try:
            data = json.loads(self._network.read_bytes())
            pending = data["pending"]
            return replace(
                Notes(tuple(data["drivers"]), dict(data["sysctls"]), None, str(data["undone"])),
                pending=None if pending is None else _pending(pending),
            )
        except FileNotFoundError:
            return Notes()
        except (OSError, ValueError, KeyError, TypeError) as failure:
            log.error("%s cannot be used: %s", self._network, _said(failure))
            return Notes()


def _standings_line(standings: Standings) -> bytes:
    return json.dumps({"standings": standings_json(standings)}).encode() + b"\n"


def _append(path: Path, line: bytes) -> None:
    """Write a line behind the others, or nothing of it. Raises `HostLacks`."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            size = os.fstat(descriptor).st_size
            try:
                os.write(descriptor, line)
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)
    except OSError as failure:
        raise HostLacks(
            f"{path} cannot be written: {failure.strerror}",
            lacks="room on the disk",
            remedy="Free space where Steelyard keeps its state",
        ) from failure


def _pending(data: Mapping[str, Any]) -> Pending:
    before = data["before"]
    return Pending(
        str(data["generation"]),
        None if before is None else HostNetwork.model_validate(before),
        float(data["deadline"]),
        float(data["seconds"]),
    )


def _said(failure: Exception) -> str:
    if isinstance(failure, ValidationError):
        faults = failure.errors(include_input=False, include_url=False)[:3]
        return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
    return repr(failure)
