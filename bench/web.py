"""The web interface with 1,000 services of 10 real servers, in a real Chromium on the same machine.

First paint: what Chromium itself says (`first-contentful-paint`) of pages that are opened anew. An update is timed in
the page, from the moment its event comes until the frame with it is painted. So that one update changes every value
and nothing else goes on meanwhile, the stream is held back while all real servers fail (or come back) and all clients
go (or come), and let through when that has settled: what comes is what Steelyard sends a page that was asleep. Rows out
of view may come after that first frame; how long they take, and how long the page was busy, are figures of their own.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from playwright.sync_api import Page
from tests.browser.rig import Rig
from tests.support.ports import free_port
from tests.support.steelyard_process import SteelyardProcess

from bench.cpu import cpu_seconds
from bench.in_force import wait_until_in_force
from bench.large import SERVERS, SERVICES, service, service_address
from bench.machine import haproxies, say
from bench.report import Findings, Table, percentile
from bench.scale import real_servers

_STREAM = "**/live/**"
#: one round of checks of 10,000 servers takes that long, so that checking competes little with what is measured
_CHECK_SECONDS = 30
_SETTLED_SECONDS = 240.0
_PATIENCE_SECONDS = 60.0
#: updates in a row while all services have traffic
_IN_A_ROW = 10
#: runs before the page's own scripts: notes each update, when it is painted, and for how long the page was busy
_WATCH = """
window.updates = [];
window.busy = [];
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) window.busy.push(one.duration);
}).observe({ type: "longtask" });
const Plain = window.EventSource;
window.EventSource = class extends Plain {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", (event) => {
      const began = performance.now();
      const painted = new MessageChannel();
      painted.port1.onmessage = () => {
        const took = performance.now() - began;
        const values = JSON.parse(event.data).reduce((all, group) => all + group.length - 1, 0);
        const scripts = Number(document.body.dataset.liveTook);
        window.updates.push({ began, took, scripts, values, bytes: event.data.length });
      };
      requestAnimationFrame(() => painted.port2.postMessage(null));
    });
  }
};
"""


@dataclass(frozen=True)
class Effort:
    """How often each is done."""

    loads: int
    flips: int


FULL = Effort(loads=15, flips=6)
QUICK = Effort(loads=5, flips=2)


def web(*, quick: bool) -> list[Table]:
    """One table: how pages open, and what updates cost."""
    effort = QUICK if quick else FULL
    findings = Findings(f"Web interface: {SERVICES:,} services x {SERVERS} real servers in Chromium")
    with _scene() as (steelyard, servers, clients):
        _settled(steelyard, up=True)
        with Rig(steelyard) as rig:
            say("web: first paint")
            for path, what in (("/", "Home"), ("/virtual-services", "list of services"), ("/map", "map")):
                _first_paint(findings, rig, path, what, effort.loads)
            for rows in (60, SERVICES):
                say(f"web: updates with {rows:,} rows shown")
                _updates(findings, rig, servers, clients, rows, effort.flips)
            _traffic(findings, rig, clients)
    findings.notes.append(
        f"Browser and Steelyard share the machine. {effort.loads} loads and {effort.flips} updates of each kind; one of"
        " all values is of all states and counters at once."
    )
    return [findings.table()]


@contextlib.contextmanager
def _scene() -> Iterator[tuple[SteelyardProcess, _Servers, _Clients]]:
    """Steelyard with its services, the real servers, and a client of each service."""
    with contextlib.ExitStack() as stack:
        servers = stack.enter_context(_Servers())
        steelyard = stack.enter_context(SteelyardProcess(haproxy=haproxies()[0].path))
        port = free_port()
        say("web: declaring the services")
        _declare(steelyard, port, servers.port)
        clients = _Clients(port)
        stack.callback(clients.end)
        yield steelyard, servers, clients


def _declare(steelyard: SteelyardProcess, port: int, server_port: int) -> None:
    services = [
        {**service(number, port, server_port), "check_type": "tcp", "persistence": "none"} for number in range(SERVICES)
    ]
    parameters = {"checks": {"interval": _CHECK_SECONDS}}
    answer = steelyard.native.put("/configuration", json={"services": services, "parameters": parameters})
    if answer.status_code != 200:
        raise RuntimeError(f"the configuration was refused: {answer.text[:500]}")
    wait_until_in_force(steelyard)


def _first_paint(findings: Findings, rig: Rig, path: str, what: str, loads: int) -> None:
    painted, ready = [], []
    for _ in range(loads):
        with rig.screen() as screen:
            page = screen.open(path)
            _until(page, "performance.getEntriesByName('first-contentful-paint').length > 0")
            painted.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
            ready.append(page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"))
    detail = f" (most {max(painted):.0f}; ready {percentile(ready, 0.5):.0f})"
    findings.below(f"{what}, first paint", percentile(painted, 0.5), 1000, "ms", detail)


def _updates(findings: Findings, rig: Rig, servers: _Servers, clients: _Clients, rows: int, flips: int) -> None:
    told: list[dict[str, Any]] = []
    for flip in range(flips):
        with rig.screen() as screen:
            page = screen.page
            page.add_init_script(_WATCH)
            page.route(_STREAM, lambda route: route.abort())
            screen.open(f"/virtual-services?rows={rows}")
            _until(page, f"document.querySelectorAll('#rows > tr:not(.more)').length >= {rows}")
            if flip % 2:
                servers.come()
                _settled(rig.steelyard, up=True)
                clients.come()
            else:
                clients.go()
                servers.go()
                _settled(rig.steelyard, up=False)
            page.evaluate("window.busy = []")
            page.unroute(_STREAM)
            told.append(_next(page))
    middle = {name: percentile([one[name] for one in told], 0.5) for name in ("took", "scripts", "rest", "busy")}
    most, least, size = max(one["took"] for one in told), min(one["values"] for one in told), told[0]["bytes"]
    detail = f" (most {most:.0f}; scripts {middle['scripts']:.0f}; {least:,} values or more, {size / 1e6:.1f} MB)"
    findings.below(f"update of all values, {rows:,} rows drawn", middle["took"], 100, "ms", detail)
    if rows == SERVICES:
        detail = f"{middle['rest']:.0f} ms, busy for {middle['busy']:.0f} ms at most"
        findings.figure(f"until all {rows:,} rows have it, those out of view too", detail)


def _next(page: Page) -> dict[str, Any]:
    """The first update the page gets, and when the last row has it."""
    _until(page, "window.updates.length > 0")
    _until(page, "document.body.dataset.liveWaiting === '0'")
    found: dict[str, Any] = page.evaluate(
        "({...window.updates[0], rest: performance.now() - window.updates[0].began, busy: Math.max(0, ...window.busy)})"
    )
    return found


def _until(page: Page, holds: str) -> None:
    """Wait for an expression; the pages allow no `eval`, which Playwright's own waiting needs."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not page.evaluate(holds):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{page.url}: {holds} never holds")
        page.wait_for_timeout(20)


