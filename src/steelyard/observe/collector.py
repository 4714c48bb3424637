"""Traffic counters from HAProxy's statistics (`show stat`, management guide of 2.6, section 9.1).

Each new worker counts from zero. Counters are kept growing: when one falls, what was reached is added to its base.
What an old worker still carries after a reload is not counted.

A real server counts in every backend that has it. A sub-service has no frontend of clients, so what its backends got
is what it carried, whichever way its parent reached it; a slot shows the same.

A large configuration is mostly idle and is read every few seconds: what has counted nothing costs one look at its line.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from steelyard.engines.haproxy.runtime import ask, batches
from steelyard.engines.layer4.contract import ServiceTraffic
from steelyard.model.configuration import Configuration
from steelyard.model.errors import EngineRefused
from steelyard.observe.limit_counters import SHOW as SHOW_LIMITS
from steelyard.observe.limit_counters import LimitCounters, limit_rows, with_limits
from steelyard.observe.limited_clients import SHOW as SHOW_LIMITED
from steelyard.observe.limited_clients import LimitedClient, marked_clients, unmark
from steelyard.observe.statistics import Statistics, TrafficCounters
from steelyard.plan.haproxy import PEERS, service_key, table_name

log = logging.getLogger("steelyard.collector")

_FRESH_SECONDS = 1.0
_PERIOD_SECONDS = 5.0
_TLS_RATE = re.compile(r"^SslRate: (\d+)$", re.MULTILINE)
_MOST_RECORDS = 20_000
#: all proxies, but only their frontends (1) and servers (4); the row of a backend (2) is read for sub-services alone
_SHOW = "show stat -1 5 -1"
_SHOW_WITH_BACKENDS = "show stat -1 7 -1"
_BACKEND = "BACKEND"
_ROWS_AT_ONCE = 1000
_TABLE = re.compile(rf"^# table: {PEERS}/(\S+),.* used:(\d+)", re.MULTILINE)
_RECORD = re.compile(r" server_key=(\S+)")

#: what has carried nothing, and has no records; one value for all of them
_NOTHING = TrafficCounters()


class _Row(NamedTuple):
    """A row of `show stat`: connections now, then what is counted. The names are HAProxy's, but for that of packets."""

    scur: int = 0
    stot: int = 0
    bin: int = 0
    bout: int = 0
    req_tot: int = 0
    packets: int = 0

    def after(self, base: _Row) -> _Row:
        """This row with what was counted before."""
        return _Row(self.scur, *(now + before for now, before in zip(self[1:], base[1:], strict=True)))

    def with_other(self, other: _Row) -> _Row:
        """Both together."""
        return _Row(*(one + two for one, two in zip(self, other, strict=True)))


_IDLE = _Row()
#: the columns of HAProxy's that are read
_COLUMNS = ("scur", "stot", "bin", "bout", "req_tot")

#: asks for the counters of layer-4 services
AskKernel = Callable[[], Awaitable[Mapping[str, ServiceTraffic]]]


async def _nothing_there() -> Mapping[str, ServiceTraffic]:
    return {}


class Collector:
    """Samples HAProxy, at most once a second for callers and every five seconds by itself, so that rates are known."""

    def __init__(self, socket: Path, proc: Path = Path("/proc"), kernel: AskKernel = _nothing_there) -> None:
        self._socket = socket
        self._kernel = kernel
        self._proc = proc
        self._base: dict[str, _Row] = {}
        self._last: dict[str, _Row] = {}
        self._before: tuple[float, dict[str, _Row]] | None = None
        self._sample: Statistics | None = None
        self._show = _SHOW
        self._limits = LimitCounters()
        self._from_kernel: Mapping[str, ServiceTraffic] = {}
        self._lock = asyncio.Lock()

    def boot_time(self) -> float:
        """When the machine was started, in seconds since the epoch."""
        found = re.search(r"^btime (\d+)$", (self._proc / "stat").read_text(), re.MULTILINE)
        return float(found[1]) if found is not None else 0.0

    async def run(self, configuration: Callable[[], Configuration]) -> None:
        """Sample for ever, so that rates are known when they are asked for."""
        while True:
            with contextlib.suppress(EngineRefused):
                await self.sample(configuration())
            await asyncio.sleep(_PERIOD_SECONDS)

    async def before_reload(self) -> None:
        """Take in what a worker has counted before it is replaced."""
        with contextlib.suppress(EngineRefused):
            async with self._lock:
                self._grow(await _rows(await ask(self._socket, self._show)) | _kernel_rows(self._from_kernel))
                self._limits.grow(limit_rows(await ask(self._socket, SHOW_LIMITS)))

    async def sample(self, configuration: Configuration) -> Statistics:
        """Counters at most a second old. Raises `EngineRefused` when HAProxy does not answer."""
        async with self._lock:
            now = time.time()
            if self._sample is not None and now - self._sample.at < _FRESH_SECONDS:
                return self._sample
            has_subs = any(service.is_sub for service in configuration.services.values())
            self._show = _SHOW_WITH_BACKENDS if has_subs else _SHOW
            kernel = await self._carried_by_kernel()
            totals = self._grow(await _rows(await ask(self._socket, self._show)) | _kernel_rows(kernel))
            info = _TLS_RATE.search(await ask(self._socket, "show info"))
            records = await self._records() | _kernel_records(kernel)
            limits = self._limits.grow(limit_rows(await ask(self._socket, SHOW_LIMITS)))
            at, earlier = self._before or (now, totals)
            period = max(now - at, 0.001)
            if self._before is None or period >= _PERIOD_SECONDS / 2:
                self._before = (now, totals)
            found = _statistics(configuration, totals, earlier, records, now, period, int(info[1]) if info else 0)
            self._sample = with_limits(found, limits, configuration)
            return self._sample

    async def limited_clients(self) -> tuple[LimitedClient, ...]:
        """The clients that limits have refused since this was asked last.

        Raises `EngineRefused` when HAProxy does not answer.
        """
        found = marked_clients(await ask(self._socket, SHOW_LIMITED))
        for line in batches(unmark(found)):
            await ask(self._socket, line)
        return found

    def _grow(self, rows: dict[str, _Row]) -> dict[str, _Row]:
        """Take in the rows of the present worker; gives everything that was ever counted."""
        for key, last in self._last.items():
            row = rows.get(key, _IDLE)
            if any(now < before for now, before in zip(row[1:], last[1:], strict=True)):
                fallen = (before if now < before else 0 for now, before in zip(row[1:], last[1:], strict=True))
                self._base[key] = _Row(0, *fallen).after(self._base.get(key, _IDLE))
        self._last = rows
        return {key: rows.get(key, _IDLE).after(self._base.get(key, _IDLE)) for key in self._base.keys() | rows.keys()}

    async def _carried_by_kernel(self) -> Mapping[str, ServiceTraffic]:
        try:
            self._from_kernel = await self._kernel()
        except EngineRefused as refusal:
            # the figures of before stand until it answers again; its absence is said elsewhere
            log.info("no counters of layer 4 of this moment: %s", refusal.message)
        return self._from_kernel

    async def _records(self) -> dict[str, int]:
        """Persistence records by "service/server", for tables small enough to be counted."""
        counts: dict[str, int] = {}
        for name, used in _TABLE.findall(await ask(self._socket, "show table")):
            if not name.startswith("vs") or not 0 < int(used) <= _MOST_RECORDS:
                continue
            for server in _RECORD.findall(await ask(self._socket, f"show table {table_name(name)}")):
                target = f"{service_key(name)}/{server}"
                counts[target] = counts.get(target, 0) + 1
        return counts


