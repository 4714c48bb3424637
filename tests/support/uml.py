"""A kernel of our own for tests: user-mode-linux, with this host's files as its root.

What the host's kernel lacks (IPVS, bonds, VLANs) is tried in Debian's user-mode-linux, which boots in two seconds,
as any user. A script is run in it, with this virtual environment and this checkout, and says what came of each of its
scenarios; `tests/support/uml_inside.py` is what such a script uses, and has an example.

    @pytest.fixture(scope="module")
    def kernel(tmp_path_factory):
        return boot(Path(__file__).with_name("inside_vlans.py"), tmp_path_factory.mktemp("uml"))

    def test_a_vlan_carries_packets(kernel):
        assert kernel.value("vlan")["received"] == "hello"

Inside, nothing of the host can be written but the directory given; /tmp, /run and /dev are of its own. What a script
prints, and the kernel's own words, are `console`. It ends within `seconds`, whatever happens.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
#: where Debian's package keeps the modules of its kernel
MODULES = Path("/usr/lib/uml/modules")
_GRACE = 5.0

# /tmp and /run are hidden by file systems of its own, so what is needed of the host's is mounted from the host again.
# The kernel loads modules by a program of ours, because it looks for them in /lib/modules, which is the host's.
_INIT = """#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LANG=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mkdir -p /dev/shm /run/netns /run/modules/lib
mount -t tmpfs tmpfs /dev/shm
{mounts}
ln -s {modules} /run/modules/lib/modules
printf '#!/bin/sh\\nexec modprobe -d /run/modules "$@"\\n' > /run/modules/load
chmod 755 /run/modules/load
echo /run/modules/load > /proc/sys/kernel/modprobe
{load}
ip link set lo up
cd {root}
export PYTHONPATH={root} PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 STEELYARD_UML={directory} {environment}
{python} -m tests.support.uml_inside {script} </dev/null
echo ended > {directory}/ended
exec {python} -c 'import ctypes; ctypes.CDLL(None).reboot(0x4321FEDC)'
"""


class NotRun(AssertionError):
    """A scenario failed, or never came to an end; the message holds its traceback or the end of the console."""


@dataclass(frozen=True)
class Outcome:
    """What came of one run. `processor_seconds` is what it cost on the host."""

    directory: Path
    results: Mapping[str, Mapping[str, Any]]
    console: str
    ended: bool
    seconds: float
    processor_seconds: float

    def value(self, scenario: str) -> Any:
        """What a scenario returned. Raises `NotRun` with its traceback when it failed."""
        if scenario not in self.results:
            why = "is not in the script" if self.ended else f"was not reached in {self.seconds:.0f} s"
            raise NotRun(f"scenario {scenario!r} {why}; the console ended with:\n{self.console[-6000:]}")
        result = self.results[scenario]
        if "failure" in result:
            raise NotRun(f"scenario {scenario!r} failed:\n{result['failure']}")
        return result["value"]


def boot(
    script: Path,
    directory: Path,
    *,
    seconds: float = 90.0,
    memory: str = "256M",
    modules: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Outcome:
    """Run a script of scenarios in a kernel of its own, and wait for its end.

    Args:
        script: a Python file of this checkout with scenarios (`tests.support.uml_inside.scenario`).
        directory: the one place on the host the script may write to; results and console are left there.
        seconds: the hard limit; then every process of the kernel is killed.
        memory: as the kernel's `mem=` takes it.
        modules: loaded before the script starts; the kernel loads by itself what a socket or device asks for.
        environment: further variables for the script.
    """
    directory = directory.resolve()
    init = directory / "init"
    release = next(iter(sorted(MODULES.iterdir())), MODULES).name
    init.write_text(
        _INIT.format(
            mounts="\n".join(_mounts(directory)),
            modules=shlex.quote(str(MODULES)),
            load="\n".join(
                f"modprobe -d /run/modules -S {release} {shlex.quote(module)}" for module in ("ipv6", *modules)
            ),
            root=shlex.quote(str(ROOT)),
            directory=shlex.quote(str(directory)),
            environment=" ".join(f"{name}={shlex.quote(value)}" for name, value in (environment or {}).items()),
            python=shlex.quote(sys.executable),
            script=shlex.quote(str(script.resolve())),
        )
    )
    init.chmod(0o755)
    console = directory / "console"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    with console.open("wb") as output:
        _run(_command(init, directory, memory, seconds), directory, output, seconds)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Outcome(
        directory=directory,
        results=_results(directory / "results"),
        console=console.read_text("utf-8", "replace"),
        ended=(directory / "ended").exists(),
        seconds=time.monotonic() - started,
        processor_seconds=(after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime),
    )


def _mounts(directory: Path) -> list[str]:
    """The root is read-only, so the directory needs a mount of its own wherever it lies."""
    hidden = [path for path in (ROOT, Path(sys.prefix)) if path.is_relative_to("/tmp") or path.is_relative_to("/run")]
    mounts = []
    for path, way in (*((path, "ro") for path in hidden), (directory, "rw")):
        place = shlex.quote(str(path))
        if path.is_relative_to("/tmp") or path.is_relative_to("/run"):
            mounts.append(f"mkdir -p {place}")
        mounts.append(f"mount -t hostfs -o {way},{place} hostfs {place}")
    return mounts


def _command(init: Path, directory: Path, memory: str, seconds: float) -> list[str]:
    """`timeout` ends it, too, should the test's own process be killed."""
    kernel = shutil.which("linux.uml") or "linux.uml"
    # a quiet kernel, whose console is our output alone; "uml_dir" keeps its control socket out of the user's home
    words = ["rootfstype=hostfs", "root=/dev/root", "rootflags=/", "ro", "quiet", "con=null", "con0=null,fd:1"]
    limit = ["timeout", "--kill-after=1", str(int(seconds + _GRACE))]
    return [*limit, kernel, f"mem={memory}", *words, f"uml_dir={directory}", f"umid={directory.name}", f"init={init}"]


def _run(command: list[str], directory: Path, output: Any, seconds: float) -> None:
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        cwd=directory,
        start_new_session=True,
    )
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    finally:
        for group in _groups(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        process.wait(_GRACE)


def _groups(session: int) -> set[int]:
    """The process groups of a session: `timeout` makes one of its own, and the kernel's processes are in it."""
    found = {session}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:
                found.add(int(fields[2]))
    return found


def _results(path: Path) -> dict[str, dict[str, Any]]:
    """A line for each scenario that ended. The last may be cut off when the kernel was killed."""
    results: dict[str, dict[str, Any]] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        with contextlib.suppress(json.JSONDecodeError):
            result = json.loads(line)
            results[result.pop("scenario")] = result
    return results
