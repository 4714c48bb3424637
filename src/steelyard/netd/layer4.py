"""Layer 4 as `steelyard-netd` sees it: drivers by name, each made when a service first needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from steelyard.engines.layer4.contract import Layer4Driver, Record, ServiceTraffic
from steelyard.model.errors import SteelyardError
from steelyard.plan.layer4 import Driver, Layer4Service, ServerName, Standing, Standings

Factories = Mapping[Driver, Callable[[], Layer4Driver]]
Changes = Mapping[str, Layer4Service | None]


@dataclass
class Layer4:
    """Every layer-4 service, whichever driver carries it. Blocks; one thread at a time."""

    factories: Factories
    services: dict[str, Layer4Service] = field(default_factory=dict)
    standings: dict[ServerName, Standing] = field(default_factory=dict)
    _drivers: dict[Driver, Layer4Driver] = field(default_factory=dict)

    def start(self, services: Mapping[str, Layer4Service], standings: Standings, left: Iterable[Driver]) -> None:
        """Take up what the kernel has from before; `left` are drivers that may have left something there.

        Services that are found and wanted keep their connections and records, others are removed.
        """
        self.standings = dict(standings)
        self.services = {}
        wanted: dict[str, Layer4Service | None] = dict(services)
        for name in sorted({*left, *(one.driver for one in services.values())}):
            driver = self._driver(name)
            found = driver.adopt()
            mine: dict[str, Layer4Service | None] = {
                key: one for key, one in wanted.items() if one is not None and one.driver == name
            }
            mine.update({key: None for key in found if key not in mine})
            driver.apply(mine, self._of(mine))
        self.services = dict(services)

    def check(self, changes: Changes) -> tuple[str, ...]:
        """What a change would do, in words. Raises when it would be refused."""
        words: list[str] = []
        for name, part in self._parts(changes):
            driver = self._driver(name)
            driver.check(part)
            words += driver.describe(part)
        return tuple(words)

    def apply(self, changes: Changes) -> None:
        """Make these services be so. When one driver refuses, the others get back what they had."""
        done: list[tuple[Driver, Changes]] = []
        try:
            for name, part in self._parts(changes):
                self._driver(name).apply(part, self._of(part))
                done.append((name, part))
        except SteelyardError:
            for name, part in reversed(done):
                had = {key: self.services[key] if self._carries(name, key) else None for key in part}
                self._driver(name).apply(had, self._of(had))
            raise
        for key, service in changes.items():
            before = self.services.pop(key, None)
            kept = {server.key for server in service.servers} if service is not None else set()
            for server in before.servers if before is not None else ():
                if server.key not in kept:
                    self.standings.pop((key, server.key), None)
            if service is not None:
                self.services[key] = service

    def tell(self, standings: Standings, *, whole: bool = False) -> None:
        """Take what the checking process says."""
        told = dict(standings)
        if whole:
            # What is checked keeps its verdict: it is on its way to HAProxy, which does not listen yet. All else that
            # has none any more is as it was before the first one.
            forgotten = {
                name
                for name in self.standings.keys() - standings.keys()
                if name[0] not in self.services or not self.services[name[0]].checked
            }
            told |= {name: Standing() for name in forgotten}
            self.standings = {name: one for name, one in self.standings.items() if name not in forgotten}
        self.standings |= standings
        for name, driver in self._drivers.items():
            mine = {one: standing for one, standing in told.items() if self._carries(name, one[0])}
            if mine:
                driver.tell(mine)

    def drop(self, servers: Iterable[ServerName]) -> None:
        """Cut the connections of these servers."""
        asked = list(servers)
        for name, driver in self._drivers.items():
            mine = [one for one in asked if self._carries(name, one[0])]
            if mine:
                driver.drop(mine)

    def look(self) -> None:
        """Read the counters ahead; may be called in another thread."""
        for driver in list(self._drivers.values()):
            driver.look()

    def traffic(self) -> dict[str, ServiceTraffic]:
        """Counters of every service."""
        found: dict[str, ServiceTraffic] = {}
        for driver in self._drivers.values():
            found |= driver.traffic()
        return found

    def records(self, service: str) -> tuple[Record, ...]:
        """Persistence records of a service; none of one that is not here."""
        known = self.services.get(service)
        return self._driver(known.driver).records(service) if known else ()

    def flush_records(self, service: str) -> None:
        """Forget them."""
        if known := self.services.get(service):
            self._driver(known.driver).flush_records(service)

    def used(self) -> frozenset[Driver]:
        """The drivers that may have something in the kernel."""
        return frozenset(self._drivers)

    def clear(self, left: Iterable[Driver]) -> None:
        """Remove all that is ours."""
        for name in sorted({*left, *self._drivers}):
            self._driver(name).clear()
        self.services.clear()
        self.standings.clear()

    def _driver(self, name: Driver) -> Layer4Driver:
        known = self._drivers.get(name)
        if known is None:
            known = self._drivers[name] = self.factories[name]()
        return known

    def _carries(self, name: Driver, service: str) -> bool:
        known = self.services.get(service)
        return known is not None and known.driver == name

    def _parts(self, changes: Changes) -> list[tuple[Driver, Changes]]:
        """The change of each driver. One that loses a service comes before the one that gets it."""
        losing: dict[Driver, dict[str, Layer4Service | None]] = {}
        getting: dict[Driver, dict[str, Layer4Service | None]] = {}
        for key, service in changes.items():
            before = self.services.get(key)
            if before is not None and (service is None or service.driver != before.driver):
                losing.setdefault(before.driver, {})[key] = None
            if service is not None:
                getting.setdefault(service.driver, {})[key] = service
        # a driver that only loses goes first; one that does both has one transaction
        first = [(name, part) for name, part in losing.items() if name not in getting]
        both = [(name, {**losing.get(name, {}), **part}) for name, part in getting.items()]
        return [*first, *sorted(both, key=lambda pair: pair[0] not in losing)]

    def _of(self, services: Changes) -> dict[ServerName, Standing]:
        """What is known of the servers of these services."""
        found: dict[ServerName, Standing] = {}
        for key, service in services.items():
            for server in service.servers if service is not None else ():
                standing = self.standings.get((key, server.key))
                if standing is not None:
                    found[key, server.key] = standing
        return found