def _kernel_rows(kernel: Mapping[str, ServiceTraffic]) -> dict[str, _Row]:
    """What layer-4 services and their servers have counted, under the names that HAProxy's rows have."""
    found = {}
    for key, service in kernel.items():
        for name, one in ((key, service.whole), *((f"{key}/{each}", of) for each, of in service.servers.items())):
            row = _Row(
                *(one.active, one.connections, one.bytes_in, one.bytes_out),
                packets=one.packets_in + one.packets_out,
            )
            if any(row):
                found[name] = row
    return found


def _kernel_records(kernel: Mapping[str, ServiceTraffic]) -> dict[str, int]:
    return {
        f"{key}/{server}": one.records
        for key, service in kernel.items()
        for server, one in service.servers.items()
        if one.records
    }


async def _rows(text: str) -> dict[str, _Row]:
    """What frontends ("vs1"), servers ("vs1/rs2") and backends ("vs1/BACKEND") have counted, if they have.

    Backends of one service, and its servers in them, are added up.

    Ten thousand rows take some hundredths of a second; other work goes on in between.
    """
    header, *lines = text.lstrip("# ").splitlines() or [""]
    names = header.split(",")
    if not {"pxname", "svname", *_COLUMNS} <= set(names):
        return {}
    px, sv, *columns = (names.index(name) for name in ("pxname", "svname", *_COLUMNS))
    # free text, which may hold commas, comes after all of these
    most = max(px, sv, *columns) + 1
    found: dict[str, _Row] = {}
    for number, line in enumerate(lines):
        if number % _ROWS_AT_ONCE == 0:
            await asyncio.sleep(0)
        words = line.split(",", most)
        if len(words) <= most:
            continue
        row = _Row(*(int(words[column] or 0) for column in columns))
        if any(row):
            key = words[px] if words[sv] == "FRONTEND" else f"{service_key(words[px])}/{words[sv]}"
            found[key] = row.with_other(found[key]) if key in found else row
    return found


def _statistics(
    configuration: Configuration,
    totals: Mapping[str, _Row],
    earlier: Mapping[str, _Row],
    records: Mapping[str, int],
    now: float,
    period: float,
    tls_rate: int,
) -> Statistics:
    def counters(key: str) -> TrafficCounters:
        total, entries = totals.get(key), records.get(key, 0)
        if total is None:
            return TrafficCounters(persistence_entries=entries) if entries else _NOTHING
        before = earlier.get(key, _IDLE)
        return TrafficCounters(
            active_connections=total.scur,
            total_connections=total.stot,
            bytes_in=total.bin,
            bytes_out=total.bout,
            connections_per_second=round((total.stot - before.stot) / period),
            bytes_per_second=round((total.bin + total.bout - before.bin - before.bout) / period),
            requests=total.req_tot,
            persistence_entries=entries,
            packets=total.packets,
            packets_per_second=round((total.packets - before.packets) / period),
        )

    services = {
        service.index: counters(f"{service.engine_name}/{_BACKEND}" if service.is_sub else service.engine_name)
        for service in configuration.services.values()
    }
    servers = {
        (service.index, server.index): counters(f"{service.engine_name}/{server.engine_name}")
        for service in configuration.services.values()
        for server in service.servers
    }
    for service in configuration.services.values():
        for slot in service.slots:
            entries = records.get(f"{service.engine_name}/{slot.engine_name}", 0)
            servers[service.index, slot.index] = replace(services[slot.service], persistence_entries=entries)
    return Statistics(at=now, period=period, services=services, servers=servers, tls_per_second=tls_rate)
