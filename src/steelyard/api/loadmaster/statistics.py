"""The command `stats` (`reference/loadmaster-api/07`).

Spellings differ from other records: `ActivConns`, `RSIndex`, `VSProt`.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from steelyard.api.loadmaster.answers import ABSENT, Answer, Data, PerVersion, Record, Value
from steelyard.api.loadmaster.call import Call, Entry
from steelyard.model.errors import EngineRefused
from steelyard.model.real_server import RealServer
from steelyard.model.slot import Slot
from steelyard.model.virtual_service import VirtualService
from steelyard.observe.host_figures import CpuShares, HostFigures, Interface, Memory, Partition
from steelyard.observe.statistics import Statistics, TrafficCounters
from steelyard.observe.status import ServiceState

_KILO = 1024
_GIGA = 1024**3


async def stats(call: Call) -> Answer:
    """Counters and rates of services and real servers, and the figures of the host."""
    sample = await call.appliance.statistics()
    configuration, states = call.configuration, call.appliance.states()
    services = configuration.services.values()
    top = [sample.services.get(s.index, TrafficCounters()) for s in services if not s.is_sub]
    host = call.host.read()
    weights = await _weights(call)
    members: dict[str, Value] = {
        "CPU": _cpu(host),
        "Memory": _memory(host.memory),
        "Network": _network(host),
        "DiskUsage": {"partition": tuple(_partition(partition) for partition in host.partitions)},
        "ClientLimits": _client_limits(sample),
        "VStotals": _totals(top),
        "Vs": tuple(
            _service(s, states.get(s.index), sample.services.get(s.index, TrafficCounters())) for s in services
        ),
        "Rs": tuple(
            _server(s, r, sample.servers.get((s.index, r.index), TrafficCounters())) | weights.get(r.index, {})
            for s in services
            for r in s.servers
        ),
        "SubVS": tuple(
            _slot(s, slot, sample.servers.get((s.index, slot.index), TrafficCounters())) | weights.get(slot.index, {})
            for s in services
            for slot in s.slots
        )
        or ABSENT,
        "TPS": {
            "Total": sum(counters.connections_per_second for counters in top),
            "SSL": sample.tls_per_second,
        },
        "Timestamp": {
            "Sec": int(sample.at),
            "Usec": int(sample.at % 1 * 1_000_000),
            "Period": int(sample.period * 1_000_000),
        },
    }
    changed = call.appliance.health().last_change
    if changed is not None:
        members["ChangeTime"] = int(changed)
    return Data(members)


async def _weights(call: Call) -> dict[int, dict[str, Value]]:
    """What real servers and slots count as now, where that moves; a silent checking process leaves the static ones."""
    try:
        known = await call.appliance.weights()
    except EngineRefused:
        return {}
    return {index: {"Weight": status.weight} for index, status in known.items()}


def _service(service: VirtualService, state: ServiceState | None, counters: TrafficCounters) -> Record:
    """Numbers where the VS record has strings, the status in lower case (07, 7.3). Packets are counted at layer 4."""
    total = counters.bytes_in + counters.bytes_out
    return {
        "VSAddress": service.address if not service.is_sub else ABSENT,
        "VSPort": service.port,
        "VSProt": service.protocol,
        "Index": service.index,
        "Status": (state.status if state is not None else "Down").lower().replace(" ", ""),
        "ErrorCode": service.error_code,
        "Enable": int(service.enabled),
        "TotalConns": counters.total_connections,
        "TotalPkts": counters.packets,
        "TotalBytes": total,
        "TotalBits": total * 8,
        "ActiveConns": counters.active_connections,
        "BytesRead": counters.bytes_in,
        "BytesWritten": counters.bytes_out,
        "ConnsPerSec": counters.connections_per_second,
        "ConnsRateBlocked": counters.connection_rate_blocked,
        "RequestsRateBlocked": counters.request_rate_blocked,
        "MaxConnsBlocked": counters.connections_blocked,
        "WafEnable": int(service.waf_enabled),
        "InterceptMode": service.waf_mode,
    }


def _server(service: VirtualService, server: RealServer, counters: TrafficCounters) -> dict[str, Value]:
    return {
        "VSIndex": service.index,
        "RSIndex": server.index,
        "Addr": server.address,
        "Port": server.port,
        **_member(server, counters),
    }


def _slot(service: VirtualService, slot: Slot, counters: TrafficCounters) -> dict[str, Value]:
    """A sub-service as its parent sees it; its own figures are among the services."""
    return {
        "VSIndex": service.index,
        "RSIndex": slot.index,
        "SubVSIndex": slot.service,
        **_member(slot, counters),
    }


def _member(member: RealServer | Slot, counters: TrafficCounters) -> Record:
    total = counters.bytes_in + counters.bytes_out
    return {
        "Enable": int(member.enabled),
        "Weight": member.weight,
        "ActivConns": counters.active_connections,
        "Persist": counters.persistence_entries,
        "Conns": counters.total_connections,
        "Pkts": counters.packets,
        "Bytes": total,
        "Bits": total * 8,
        "BytesRead": counters.bytes_in,
        "BytesWritten": counters.bytes_out,
        "ConnsPerSec": counters.connections_per_second,
    }


def _client_limits(sample: Statistics) -> Record:
    """Counters of the limiter; the two rates stay empty, as on an idle appliance."""
    clients = sample.clients
    return {
        "Totals": {
            "CurrentConnections": clients.connections,
            "CurrentConnectionsBlocked": clients.connections_blocked,
            "SuccessfulConnectionAttempts": clients.connections_admitted,
            "SuccessfulRequestAttempts": clients.requests_admitted,
            "SuccessfulMatchedRuleAttempts": clients.rules_admitted,
            "ConnectionAttemptsBlocked": clients.connection_rate_blocked,
            "RequestAttemptsBlocked": clients.requests_blocked,
            "MatchedRulesBlocked": clients.rules_blocked,
        },
        "glbcps": "",
        "glbrps": "",
    }


def _totals(services: Sequence[TrafficCounters]) -> Record:
    """The sums; what a sub-service carried is in its parent's figures already."""
    rate = sum(counters.bytes_per_second for counters in services)
    total = sum(counters.bytes_in + counters.bytes_out for counters in services)
    return {
        "ConnsPerSec": sum(counters.connections_per_second for counters in services),
        "TotalConns": sum(counters.total_connections for counters in services),
        "BitsPerSec": rate * 8,
        "TotalBits": total * 8,
        "BytesPerSec": rate,
        "TotalBytes": total,
        "PktsPerSec": sum(counters.packets_per_second for counters in services),
        "TotalPackets": sum(counters.packets for counters in services),
    }


