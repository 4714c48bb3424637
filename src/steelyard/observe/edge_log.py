"""Takes the edge filter's lines from HAProxy's pipe and writes the log files, in a thread of its own.

HAProxy never waits for it. While it is away, or its disk is slow, the kernel keeps about two thousand lines; what comes
then is lost, and HAProxy counts it (`DroppedLogs` of `show info`).
"""

from __future__ import annotations

import logging
import os
import select
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from steelyard.engines.pipe import open_pipe
from steelyard.observe.edge_cef import written_as_cef
from steelyard.observe.edge_events import KINDS, Kind, NameOf, read_line, written
from steelyard.observe.edge_files import EdgeFiles

log = logging.getLogger("steelyard.edge")

_AT_ONCE = 256 * 1024
_STOP_SECONDS = 10.0


class EdgeLog:
    """The reader, and the files it writes."""

    def __init__(self, pipe: Path, files: EdgeFiles) -> None:
        self.files = files
        self._pipe = pipe
        self._name_of: NameOf = lambda _: ""
        self._is_cef: Callable[[], bool] = lambda: False
        self._thread: threading.Thread | None = None
        self._ending = -1
        self._rest = b""
        self._failed = False

    def start(self, name_of: NameOf, is_cef: Callable[[], bool]) -> None:
        """Begin to read; what has come before is read too. Both functions are called in a thread of its own.

        `is_cef` says whether lines are written in the Common Event Format.
        """
        self._name_of, self._is_cef = name_of, is_cef
        end, self._ending = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, args=(end,), name="edge-log", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Read what has come and end. Nothing happens when it was not started."""
        if self._thread is not None:
            os.close(self._ending)
            self._thread.join(timeout=_STOP_SECONDS)
            self._thread = None

    def _run(self, end: int) -> None:
        try:
            self._read(end)
        except OSError:
            log.exception("the edge filter's logs are not written any more")
        finally:
            os.close(end)

    def _read(self, end: int) -> None:
        # not select(2), which knows no descriptor above 1023
        waiting = select.poll()
        waiting.register(end, select.POLLIN)
        with open_pipe(self._pipe) as pipe:
            waiting.register(pipe, select.POLLIN)
            ending = False
            while True:
                readable = {descriptor for descriptor, _ in waiting.poll(0 if ending else None)}
                ending = ending or end in readable
                if pipe in readable:
                    self._take(os.read(pipe, _AT_ONCE))
                elif ending:
                    return

    def _take(self, text: bytes) -> None:
        *lines, self._rest = (self._rest + text).split(b"\n")
        write = written_as_cef if self._is_cef() else written
        found: Mapping[Kind, list[str]] = {kind: [] for kind in KINDS}
        for line in lines:
            event = read_line(line.decode("latin-1"))
            if event is None:
                continue
            shown = None
            for kind in event.kinds:
                shown = shown or write(event, self._name_of(event.service))
                found[kind].append(shown)
        for kind, entries in found.items():
            if entries:
                self._write(kind, entries)

    def _write(self, kind: Kind, entries: list[str]) -> None:
        try:
            self.files.append(kind, entries)
            self._failed = False
        except OSError as failure:
            # said once: the disk may stay full for long, and each line is another failure
            if not self._failed:
                log.error("the edge filter's %s log cannot be written, its events are lost: %s", kind, failure.strerror)
            self._failed = True
