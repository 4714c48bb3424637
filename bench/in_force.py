"""Waiting until what was committed is what HAProxy has."""

from __future__ import annotations

import time

from tests.support.steelyard_process import SteelyardProcess


def wait_until_in_force(steelyard: SteelyardProcess) -> None:
    """Return when the newest revision is in force. Raises `RuntimeError` when it failed."""
    native = steelyard.native
    while (newest := native.get("/history", params={"limit": 1}).json()[0])["status"] != "applied":
        if newest["status"] == "failed":
            raise RuntimeError(f"the newest revision failed: {newest}")
        time.sleep(0.02)