def _cpu(host: HostFigures) -> Value:
    """v1 has one tag a core, v2 an array with the core's number in each item."""
    total: Record = {
        "User": host.cpu.user,
        "System": host.cpu.system,
        "Idle": host.cpu.idle,
        "IOWaiting": host.cpu.waiting,
    }
    cores = [_core(core) for core in host.cores]
    numbered: tuple[Record, ...] = tuple({"cpu": number, **core} for number, core in enumerate(cores))
    tagged: dict[str, Value] = {f"cpu{number}": core for number, core in enumerate(cores)}
    return PerVersion({"total": total, **tagged}, {"total": total, "cpu": numbered})


def _core(core: CpuShares) -> Record:
    return {
        "User": core.user,
        "System": core.system,
        "HWInterrupts": core.hardware,
        "SWInterrupts": core.software,
        "Idle": core.idle,
        "IOWaiting": core.waiting,
    }


def _memory(memory: Memory) -> Record:
    percent_used = round(100 * memory.used / memory.total) if memory.total else 0
    return {
        "MBtotal": memory.total // _KILO,
        "memused": memory.used,
        "MBused": memory.used // _KILO,
        "percentmemused": percent_used,
        "memfree": memory.free,
        "MBfree": memory.free // _KILO,
        "percentmemfree": 100 - percent_used,
    }


def _network(host: HostFigures) -> Value:
    """v1 has one tag an interface, v2 an array with the name in each item."""
    named: tuple[Record, ...] = tuple({"Name": i.name, **_interface(i)} for i in host.interfaces)
    return PerVersion({i.name: _interface(i) for i in host.interfaces}, {"Interface": named})


def _interface(interface: Interface) -> Record:
    return {
        "ifaceID": interface.number,
        "speed": interface.speed,
        "in": Decimal(interface.tenths_in).scaleb(-1),
        "inbytes": interface.bytes_in_per_second,
        "inbytesTotal": interface.bytes_in,
        "out": Decimal(interface.tenths_out).scaleb(-1),
        "outbytes": interface.bytes_out_per_second,
        "outbytesTotal": interface.bytes_out,
    }


def _partition(partition: Partition) -> Record:
    percent_used = round(100 * partition.used / partition.total)
    return {
        "name": partition.name,
        "GBtotal": _gigabytes(partition.total),
        "GBused": _gigabytes(partition.used),
        "percentused": percent_used,
        "GBfree": _gigabytes(partition.free),
        "percentfree": 100 - percent_used,
    }


def _gigabytes(count: int) -> Decimal:
    return (Decimal(count) / _GIGA).quantize(Decimal("0.01"))


COMMANDS = (Entry("stats", stats),)
