"""What weights are known from: `external.json` (those set from outside) and `shares.json` (how far shares have moved).

An external weight is on the disk before it is answered for, so that a killed process takes it up again. Shares change
with every poll and are written now and then: a process that starts goes on from about where they were.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from steelyard.health.files import write_whole
from steelyard.health.weigher import External, TargetName

log = logging.getLogger(__name__)

Share = tuple[str, float]
_Record = TypeVar("_Record")


class WeightFiles:
    """Both files of one directory."""

    def __init__(self, directory: Path) -> None:
        self.external_path = directory / "external.json"
        self.shares_path = directory / "shares.json"

    def externals(self) -> dict[TargetName, External]:
        """The external weights of the last run. What cannot be read is reported and left aside."""
        return _records(self.external_path, _external)

    def shares(self) -> dict[TargetName, Share]:
        """The shares of the last run."""
        return _records(self.shares_path, _share)

    def write_externals(self, externals: Mapping[TargetName, External]) -> None:
        """Raises `OSError`."""
        records = {"/".join(name): {"weight": one.weight, "until": one.until} for name, one in externals.items()}
        write_whole(self.external_path, [json.dumps(records), "\n"])

    @staticmethod
    def shares_content(shares: Mapping[TargetName, Share]) -> list[str]:
        """The content of the file of shares."""
        records = {"/".join(name): {"address": at, "share": round(share, 6)} for name, (at, share) in shares.items()}
        return [json.dumps(records), "\n"]


def _records(path: Path, read: Callable[[dict[str, Any]], _Record]) -> dict[TargetName, _Record]:
    try:
        data = json.loads(path.read_bytes())
        return {_name(name): read(record) for name, record in data.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as failure:
        log.error("%s cannot be used, weights begin from the static ones: %r", path, failure)
        return {}


def _external(record: dict[str, Any]) -> External:
    weight, until = int(record["weight"]), float(record["until"])
    if not 1 <= weight <= 65535 or not math.isfinite(until):
        raise ValueError(f"{record!r} is no external weight")
    return External(weight, until)


def _share(record: dict[str, Any]) -> Share:
    share = float(record["share"])
    if not 0 < share <= 1:
        raise ValueError(f"{record!r} is no share")
    return str(record["address"]), share


def _name(text: str) -> TargetName:
    service, slash, target = text.partition("/")
    if not slash:
        raise ValueError(f"{text!r} is not service/server")
    return service, target
