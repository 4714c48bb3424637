"""`/metrics`: the appliance's figures for Prometheus, which looks for them at the root of the interface."""

from __future__ import annotations

from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from steelyard.api.native.access import Appliance
from steelyard.api.native.routing import NativeRouter

router = NativeRouter(tags=["state"])

PATH = "/metrics"
_TEXT = "text/plain; version=0.0.4; charset=utf-8"


@router.get(PATH, response_class=Response, responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}})
async def show_metrics(appliance: Appliance) -> Response:
    """Counters and states in Prometheus' text format.

    Give Prometheus a user without permissions, by password, or an API key as a bearer token.
    """
    # loading the library costs a tenth of a second, which only its users pay
    from steelyard.observe import metrics

    snapshot, health = appliance.snapshot(), appliance.health()
    told = metrics.Appliance(
        version=health.version,
        haproxy_version=health.haproxy_version,
        revision=snapshot.revision,
        started_at=health.started_at,
        reload_pending=health.reload_pending,
        problems=health.problems,
        configuration=snapshot.configuration,
        states=appliance.states(),
        statistics=await appliance.statistics(),
        host=await appliance.host_figures(),
    )
    return Response(await run_in_threadpool(metrics.metrics_text, told), media_type=_TEXT)
