"""Clean-up finds every process of its own state directory, and only those."""

import subprocess
import sys

import pytest
from tests.support import processes
from tests.support.processes import MARKER, Process
from tests.support.steelyard_process import StartFailed, SteelyardProcess

_SLEEP = "import time; time.sleep(60)"


@pytest.fixture
def start():
    running = []

    def begin(*arguments, **environment):
        command = [sys.executable, "-c", _SLEEP, *map(str, arguments)]
        running.append(subprocess.Popen(command, env=environment or None, start_new_session=True))
        return running[-1].pid

    yield begin
    for process in running:
        process.kill()
        process.wait()


def test_a_process_belongs_by_its_arguments_or_by_the_inherited_marker(start, tmp_path):
    mine, other = tmp_path / "mine", tmp_path / "mine-too"
    by_path = start("-f", mine / "engine" / "haproxy.cfg")
    by_option = start(f"--state-dir={mine}")
    by_marker = start(**{MARKER: "abc"})
    start("-f", other / "engine" / "haproxy.cfg")
    assert {process.pid for process in processes.belonging_to(mine, "abc")} == {by_path, by_option, by_marker}


def test_ending_is_by_pid_and_complete(start, tmp_path):
    ours, theirs = start(tmp_path / "a"), start(tmp_path / "b")
    processes.end(processes.belonging_to(tmp_path / "a"), grace=1)
    assert not processes.is_alive(ours)
    assert processes.is_alive(theirs)


def test_a_reused_pid_is_left_alone(start, tmp_path):
    pid = start(tmp_path)
    now = processes.read_process(pid)
    assert now is not None
    processes.end([Process(pid, now.parent, now.state, now.started - 1, now.arguments)])
    assert processes.is_alive(pid)


def test_a_steelyard_that_cannot_start_says_why_and_leaves_nothing_behind():
    steelyard = SteelyardProcess(arguments=("--no-such-option",))
    with pytest.raises(StartFailed, match="steelyard serve ended with"), steelyard:
        pass
    assert steelyard.processes() == []
    assert not steelyard.state_dir.exists()
