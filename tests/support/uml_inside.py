"""What a script uses that runs inside user-mode-linux (`tests/support/uml.py`).

    from tests.support.namespaces import Lab
    from tests.support.uml_inside import scenario, sh

    lab = Lab()
    left, right = lab.host("left"), lab.host("right")

    @scenario
    def vlan() -> dict[str, object]:
        ...
        return {"received": right.ask("192.0.2.1", 80).client}

Scenarios run in the order in which they stand, in one process. What one returns is written down at once, as JSON; an
exception is written down as its traceback, and the next scenario runs. Starting programs is what costs time here, about
20 ms each; nothing has to be cleaned up, the kernel's end does that.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

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
            except Exception as failure:
                words = getattr(failure, "words", "")
                write(name, {"failure": f"{traceback.format_exc()}{words}"}, began)


if __name__ == "__main__":
    main(sys.argv[1])
