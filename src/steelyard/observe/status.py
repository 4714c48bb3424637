"""What is: the state of services and real servers, as words LoadMaster's users know.

Pure: built from a configuration and the checking process's verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from steelyard.model.configuration import Configuration
from steelyard.model.layer import Layer, layer_of
from steelyard.model.real_server import RealServer
from steelyard.model.slot import Slot
from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service.instead import status_instead
from steelyard.model.virtual_service.standard import LEAST_CONNECTION
from steelyard.observe.kept_states import KeptStates, Marked


@dataclass(frozen=True)
class Verdict:
    """What the checks say of one real server. `state` is up, down, unknown (not checked yet) or unchecked.

    `ready` is False while it may have no new clients, because it is disabled or stands by; `returned` is when it last
    came back from being out of service that way.
    """

    state: str
    reason: str = ""
    since: float | None = None
    checked: float | None = None
    drain_ends: float | None = None
    ready: bool = True
    returned: float | None = None


@dataclass(frozen=True)
class ServerState:
    """One real server or slot. `status` is Up, Down, Standby, Disabled, Draining or Unchecked; `reason` says why.

    The slot of a sub-service made without real servers, to redirect or to answer, is Redirect or Fail Message.
    """

    index: int
    status: str
    reason: str = ""
    since: float | None = None
    drain_ends: float | None = None


_LAYER_7 = Layer(7, "", "haproxy")


@dataclass(frozen=True)
class ServiceState:
    """One virtual service. `status` is Up, Down, Disabled, Unchecked, Sorry, Redirect or Fail Message.

    `slots` are those of its sub-services. `layer` is where it runs, and why.
    """

    index: int
    status: str
    reason: str = ""
    servers: Mapping[int, ServerState] = field(default_factory=dict)
    slots: Mapping[int, ServerState] = field(default_factory=dict)
    layer: Layer = _LAYER_7


@dataclass(frozen=True)
class Relatives:
    """What the state of a service depends on besides itself: its sub-services, or its parent.

    `slow_start` is how many seconds a server grows into its share where it does. HAProxy's worker runs since `began`:
    servers that were up then have their full share. Times are seconds since the epoch. `ipvs`: the kernel has it.
    """

    subs: tuple[VirtualService, ...] = ()
    parent: VirtualService | None = None
    slow_start: int = 0
    began: float = 0.0
    now: float = 0.0
    ipvs: bool = False


_ALONE = Relatives()
#: well, whether they have clients now or stand by
_LIVE = ("Up", "Unchecked", "Standby")
#: what a sub-service without real servers does for its clients, on purpose
_INSTEAD = ("Redirect", "Fail Message")
#: real servers a reason names; of more it says how many
_NAMED = 5


def target_key(service: VirtualService, server: RealServer | Slot) -> str:
    """The name of a real server or slot in one service, as the checking process knows it."""
    return f"{service.engine_name}/{server.engine_name}"


def service_state(
    service: VirtualService, verdicts: Mapping[str, Verdict], relatives: Relatives = _ALONE
) -> ServiceState:
    """The state of one service, its real servers and its slots."""
    state = _state(service, verdicts, relatives)
    return replace(state, layer=layer_of(service, ipvs=relatives.ipvs))


def _state(service: VirtualService, verdicts: Mapping[str, Verdict], relatives: Relatives) -> ServiceState:
    servers = {server.index: _server_state(service, server, verdicts, relatives) for server in service.servers}
    if not service.enabled:
        slots = {slot.index: _slot_state(service, slot, verdicts, relatives) for slot in service.slots}
        return ServiceState(service.index, "Disabled", "switched off by an administrator", servers, slots)
    if service.slots:
        return _parent_state(service, verdicts, relatives)
    if _switched_off(service, relatives.parent):
        return ServiceState(service.index, "Disabled", "its slot in the parent is disabled", servers)
    live = [state for state in servers.values() if state.status in _LIVE]
    if not servers:
        return _unavailable(service, "it has no real server")
    if not live:
        reasons = _few([_said(server, servers) for server in service.servers])
        return _unavailable(service, f"no real server is available ({reasons})", servers)
    dead = [server for server in service.servers if servers[server.index].status not in _LIVE]
    missing = _missing(service, len(live), [_said(server, servers) for server in dead if server.critical])
    if missing is not None:
        return _unavailable(service, missing, servers)
    status = "Unchecked" if service.check_type == "none" else "Up"
    reason = f"{len(live)} of {len(servers)} real servers available"
    failed = [_said(server, servers) for server in dead if server.enabled]
    if failed:
        reason += f"; not available are {_few(failed)}"
    return ServiceState(service.index, status, reason, servers)


def _few(said: Sequence[str]) -> str:
    more = f" and {len(said) - _NAMED} more" if len(said) > _NAMED else ""
    return "; ".join(said[:_NAMED]) + more


def _said(server: RealServer, states: Mapping[int, ServerState]) -> str:
    state = states[server.index]
    return f"{server.address}:{server.port}: {state.reason or state.status}"


def _missing(service: VirtualService, live: int, critical: Sequence[str]) -> str | None:
    """Why a service is down although some of its members are available; None when it is not."""
    what = "sub-service" if service.slots else "real server"
    if critical:
        return f"a critical {what} is not available ({'; '.join(critical)})"
    if live < service.needed_members:
        return f"{live} of {len(service.members)} {what}s available, at least {service.needed_members} are needed"
    return None


def _unavailable(
    service: VirtualService,
    why: str,
    servers: Mapping[int, ServerState] = MappingProxyType({}),
    slots: Mapping[int, ServerState] = MappingProxyType({}),
) -> ServiceState:
    """The state of a service that has nothing for its clients, or only what stands in for it."""
    instead = status_instead(service, has_servers=bool(servers or slots))
    if instead is None:
        return ServiceState(service.index, "Down", why, servers, slots)
    status, what = instead
    return ServiceState(service.index, status, f"{why}; {what}" if servers or slots else what, servers, slots)


def _switched_off(service: VirtualService, parent: VirtualService | None) -> bool:
    return parent is not None and any(s.service == service.index and not s.enabled for s in parent.slots)


def _parent_state(service: VirtualService, verdicts: Mapping[str, Verdict], relatives: Relatives) -> ServiceState:
    """Up while one of its sub-services is, and no critical one is not. Those that are dead are named."""
    slots = {slot.index: _slot_state(service, slot, verdicts, relatives) for slot in service.slots}
    names = {sub.index: f"{sub.name} ({sub.index})" if sub.name else str(sub.index) for sub in relatives.subs}

    def said(slot: Slot) -> str:
        return f"{names.get(slot.service, str(slot.service))}: {slots[slot.index].reason or slots[slot.index].status}"

    without = [slot for slot in service.slots if slots[slot.index].status not in _LIVE]
    live = len(slots) - len(without)
    instead = [slots[slot.index] for slot in without if slots[slot.index].status in _INSTEAD]
    dead = [slot for slot in without if slots[slot.index].status not in _INSTEAD]
    missing = _missing(service, live, [said(slot) for slot in without if slot.critical])
    if not live and not any(slot.critical for slot in without):
        if instead and not dead:
            words = f"its sub-services answer by themselves ({'; '.join(map(said, without))})"
            return ServiceState(service.index, instead[0].status, words, {}, slots)
        missing = f"no sub-service is available ({'; '.join(map(said, dead))})"
    if missing is not None:
        return _unavailable(service, missing, slots=slots)
    unchecked = all(state.status == "Unchecked" for state in slots.values() if state.status in _LIVE)
    reason = f"{live} of {live + len(dead)} sub-services available"
    if dead:
        reason += f"; not available are {'; '.join(map(said, dead))}"
    return ServiceState(service.index, "Unchecked" if unchecked else "Up", reason, {}, slots)


def _slot_state(
    service: VirtualService, slot: Slot, verdicts: Mapping[str, Verdict], relatives: Relatives
) -> ServerState:
    """As the checks say, but a sub-service that has no real servers on purpose is not down.

    That holds where rules lead to it: by scheduling no client ever comes to a slot without real servers.
    """
    state = _server_state(service, slot, verdicts, relatives)
    sub = next((sub for sub in relatives.subs if sub.index == slot.service), None)
    if not slot.enabled or not slot.rules or sub is None or not sub.enabled or sub.servers:
        return state
    instead = status_instead(sub, has_servers=False)
    if instead is None or instead[0] not in _INSTEAD:
        return state
    return ServerState(slot.index, *instead, since=state.since)


def _server_state(
    service: VirtualService, server: RealServer | Slot, verdicts: Mapping[str, Verdict], relatives: Relatives
) -> ServerState:
    verdict = verdicts.get(target_key(service, server), Verdict("unknown", "not checked yet"))
    if not server.enabled:
        if verdict.drain_ends is not None:
            return ServerState(
                server.index,
                "Draining",
                "disabled; clients with a record may still come",
                verdict.since,
                verdict.drain_ends,
            )
        return ServerState(server.index, "Disabled", "disabled by an administrator", verdict.since)
    words = {"up": "Up", "unchecked": "Unchecked"}
    status = words.get(verdict.state, "Down")
    if status in _LIVE and server.standby_below and not verdict.ready:
        reason = f"stands by: it takes clients while fewer than {server.standby_below} others are available"
        return ServerState(server.index, "Standby", reason, verdict.since, verdict.drain_ends)
    reason = verdict.reason + (_growing(verdict, relatives) if status == "Up" else "")
    return ServerState(server.index, status, reason, verdict.since)


def _growing(verdict: Verdict, relatives: Relatives) -> str:
    """What is to be said of a server that came up a moment ago and has not its full share yet."""
    began = max(verdict.since or 0.0, verdict.returned or 0.0)
    left = began + relatives.slow_start - relatives.now
    if not relatives.slow_start or began < relatives.began or left <= 0:
        return ""
    return f"; slow start, its full share in {left:.0f} s"


class AllStates(Mapping[int, ServiceState]):
    """The state of every service, worked out when it is looked at.

    `began` is when HAProxy's worker did, `clock` tells the time; both in seconds since the epoch, for slow starts.
    `ipvs`: the kernel has it. `kept` are states of before, for verdicts that tell when they change.
    """

    def __init__(
        self,
        configuration: Configuration,
        verdicts: Mapping[str, Verdict],
        began: float = 0.0,
        clock: Callable[[], float] = lambda: 0.0,
        *,
        ipvs: bool = False,
        kept: KeptStates[ServiceState] | None = None,
    ) -> None:
        self._ipvs = ipvs
        self._kept = kept
        self._mark = verdicts.mark if isinstance(verdicts, Marked) else None
        if kept is not None:
            kept.prune(configuration.services)
        self._services = configuration.services
        self._slow_start = configuration.layer7.slow_start
        self._began = began
        self._clock = clock
        self._verdicts = verdicts

    def __getitem__(self, index: int) -> ServiceState:
        service = self._services[index]
        subs = tuple(self._services[slot.service] for slot in service.slots)
        parent = self._services.get(service.parent)
        slow_start = self._slow_start if service.schedule in LEAST_CONNECTION else 0
        relatives = Relatives(subs, parent, slow_start, self._began, self._clock(), self._ipvs)
        # with a slow start the reason tells the seconds that are left
        if self._kept is None or self._mark is None or slow_start:
            return service_state(service, self._verdicts, relatives)
        return self._kept.get(
            index,
            (service, parent, *subs),
            (self._mark(service.engine_name), self._ipvs),
            lambda: service_state(service, self._verdicts, relatives),
        )

    def __iter__(self) -> Iterator[int]:
        return iter(self._services)

    def __len__(self) -> int:
        return len(self._services)
