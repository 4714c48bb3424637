"""A lab without a balancer: what connects to a virtual address gets one of its servers, the first or each in turn."""

from __future__ import annotations

import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import cycle

from steelyard.lab.client import Client
from steelyard.lab.fetching import dial
from steelyard.lab.laboratory import Laboratory
from steelyard.lab.lync import Lync

#: what a reverse proxy does with ports
FORWARDS = {443: 4443, 80: 8080}


@dataclass
class Direct:
    lync: Lync
    lab: Laboratory
    clients: list[Client] = field(default_factory=list)

    def client(
        self,
        *,
        inside: bool,
        user: str = "alice",
        in_turn: Collection[str] = (),
        forwards: Mapping[int, int] = FORWARDS,
    ) -> Client:
        """A user. Servers of the virtual addresses `in_turn` take turns; `forwards` are the reverse proxy's ports."""
        lync = self.lync
        behind = {
            "pool": lync.front_ends,
            "reverse-proxy": lync.front_ends,
            "director": lync.directors,
            "office-web-apps": lync.office_web_apps,
            "edge": lync.edges_inside,
            **{place: lync.edges_outside(place) for place in ("access", "conf", "av")},
        }
        turns = {
            lync.virtual(what): (what, cycle(servers if what in in_turn else servers[:1]))
            for what, servers in behind.items()
        }

        def switched(place: tuple[str, int], timeout: float, source: str | None) -> socket.socket:
            what, servers = turns[place[0]]
            port = place[1] - lync.ports.shift
            if what == "reverse-proxy":
                port = forwards.get(port, port)
            return dial((next(servers), lync.ports.of(port)), timeout, source)

        return replace(lync.client(inside=inside, user=user), dial=switched)
