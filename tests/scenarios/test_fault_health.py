"""`kill -9` of steelyard-health: started again at once, verdicts kept, no server flaps, no request fails."""

from __future__ import annotations

import json
import os
import signal
import threading

import pytest
from tests.scenarios.site import Site, kill, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.needs("haproxy"), pytest.mark.timeout(120)]


class Watcher:
    """Looks at HAProxy's servers all the time and keeps every state it saw."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.seen: dict[str, set[bool]] = {}
        self.looks = 0

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stop.wait(0.005):
            for name, server in self._site.running().items():
                self.seen.setdefault(name, set()).add(server.takes_clients)
            self.looks += 1


def test_it_is_started_again_with_its_verdicts_and_nothing_flaps(site: Site) -> None:
    site.origins[1].health_status = 500
    site.wait_for_status(2, "Down")
    site.wait_for_kept_verdict("vs1/rs2", "down")
    site.origins[1].clear()
    with site.load() as load:
        for _ in range(3):
            before = site.steelyard.health_pid()
            with Watcher(site) as watcher:
                os.kill(before, signal.SIGKILL)
                wait_until("another steelyard-health runs", lambda before=before: _another(site, before))  # type: ignore[misc]
                wait_until("it answers", lambda: (site.root / "run" / "health.sock").exists() and not site.problems())
                load.wait_for_more(150)
            assert watcher.looks > 20
            assert watcher.seen == {"vs1/rs1": {True}, "vs1/rs2": {False}, "vs1/rs3": {True}}
            assert site.status(2)["status"] == "Down"
            assert site.status(1)["status"] == "Up"
    load.result().assert_clean(at_least=300)
    assert not [seen for seen in site.origins[1].requests if seen.path != "/health"]

    site.origins[1].health_status = 200
    site.wait_for_running("vs1/rs2", takes_clients=True)
    site.origins[0].health_status = 500
    site.wait_for_running("vs1/rs1", takes_clients=False)
    site.wait_for_status(1, "Down")


def _another(site: Site, before: int) -> bool:
    try:
        return site.steelyard.health_pid() != before
    except LookupError:  # none yet
        return False


def test_changes_while_it_is_gone_reach_it(site: Site) -> None:
    with site.load() as load:
        before = site.steelyard.health_pid()
        kill(before)
        site.patch("/virtual-services/1/real-servers/1", {"enabled": False})
        wait_until("another steelyard-health runs", lambda: _another(site, before))
        wait_until("it has been told", lambda: not site.problems())
        assert not site.running()["vs1/rs1"].takes_clients
        site.patch("/virtual-services/1/real-servers/1", {"enabled": True})
        site.wait_for_running("vs1/rs1", takes_clients=True)
        site.wait_for_status(1, "Up")
    load.result().assert_clean(at_least=20)


def test_files_of_its_that_are_broken_are_made_anew(site: Site) -> None:
    """The control plane tells it the plan again. Without verdicts every server is out until its first check, so
    this alone of the faults here may fail requests, for the milliseconds of a check.
    """
    before = site.steelyard.health_pid()
    for name in ("plan.json", "verdicts.json"):
        (site.root / "health" / name).write_text('{"half')
    kill(before)
    wait_until("another steelyard-health runs", lambda: _another(site, before))
    wait_until("it has been told", lambda: _planned(site) == {"vs1"})
    for server in (1, 2, 3):
        # what HAProxy and the status say may still be from before; a verdict that is kept again is a new one
        site.wait_for_kept_verdict(f"vs1/rs{server}", "up")
        site.wait_for_status(server, "Up")
        site.wait_for_running(f"vs1/rs{server}", takes_clients=True)
    with site.load() as load:
        load.wait_for_more(50)
    load.result().assert_clean(at_least=50)


def _planned(site: Site) -> set[str]:
    """The services in the plan it keeps."""
    try:
        return set(json.loads((site.root / "health" / "plan.json").read_bytes())["services"])
    except ValueError:
        return set()
