"""Traffic that keeps flowing while a test changes things, counted exactly.

    with Load("http1", "127.0.0.1", port) as load:
        change_something()
        load.wait_for_more(100)
    load.result().assert_clean()

The generator is a process of its own (see `load_worker`), so neither the test's thread nor its pauses disturb it.
Its kinds:
    http1       keep-alive connections            https1       the same over TLS
    http1-new   a new connection each request     https1-new   the same over TLS
    h2          HTTP/2 over TLS, `streams` requests at once on each connection
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.support.load_worker.settings import Kind, Settings

_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Result:
    """What a run counted."""

    requests: int
    failed: int
    reasons: dict[str, int]
    """Failures by reason."""
    failures: list[tuple[float, str]]
    """The first 200 failures: seconds since the start, reason."""
    servers: dict[str, int]
    """Successes by the name in the answer; `?` when the answer named nobody."""
    reconnects: int
    """Connections reopened because the server had closed an idle one or sent GOAWAY; leaving after `Connection: close`
    is not counted. Not failures."""
    retried: int
    """HTTP/2 streams the server said it had not processed, sent again. Not failures."""
    p50_ms: float
    p99_ms: float
    longest_gap: float
    """Seconds between two successes, the start and the end of the run counting as such."""
    seconds: float

    def assert_clean(self, *, at_least: int = 1) -> None:
        """Assert that at least so many requests were made and none failed."""
        assert self.failed == 0, f"{self.failed} of {self.requests} requests failed: {self.reasons}; {self.failures}"
        assert self.requests >= at_least, f"only {self.requests} requests were made, {at_least} were needed"


class Load:
    """A load run. It starts on entering the context, which waits for the first finished request.

    Args:
        workers: connections at a time.
        streams: requests at a time on each HTTP/2 connection.
        sni: name in the TLS hello, and the Host header unless `host` says otherwise.
        sources: client addresses, given to the workers in turn.
        pause: seconds a worker rests after a request; the default leaves the CPU to what is being tested.
        expect: statuses that are successes.
    """

    def __init__(
        self,
        kind: Kind,
        address: str,
        port: int,
        *,
        workers: int = 4,
        streams: int = 4,
        sni: str | None = None,
        host: str | None = None,
        path: str = "/",
        headers: tuple[tuple[str, str], ...] = (),
        sources: tuple[str, ...] = (),
        pause: float = 0.005,
        timeout: float = 10.0,
        expect: tuple[int, ...] = (200,),
    ) -> None:
        self._settings = Settings(
            kind, address, port, workers, streams, sni, host, path, headers, sources, pause, timeout, expect
        )
        self._process: subprocess.Popen[str] | None = None
        self._news = threading.Condition()
        self._latest: dict[str, Any] = {"requests": 0, "failed": 0, "servers": {}}
        self._ended = False
        self._result: Result | None = None

    def __enter__(self) -> Self:
        environment = os.environ | {"PYTHONPATH": str(_ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.load_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(dataclasses.asdict(self._settings)) + "\n")
        self._process.stdin.flush()
        threading.Thread(target=self._listen, name="load-reports", daemon=True).start()
        try:
            self.wait_for_more(1, timeout=self._settings.timeout + 10)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def requests(self) -> int:
        """Requests finished so far, failed ones included (as of the last tenth of a second)."""
        return int(self._latest["requests"])

    @property
    def failed(self) -> int:
        return int(self._latest["failed"])

    @property
    def servers(self) -> dict[str, int]:
        """Successes so far by server name."""
        return dict(self._latest["servers"])

    def wait_for_more(self, count: int, timeout: float = 15.0) -> None:
        """Wait until `count` more requests have finished than had when this was called.

        Raises:
            TimeoutError: they did not finish in time.
            RuntimeError: the generator itself ended.
        """
        with self._news:
            goal = self.requests + count
            reached = self._news.wait_for(lambda: self.requests >= goal or self._ended, timeout)
            if self.requests >= goal:
                return
            if reached:
                raise RuntimeError("the load generator ended before its time; its standard error says why")
            raise TimeoutError(f"{self.requests} of {goal} requests finished within {timeout} s: {self._latest}")

    def stop(self) -> Result | None:
        """End the run: requests in flight finish first. None when the generator broke down."""
        process = self._process
        if process is not None:
            self._process = None
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(self._settings.timeout + 5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            with self._news:
                self._news.wait_for(lambda: self._ended, 5)
            if "p50_ms" in self._latest:
                failures = [(at, reason) for at, reason in self._latest["failures"]]
                self._result = Result(**(self._latest | {"failures": failures}))
        return self._result

    def result(self) -> Result:
        """What the run counted; ends it if it still runs.

        Raises:
            RuntimeError: the generator broke down, its standard error says why.
        """
        result = self.stop()
        if result is None:
            raise RuntimeError("the load generator gave no result; its standard error says why")
        return result

    def _listen(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                with self._news:
                    self._latest = json.loads(line)
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()
