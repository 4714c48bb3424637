"""Lookups under faults: HAProxy, the files a restart begins with, and the configuration have the same entries after.

Entries change while everything runs, so there are three copies of each: in the configuration, in the worker, and in
`engine/lookups`. A fault may come between them; when it is over they are equal, and what was acknowledged is there.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import httpx
import pytest
from tests.scenarios.refusing import RefusingHaproxy
from tests.scenarios.site import START_SECONDS, Site, kill, serves, wait_until
from tests.scenarios.test_fault_disk import full, on_small_disk
from tests.support.clients import fetch
from tests.support.ports import free_port
from tests.support.steelyard_process import SteelyardProcess

__all__ = ["on_small_disk"]

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.needs("haproxy"), pytest.mark.timeout(300)]

#: more than what is always sent whole, so that a change of some is sent entry by entry
MANY = 21_000
#: their commands take several lines of HAProxy's socket
SOME = 1_500
BLOCKED = "/access-lists/all/block"

Lookups = dict[str, dict[str, str]]


def networks(start: int, count: int) -> list[str]:
    return [f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}/32" for number in range(start, start + count)]


def on_disk(site: Site) -> Lookups:
    """The lookups a HAProxy that is started now would read."""
    found = {}
    for path in (site.root / "engine" / "lookups").iterdir():
        if not path.name.startswith("."):
            lines = [line.partition(" ") for line in path.read_text().splitlines()]
            assert len({key for key, _, _ in lines}) == len(lines), f"{path.name} has an entry twice"
            found[path.name] = {key: value for key, _, value in lines}
    return found


def in_haproxy(site: Site) -> Lookups:
    """The lookups the worker has."""
    found: Lookups = {}
    for kind in ("map", "acl"):
        for line in site.ask(f"show {kind}").splitlines():
            name = line.partition("(")[2].partition(")")[0].removeprefix("lookups/")
            if not name or line.startswith("#"):
                continue
            lines = [one.split(" ", 2)[1:] for one in site.ask(f"show {kind} lookups/{name}").splitlines() if one]
            assert len({one[0] for one in lines}) == len(lines), f"{name} has an entry twice"
            found[name] = {one[0]: one[1] if len(one) > 1 else "" for one in lines}
    return found


def blocked(site: Site) -> set[str]:
    """The block list of the configuration. It has IPv4 alone here."""
    found = (entry["address"] for entry in site.get(BLOCKED))
    return {address if "/" in address else f"{address}/32" for address in found}


def pattern(site: Site) -> str:
    """What the rule of the configuration compares with."""
    return str(site.get("/rules/shop")["pattern"])


def differs(site: Site) -> str:
    """Where the three copies are not the same, in words; empty when they are."""
    disk, running = on_disk(site), in_haproxy(site)
    wrong = [f"{name}: file and worker" for name in disk.keys() | running.keys() if disk.get(name) != running.get(name)]
    if wrong:  # not yet; asking for the whole list each time would hold everything up
        return "; ".join(wrong)
    has = {key for key, value in running.get("access", {}).items() if value == "block"}
    if has != blocked(site):
        wrong.append(f"access: worker and configuration, {len(has ^ blocked(site))} entries")
    if list(running.get("vs1-switch-1", {})) != [pattern(site)]:
        wrong.append(f"vs1-switch-1: {running.get('vs1-switch-1')}")
    return "; ".join(wrong)


def wait_until_equal(site: Site, when: str = "") -> None:
    said = [""]

    def equal() -> bool:
        said[0] = "" if not site.get("/status")["reload_pending"] else "a reload is pending"
        said[0] = said[0] or differs(site)
        return not said[0]

    try:
        wait_until("", equal, 10, every=0.2)
    except TimeoutError:
        raise AssertionError(f"{when}: {said[0]}") from None


def block(site: Site, *entries: str) -> None:
    site.post(BLOCKED, {"text": "\n".join(entries)})


def furnish(site: Site, entries: int) -> None:
    """Give the site a list and a rule, both of them lookups."""
    block(site, *networks(0, entries))
    site.post("/rules", {"name": "shop", "match_type": "prefix", "pattern": "/shop"})
    for member, rule in ((1, "default"), (2, "default"), (3, "shop")):
        site.post(f"/virtual-services/1/members/{member}/rules?wait=true", {"rule": rule})
    wait_until_equal(site, "at the beginning")


class Burst:
    """Changes of entries one after another, some at once and some with a reload; what was acknowledged is kept."""

    def __init__(self, site: Site, rng: random.Random, known: set[str]) -> None:
        self._site, self._rng = site, rng
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.blocked = set(known)
        self.pattern = pattern(site)
        #: what the change that was not answered would have made of them
        self.in_doubt: tuple[set[str], str] | None = None
        self.count = 0
        self.refused: list[str] = []

    def __enter__(self) -> Burst:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        with httpx.Client(
            base_url=f"{self._site.steelyard.url}/api/v1",
            auth=(SteelyardProcess.user, self._site.steelyard.password),
            verify=False,
            trust_env=False,
            timeout=20,
        ) as client:
            while not self._stop.is_set():
                method, path, body, then = self._next()
                self.in_doubt = then
                try:
                    answer = client.request(method, path, json=body)
                except httpx.HTTPError:
                    return
                if answer.status_code < 300:
                    self.blocked, self.pattern = then
                    self.count += 1
                else:
                    self.refused.append(f"{path}: {answer.text[:300]}")
                self.in_doubt = None

    def _next(self) -> tuple[str, str, dict[str, Any], tuple[set[str], str]]:
        kind = self._rng.choice(["one", "one", "some", "pattern", "reload"])
        if kind == "reload":
            seconds = self._rng.randint(60, 600)
            return "PATCH", "/virtual-services/1?wait=false", {"idle_time": seconds}, (self.blocked, self.pattern)
        if kind == "pattern":
            made = f"/shop{self._rng.randint(0, 10_000)}"
            return "PATCH", "/rules/shop", {"pattern": made}, (self.blocked, made)
        chosen = set(networks(self._rng.randrange(MANY + 5_000), SOME if kind == "some" else 1))
        if chosen <= self.blocked:
            then = self.blocked - chosen
            return "POST", f"{BLOCKED}/remove", {"text": "\n".join(chosen)}, (then, self.pattern)
        return "POST", BLOCKED, {"text": "\n".join(chosen)}, (self.blocked | chosen, self.pattern)


def test_killed_in_a_burst_of_entries_it_has_all_that_was_acknowledged(site: Site) -> None:
    rng = random.Random(7)
    furnish(site, MANY)
    known, changes = blocked(site), 0
    with site.load() as load:
        for turn in range(3):
            with Burst(site, rng, known) as burst:
                wait_until("changes are acknowledged", lambda: burst.count > 1)
                time.sleep(rng.uniform(0.1, 1.5))  # the moment of the kill is what this test varies
                site.steelyard.kill9()
            assert not burst.refused
            site.restart()
            wait_until_equal(site, f"turn {turn}")
            known = blocked(site)
            possible = [(burst.blocked, burst.pattern), *([burst.in_doubt] if burst.in_doubt is not None else [])]
            assert (known, pattern(site)) in possible, f"turn {turn}: other than what was acknowledged"
            changes += burst.count
    assert changes > 5
    load.result().assert_clean(at_least=300)
    assert "Traceback" not in site.steelyard.log


def test_adopted_when_nothing_was_going_on_the_worker_stays(site: Site) -> None:
    furnish(site, 100)
    block(site, "127.9.0.0/16")
    site.patch("/rules/shop", {"pattern": "/store"})
    wait_until_equal(site)
    time.sleep(0.5)  # the files are written a moment after a burst of changes
    worker = site.worker()
    site.steelyard.kill9()
    site.restart()
    wait_until_equal(site)
    assert site.worker() == worker, "the restart reloaded HAProxy"


def test_a_file_that_was_lost_meanwhile_is_written_again(site: Site) -> None:
    furnish(site, 100)
    site.steelyard.kill9()
    (site.root / "engine" / "lookups" / "access").write_text("10.9.9.9/32 block\n")
    (site.root / "engine" / "lookups" / "vs1-switch-1").unlink()
    site.restart()
    wait_until_equal(site)
    kill(*site.steelyard.haproxy_pids())
    wait_until("it serves again", lambda: serves(site), 10)
    wait_until_equal(site, "after HAProxy was started from the files")


def _worker(site: Site) -> list[int]:
    return [site.worker()]


def _both(site: Site) -> list[int]:
    return site.steelyard.haproxy_pids()


@pytest.mark.parametrize("victims", [_worker, _both], ids=["worker", "all of it"])
def test_haproxy_killed_in_a_burst_of_entries_has_them_when_it_is_back(
    on_each: Site, victims: Callable[[Site], list[int]]
) -> None:
    site, rng = on_each, random.Random(11)
    furnish(site, MANY)
    known = blocked(site)
    for turn in range(4):
        with Burst(site, rng, known) as burst:
            time.sleep(rng.uniform(0.1, 0.8))
            kill(*victims(site))
            wait_until("it serves again", lambda: serves(site), 10)
            before = burst.count
            wait_until("changes are taken again", lambda: burst.count > before, 10)  # noqa: B023 - ends in here
        wait_until_equal(site, f"turn {turn}")
        known = blocked(site)
        # a change that met the dead HAProxy was refused and is not there
        assert (known, pattern(site)) == (burst.blocked, burst.pattern), f"turn {turn}, refused: {burst.refused}"
    assert site.problems() == []


def answered(site: Site, source: str) -> bool:
    try:
        return fetch(f"http://127.0.0.1:{site.port}/", source=source, timeout=1.0).status == 200
    except (OSError, TimeoutError):
        return False


def chosen(site: Site, path: str) -> str:
    """The real server a rule leads to."""
    return fetch(f"http://127.0.0.1:{site.port}{path}").name


def test_entries_that_change_while_a_reload_is_pending_are_there_at_once_and_after_it(on_each: Site) -> None:
    site = on_each
    furnish(site, 100)
    other = f"/virtual-services/{site.add_service(free_port())}"
    block(site, "127.8.0.0/16")
    tried = 0
    with site.load() as load:
        for turn in range(6):
            site.patch(f"{other}?wait=true", {"idle_time": 100 + turn})
            site.patch(f"{other}?wait=false", {"idle_time": 200 + turn})
            worker = site.worker()
            block(site, f"127.9.{turn}.0/24")
            site.post(f"{BLOCKED}/remove", {"text": "127.8.0.0/16"})
            site.patch("/rules/shop", {"pattern": f"/now{turn}"})
            found = answered(site, f"127.9.{turn}.5"), answered(site, "127.8.0.5"), chosen(site, f"/now{turn}")
            assert found == (False, True, "three")
            tried += site.worker() == worker
            block(site, "127.8.0.0/16")
            wait_until_equal(site, f"turn {turn}")
            assert site.worker() != worker
            found = answered(site, f"127.9.{turn}.5"), answered(site, "127.8.0.5"), chosen(site, f"/now{turn}")
            assert found == (False, False, "three")
    assert tried, "each reload was over before the entries had changed: nothing was tried"
    load.result().assert_clean(at_least=100)


def test_entries_of_a_service_that_waits_for_a_reload_wait_with_it(on_each: Site) -> None:
    """The rules that read them may be others after it."""
    site = on_each
    furnish(site, 100)
    with site.load() as load:
        for turn in range(3):
            site.patch("/virtual-services/1?wait=true", {"idle_time": 100 + turn})
            site.patch("/virtual-services/1?wait=false", {"idle_time": 200 + turn})
            told = site.patch("/rules/shop?wait=false", {"pattern": f"/later{turn}"})
            if chosen(site, f"/later{turn}") != "three":
                assert told["applied"] == "queued", told
            told = site.patch("/rules/shop?wait=true", {"pattern": f"/now{turn}"})
            assert told["applied"] == "now", told
            assert chosen(site, f"/now{turn}") == "three"
            wait_until_equal(site, f"turn {turn}")
    load.result().assert_clean(at_least=100)


def test_entries_that_waited_for_a_refused_reload_are_taken_back(tmp_path: Any) -> None:
    haproxy = RefusingHaproxy(tmp_path)
    with Site(haproxy=haproxy.path) as site:
        furnish(site, 100)
        before = blocked(site)
        site.patch("/virtual-services/1?wait=true", {"idle_time": 100})
        with site.load() as load:
            haproxy.set("refuse-last")
            site.patch("/virtual-services/1?wait=false", {"idle_time": 101})
            block(site, "127.9.0.0/16")
            site.patch("/rules/shop", {"pattern": "/other"})
            in_time = site.get("/virtual-services/1")["idle_time"] == 101
            wait_until("the reload was refused", lambda: not site.get("/status")["reload_pending"], 10)
            wait_until("it is taken back", lambda: site.get("/virtual-services/1")["idle_time"] == 100, 10)
            haproxy.set("refuse-last", on=False)
            wait_until_equal(site, "after the refusal")
            # entries that were there at once had not waited for the reload
            possible = [(before, "/shop"), (before | {"127.9.0.0/16"}, "/other")]
            if not in_time:
                # the second change may have come after the refusal, which then takes back the first alone
                possible.append((before, "/other"))
            assert (blocked(site), pattern(site)) in possible
            block(site, "127.10.0.0/16")
            wait_until_equal(site, "after one more entry")
        load.result().assert_clean(at_least=50)
        kill(*site.steelyard.haproxy_pids())
        wait_until("it serves again", lambda: serves(site), 10)
        wait_until_equal(site, "after HAProxy was started from the files")


@pytest.mark.needs("root")
def test_files_that_a_full_disk_did_not_take_are_written_when_there_is_room(on_small_disk: Site) -> None:
    site = on_small_disk
    furnish(site, 100)
    with closing(site.steelyard.native) as native:
        native.post(BLOCKED, json={"text": "\n".join(networks(0, MANY))})
        # room for the change, which is small, and not for the file, which is written a moment later and is not
        with full(site.root, spare=1_400_000):
            for number in range(40):
                native.post(BLOCKED, json={"address": f"127.9.0.{number}"})
            time.sleep(1)
    block(site, "127.10.0.0/16")
    wait_until_equal(site, "when there is room again")
    kill(*site.steelyard.haproxy_pids())
    wait_until("it serves again", lambda: serves(site), START_SECONDS)
    wait_until_equal(site, "after HAProxy was started from the files")
