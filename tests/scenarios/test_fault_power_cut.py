"""A power cut right after an acknowledged change: it is there after the next start, and served."""

from __future__ import annotations

import random
import shutil
import time

import pytest
from tests.scenarios.site import Site, kill, serves, wait_until
from tests.support.ports import free_port

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.needs("haproxy"), pytest.mark.timeout(180)]


def cut_the_power(site: Site) -> None:
    """Everything ends at once; what lies in run/ does not survive a reboot."""
    kill(*site.everything(), *([site.steelyard.pid] if site.steelyard.running else []))
    wait_until("all is gone", lambda: not site.everything())
    shutil.rmtree(site.root / "run")


@pytest.mark.requirement("X-06")
def test_acknowledged_changes_are_there_and_served(site: Site) -> None:
    rng = random.Random(7)
    ports = []
    for turn in range(4):
        port = free_port()
        site.add_service(port, origins=site.origins[:1])
        ports.append(port)
        weight = rng.randint(2, 200)
        site.weigh(2, weight)
        site.patch("/virtual-services/1/real-servers/3", {"enabled": bool(turn % 2)})
        cut_the_power(site)

        started = time.monotonic()
        site.restart()
        wait_until("it serves", lambda: serves(site), 10, every=0.005)
        print(f"serving {time.monotonic() - started:.2f} s after the start")
        for known in ports:
            wait_until(f"{known} serves", lambda known=known: serves(site, known))  # type: ignore[misc]
        running = site.running()
        assert running["vs1/rs2"].weight == weight
        assert (running["vs1/rs3"].admin == 0) is bool(turn % 2)
        assert site.problems() == []
    with site.load() as load:
        load.wait_for_more(60)
    load.result().assert_clean()


def test_a_server_that_was_down_takes_no_client_after_it(site: Site) -> None:
    site.origins[0].health_status = 500
    site.wait_for_status(1, "Down")
    site.wait_for_kept_verdict("vs1/rs1", "down")
    cut_the_power(site)
    site.origins[0].clear()
    site.restart()
    with site.load() as load:
        load.wait_for_more(100)
    load.result().assert_clean()
    assert not [seen for seen in site.origins[0].requests if seen.path != "/health"]


def test_generated_files_that_were_lost_or_cut_short_are_made_again(site: Site) -> None:
    """Only the store and the administration certificate are synced; all else can be made from them."""
    cut_the_power(site)
    shutil.rmtree(site.root / "engine")
    (site.root / "health" / "plan.json").write_bytes(b"")
    (site.root / "health" / "verdicts.json").write_bytes(b"")
    site.restart()
    wait_until("it serves", lambda: serves(site))
    site.weigh(1, 3)
    assert site.running()["vs1/rs1"].weight == 3
    cut_the_power(site)
    (site.root / "engine" / "haproxy.cfg").write_bytes(b"")
    (site.root / "engine" / "servers.state").write_bytes(b"\0" * 100)
    (site.root / "engine" / "persistence.lua").write_bytes(b"")
    site.restart()
    wait_until("it serves", lambda: serves(site))
    assert site.problems() == []
    assert "Traceback" not in site.steelyard.log
