"""A full or read-only disk: changes are refused by name, nothing is half-written, and all is well afterwards."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from tests.scenarios.site import Site, kill, serves, wait_until
from tests.support import certificates
from tests.support.ports import free_port
from tests.support.steelyard_process import StartFailed

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.needs("haproxy", "root"), pytest.mark.timeout(180)]

_MEGABYTES = 24


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False, timeout=20)
    if done.returncode != 0:
        pytest.skip(f"missing: the right to mount ({done.stderr.strip()})")


@pytest.fixture
def on_small_disk() -> Iterator[Site]:
    """A site whose state directory is a file system of its own."""
    with tempfile.TemporaryDirectory(prefix="sy-", dir="/tmp") as folder:
        disk = Path(folder) / "d"
        disk.mkdir()
        _mount("-t", "tmpfs", "-o", f"size={_MEGABYTES}m,mode=0700", "steelyard-test", str(disk))
        try:
            with Site(state_dir=disk) as made:
                yield made
        finally:
            subprocess.run(["umount", "--lazy", str(disk)], check=True, timeout=20)


@contextmanager
def full(folder: Path, spare: int = 0) -> Iterator[None]:
    """The disk is full but for `spare` bytes."""
    ballast = folder / "ballast"
    file = os.open(ballast, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        with suppress(OSError):  # it is full then
            while os.write(file, bytes(4096)):
                pass
        os.ftruncate(file, os.fstat(file).st_size - spare)
    finally:
        os.close(file)
    try:
        yield
    finally:
        ballast.unlink()


def assert_all_refused(site: Site, remedy: str) -> None:
    """Every kind of change is refused in both APIs, with a remedy, and leaves everything as it was."""
    before, running, worker = site.saved(), site.running(), site.worker()
    leaf = certificates.leaf("disk.example")
    with closing(site.steelyard.native) as native, closing(site.steelyard.loadmaster) as loadmaster:
        for method, path, body in (
            ("PATCH", "/virtual-services/1/real-servers/1", {"weight": 17}),
            ("PATCH", "/virtual-services/1", {"idle_time": 77}),
            ("POST", "/virtual-services", {"address": "127.0.0.1", "port": free_port()}),
            ("POST", "/certificates", {"name": "disk", "pem": leaf.bundle().decode()}),
            ("DELETE", "/virtual-services/1", None),
        ):
            answer = native.request(method, path, **({} if body is None else {"json": body}))
            assert answer.status_code == 503, f"{method} {path}: {answer.status_code} {answer.text}"
            error = answer.json()["error"]
            assert error["kind"] == "host_lacks"
            assert remedy in (error["remedy"] + error["message"]).lower(), error
            assert "Traceback" not in answer.text
        for refused in (
            loadmaster.call("modrs", vs="127.0.0.1", port=site.port, prot="tcp", rs="!1", rsport=0, weight=17),
            loadmaster.call("modvs", vs="127.0.0.1", port=site.port, prot="tcp", Idletime=77),
            loadmaster.call("addvs", vs="127.0.0.1", port=free_port(), prot="tcp"),
        ):
            assert not refused.ok
            assert remedy in refused.message.lower(), refused.body
            assert b"Traceback" not in refused.body
        status, answer = loadmaster.v2("modvs", vs="127.0.0.1", port=str(site.port), prot="tcp", Idletime=77)
        assert status >= 400 and remedy in str(answer).lower(), answer
    assert (site.saved(), site.running(), site.worker()) == (before, running, worker)
    assert site.leftovers() == []


def test_on_a_full_disk_changes_are_refused_and_work_again_afterwards(on_small_disk: Site) -> None:
    site = on_small_disk
    with site.load() as load:
        with full(site.root):
            assert_all_refused(site, "space")
            load.wait_for_more(50)
            # verdicts go on without a disk
            site.origins[0].health_status = 500
            site.wait_for_running("vs1/rs1", takes_clients=False)
            site.wait_for_status(1, "Down")
            site.origins[0].health_status = 200
            site.wait_for_running("vs1/rs1", takes_clients=True)
        site.weigh(1, 18)
        assert site.running()["vs1/rs1"].weight == 18
        site.patch("/virtual-services/1?wait=true", {"idle_time": 78})
        load.wait_for_more(50)
        site.steelyard.kill9()
        site.restart()
        assert site.get("/virtual-services/1")["idle_time"] == 78
        assert site.problems() == []
    load.result().assert_clean(at_least=100)
    assert "Traceback" not in site.steelyard.log


@pytest.fixture
def on_ext4() -> Iterator[Site]:
    """A site on a file system that the kernel makes read-only at its first error, as most servers' are."""
    with tempfile.TemporaryDirectory(prefix="sy-", dir="/tmp") as folder:
        image, disk = Path(folder) / "image", Path(folder) / "d"
        disk.mkdir()
        with image.open("wb") as file:
            file.truncate(64 * 1024 * 1024)
        made = subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], capture_output=True, check=False, timeout=30)
        if made.returncode != 0:
            pytest.skip("missing: mkfs.ext4 (apt-get install e2fsprogs)")
        _mount("-o", "loop,errors=remount-ro", str(image), str(disk))
        try:
            with Site(state_dir=disk) as site:
                yield site
        finally:
            subprocess.run(["umount", "--lazy", str(disk)], check=True, timeout=20)


