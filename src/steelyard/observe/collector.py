"""Traffic counters from HAProxy's statistics (`show stat`, management guide of 2.6, section 9.1).

Each new worker counts from zero. Counters are kept growing: when one falls, what was reached is added to its base.
What an old worker still carries after a reload is not counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from steelyard.engines.haproxy.runtime import ask
from steelyard.model.configuration import Configuration
from steelyard.model.errors import EngineRefused
from steelyard.observe.statistics import Statistics, TrafficCounters

_FRESH_SECONDS = 1.0
_PERIOD_SECONDS = 5.0
_TLS_RATE = re.compile(r"^SslRate: (\d+)$", re.MULTILINE)
_COUNTED = ("stot", "bin", "bout", "req_tot")
_MOST_RECORDS = 20_000
_ROWS_AT_ONCE = 200
_TABLE = re.compile(r"^# table: (\S+),.* used:(\d+)", re.MULTILINE)
_RECORD = re.compile(r" server_key=(\S+)")

_Row = Mapping[str, int]


class Collector:
    """Samples HAProxy, at most once a second for callers and every five seconds by itself, so that rates are known."""

    def __init__(self, socket: Path, proc: Path = Path("/proc")) -> None:
        self._socket = socket
        self._proc = proc
        self._base: dict[str, dict[str, int]] = {}
        self._last: dict[str, dict[str, int]] = {}
        self._before: tuple[float, dict[str, dict[str, int]]] | None = None
        self._sample: Statistics | None = None
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
                rows = await _rows(await ask(self._socket, "show stat"))
                for key, row in rows.items():
                    self._grown(key, row)

    async def sample(self, configuration: Configuration) -> Statistics:
        """Counters at most a second old. Raises `EngineRefused` when HAProxy does not answer."""
        async with self._lock:
            now = time.time()
            if self._sample is not None and now - self._sample.at < _FRESH_SECONDS:
                return self._sample
            rows = await _rows(await ask(self._socket, "show stat"))
            totals = {key: self._grown(key, row) for key, row in rows.items()}
            info = _TLS_RATE.search(await ask(self._socket, "show info"))
            records = await self._records()
            at, earlier = self._before or (now, totals)
            period = max(now - at, 0.001)
            if self._before is None or period >= _PERIOD_SECONDS / 2:
                self._before = (now, totals)
            self._sample = _statistics(
                configuration, rows, totals, earlier, records, now, period, int(info[1]) if info else 0
            )
            return self._sample

    def _grown(self, key: str, row: _Row) -> dict[str, int]:
        last = self._last.setdefault(key, dict.fromkeys(_COUNTED, 0))
        base = self._base.setdefault(key, dict.fromkeys(_COUNTED, 0))
        for name in _COUNTED:
            if row[name] < last[name]:
                base[name] += last[name]
            last[name] = row[name]
        return {name: base[name] + last[name] for name in _COUNTED}

    async def _records(self) -> dict[str, int]:
        """Persistence records by "service/server", for tables small enough to be counted."""
        counts: dict[str, int] = {}
        for name, used in _TABLE.findall(await ask(self._socket, "show table")):
            if not name.startswith("vs") or not 0 < int(used) <= _MOST_RECORDS:
                continue
            for server in _RECORD.findall(await ask(self._socket, f"show table {name}")):
                counts[f"{name}/{server}"] = counts.get(f"{name}/{server}", 0) + 1
        return counts


async def _rows(text: str) -> dict[str, dict[str, int]]:
    """The rows of frontends ("vs1") and servers ("vs1/rs2") with the columns that are used.

    Ten thousand rows take a tenth of a second; other work goes on in between.
    """
    reader = csv.reader(text.lstrip("# ").splitlines())
    header = next(reader, [])
    at = {name: header.index(name) for name in ("pxname", "svname", "scur", *_COUNTED) if name in header}
    found: dict[str, dict[str, int]] = {}
    if len(at) != len(_COUNTED) + 3:
        return found
    for number, row in enumerate(reader):
        if number % _ROWS_AT_ONCE == 0:
            await asyncio.sleep(0)
        if len(row) < len(header) - 1 or row[at["svname"]] == "BACKEND":
            continue
        name = row[at["pxname"]]
        key = name if row[at["svname"]] == "FRONTEND" else f"{name}/{row[at['svname']]}"
        found[key] = {column: int(row[at[column]] or 0) for column in ("scur", *_COUNTED)}
    return found


def _statistics(
    configuration: Configuration,
    rows: Mapping[str, _Row],
    totals: Mapping[str, _Row],
    earlier: Mapping[str, _Row],
    records: Mapping[str, int],
    now: float,
    period: float,
    tls_rate: int,
) -> Statistics:
    def counters(key: str) -> TrafficCounters:
        row, total = rows.get(key), totals.get(key)
        if row is None or total is None:
            return TrafficCounters(persistence_entries=records.get(key, 0))
        before = earlier.get(key, total)
        moved = total["bin"] + total["bout"] - before["bin"] - before["bout"]
        return TrafficCounters(
            active_connections=row["scur"],
            total_connections=total["stot"],
            bytes_in=total["bin"],
            bytes_out=total["bout"],
            connections_per_second=round((total["stot"] - before["stot"]) / period),
            bytes_per_second=round(moved / period),
            requests=total["req_tot"],
            persistence_entries=records.get(key, 0),
        )

    services = {service.index: counters(service.engine_name) for service in configuration.services.values()}
    servers = {
        (service.index, server.index): counters(f"{service.engine_name}/{server.engine_name}")
        for service in configuration.services.values()
        for server in service.servers
    }
    return Statistics(at=now, period=period, services=services, servers=servers, tls_per_second=tls_rate)
