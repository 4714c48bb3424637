"""The checking process as a child of the control plane."""

from __future__ import annotations

from pathlib import Path

from steelyard.engines.own_process import OwnProcess

_PROGRAM = "steelyard.health.main"


class HealthProcess(OwnProcess):
    """Starts, adopts, watches and ends `steelyard-health`."""

    def __init__(
        self,
        *,
        socket: Path,
        worker: Path,
        master: Path,
        directory: Path,
        engine: Path,
        pid_file: Path,
        log: Path,
        netd: Path | None = None,
    ) -> None:
        super().__init__(
            "steelyard-health",
            _PROGRAM,
            [
                "--socket",
                str(socket),
                "--haproxy-socket",
                str(worker),
                "--master-socket",
                str(master),
                "--directory",
                str(directory),
                "--engine",
                str(engine),
                *([] if netd is None else ["--netd-socket", str(netd)]),
            ],
            directory=directory,
            pid_file=pid_file,
            log=log,
        )