def _unmount(disk: Path) -> None:
    """A killed process lets go of its files a moment after it is gone from sight."""
    deadline = time.monotonic() + 10
    while subprocess.run(["umount", str(disk)], capture_output=True, check=False, timeout=20).returncode:
        assert time.monotonic() < deadline, "the disk is still in use"
        time.sleep(0.05)


def _fail_disk(disk: Path) -> None:
    """What a disk that cannot be written to does to its file system: the kernel makes it read-only."""
    source = subprocess.run(
        ["findmnt", "-no", "SOURCE", str(disk)], capture_output=True, text=True, check=True, timeout=10
    )
    trigger = Path("/sys/fs/ext4") / Path(source.stdout.strip()).name / "trigger_fs_error"
    if not trigger.exists():
        pytest.skip("missing: a kernel with /sys/fs/ext4/*/trigger_fs_error")
    trigger.write_text("steelyard test\n")


def test_on_a_disk_gone_read_only_changes_are_refused_and_work_again_after_its_repair(on_ext4: Site) -> None:
    site = on_ext4
    site.weigh(1, 5)
    with site.load() as load:
        _fail_disk(site.root)
        assert_all_refused(site, "read-only")
        load.wait_for_more(50)
        site.origins[0].health_status = 500
        site.wait_for_running("vs1/rs1", takes_clients=False)
        site.origins[0].health_status = 200
        site.wait_for_running("vs1/rs1", takes_clients=True)
        site.steelyard.kill9()
        with pytest.raises(StartFailed, match="cannot be written") as refused:
            site.restart()
        assert "Traceback" not in str(refused.value)
        load.wait_for_more(50)
    load.result().assert_clean(at_least=100)

    kill(*site.everything())
    _unmount(site.root)
    image = site.root.with_name("image")
    assert subprocess.run(["fsck.ext4", "-p", "-f", str(image)], capture_output=True, check=False).returncode <= 1
    _mount("-o", "loop,errors=remount-ro", str(image), str(site.root))
    site.restart()
    with site.load() as load:
        site.weigh(2, 6)
        assert (site.running()["vs1/rs1"].weight, site.running()["vs1/rs2"].weight) == (5, 6)
        load.wait_for_more(50)
    load.result().assert_clean(at_least=50)


@pytest.mark.parametrize("spare", [4096, 65536, 400_000, 1_000_000, 1_100_000])
def test_with_a_little_space_a_change_is_made_whole_or_not_at_all(on_small_disk: Site, spare: int) -> None:
    site = on_small_disk
    with site.load() as load, full(site.root, spare):
        with closing(site.steelyard.native) as native:
            answer = native.patch("/virtual-services/1?wait=true", json={"idle_time": 79})
        done = answer.status_code == 200
        assert done or answer.status_code == 503, answer.text
        assert (site.get("/virtual-services/1")["idle_time"] == 79) is done
        assert ("timeout server 79s" in (site.root / "engine" / "haproxy.cfg").read_text()) is done
        with closing(site.steelyard.native) as native:
            assert native.patch("/virtual-services/1/real-servers/1", json={"weight": 3}).status_code in (200, 503)
        load.wait_for_more(50)
        assert site.running()["vs1/rs1"].weight == site.get("/virtual-services/1/real-servers/1")["weight"]
    load.result().assert_clean(at_least=50)
    assert site.leftovers() == []


def test_haproxy_that_dies_on_a_full_disk_is_started_again(on_small_disk: Site) -> None:
    site = on_small_disk
    with full(site.root):
        kill(site.steelyard.haproxy_master_pid())
        wait_until("it serves", lambda: serves(site))
        with site.load() as load:
            load.wait_for_more(50)
        load.result().assert_clean(at_least=50)
        before = site.steelyard.health_pid()
        kill(before)
        wait_until("steelyard-health is back", lambda: [p for p in site.steelyard.pids()["health"] if p != before], 20)
    wait_until("no problem is left", lambda: not site.problems(), 30)
    site.weigh(1, 19)
    assert site.running()["vs1/rs1"].weight == 19


def test_a_restart_on_a_full_disk_adopts_what_runs_and_says_what_is_missing(on_small_disk: Site) -> None:
    site = on_small_disk
    with site.load() as load:
        worker = site.worker()
        with full(site.root):
            site.steelyard.kill9()
            site.restart()
            assert site.worker() == worker
            assert site.get("/virtual-services/1")["port"] == site.port
            load.wait_for_more(50)
        site.weigh(1, 20)
        assert site.running()["vs1/rs1"].weight == 20
    load.result().assert_clean(at_least=50)
