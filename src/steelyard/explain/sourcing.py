"""Which address the real server sees, where that is another one than this host's."""

from __future__ import annotations

from steelyard.explain.report import Result, Step
from steelyard.explain.situation import Situation
from steelyard.model.sources import Seen, seen_by_server


def sourced(situation: Situation, result: Result) -> tuple[Step, ...]:
    """A step for each service whose real servers may get the request."""
    found: dict[int, dict[Seen, None]] = {}
    for chosen in result.servers:
        service = situation.configuration.service(chosen.service)
        parent = situation.configuration.service(service.parent) if service.is_sub else None
        seen = seen_by_server(service, parent, situation.context.sources, chosen.address)
        if seen.kind != "host" or service.transparent:
            found.setdefault(chosen.service, {})[seen] = None
    return tuple(
        Step("source", "; ".join(dict.fromkeys(map(_said, each))), tuple(one.why for one in each), service)
        for service, each in found.items()
    )


def _said(seen: Seen) -> str:
    match seen.kind:
        case "client":
            return "the real server sees the client's address, unless the client is on its own network"
        case "service":
            return f"the real server sees the service's address, {seen.addresses[0]}"
        case "alternate":
            return f"the real server sees one of {', '.join(seen.addresses)}, in turn"
        case "host":
            return "the real server sees this host's address"
