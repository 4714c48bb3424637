"""A machine of its own for tests of packages and units: this host's files, systemd as the first process.

    with Machine(tmp_path) as machine:
        machine.run("apt-get", "install", ...)
        machine.systemctl("start", "steelyard")

Its processes, mounts, host name and network are its own (namespaces), so nothing of the host is touched: what it writes
is a layer above the host's files that goes when the machine goes. Nothing but the loopback interface is there. It needs
root, a file system `overlay`, and systemd's files, and boots in about a second.

Or the files of another root directory, such as an image's: `Machine(tmp_path, files=...)`.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]

_READY_SECONDS = 60.0
_END_SECONDS = 20.0

# Two steps, because a control-group namespace begins at the group its first process is in. {base} is hidden by a file
# system in memory that only this machine sees.
_FIRST = """
set -eu
mount -t tmpfs -o mode=755 tmpfs {base}
mkdir {base}/groups {base}/layer {base}/work {base}/root
mount -t cgroup2 cgroup2 {base}/groups
mkdir {base}/groups/{name}
echo $$ > {base}/groups/{name}/cgroup.procs
exec unshare --pid --net --ipc --uts --cgroup --fork --kill-child -- sh -c "$1"
"""

# What of the host would start by itself does not: only what a test installs or starts. Kernel parameters of the host
# are left alone, too, but for those a test installs.
_SECOND = """
set -eu
umount {base}/groups
root={base}/root
mount -t overlay overlay -o lowerdir={files},upperdir={base}/layer,workdir={base}/work $root
mount -t proc proc $root/proc
mount -t sysfs sysfs $root/sys
mount -t tmpfs -o mode=755 tmpfs $root/dev
for device in null zero full random urandom tty; do
    touch $root/dev/$device
    mount --bind /dev/$device $root/dev/$device
done
mkdir $root/dev/pts $root/dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts $root/dev/pts
ln -s pts/ptmx $root/dev/ptmx
mount -t tmpfs tmpfs $root/dev/shm
mount -t tmpfs -o mode=755 tmpfs $root/run
mount -t tmpfs -o mode=1777 tmpfs $root/tmp
mount -t cgroup2 cgroup2 $root/sys/fs/cgroup
{mounts}
{prepare}
ip link set lo up
hostname machine
mkdir $root/.old
cd $root
pivot_root . .old
cd /
umount -l /.old
rmdir /.old
exec env -i container=steelyard PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
    /lib/systemd/systemd --log-target=journal --show-status=no
"""

_QUIET = """
find $root/etc/systemd/system -name '*.wants' -exec rm -rf {} +
rm -rf $root/etc/rc?.d $root/etc/sysctl.d $root/etc/sysctl.conf $root/usr/lib/sysctl.d
mkdir $root/etc/sysctl.d $root/usr/lib/sysctl.d
rm -f $root/usr/sbin/policy-rc.d $root/var/lib/man-db/auto-update
: > $root/etc/fstab
: > $root/etc/machine-id
ln -sf /lib/systemd/system/multi-user.target $root/etc/systemd/system/default.target
for unit in systemd-modules-load systemd-udevd systemd-udev-trigger systemd-logind; do
    ln -sf /dev/null $root/etc/systemd/system/$unit.service
done
for unit in sys-kernel-debug sys-kernel-tracing sys-kernel-config sys-fs-fuse-connections dev-hugepages; do
    ln -sf /dev/null $root/etc/systemd/system/$unit.mount
