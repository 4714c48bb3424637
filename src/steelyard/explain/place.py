"""The backend a request has come to: which servers it may go to, and in what state they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from steelyard.compile.haproxy.unavailable import handler
from steelyard.explain.report import Chosen
from steelyard.explain.situation import Servers, Visit
from steelyard.model.real_server import RealServer
from steelyard.model.slot import Slot
from steelyard.observe.status import ServerState

Member = RealServer | Slot


@dataclass(frozen=True)
class Place:
    """A backend of a service: its name in the engine, its members, and how HAProxy has them."""

    visit: Visit
    backend: str
    members: tuple[Member, ...]
    servers: Servers = field(default_factory=dict)

    def state(self, member: Member) -> ServerState:
        """How a member is, as people are shown it."""
        states = self.visit.situation.states.get(self.visit.service.index)
        known = states.slots if states is not None and isinstance(member, Slot) else states and states.servers
        found = known.get(member.index) if known else None
        return found or ServerState(member.index, "Down", "nothing is known of it yet")

    def is_live(self, member: Member) -> bool:
        """Whether it gets clients that have no record."""
        now = self.servers.get(member.engine_name)
        return now is not None and now.up and now.admin == "ready" and now.weight > 0

    def keeps(self, member: Member) -> bool:
        """Whether it gets clients that have a record: also when it drains, or has no weight."""
        now = self.servers.get(member.engine_name)
        return now is not None and now.up and now.admin != "maint"

    def live(self) -> tuple[Member, ...]:
        return tuple(member for member in self.members if self.is_live(member))

    def member(self, index: int) -> Member | None:
        """The member of that number."""
        return next((member for member in self.members if member.index == index), None)

    def member_named(self, name: str) -> Member | None:
        """The member of that name in the engine."""
        return next((member for member in self.members if member.engine_name == name), None)

    def title(self, member: Member) -> str:
        """How people know a member."""
        if isinstance(member, Slot):
            return self.visit.situation.configuration.service(member.service).title
        host = f"[{member.address}]" if ":" in member.address else member.address
        return f"{host}:{member.port} (real server {member.index})"

    def told(self) -> Iterator[str]:
        """Every member with its state, a line each."""
        for member in self.members:
            state = self.state(member)
            why = f": {state.reason}" if state.reason else ""
            if state.status in ("Up", "Unchecked") and not self.keeps(member):
                why = ", but HAProxy gives it no clients: something its service needs is not available"
            limit = f"; takes at most {member.limit} connections" if member.limit else ""
            yield f"{self.title(member)} is {state.status}{why}{limit}"

    def chosen(self, member: RealServer) -> Chosen:
        service, request = self.visit.service, self.visit.request
        port = member.port
        if service.extra_ports and member.port == service.port and request.port:
            port = request.port
        return Chosen(service.index, member.index, member.address, port)

    def sorry(self) -> Chosen | None:
        """The sorry server."""
        service = self.visit.service
        source = handler(service, self.visit.family)
        if not source.standby_address:
            return None
        listener = self.visit.family.parent or service
        port = source.standby_port or self.visit.request.port or listener.port
        return Chosen(service.index, 0, source.standby_address, port)
