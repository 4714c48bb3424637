"""`kill -9` of the control plane: traffic and checks go on, and a restart adopts what runs."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from tests.scenarios.site import Site, kill, wait_until
from tests.support.clients import Connection, fetch
from tests.support.ports import free_port
from tests.support.steelyard_process import SteelyardProcess

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.needs("haproxy"), pytest.mark.timeout(180)]


def test_traffic_and_checks_go_on_and_a_restart_adopts_them(on_each: Site) -> None:
    site = on_each
    with site.load() as load, Connection("127.0.0.1", site.port) as lasting:
        assert lasting.request("/").status == 200
        health, master, worker = site.steelyard.health_pid(), site.steelyard.haproxy_master_pid(), site.worker()
        site.steelyard.kill9()
        load.wait_for_more(100)
        assert lasting.request("/").status == 200

        site.origins[0].health_status = 500
        site.wait_for_running("vs1/rs1", takes_clients=False)
        site.origins[0].clear()
        load.wait_for_more(100)
        assert not [seen for seen in site.origins[0].requests if seen.path != "/health"]
        site.origins[0].health_status = 200
        site.wait_for_running("vs1/rs1", takes_clients=True)

        site.restart()
        load.wait_for_more(100)
        assert site.steelyard.health_pid() == health
        assert site.steelyard.haproxy_master_pid() == master
        assert site.worker() == worker, "the restart reloaded HAProxy"
        assert lasting.request("/").status == 200
        assert site.status(1)["status"] == "Up"

        site.weigh(2, 7)
        assert site.running()["vs1/rs2"].weight == 7
        site.patch("/virtual-services/1/real-servers/3", {"enabled": False})
        assert not site.running()["vs1/rs3"].takes_clients
        assert site.worker() == worker, "a change at run time reloaded HAProxy"
        assert lasting.request("/").status == 200
    load.result().assert_clean(at_least=300)
    assert "Traceback" not in site.steelyard.log


def test_a_verdict_that_fell_while_it_was_away_is_known_after_the_restart(site: Site) -> None:
    with site.load() as load:
        site.steelyard.kill9()
        site.origins[1].health_status = 500
        site.wait_for_running("vs1/rs2", takes_clients=False)
        site.restart()
        assert site.status(2)["status"] == "Down"
        assert site.status(1)["status"] == "Up"
    load.result().assert_clean(at_least=100)


def test_haproxy_and_health_that_die_with_nobody_there_are_started_at_the_restart(site: Site) -> None:
    site.origins[2].health_status = 500
    site.wait_for_status(3, "Down")
    site.wait_for_kept_verdict("vs1/rs3", "down")
    site.steelyard.kill9()
    for pid in site.everything():
        kill(pid)
    site.restart()
    site.origins[2].clear()
    with site.load() as load:
        load.wait_for_more(60)
        assert site.status(3)["status"] == "Down"
    load.result().assert_clean()
    assert not [seen for seen in site.origins[2].requests if seen.path != "/health"]


class Burst:
    """Changes one after another through the API, remembering what was acknowledged and the one that was not."""

    def __init__(self, site: Site, rng: random.Random) -> None:
        self._site = site
        self._rng = rng
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.acknowledged: dict[str, object] = {}
        self.in_doubt: tuple[str, object] | None = None
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
                name, value, path, body = self._next()
                self.in_doubt = (name, value)
                try:
                    answer = client.patch(path, json=body)
                except httpx.HTTPError:
                    return  # the control plane is gone: this one change may be there or not
                if answer.status_code >= 300:
                    self.refused.append(f"{path} {body}: {answer.text}")
                    return
                self.acknowledged[name] = value
                self.in_doubt = None
                self.count += 1

    def _next(self) -> tuple[str, object, str, dict[str, object]]:
        service = f"/virtual-services/{self._site.index}"
        kind = self._rng.choice(["weight", "weight", "limit", "enabled", "idle", "name"])
        server = self._rng.choice([1, 2])
        if kind == "weight":
            value: object = self._rng.randint(1, 200)
            return f"weight{server}", value, f"{service}/real-servers/{server}", {"weight": value}
        if kind == "limit":
            value = self._rng.randint(500, 900)
            return f"limit{server}", value, f"{service}/real-servers/{server}", {"limit": value}
        if kind == "enabled":
            value = self._rng.random() < 0.5
            return "enabled3", value, f"{service}/real-servers/3", {"enabled": value}
        if kind == "idle":  # needs a reload
            value = self._rng.randint(60, 600)
            return "idle_time", value, service, {"idle_time": value}
        value = f"name{self._rng.randint(0, 10_000)}"
        return "name", value, service, {"name": value}


def _has(site: Site) -> dict[str, object]:
    service = site.get(f"/virtual-services/{site.index}")
    servers = {server["index"]: server for server in service["servers"]}
    return {
        "weight1": servers[1]["weight"],
        "weight2": servers[2]["weight"],
        "limit1": servers[1]["limit"],
        "limit2": servers[2]["limit"],
        "enabled3": servers[3]["enabled"],
        "idle_time": service["idle_time"],
        "name": service["name"],
    }


def _agrees(site: Site, has: dict[str, object]) -> str:
    """What HAProxy has otherwise than the configuration, in words; empty when it agrees."""
    running = site.running()
    wrong = []
    for server in (1, 2):
        if running[f"vs1/rs{server}"].weight != has[f"weight{server}"]:
            wrong.append(f"weight of {server}: {running[f'vs1/rs{server}'].weight}")
    if (running["vs1/rs3"].admin == 0) is not has["enabled3"]:
        wrong.append(f"state of 3: {running['vs1/rs3'].admin}")
    stat = [line.split(",") for line in site.ask("show stat").splitlines()]
    for row in stat:
        if row[:2] in (["vs1", "rs1"], ["vs1", "rs2"]) and (row[6] or "0") != str(has[f"limit{row[1][2:]}"]):
            wrong.append(f"limit of {row[1]}: {row[6]}")
    text = (site.root / "engine" / "haproxy.cfg").read_text()
    if f"timeout server {has['idle_time']}s" not in text:
        wrong.append("the file has another idle timeout")
    return "; ".join(wrong)


def wait_until_agreed(site: Site, has: dict[str, object], when: str) -> None:
    """Wait until HAProxy has what the configuration has; an `AssertionError` says in what they differ."""
    try:
        wait_until("", lambda: not _agrees(site, has), 10)
    except TimeoutError:
        raise AssertionError(f"{when}: {_agrees(site, has)}") from None


@pytest.mark.timeout(400)
def test_killed_in_the_middle_of_a_burst_it_has_all_that_was_acknowledged(site: Site) -> None:
    rng = random.Random(20)
    known: dict[str, object] = {}
    changes = 0
    with site.load() as load:
        for turn in range(3):
            with Burst(site, rng) as burst:
                wait_until("changes are acknowledged", lambda: burst.count > 2)
                time.sleep(rng.uniform(0.1, 1.6))  # the moment of the kill is what this test varies
                site.steelyard.kill9()
            assert not burst.refused
            known |= burst.acknowledged
            changes += burst.count
            site.restart()
            has = _has(site)
            for name, value in known.items():
                possible = [value]
                if burst.in_doubt is not None and burst.in_doubt[0] == name:
                    possible.append(burst.in_doubt[1])
                assert has[name] in possible, f"turn {turn}: {name} is {has[name]}, acknowledged was {value}"
            known |= {name: has[name] for name in known}
            wait_until_agreed(site, has, f"turn {turn}")
            assert site.problems() == []
            assert len(site.steelyard.haproxy_pids()) >= 2
            site.steelyard.haproxy_master_pid()  # exactly one
            site.steelyard.health_pid()  # exactly one
    assert changes > 8
    load.result().assert_clean(at_least=300)
    statuses = {entry["status"] for entry in site.get("/history?limit=500")}
    assert statuses == {"applied"}


def test_killed_while_it_reloads_clients_stay_with_their_servers(on_each: Site) -> None:
    """The records pass from worker to worker; a control plane that dies in between must not hold clients up."""
    site, rng = on_each, random.Random(5)
    site.patch("/virtual-services/1?wait=true", {"persistence": "src"})
    sources = [f"127.0.0.{number}" for number in range(10, 22)]

    def servers() -> list[str]:
        url = f"http://127.0.0.1:{site.port}/"
        return [fetch(url, source=source, timeout=3).name for source in sources]

    with site.load() as load:
        before = servers()
        assert len(set(before)) == 3
        for _ in range(3):
            with contextlib.suppress(httpx.HTTPError, RuntimeError), ThreadPoolExecutor(1) as pool:
                idle = {"idle_time": rng.randint(60, 600)}
                change = pool.submit(site.patch, "/virtual-services/1?wait=true", idle)
                time.sleep(rng.uniform(0.02, 0.3))  # the moment of the kill is what this test varies
                site.steelyard.kill9()
                change.result()
            assert servers() == before
            site.restart()
            assert servers() == before
    result = load.result()
    result.assert_clean(at_least=200)
    assert result.longest_gap < 2.0
    assert site.problems() == []


@pytest.mark.timeout(300)
def test_killed_while_services_are_added_every_acknowledged_one_serves(site: Site) -> None:
    """Each addition needs a reload, so the kill falls into one most of the time."""
    acknowledged: dict[int, int] = {}
    rng = random.Random(3)
    with site.load() as load:
        for _ in range(4):
            stop = threading.Event()

            def add(stop: threading.Event = stop) -> None:
                while not stop.is_set():
                    port = free_port()
                    try:
                        acknowledged[port] = site.add_service(port, origins=site.origins[:1])
                    except (httpx.HTTPError, RuntimeError):
                        return

            thread = threading.Thread(target=add, daemon=True)
            thread.start()
            time.sleep(rng.uniform(0.2, 1.5))  # the moment of the kill is what this test varies
            site.steelyard.kill9()
            stop.set()
            thread.join(30)
            site.restart()
            for port in acknowledged:
                with Connection("127.0.0.1", port) as connection:
                    assert connection.request("/").status == 200
            site.steelyard.haproxy_master_pid()  # exactly one
    assert len(acknowledged) >= 3
    load.result().assert_clean(at_least=200)