done
"""


class NotBooted(AssertionError):
    """The machine did not come up, or a command in it failed; the message holds what was said."""


class Machine:
    """The machine while the context lasts. `directory` is an empty one that is hidden from others meanwhile."""

    def __init__(self, directory: Path, files: Path = Path("/"), *, prepare: str = _QUIET) -> None:
        self._base = directory / "machine"
        self._base.mkdir()
        self._name = f"steelyard-{os.getpid()}-{abs(hash(str(directory))) % 10**8}"
        self._files = files
        self._prepare = prepare
        self._log = directory / "machine.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.init = 0

    def __enter__(self) -> Self:
        words = {"base": self._base, "name": self._name, "files": self._files}
        second = _SECOND.replace("{prepare}", self._prepare).replace("{mounts}", "\n".join(_mounts()))
        for name, value in words.items():
            second = second.replace(f"{{{name}}}", str(value))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "unshare",
                    "--mount",
                    "--propagation",
                    "private",
                    "--",
                    "sh",
                    "-c",
                    _FIRST.format(**words),
                    "sh",
                    second,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait_until_up()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wait_until_up(self) -> None:
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError, IndexError):
                self.init = int(children.read_text().split()[0])
                # before that it is still the shell that makes its root
                if Path(f"/proc/{self.init}/comm").read_text() == "systemd\n":
                    state = self.run("systemctl", "is-system-running", "--wait", check=False).stdout.strip()
                    if state in ("running", "degraded"):
                        return
            time.sleep(0.02)
        raise NotBooted(f"the machine did not come up:\n{self._log.read_text('utf-8', 'replace')[-4000:]}")

    def close(self) -> None:
        """End every process of it; its files and its control groups go."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            # the first process of a process namespace takes all others with it
            os.kill(self.init or self._process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_END_SECONDS)
        self._process = None
        sweep = (
            f"mount -t cgroup2 cgroup2 {self._base} && find {self._base}/{self._name} -depth -type d -exec rmdir {{}} +"
        )
        for _ in range(50):
            done = subprocess.run(
                ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", sweep],
                capture_output=True,
                check=False,
            )
            # a group is busy until the kernel has done with its last process
            if done.returncode == 0:
                break
            time.sleep(0.1)

    @property
    def root(self) -> Path:
        """Its files, as this process sees them."""
        return Path(f"/proc/{self.init}/root")

    def words(self, *command: str) -> list[str]:
        """The command line that runs a command in it."""
        namespaces = ("--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup")
        return ["nsenter", "--target", str(self.init), *namespaces, "--root", "--wd=/", "--", *command]

    def start(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command in it; whoever starts it ends it, or it ends with the machine."""
        return subprocess.Popen(self.words(*command), text=True, env=_environment(), **options)

    def run(
        self, *command: str, check: bool = True, seconds: float = 90.0, given: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in it to its end. Raises `NotBooted` with its words when it fails."""
        done = subprocess.run(
            self.words(*command),
            input=given,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env=_environment(),
        )
        if check and done.returncode != 0:
            raise NotBooted(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def systemctl(self, *words: str, check: bool = True) -> str:
        """What systemctl says."""
        return self.run("systemctl", "--no-pager", *words, check=check).stdout.strip()

    def journal(self, unit: str) -> str:
        """What a unit has said."""
        return self.run("journalctl", "--no-pager", "--output=cat", "--unit", unit, check=False).stdout

    def processes(self, *marks: str) -> list[int]:
        """Processes whose command line has all these words in it, by their numbers on the host."""
        found = []
        space = Path(f"/proc/{self.init}/ns/pid").readlink()
        for directory in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                line = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if all(mark in line for mark in marks) and (directory / "ns" / "pid").readlink() == space:
                    found.append(int(directory.name))
        return sorted(found)

    def wait_for(self, what: str, condition: Any, seconds: float = 20.0) -> None:
        """Wait until a condition holds. Raises `NotBooted`."""
        deadline = time.monotonic() + seconds
        pause = threading.Event()
        while not condition():
            if time.monotonic() > deadline:
                raise NotBooted(f"{what} did not come about in {seconds:.0f} s")
            pause.wait(0.05)


def _mounts() -> list[str]:
    """/tmp and /run are its own, so this checkout and this Python are brought in where they lie there."""
    places = [path for path in (ROOT, Path(sys.prefix)) if path.is_relative_to("/tmp") or path.is_relative_to("/run")]
    quoted = [shlex.quote(str(path)) for path in places]
    return [f"mkdir -p $root{path}\nmount --bind {path} $root{path}" for path in quoted]


def _environment() -> dict[str, str]:
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "TERM": "dumb"}
