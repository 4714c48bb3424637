"""Whether the checking process is told of a change before HAProxy is.

Usually HAProxy comes first, because the checking process speaks of servers HAProxy must know. When a server is taken
out of a backend with standbys, only the checking process knows whether one of them is needed; told first, it lets the
standby in before the other goes, so that no client meets a backend without servers.
"""

from __future__ import annotations

from collections.abc import Iterable

from steelyard.plan.haproxy import HaproxyPlan, service_key
from steelyard.plan.operations import AddServer, Operation, RemoveServer, SetState


def standby_comes_first(operations: Iterable[Operation], plan: HaproxyPlan) -> bool:
    """Whether these operations take a server from where one stands by, and bring none that HAProxy does not know."""
    operations = tuple(operations)
    if any(isinstance(one, AddServer) for one in operations):
        return False
    leaving = {one.backend for one in operations if isinstance(one, SetState | RemoveServer)}
    services = (plan.services.get(service_key(backend)) for backend in leaving)
    return any(backend.resting for service in services if service is not None for backend in service.backends)
