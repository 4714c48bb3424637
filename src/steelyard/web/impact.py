"""What a change does to people who are connected, in plain words and true numbers. Pure.

The plan says what the engines do; who notices is told by what differs between the two configurations and by the
counters of this moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from steelyard.appliance.contract import Preview
from steelyard.model.configuration import Configuration
from steelyard.model.real_server import RealServer
from steelyard.model.virtual_service import VirtualService
from steelyard.observe.statistics import Statistics, TrafficCounters
from steelyard.web.wording import duration, plural

#: calm: nobody notices; notice: somebody is treated otherwise; loss: connections end
Weight = Literal["calm", "notice", "loss"]


@dataclass(frozen=True)
class Effect:
    """One thing that happens."""

    weight: Weight
    text: str


def effects(before: Configuration, preview: Preview, statistics: Statistics) -> tuple[Effect, ...]:
    """What happens when a change is applied, in the order of its worth to the reader."""
    after = preview.configuration
    found = list(_services(before, after, statistics))
    touched = [key for key in before.services if before.services[key] is not after.services.get(key)]
    others = len(before.services) - len(touched)
    open_now = sum(each.active_connections for each in statistics.services.values())
    if preview.reload:
        going_on = f"; {plural(open_now, 'open connection')} of all services stay open" if open_now else ""
        first = Effect("calm", f"HAProxy is reloaded once, without losing a connection{going_on}")
    elif _of_network(before, after) and not touched:
        count = len(preview.operations)
        what = f"{plural(count, 'operation')} on the host's network" if count else "Nothing is done now"
        first = Effect("notice" if count else "calm", f"{what}; HAProxy goes on as it is")
    elif preview.operations:
        first = Effect(
            "calm", f"Nothing is reloaded: {plural(len(preview.operations), 'command')} to the running HAProxy"
        )
    elif preview.differences:
        first = Effect("calm", "Nothing changes in HAProxy")
    else:
        return ()
    if touched and not found:
        found.append(Effect("calm", "Nobody who is connected notices"))
    if touched and others:
        found.append(Effect("calm", f"No other service is touched ({others:,} of them)"))
    if _of_network(before, after) and after.host.managed and after.host.confirm_seconds:
        left = duration(after.host.confirm_seconds)
        found.append(
            Effect("notice", f"Where it may cut you off, it goes back by itself after {left} unless confirmed")
        )
    return (first, *found)


def _of_network(before: Configuration, after: Configuration) -> bool:
    """Whether what is wanted of the host's network differs."""
    parts = ("host", "interfaces", "routes", "hosts")
    return any(getattr(before, part) != getattr(after, part) for part in parts)


def _services(before: Configuration, after: Configuration, statistics: Statistics) -> Iterator[Effect]:
    for index, old in before.services.items():
        new = after.services.get(index)
        if new is old:
            continue
        counters = statistics.services.get(index, TrafficCounters())
        if new is None:
            yield _removed(old, counters)
        else:
            yield from _changed(before, old, new, counters, statistics)


def _removed(old: VirtualService, counters: TrafficCounters) -> Effect:
    """HAProxy's old worker serves what is open to its end (2.6 and 2.8, tried); records are nobody's any more."""
    held = (
        f"; {plural(counters.persistence_entries, 'persistence record')} forgotten"
        if (counters.persistence_entries)
        else ""
    )
    return Effect("loss", f"{old.title} takes no new connections: it is gone; {_go_on(counters)}{held}")


def _changed(
    before: Configuration, old: VirtualService, new: VirtualService, counters: TrafficCounters, statistics: Statistics
) -> Iterator[Effect]:
    records = counters.persistence_entries
    if old.persistence_options() != new.persistence_options() and old.persistence != "none":
        who = f"{plural(records, 'client')} with a record {'is' if records == 1 else 'are'} placed anew"
        text = who if records else "Nobody has a persistence record now, so nobody is placed anew"
        yield Effect("notice" if records else "calm", f"{text}: the records were made under other rules")
    if (old.address, old.port_ranges) != (new.address, new.port_ranges):
        yield Effect("notice", f"Clients have to come to {_where(new)} from now on; {_go_on(counters)}")
    if old.enabled and not new.enabled:
        yield Effect("loss", f"{new.title} takes no new connections; {_go_on(counters)}")
    if not old.enabled and new.enabled:
        yield Effect("notice", f"{new.title} takes connections again")
    if old.ssl_acceleration != new.ssl_acceleration:
        spoken = "have to speak TLS" if new.ssl_acceleration else "are no longer spoken to with TLS"
        yield Effect("notice", f"New clients {spoken}")
    yield from _servers(before, old, new, statistics)


def _where(service: VirtualService) -> str:
    ports = ", ".join(f"{first}-{last}" if last > first else str(first) for first, last in service.port_ranges)
    return f"{service.host} port {ports}"


def _go_on(counters: TrafficCounters) -> str:
    if not counters.active_connections:
        return "nobody is connected now"
    if counters.active_connections == 1:
        return "1 open connection goes on until it ends"
    return f"{counters.active_connections:,} open connections go on until they end"


def _servers(
    before: Configuration, old: VirtualService, new: VirtualService, statistics: Statistics
) -> Iterator[Effect]:
    left = {server.index: server for server in new.servers}
    for server in old.servers:
        open_now = statistics.servers.get((old.index, server.index), TrafficCounters()).active_connections
        after = left.get(server.index)
        if after is None:
            text = f"{plural(open_now, 'open connection')} end" if open_now else "it has no connection now"
            yield Effect("loss" if open_now else "notice", f"{_name(server)} leaves: {text}")
        elif server.enabled and not after.enabled:
            yield Effect("notice", _out_of_service(before, new, server, open_now))
        elif (server.address, server.port) != (after.address, after.port):
            yield Effect("notice", f"New clients of {_name(server)} go to {_name(after)}")
    for server in new.servers:
        if old.server(server.index) is None:
            yield Effect("calm", f"{_name(server)} gets clients as soon as its first check is good")


def _out_of_service(configuration: Configuration, service: VirtualService, server: RealServer, open_now: int) -> str:
    drain = configuration.layer7.drain_time
    has = _go_on(TrafficCounters(active_connections=open_now)) if open_now else "it has no connection now"
    if service.persistence != "none" and drain:
        return f"{_name(server)} drains: clients it knows may come for {duration(drain)} more, no others; {has}"
    return f"{_name(server)} gets no new connections; {has}"


def _name(server: RealServer) -> str:
    host = f"[{server.address}]" if ":" in server.address else server.address
    return f"{host}:{server.port}"


__all__ = ["Effect", "effects"]
