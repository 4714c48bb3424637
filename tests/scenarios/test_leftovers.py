"""What earlier runs left behind: foreign pid files, dead sockets, half-written files, an edited configuration."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import closing

import pytest
from tests.scenarios.site import Site, kill, serves, wait_until
from tests.support import processes

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.needs("haproxy"), pytest.mark.timeout(120)]


def test_pid_files_that_name_a_foreign_process_are_not_believed(site: Site) -> None:
    kill(*site.everything(), site.steelyard.pid)
    with subprocess.Popen(["sleep", "300"]) as foreign:
        try:
            for name in ("haproxy.pid", "health.pid"):
                (site.root / "run" / name).write_text(f"{foreign.pid}\n")
            site.restart()
            wait_until("it serves", lambda: serves(site))
            assert site.steelyard.haproxy_master_pid() != foreign.pid
            assert site.steelyard.health_pid() != foreign.pid
            assert site.problems() == []
            site.steelyard.stop_control_plane()
            for name in ("haproxy.pid", "health.pid"):
                (site.root / "run" / name).write_text(f"{foreign.pid}\n")
            done = site.command("stop")
            assert done.returncode == 0, done.stderr
            assert processes.is_alive(foreign.pid)
            assert not site.everything()
        finally:
            foreign.kill()


@pytest.mark.parametrize("content", ["", "no number\n", "999999999\n", None])
def test_running_engines_are_adopted_without_their_pid_files(site: Site, content: str | None) -> None:
    with site.load() as load:
        before = (site.steelyard.haproxy_master_pid(), site.worker(), site.steelyard.health_pid())
        site.steelyard.kill9()
        for name in ("haproxy.pid", "health.pid"):
            path = site.root / "run" / name
            if content is None:
                path.unlink()
            else:
                path.write_text(content)
        site.restart()
        load.wait_for_more(50)
        assert (site.steelyard.haproxy_master_pid(), site.worker(), site.steelyard.health_pid()) == before
        assert site.problems() == []
    load.result().assert_clean(at_least=50)


def test_dead_sockets_and_half_written_files_do_not_matter(site: Site) -> None:
    kill(*site.everything(), site.steelyard.pid)
    for name in ("haproxy.sock", "master.sock", "health.sock", "api.sock", "peers.sock"):
        path = site.root / "run" / name
        path.unlink(missing_ok=True)
        with closing(socket.socket(socket.AF_UNIX)) as dead:
            dead.bind(str(path))
    for name in ("engine/.haproxy.cfg.new", "engine/.servers.state.new", "health/plan.json.new", "run/.in-force.new"):
        (site.root / name).write_text("half of")
    site.restart()
    wait_until("it serves", lambda: serves(site))
    site.patch("/virtual-services/1?wait=true", {"idle_time": 88})
    site.weigh(1, 3)
    assert site.running()["vs1/rs1"].weight == 3
    assert site.problems() == []
    wait_until("the half-written files are gone", lambda: not site.leftovers())


def test_an_edited_configuration_is_brought_right_by_a_reload(site: Site) -> None:
    """Somebody edits the generated file and reloads HAProxy by hand: the store is right, the file is not."""
    file = site.root / "engine" / "haproxy.cfg"
    with site.load() as load:
        site.steelyard.kill9()
        right = file.read_text()
        file.write_text(
            right.replace("default_backend vs1", "default_backend nowhere").replace(
                "timeout queue", "timeout tunnel 3s\n  timeout queue"
            )
        )
        worker, master = site.worker(), site.steelyard.haproxy_master_pid()
        site.restart()
        assert file.read_text() == right
        assert site.worker() != worker
        assert site.steelyard.haproxy_master_pid() == master
        assert site.problems() == []
        load.wait_for_more(50)
    load.result().assert_clean(at_least=50)


def test_a_haproxy_reloaded_by_hand_is_brought_right(site: Site) -> None:
    """The file is what it should be, but the worker has read another one: only asking the worker can tell."""
    file = site.root / "engine" / "haproxy.cfg"
    with site.load() as load:
        site.steelyard.kill9()
        right = file.read_text()
        file.write_text(right.replace("timeout queue", "timeout tunnel 3s\n  timeout queue"))
        worker = site.worker()
        os.kill(site.steelyard.haproxy_master_pid(), signal.SIGUSR2)
        wait_until("a new worker runs", lambda: site.worker() != worker)
        other = site.worker()
        file.write_text(right)
        site.restart()
        assert site.worker() not in (worker, other)
        load.wait_for_more(50)
    load.result().assert_clean(at_least=50)


def test_a_second_haproxy_on_the_same_configuration_is_let_go(site: Site) -> None:
    """It would go on serving an old plan beside the right one, on the same ports."""
    other: subprocess.Popen[bytes] | None = None
    try:
        with site.load() as load:
            site.steelyard.kill9()
            master = site.steelyard.haproxy_master_pid()
            found = processes.read_process(master)
            assert found is not None
            other = subprocess.Popen(
                found.arguments, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            # it takes over the sockets in run/, so the first one is now the stranger
            wait_until("the other one serves", lambda: site.worker() not in _children(site, master))
            site.restart()
            wait_until("one master is left", lambda: _masters(site) == 1, 15)
            assert not processes.is_alive(master)
            load.wait_for_more(50)
            site.weigh(1, 4)
            assert site.running()["vs1/rs1"].weight == 4
            assert site.problems() == []
        load.result().assert_clean(at_least=50)
    finally:
        if other is not None:
            other.kill()
            other.wait(10)


def _children(site: Site, master: int) -> list[int]:
    return [process.pid for process in site.steelyard.processes() if process.parent == master]


def _masters(site: Site) -> int:
    try:
        site.steelyard.haproxy_master_pid()
    except LookupError:
        return 2
    return 1
