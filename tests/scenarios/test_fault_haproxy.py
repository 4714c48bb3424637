"""`kill -9` of HAProxy: serving again within two seconds, with the verdicts and administrative states it had.

Persistence records live in HAProxy's memory. A reload keeps them; a crash loses them, and a client may then come to
another server.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable

import pytest
from tests.scenarios.site import Site, kill, serves, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.needs("haproxy"), pytest.mark.timeout(120)]

BACK_SECONDS = 2.0


def _worker(site: Site) -> list[int]:
    return [site.worker()]


def _master(site: Site) -> list[int]:
    return [site.steelyard.haproxy_master_pid()]


def _both(site: Site) -> list[int]:
    return site.steelyard.haproxy_pids()


@pytest.mark.parametrize("victims", [_worker, _master, _both], ids=["worker", "master", "both"])
def test_it_serves_again_with_the_states_it_had(on_each: Site, victims: Callable[[Site], list[int]]) -> None:
    site = on_each
    site.origins[0].health_status = 500
    site.wait_for_status(1, "Down")
    site.weigh(2, 5)
    site.patch("/virtual-services/1/real-servers/3", {"enabled": False})
    site.wait_for_running("vs1/rs3", takes_clients=False)
    for origin in site.origins:
        origin.clear()

    before = set(site.steelyard.haproxy_pids())
    dead = victims(site)
    # Requests without a pause: the very first ones the new HAProxy takes must go where the old one's went.
    with site.load("http1-new", workers=8, pause=0.0) as during:
        started = time.monotonic()
        kill(*dead)
        if victims is _worker:
            wait_until("the old worker is gone", lambda: dead[0] not in site.steelyard.haproxy_pids(), every=0.001)
        else:  # workers take a moment to notice that their master is gone
            wait_until("the old HAProxy is gone", lambda: not before & set(site.steelyard.haproxy_pids()), every=0.001)
        wait_until("it serves again", lambda: serves(site), BACK_SECONDS, every=0.002)
        took = time.monotonic() - started
        during.wait_for_more(100)
    print(f"serving again after {took * 1000:.0f} ms, longest gap {during.result().longest_gap * 1000:.0f} ms")
    assert took < BACK_SECONDS
    assert during.result().longest_gap < BACK_SECONDS
    assert set(during.result().servers) == {"two"}

    with site.load() as load:
        load.wait_for_more(100)
    result = load.result()
    result.assert_clean(at_least=100)
    assert set(result.servers) == {"two"}
    for origin in (site.origins[0], site.origins[2]):
        assert not [seen for seen in origin.requests if seen.path != "/health"]
    running = site.running()
    assert not running["vs1/rs1"].up
    assert running["vs1/rs2"].weight == 5
    assert running["vs1/rs3"].admin != 0
    assert len(site.steelyard.haproxy_worker_pids()) == 1
    assert site.problems() == []

    site.weigh(2, 9)
    assert site.running()["vs1/rs2"].weight == 9
    site.origins[0].health_status = 200
    site.wait_for_running("vs1/rs1", takes_clients=True)


def test_it_is_started_again_each_time_it_dies(site: Site) -> None:
    for _ in range(4):
        kill(*site.steelyard.haproxy_pids())
        wait_until("it serves again", lambda: serves(site), BACK_SECONDS)
    assert site.steelyard.haproxy_master_pid()
    with site.load() as load:
        load.wait_for_more(60)
    load.result().assert_clean()


def test_killed_while_it_reloads_it_comes_back_with_the_new_configuration(site: Site) -> None:
    before = site.steelyard.haproxy_master_pid()
    site.patch("/virtual-services/1?wait=false", {"idle_time": 123})
    kill(before)
    wait_until("another HAProxy runs", lambda: before not in site.steelyard.haproxy_pids())
    wait_until("it serves again", lambda: serves(site), 5)
    with site.load() as load:
        load.wait_for_more(60)
        wait_until("nothing is pending", lambda: not site.get("/status")["reload_pending"], 10)
        assert site.get("/virtual-services/1")["idle_time"] == 123
        assert "timeout server 123s" in (site.root / "engine" / "haproxy.cfg").read_text()
        load.wait_for_more(60)
    load.result().assert_clean()
    assert site.problems() == []


@pytest.mark.parametrize("victims", [_worker, _both], ids=["worker", "both"])
def test_killed_at_any_moment_of_a_reload_it_loses_no_revision(
    on_each: Site, victims: Callable[[Site], list[int]]
) -> None:
    """Its death is no refusal: what waited for the reload is what it is started with, and at once."""
    site, rng = on_each, random.Random(3)
    for turn in range(6):
        site.patch("/virtual-services/1?wait=true", {"idle_time": 100 + turn})
        site.patch("/virtual-services/1?wait=false", {"idle_time": 200 + turn})
        # the second reload begins a second after the first; the moment of the kill is what this test varies
        time.sleep(rng.uniform(0.85, 1.1))
        kill(*victims(site))
        wait_until("it serves again", lambda: serves(site), BACK_SECONDS)
        wait_until("nothing is pending", lambda: not site.get("/status")["reload_pending"], 10)
        assert site.get("/virtual-services/1")["idle_time"] == 200 + turn
        assert site.problems() == []
    assert {entry["status"] for entry in site.get("/history?limit=100")} == {"applied"}


def test_a_frozen_haproxy_is_replaced_at_a_restart(site: Site) -> None:
    """A HAProxy nobody can talk to would keep its old configuration for ever."""
    site.steelyard.kill9()
    old = site.steelyard.haproxy_pids()
    for pid in old:
        os.kill(pid, signal.SIGSTOP)
    site.restart()
    wait_until("it serves again", lambda: serves(site), 5)
    assert not set(old) & set(site.steelyard.haproxy_pids())
    assert site.steelyard.haproxy_master_pid()
