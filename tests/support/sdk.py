"""The official Python SDK (`python-kemptech-api` 0.7.43) in a virtual environment of its own, unchanged.

Its setup.py reads `.req` of pip's internal requirement objects, which pip newer than 20.0.2 does not have; pip 20.0.2
itself is too old to install on Python 3.11. So a current pip installs it from outside (`pip --python`), without build
isolation, into an environment that holds the old build tools. That takes some 15 seconds and 170 MB (it requires its
own linters), once; the environment is kept in the cache directory for later runs.

    answer = run_sdk('''
        lm = LoadMaster(HOST, USER, PASSWORD, PORT)
        done(sorted(vs.vs for vs in lm.get_virtual_services()))
    ''', steelyard)

Two facts of the package: it is imported as `python_kemptech_api`, and it installs packages named `tests` and `bin`, so
it must never share a Python path with this project.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import venv
from pathlib import Path
from typing import Any, Protocol

SDK_REQUIREMENT = "python-kemptech-api==0.7.43"
_BUILD_REQUIREMENTS = ("pip==20.0.2", "setuptools<58", "wheel")
_MARK = "SDK-RESULT "
_PRELUDE = """\
import json as _json
import sys
from python_kemptech_api import *
from python_kemptech_api.exceptions import *
HOST, PORT, USER, PASSWORD = _json.loads(sys.argv[1])
ARGUMENTS = _json.loads(sys.argv[2])
def done(value):
    print("{mark}" + _json.dumps(value), flush=True)
"""


class SdkFailed(AssertionError):
    """The script raised, or printed no result; the message holds its output."""


class SdkUnavailable(RuntimeError):
    """The SDK could not be installed; the message holds pip's words."""


class Appliance(Protocol):
    """What `run_sdk` needs to know of a Steelyard."""

    admin_address: str
    admin_port: int
    user: str
    password: str


def _cache_directory() -> Path:
    base = os.environ.get("STEELYARD_TEST_CACHE") or os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Path(base) / "steelyard-tests" / f"kemptech-0.7.43-py{version}"


def _run_pip(python: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python), "install"]
    ran = subprocess.run([*command, "--quiet", *arguments], check=False, capture_output=True, text=True)
    if ran.returncode:
        raise SdkUnavailable(f"pip install {' '.join(arguments)} failed:\n{ran.stdout[-2000:]}{ran.stderr[-4000:]}")


def sdk_python() -> Path:
    """The interpreter of the environment, made on first use. Safe to call from several processes at once.

    Raises:
        SdkUnavailable: pip could not install it.
    """
    home = _cache_directory()
    python, complete = home / "bin" / "python", home / "complete"
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (complete.exists() and python.exists()):
            shutil.rmtree(home, ignore_errors=True)
            venv.create(home, with_pip=False)
            _run_pip(python, *_BUILD_REQUIREMENTS)
            _run_pip(python, "--no-build-isolation", SDK_REQUIREMENT)
            importing = [str(python), "-c", "import python_kemptech_api"]
            ran = subprocess.run(importing, check=False, capture_output=True, text=True, cwd="/")
            if ran.returncode:
                raise SdkUnavailable(f"the SDK does not import:\n{ran.stderr}")
            complete.touch()
    return python


def run_sdk(script: str, appliance: Appliance, *arguments: object, timeout: float = 60.0) -> Any:
    """Run a script with the SDK and return what it gave to `done`.

    The script sees everything the SDK exports, HOST, PORT, USER and PASSWORD of the appliance, its ARGUMENTS (a list),
    and `done(value)`, which it must call once with something JSON can hold. Its indentation may follow the test's.

    Raises:
        SdkFailed: it raised or gave no result.
        subprocess.TimeoutExpired: it took longer than `timeout` seconds.
    """
    target = [appliance.admin_address, appliance.admin_port, appliance.user, appliance.password]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    with tempfile.TemporaryDirectory(prefix="sdk-") as directory:
        file = Path(directory) / "script.py"
        file.write_text(_PRELUDE.format(mark=_MARK) + textwrap.dedent(script))
        ran = subprocess.run(
            [sdk_python(), file, json.dumps(target), json.dumps(arguments)],
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=directory,
            env=environment,
        )
    results = [line.removeprefix(_MARK) for line in ran.stdout.splitlines() if line.startswith(_MARK)]
    if ran.returncode or len(results) != 1:
        raise SdkFailed(
            f"exit code {ran.returncode}, {len(results)} results:\n{ran.stdout[-2000:]}{ran.stderr[-6000:]}"
        )
    return json.loads(results[0])
