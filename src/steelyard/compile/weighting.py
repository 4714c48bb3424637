"""What the weights of a service follow, for the checking process."""

from __future__ import annotations

from steelyard.model.adaptive import AdaptiveParameters
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.health import Check
from steelyard.plan.weighting import Weighting

#: How often response times are compared (LoadMaster: about every 15 seconds).
RESPONSE_SECONDS = 15
#: How often external weights are looked at. They move at once when they are set, so it decides nothing else.
EXTERNAL_SECONDS = 1


def compile_weighting(service: VirtualService, adaptive: AdaptiveParameters, check: Check) -> Weighting | None:
    """What moves the weights of a service; None where they stand. `check` is the check of its servers.

    An agent is never polled more often than its server is checked, as LoadMaster asks for.
    """
    if service.schedule == "adaptive":
        interval = max(service.adaptive_interval or adaptive.interval, check.interval)
        return Weighting(
            kind="agent",
            interval=interval,
            url=service.adaptive_url or adaptive.url,
            port=service.adaptive_port or adaptive.port,
            timeout=min(check.timeout, interval),
            least_load=service.adaptive_min_percent or adaptive.least_load,
        )
    if service.schedule == "dl":
        return Weighting(kind="response", interval=RESPONSE_SECONDS)
    if service.schedule == "sdn-adaptive":
        return Weighting(kind="external", interval=EXTERNAL_SECONDS)
    return None
