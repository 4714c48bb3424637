"""What a script uses that runs inside user-mode-linux (`tests/support/uml.py`).

    from tests.support.uml_inside import namespace, scenario, sh

    @scenario
    def vlan() -> dict[str, object]:
        sh("ip netns add left")
        with namespace("left"):
            listener = socket.create_server(("::", 80))
        return {"port": listener.getsockname()[1]}

Scenarios run in the order in which they stand, in one process and thread. What one returns is written down at once, as
JSON; an exception is written down as its traceback, and the next scenario runs. A socket stays in the namespace it was
made in, so one thread can speak for every host of a test; starting programs is what costs time here (about 20 ms each).
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_scenarios: list[tuple[str, Callable[[], Any]]] = []
Scenario = TypeVar("Scenario", bound=Callable[[], Any])


def scenario(function: Scenario) -> Scenario:
    """Have this function run, under its name."""
    _scenarios.append((function.__name__, function))
    return function


def directory() -> Path:
    """The one place on the host that can be written to."""
    return Path(os.environ["STEELYARD_UML"])


def sh(command: str, *, check: bool = True, seconds: float = 30.0) -> str:
    """Run a shell command; its output. Raises `RuntimeError` with the output when it fails."""
    ran = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=seconds, check=False)
    if check and ran.returncode:
        raise RuntimeError(f"{command!r} ended with {ran.returncode}: {ran.stdout}{ran.stderr}")
    return ran.stdout


@contextlib.contextmanager
def namespace(name: str) -> Iterator[None]:
    """Be in a network namespace (`ip netns add`) meanwhile: this thread, and what it opens and starts."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        _enter(there)
        yield
    finally:
        _enter(home)
        os.close(home)
        os.close(there)


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def wait_until(true: Callable[[], Any], seconds: float = 5.0, *, what: str = "") -> Any:
    """Ask until the answer is true; that answer. Raises `TimeoutError`."""
    deadline = time.monotonic() + seconds
    while not (answer := true()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {what or true}")
        time.sleep(0.01)
    return answer


def main(path: str) -> None:
    """Run the scenarios of a script, one after the other."""
    # the script imports this module by its name, which is another one than the one that runs
    from tests.support import uml_inside

    with (directory() / "results").open("a") as results:

        def write(name: str, outcome: dict[str, Any], started: float) -> None:
            line = {"scenario": name, **outcome, "seconds": round(time.monotonic() - started, 3)}
            results.write(json.dumps(line, default=str) + "\n")
            results.flush()
            os.fsync(results.fileno())

        began = time.monotonic()
        try:
            specification = importlib.util.spec_from_file_location(Path(path).stem, path)
            assert specification is not None and specification.loader is not None
            module = importlib.util.module_from_spec(specification)
            sys.modules[specification.name] = module
            specification.loader.exec_module(module)
            write("script", {"value": "loaded"}, began)
        except Exception:
            write("script", {"failure": traceback.format_exc()}, began)
            return
        for name, function in uml_inside._scenarios:
            began = time.monotonic()
            try:
                write(name, {"value": function()}, began)
            except Exception:
                write(name, {"failure": traceback.format_exc()}, began)


if __name__ == "__main__":
    main(sys.argv[1])
