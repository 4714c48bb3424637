"""`SteelyardProcess` against a stand-in for the product: a control plane that leaves processes of its own behind."""

import signal
import sys
import textwrap

import pytest
from tests.support import processes
from tests.support.certificates import leaf
from tests.support.steelyard_process import SteelyardProcess

_STAND_IN = '''
import os, pathlib, subprocess, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
import ssl

options = dict(zip(sys.argv[2::2], sys.argv[3::2]))
state, port = pathlib.Path(options["--state-dir"]), int(options["--admin-port"])
assert os.environ["STEELYARD_ADMIN_PASSWORD"]
run = state / "run"
run.mkdir(exist_ok=True)
if not (run / "haproxy.pid").exists():
    sleep = "import time; time.sleep(60)"
    home = dict(os.environ, PYTHONHOME=sys.base_prefix)
    master = """
import subprocess, sys, time
subprocess.Popen(["haproxy", "-c", "import time; time.sleep(60)", *sys.argv[1:]], executable="/proc/self/exe")
print("worker started", flush=True)
time.sleep(60)
"""
    haproxy = subprocess.Popen(["haproxy", "-c", master, "-f", str(state / "haproxy.cfg")], env=home,
                               executable=sys.executable, start_new_session=True, stdout=subprocess.PIPE)
    haproxy.stdout.readline()
    subprocess.Popen([sys.executable, "-c", sleep, "steelyard-health"], start_new_session=True)
    (run / "haproxy.pid").write_text(str(haproxy.pid))

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(404)

server = HTTPServer(("127.0.0.1", port), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.environ["STAND_IN_PEM"])
server.socket = context.wrap_socket(server.socket, server_side=True)
print("ready", flush=True)
server.serve_forever()
'''


@pytest.fixture
def steelyard(tmp_path):
    package = tmp_path / "steelyard"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(textwrap.dedent(_STAND_IN))
    pem = leaf("admin.example", kind="ec").write(tmp_path, "admin")
    with SteelyardProcess(environment={"PYTHONPATH": str(tmp_path), "STAND_IN_PEM": str(pem)}) as running:
        yield running


def test_roles_are_found_and_survive_the_control_plane(steelyard):
    first, health, master = steelyard.pid, steelyard.health_pid(), steelyard.haproxy_master_pid()
    workers = steelyard.haproxy_worker_pids()
    assert len(workers) == 1
    assert sorted(steelyard.haproxy_pids()) == sorted([master, *workers])
    assert steelyard.pids()["haproxy.pid"] == [master]
    steelyard.kill9()
    assert not steelyard.running
    assert (steelyard.health_pid(), steelyard.haproxy_master_pid()) == (health, master)
    steelyard.restart()
    assert steelyard.pid != first
    assert (steelyard.health_pid(), steelyard.haproxy_master_pid()) == (health, master)
    assert steelyard.stop_control_plane() == -signal.SIGTERM


def test_the_end_leaves_nothing_behind(steelyard):
    assert steelyard.loadmaster.call("listvs").status == 404
    everything = [process.pid for process in steelyard.processes()]
    assert len(everything) == 4
    assert "ready" in steelyard.log
    steelyard.stop()
    assert not any(processes.is_alive(pid) for pid in everything)
    assert not steelyard.state_dir.exists()
    steelyard.stop()


def test_the_interpreter_is_the_tests_own(steelyard):
    control = processes.read_process(steelyard.pid)
    assert control is not None
    assert control.arguments[:4] == (sys.executable, "-m", "steelyard", "serve")
