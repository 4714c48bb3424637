"""What weights are known from: `external.json` (those set from outside) and `shares.json` (how far shares have moved).

An external weight is on the disk before it is answered for, so that a killed process takes it up again. Shares change
with every poll and are written now and then: a process that starts goes on from about where they were.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steelyard.health.files import write_whole
from steelyard.health.weigher import External, TargetName
from steelyard.health.weights import LEAST_SHARE

log = logging.getLogger(__name__)

Share = tuple[str, float]


class WeightFiles:
    """Both files of one directory."""

    def __init__(self, directory: Path) -> None:
        self.external_path = directory / "external.json"
        self.shares_path = directory / "shares.json"

    def externals(self) -> dict[TargetName, External]:
        """The external weights of the last run. What cannot be read is reported and left aside."""
        return {
            name: External(int(record["weight"]), float(record["until"]))
            for name, record in _records(self.external_path).items()
            if 1 <= int(record["weight"]) <= 65535
        }

    def shares(self) -> dict[TargetName, Share]:
        """The shares of the last run."""
        found: dict[TargetName, Share] = {}
        for name, record in _records(self.shares_path).items():
            share = float(record["share"])
            if math.isfinite(share):
                found[name] = (str(record["address"]), min(1.0, max(LEAST_SHARE / 65535, share)))
        return found

    def write_externals(self, externals: Mapping[TargetName, External]) -> None:
        """Raises `OSError`."""
        records = {"/".join(name): {"weight": one.weight, "until": one.until} for name, one in externals.items()}
        write_whole(self.external_path, [json.dumps(records), "\n"])

    @staticmethod
    def shares_content(shares: Mapping[TargetName, Share]) -> list[str]:
        """The content of the file of shares."""
        records = {"/".join(name): {"address": at, "share": round(share, 4)} for name, (at, share) in shares.items()}
        return [json.dumps(records), "\n"]


def _records(path: Path) -> dict[TargetName, dict[str, Any]]:
    try:
        data = json.loads(path.read_bytes())
        return {
            _name(name): {key: float(v) if key != "address" else v for key, v in r.items()} for name, r in data.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as failure:
        log.error("%s cannot be used, weights begin from the static ones: %r", path, failure)
        return {}


def _name(text: str) -> TargetName:
    service, slash, target = text.partition("/")
    if not slash:
        raise ValueError(f"{text!r} is not service/server")
    return service, target