def _settled(steelyard: SteelyardProcess, *, up: bool) -> None:
    """Every real server has its new state."""
    wanted, deadline = "Up" if up else "Down", time.monotonic() + _SETTLED_SECONDS
    while True:
        services = steelyard.native.get("/status").json()["services"]
        others = sum(one["status"] != wanted for each in services for one in each["servers"])
        if not others:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"{others} real servers are not {wanted}")
        time.sleep(1)


def _traffic(findings: Findings, rig: Rig, clients: _Clients) -> None:
    """Updates while every service has traffic, and what they cost the control plane."""
    clients.come()
    with rig.screen() as screen:
        page = screen.page
        page.add_init_script(_WATCH)
        screen.open("/virtual-services")
        _until(page, "window.updates.length > 1")
        count: int = page.evaluate("window.updates.length")
        before, began = cpu_seconds([rig.steelyard.pid]), time.monotonic()
        _until(page, f"window.updates.length >= {count + _IN_A_ROW}")
        spent, took = cpu_seconds([rig.steelyard.pid]) - before, time.monotonic() - began
        updates = page.evaluate(f"window.updates.slice({count}, {count + _IN_A_ROW})")
    before = cpu_seconds([rig.steelyard.pid])
    time.sleep(took)
    idle = cpu_seconds([rig.steelyard.pid]) - before
    each, values = percentile([one["took"] for one in updates], 0.5), max(one["values"] for one in updates)
    findings.below("update while all services have traffic", each, 100, "ms", f" ({values:,} values)")
    findings.figure(
        "CPU of the control plane for an update, one every two seconds", f"{(spent - idle) / _IN_A_ROW * 1000:.0f} ms"
    )


class _Servers:
    """All real servers: one port of every loopback address, which can be closed."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self.port = free_port()

    def __enter__(self) -> Self:
        self.come()
        return self

    def __exit__(self, *_: object) -> None:
        self.go()

    def come(self) -> None:
        """They accept connections."""
        self._stack.enter_context(real_servers(self.port))

    def go(self) -> None:
        """They refuse connections."""
        self._stack.close()


class _Clients:
    """One client of every service: while it is there it has a connection and asks something now and then."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._here, self._all, self._end = threading.Event(), threading.Event(), threading.Event()
        self._kept: dict[int, socket.socket] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def come(self) -> None:
        """Return when every service has had a request."""
        self._all.clear()
        self._here.set()
        if not self._all.wait(60):
            raise RuntimeError("the clients of the services get no answer")

    def go(self) -> None:
        """Their connections end."""
        self._here.clear()

    def end(self) -> None:
        """There are no more clients."""
        self._end.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._end.wait(0.5):
            if self._here.is_set():
                for number in range(SERVICES):
                    self._ask(number)
                if len(self._kept) == SERVICES:
                    self._all.set()
            else:
                self._close()
        self._close()

    def _ask(self, number: int) -> None:
        """One request; a connection that is lost is made anew in the next round."""
        try:
            client = self._kept.get(number) or socket.create_connection((service_address(number), self._port), 5)
            self._kept[number] = client
            client.settimeout(5)
            client.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
            answered = client.recv(1024).startswith(b"HTTP/1.1 200")
        except OSError:
            answered = False
        if not answered and number in self._kept:
            self._kept.pop(number).close()

    def _close(self) -> None:
        for client in self._kept.values():
            client.close()
        self._kept.clear()
