"""DNS records made by programs of the operator (hooks).

A hook is started without a shell as `PROGRAM present|cleanup NAME RECORD VALUE`, with the same in its environment as
ACME_ACTION, ACME_DOMAIN, ACME_RECORD and ACME_VALUE. It gets nothing else of this process's environment but PATH, no
input, and as long as its provider allows; then it is killed with all it started. Exit code 0 is success.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
from pathlib import Path

from steelyard.model.errors import EngineRefused, HostLacks

_MOST_OUTPUT = 4096
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run_hook(directory: Path, program: str, action: str, domain: str, record: str, value: str, seconds: int) -> str:
    """The end of what the hook printed. Blocks. Raises `EngineRefused` when it fails, `HostLacks` when it is not there.

    `program` is a name without a slash, as the model holds it.
    """
    path = directory / program
    _require_usable(path)
    environment = {
        "PATH": os.environ.get("PATH", _PATH),
        "ACME_ACTION": action,
        "ACME_DOMAIN": domain,
        "ACME_RECORD": record,
        "ACME_VALUE": value,
    }
    try:
        process = subprocess.Popen(
            [str(path), action, domain, record, value],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=directory,
            start_new_session=True,
        )
    except OSError as failure:
        raise HostLacks(
            f"The hook {program} cannot be started: {failure.strerror}",
            lacks="a program that can be run",
            remedy=f"See that {path} begins with a line like #!/bin/sh that names a program there is",
        ) from failure
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as failure:
        # with what it started: the session is its own
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        output = _rest(process)
        raise EngineRefused(
            f"The hook {program} did not finish {action} for {domain} within {seconds} s and was killed",
            words=_text(output),
        ) from failure
    if process.returncode != 0:
        how = f"exit code {process.returncode}" if process.returncode > 0 else f"signal {-process.returncode}"
        raise EngineRefused(f"The hook {program} failed to {action} for {domain} ({how})", words=_text(output))
    return _text(output)


def _rest(process: subprocess.Popen[bytes]) -> bytes:
    """What a killed hook had printed; a process that left the session may still hold the pipe, so not for ever."""
    try:
        return process.communicate(timeout=1)[0]
    except subprocess.TimeoutExpired as failure:
        return failure.stdout or b""


def _require_usable(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as failure:
        raise HostLacks(
            f"There is no hook {path.name} in {path.parent}",
            lacks="the program",
            remedy=f"Put it there: install -m 700 {path.name} {path.parent}/",
        ) from failure
    if not stat.S_ISREG(mode) or not os.access(path, os.X_OK):
        raise HostLacks(
            f"The hook {path} is no program that can be run", lacks="permission", remedy=f"chmod 700 {path}"
        )
    if mode & stat.S_IWOTH:
        raise HostLacks(
            f"Anybody may write to the hook {path}, so it is not run", lacks="safety", remedy=f"chmod 700 {path}"
        )


def _text(output: bytes) -> str:
    return output[-_MOST_OUTPUT:].decode(errors="replace")
