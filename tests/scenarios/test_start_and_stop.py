"""Starting and ending: the demo, `serve`, `stop`, a second start, two at once, a port in use, modes and secrets."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from tests.scenarios.site import START_SECONDS, Site, kill, serves, steelyard, wait_until
from tests.support import certificates, processes
from tests.support.clients import fetch
from tests.support.ports import free_port, free_ports

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.needs("haproxy"), pytest.mark.timeout(150)]


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError:
            return False
    return True


class Foreground:
    """A command of the command line that runs until it is ended, as in a terminal of its own."""

    def __init__(self, *words: str, **environment: str) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("STEELYARD_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "steelyard", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=clean | environment,
            cwd="/",
            start_new_session=True,
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self.text = ""

    def __enter__(self) -> Foreground:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(10)
        if self._process.stdout is not None:
            self._process.stdout.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def read_until(self, words: str, timeout: float = START_SECONDS) -> str:
        """What it said up to now, once it holds these words."""
        deadline = time.monotonic() + timeout
        while words not in self.text:
            if not self._read(deadline - time.monotonic()):
                raise AssertionError(f"{words!r} did not come: {self.text}")
        return self.text

    def _read(self, timeout: float) -> bool:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(max(0.0, timeout)):
                return False
        part = self._process.stdout.read()
        self.text += (part or b"").decode()
        return bool(part)

    def end(self, number: signal.Signals, timeout: float = 20.0) -> int:
        """Send a signal; its exit code once it has ended."""
        self._process.send_signal(number)
        return self.wait(timeout)

    def wait(self, timeout: float = 20.0) -> int:
        deadline = time.monotonic() + timeout
        while self._read(deadline - time.monotonic()):
            pass
        return self._process.wait(max(0.1, deadline - time.monotonic()))


class Client:
    """The API of a Steelyard that was not started by `SteelyardProcess`."""

    def __init__(self, port: int, password: str) -> None:
        self._client = httpx.Client(
            base_url=f"https://127.0.0.1:{port}", auth=("bal", password), verify=False, trust_env=False, timeout=30
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def status(self) -> int:
        return self._client.get("/api/v1/status").status_code


@pytest.fixture
def folder() -> Iterator[Path]:
    """A state directory that does not exist yet."""
    with tempfile.TemporaryDirectory(prefix="sy-", dir="/tmp") as made:
        path = Path(made) / "state"
        try:
            yield path
        finally:
            processes.end(processes.belonging_to(path), grace=1.0)


# --- the demo


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_serves_what_it_prints_and_ends_without_a_trace(number: signal.Signals) -> None:
    admin, http, https = free_port(), free_port(), free_port()
    servers = free_ports(3)
    words = ["demo", "--admin-port", admin, "--http-port", http, "--https-port", https, "--server-port", servers[0]]
    with Foreground(*map(str, words)) as demo:
        said = demo.read_until("Ctrl-C ends everything")
        found = re.search(r"--state-dir (\S+)", said)
        assert found is not None
        state_dir = Path(found[1])
        try:
            commands = [line.strip() for line in said.splitlines() if re.match(r"\s+(for |curl |/\S*python)", line)]
            assert len(commands) >= 5
            answers = [
                subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=30, check=False, cwd="/")
                for line in commands
            ]
            for line, answer in zip(commands, answers, strict=True):
                assert answer.returncode == 0, f"{line}: {answer.stderr}"
                assert answer.stdout.strip(), line
                assert "not_found" not in answer.stdout and "<Error>" not in answer.stdout, f"{line}: {answer.stdout}"
            for name in ("ant", "bee", "cat"):
                assert name in answers[0].stdout
            assert "<Success>" in answers[2].stdout
            assert "demo-http" in answers[4].stdout
            assert fetch(f"https://127.0.0.1:{https}/").status == 200
            started = time.monotonic()
            assert demo.end(number) == 0
            print(f"ended in {time.monotonic() - started:.2f} s")
        finally:
            left = processes.belonging_to(state_dir)
            processes.end(left)
        assert left == []
        assert not state_dir.exists()
        assert [port for port in (admin, http, https, *servers) if not _is_free(port)] == []
        assert "Traceback" not in demo.text, demo.text
        assert "ERROR" not in demo.text, demo.text


def test_a_demo_whose_ports_are_taken_says_which_and_leaves_nothing() -> None:
    ports = free_ports(3)
    admin, http, https, servers = free_port(), free_port(), free_port(), ports[0]
    for taken, option in ((admin, "--admin-port"), (http, "--http-port"), (servers, "--server-port")):
        with closing(socket.socket()) as foreign:
            foreign.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            foreign.bind(("127.0.0.1", taken))
            foreign.listen()
            words = [
                "demo",
                "--admin-port",
                admin,
                "--http-port",
                http,
                "--https-port",
                https,
                "--server-port",
                servers,
            ]
            with Foreground(*map(str, words)) as demo:
                assert demo.wait(60) == 1, option
                assert str(taken) in demo.text, demo.text
                assert "Traceback" not in demo.text, demo.text
        free = [port for port in (admin, http, https, *ports) if port != taken]
        wait_until("all other ports are free again", lambda free=free: all(map(_is_free, free)))  # type: ignore[misc]


# --- the first start


def _serve(folder: Path, port: int) -> tuple[str, ...]:
    return ("serve", "--state-dir", str(folder), "--admin-port", str(port))


@pytest.mark.requirement("S4-11")
def test_the_first_password_is_printed_once_and_works(folder: Path) -> None:
    port = free_port()
    # somebody who accepts the licence there and then is asked for nothing more
    with Foreground(*_serve(folder, port), "--accept-licence") as first:
        said = first.read_until("Serving on")
        found = re.search(r"password, shown only now: (\S+)", said)
        assert found is not None, said
        password = found[1]
        assert len(password) >= 16
        with Client(port, password) as client:
            assert client.status() == 200
        with Client(port, "bal") as client:
            assert client.status() == 401
        assert first.end(signal.SIGTERM) == 0
    with Foreground(*_serve(folder, port)) as second:
        said = second.read_until("Serving on")
        assert "assword" not in said
        with Client(port, password) as client:
            assert client.status() == 200
        assert second.end(signal.SIGINT) == 0
        assert "Traceback" not in second.text
    assert steelyard("stop", "--state-dir", str(folder)).returncode == 0
    kept = [path for path in folder.rglob("*") if path.is_file() and password.encode() in path.read_bytes()]
    assert kept == []


def test_a_password_that_is_given_is_taken_and_not_printed(folder: Path) -> None:
    port = free_port()
    with Foreground(*_serve(folder, port), STEELYARD_ADMIN_PASSWORD="given by the operator") as first:
        said = first.read_until("Serving on")
        assert "given by" not in said
        with Client(port, "given by the operator") as client:
            assert client.status() == 200
        engines = [process for process in processes.belonging_to(folder) if process.pid != first.pid]
        assert len(engines) >= 3
        for process in engines:
            assert b"given by the operator" not in Path(f"/proc/{process.pid}/environ").read_bytes()
        assert first.end(signal.SIGTERM) == 0
    # a password in the environment later changes nothing
    with Foreground(*_serve(folder, port), STEELYARD_ADMIN_PASSWORD="another one") as second:
        second.read_until("Serving on")
        with Client(port, "another one") as client:
            assert client.status() == 401


def test_a_password_too_short_is_refused_and_the_next_start_can_do_better(folder: Path) -> None:
    port = free_port()
    with Foreground(*_serve(folder, port), STEELYARD_ADMIN_PASSWORD="short") as first:
        assert first.wait(60) == 1
        assert "shorter than 8" in first.text
        assert "Traceback" not in first.text
    assert processes.belonging_to(folder) == []
    with Foreground(*_serve(folder, port)) as second:
        assert "shown only now" in second.read_until("Serving on")


def test_the_state_directory_is_for_its_owner_alone(site: Site) -> None:
    leaf = certificates.leaf("modes.example")
    site.post("/certificates", {"name": "modes", "pem": leaf.bundle().decode()})
    site.add_service(free_port(), ssl_acceleration=True, certificates=["modes"])
    site.weigh(1, 3)
    site.wait_for_kept_verdict("vs1/rs1", "up")
    loose = []
    for path in (site.root, *site.root.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if mode & 0o077 or (path.is_file() and mode != 0o600):
            loose.append(f"{oct(mode)} {path.relative_to(site.root)}")
    assert loose == []


# --- ending


def test_stop_ends_everything_and_the_next_start_has_it_all(site: Site) -> None:
    site.weigh(1, 6)
    assert site.steelyard.stop_control_plane() == 0
    assert serves(site), "traffic goes on without the control plane"
    done = site.command("stop")
    assert done.returncode == 0, done.stderr
    assert "haproxy" in done.stdout and "steelyard-health" in done.stdout
    assert site.everything() == []
    assert _is_free(site.port)
    assert "Nothing was running" in site.command("stop").stdout
    site.restart()
    wait_until("it serves", lambda: serves(site))
    assert site.running()["vs1/rs1"].weight == 6


def test_stop_ends_a_control_plane_that_runs_too(site: Site) -> None:
    done = site.command("stop")
    assert done.returncode == 0, done.stderr
    assert site.everything() == []
    assert not site.steelyard.running
    assert _is_free(site.port) and _is_free(site.steelyard.admin_port)
    assert "Traceback" not in site.steelyard.log


def test_stop_of_a_directory_that_is_none_says_so(tmp_path: Path) -> None:
    done = steelyard("stop", "--state-dir", str(tmp_path / "nothing"))
    assert done.returncode == 0
    assert "Nothing was running" in done.stdout


# --- two of them


def test_a_second_serve_on_the_same_directory_is_refused(site: Site) -> None:
    with site.load() as load:
        before = sorted(site.everything())
        for port in (free_port(), site.steelyard.admin_port):
            with Foreground(*_serve(site.root, port)) as second:
                assert second.wait(60) == 1
                assert f"Another Steelyard already works in {site.root}" in second.text
                assert str(site.steelyard.pid) in second.text
                assert "Traceback" not in second.text
        assert sorted(site.everything()) == before
        site.weigh(1, 8)
        assert site.running()["vs1/rs1"].weight == 8
        assert site.command("vs", "list").returncode == 0, "its local socket was taken away"
        load.wait_for_more(50)
    load.result().assert_clean(at_least=50)


def test_of_two_started_at_once_one_serves(folder: Path) -> None:
    ports = (free_port(), free_port())
    with contextlib.ExitStack() as stack:
        both = [stack.enter_context(Foreground(*_serve(folder, port))) for port in ports]
        wait_until("one has ended", lambda: any(not processes.is_alive(each.pid) for each in both), START_SECONDS)
        loser, winner = sorted(both, key=lambda each: processes.is_alive(each.pid))
        assert loser.wait() == 1
        assert "Another Steelyard already works" in loser.text
        assert "shown only now" in winner.read_until("Serving on")
        assert winner.end(signal.SIGTERM) == 0


def test_an_admin_port_in_use_is_named_and_disturbs_nothing(site: Site, folder: Path) -> None:
    with site.load() as load:
        with Foreground(*_serve(folder, site.steelyard.admin_port)) as other:
            assert other.wait(60) == 1
            assert f"port {site.steelyard.admin_port} is in use by" in other.text
            assert f"process {site.steelyard.pid}" in other.text
            assert "Traceback" not in other.text
        assert processes.belonging_to(folder) == []
        load.wait_for_more(50)
        # the same directory, its own control plane gone, a foreign program on its port
        site.steelyard.kill9()
        worker = site.worker()
        with closing(socket.socket()) as foreign:
            foreign.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            foreign.bind(("127.0.0.1", site.steelyard.admin_port))
            foreign.listen()
            with Foreground(*_serve(site.root, site.steelyard.admin_port)) as again:
                assert again.wait(60) == 1
                assert "is in use by" in again.text
        assert site.worker() == worker
        site.restart()
        assert site.worker() == worker
        load.wait_for_more(50)
    load.result().assert_clean(at_least=100)
    with Foreground(*_serve(folder, free_port())) as other:
        assert "shown only now" in other.read_until("Serving on"), "the refused start used the password up"


@pytest.mark.parametrize("address", ["203.0.113.77", "no address", "::ffff:1.2.3.4.5"])
def test_an_admin_address_that_cannot_be_is_named(folder: Path, address: str) -> None:
    with Foreground("serve", "--state-dir", str(folder), "--admin-address", address) as refused:
        assert refused.wait(60) == 1
        assert address in refused.text
        assert "Traceback" not in refused.text
    assert processes.belonging_to(folder) == []


def test_a_state_directory_that_cannot_be_is_named() -> None:
    for path in ("/proc/steelyard", "/dev/null/steelyard", "/tmp/" + "x" * 100):
        with Foreground(*_serve(Path(path), free_port())) as refused:
            assert refused.wait(60) == 1
            assert path in refused.text.replace("\n", "")
            assert "Traceback" not in refused.text, refused.text


# --- secrets


def test_no_secret_is_in_logs_command_lines_or_history(site: Site) -> None:
    leaf, other = certificates.leaf("secret.example"), certificates.leaf("other.example")
    archive = "pass phrase of the archive"
    site.post("/certificates", {"name": "one", "pem": leaf.bundle().decode()})
    with closing(site.steelyard.native) as native:
        native.post("/certificates", json={"name": "bad", "pem": (leaf.pem + other.key_pem).decode()})
        native.post("/certificates", json={"name": "bad", "pem": leaf.key_pem.decode(), "password": archive})
        native.post("/users", json={"name": "bad\nname", "password": "known to a bad user"})
        native.post("/users", json={"name": "other", "password": ["known to a list"]})
    site.add_service(free_port(), ssl_acceleration=True, certificates=["one"])
    site.post("/users", {"name": "carol", "password": "known to carol only", "permissions": ["real"]})
    site.patch("/users/carol", {"password": "known to carol now"})
    key = site.post("/api-keys", {})["object"]["key"]
    with closing(site.steelyard.loadmaster) as loadmaster:
        loadmaster.call("addcert", {"cert": "two", "password": archive}, body=leaf.bundle())
        loadmaster.call("useraddlocal", user="dave", password="known to dave only", radius=0)
        loadmaster.call("stats", apikey=key)
    site.steelyard.kill9()
    kill(site.worker())
    site.restart()

    body = max(leaf.key_pem.decode().splitlines(), key=len)
    secrets = [
        *(body, max(other.key_pem.decode().splitlines(), key=len)),
        *(site.steelyard.password, key, archive, "PRIVATE KEY", "scrypt$"),
        *("known to a bad user", "known to a list", "known to carol only", "known to dave only"),
    ]
    places = {str(path): path.read_text(errors="replace") for path in (site.root / "log").rglob("*") if path.is_file()}
    places["output of serve"] = site.steelyard.log
    for process in site.steelyard.processes():
        places[f"command line of {process.pid}"] = " ".join(process.arguments)
    with closing(site.steelyard.native) as native:
        for number in range(1, site.revision() + 1):
            places[f"revision {number}"] = native.get(f"/history/{number}").text
        for path in ("/history", "/diff?from=1", "/configuration", "/status", "/certificates", "/users", "/api-keys"):
            places[path] = native.get(path).text
    for path in ("run", "health"):
        for file in (site.root / path).iterdir():
            if file.is_file():
                places[str(file)] = file.read_text(errors="replace")
    found = [f"{secret[:12]}... in {place}" for secret in secrets for place, text in places.items() if secret in text]
    assert found == []
