"""HAProxy refuses a plan, at the check or at the reload: the previous plan stays, the caller gets HAProxy's words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from tests.scenarios.conftest import Standing
from tests.scenarios.refusing import RefusingHaproxy
from tests.scenarios.site import Site, wait_until
from tests.support.clients import fetch
from tests.support.ports import free_port

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.needs("haproxy"), pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def haproxy(tmp_path_factory: pytest.TempPathFactory) -> RefusingHaproxy:
    return RefusingHaproxy(tmp_path_factory.mktemp("refusing"))


@pytest.fixture
def wrapped(request: pytest.FixtureRequest, standing: Standing, haproxy: RefusingHaproxy) -> Iterator[Site]:
    haproxy.refuse_nothing()
    with standing.lend(request, str(haproxy.path)) as lent:
        yield lent


def test_refused_at_the_check_nothing_is_committed(wrapped: Site, haproxy: RefusingHaproxy) -> None:
    site = wrapped
    before, running, worker = site.saved(), site.running(), site.worker()
    with site.load() as load:
        haproxy.set("refuse")
        with closing(site.steelyard.native) as native:
            answer = native.patch("/virtual-services/1", json={"idle_time": 99})
        assert answer.status_code == 422
        assert "the moon is in the way" in answer.json()["error"]["words"]
        with closing(site.steelyard.loadmaster) as loadmaster:
            refused = loadmaster.call("modvs", vs="127.0.0.1", port=site.port, prot="tcp", Idletime=99)
        assert not refused.ok
        assert "the moon is in the way" in refused.message
        with closing(site.steelyard.native) as native:
            dry = native.patch("/virtual-services/1?dry_run=true", json={"idle_time": 99})
        assert dry.status_code == 422
        load.wait_for_more(50)
        assert (site.saved(), site.running(), site.worker()) == (before, running, worker)
        assert site.get("/virtual-services/1")["idle_time"] != 99

        site.weigh(1, 3)  # at run time, HAProxy is not asked to read anything
        haproxy.set("refuse", on=False)
        site.patch("/virtual-services/1?wait=true", {"idle_time": 98})
        load.wait_for_more(50)
    load.result().assert_clean(at_least=100)
    assert "Traceback" not in site.steelyard.log


@pytest.mark.parametrize(
    ("fault", "words"),
    [("refuse-last", "the tide is out"), ("spoil", "unknown keyword 'spoilt'")],
    ids=["check", "reload"],
)
def test_refused_after_the_commit_the_revision_is_marked_failed(
    wrapped: Site, haproxy: RefusingHaproxy, fault: str, words: str
) -> None:
    site = wrapped
    site.weigh(1, 4)
    _, objects = site.saved()
    before, worker, revision = site.running(), site.worker(), site.revision()
    with site.load() as load:
        haproxy.set(fault)
        with closing(site.steelyard.native) as native:
            answer = native.patch("/virtual-services/1?wait=true", json={"idle_time": 99})
        assert answer.status_code == 422, answer.text
        assert words in answer.json()["error"]["words"]
        haproxy.set(fault, on=False)
        load.wait_for_more(50)

        assert site.get("/virtual-services/1")["idle_time"] != 99
        assert site.saved()[1] == objects
        assert site.running() == before
        assert site.worker() == worker
        failed = site.get(f"/history/{revision + 1}")
        assert failed["status"] == "failed"
        assert "refuse" in failed["detail"]

        # and after a restart it is still so
        site.steelyard.kill9()
        site.restart()
        assert site.get("/virtual-services/1")["idle_time"] != 99
        site.patch("/virtual-services/1?wait=true", {"idle_time": 98})
        assert site.worker() != worker
        assert site.running() == before
        load.wait_for_more(50)
    load.result().assert_clean(at_least=100)
    assert site.problems() == []
    assert "Traceback" not in site.steelyard.log


def test_a_reload_that_was_put_off_and_fails_takes_back_all_that_waited(
    wrapped: Site, haproxy: RefusingHaproxy
) -> None:
    site = wrapped
    with site.load() as load:
        site.patch("/virtual-services/1?wait=true", {"idle_time": 61})
        haproxy.set("refuse-last")
        numbers = [
            site.patch("/virtual-services/1?wait=false", {"idle_time": seconds})["revision"] for seconds in (62, 63, 64)
        ]
        stop = threading.Event()
        answers: list[int] = []

        def keep_changing() -> None:
            """Runtime changes while the reload fails must not hang or break anything."""
            with closing(site.steelyard.native) as native:
                weight = 2
                while not stop.is_set():
                    weight = 5 - weight
                    body = {"weight": weight}
                    answers.append(native.patch("/virtual-services/1/real-servers/1", json=body).status_code)

        thread = threading.Thread(target=keep_changing, daemon=True)
        thread.start()
        try:
            wait_until(
                "they are marked failed",
                lambda: all(site.get(f"/history/{number}")["status"] == "failed" for number in numbers),
                15,
            )
        finally:
            stop.set()
            thread.join(30)
        haproxy.set("refuse-last", on=False)
        assert not thread.is_alive()
        assert set(answers) <= {200, 422}
        wait_until("nothing is pending", lambda: not site.get("/status")["reload_pending"])
        assert site.get("/virtual-services/1")["idle_time"] == 61
        weight = site.get("/virtual-services/1/real-servers/1")["weight"]
        wait_until("HAProxy has the weight", lambda: site.running()["vs1/rs1"].weight == weight)
        assert "timeout server 61s" in (site.root / "engine" / "haproxy.cfg").read_text()
        site.patch("/virtual-services/1?wait=true", {"idle_time": 65})
        load.wait_for_more(50)
    load.result().assert_clean(at_least=100)
    assert site.problems() == []
    assert "Traceback" not in site.steelyard.log


_HOLDER = """
import socket, sys
with socket.socket() as s:
    s.bind(("127.0.0.1", int(sys.argv[1])))
    s.listen()
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_a_port_somebody_took_while_it_was_down_does_not_lock_the_operator_out(site: Site) -> None:
    """HAProxy starts with all addresses or none, so the API must come up and let the operator take the service away."""
    extra = free_port()
    index = site.add_service(extra)
    site.steelyard.kill9()
    for pid in site.everything():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until("all is gone", lambda: not site.everything())
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(extra)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as foreign:
        assert foreign.stdout is not None and foreign.stdin is not None
        try:
            assert foreign.stdout.readline() == "ready\n"
            site.restart()
            assert any("HAProxy" in problem for problem in site.problems())
            site.delete(f"/virtual-services/{index}?wait=true")
            wait_until("no problem is left", lambda: not site.problems())
            assert fetch(f"http://127.0.0.1:{site.port}/").status == 200
        finally:
            foreign.stdin.close()
            foreign.wait(10)
