"""Factory Reset: everything as at the first start, after somebody has typed that it is meant."""

from __future__ import annotations

from starlette.responses import Response

from steelyard.model.errors import OperatorError, SteelyardError
from steelyard.model.user import ADMINISTRATOR, ONLY_ADMINISTRATOR
from steelyard.web.frame import Visit, page


async def factory_reset(visit: Visit) -> Response:
    """GET asks, POST does it and says the new password once."""
    failure: SteelyardError | None = None
    made: str | None = None
    done = False
    if visit.request.method == "POST":
        try:
            made = await _carried_out(visit)
            done = True
        except SteelyardError as refused:
            if isinstance(refused, OperatorError) and refused.field == "permission":
                raise
            failure = refused
    configuration = visit.snapshot.configuration
    return visit.render(
        "pages/factory_reset.html",
        failure=failure,
        done=done,
        password=made,
        administrator=ADMINISTRATOR,
        may=visit.may(ONLY_ADMINISTRATOR),
        managed=configuration.host.managed,
        services=sum(not one.is_sub for one in configuration.services.values()),
        status=200 if failure is None else 422,
    )


async def _carried_out(visit: Visit) -> str | None:
    """The password that was made up; None when one was given."""
    if visit.field("confirm").strip().lower() != "reset":
        raise OperatorError(
            "Nothing was reset: the word was not typed", field="confirm", allowed="reset", remedy="Type reset"
        )
    given = visit.field("password") or None
    if given is not None and given != visit.field("again"):
        raise OperatorError("The two passwords differ", field="again", remedy="Type the same one twice")
    password = await visit.appliance.factory_reset(visit.actor, given, keep_network=not visit.field("forget_network"))
    return password if given is None else None


ROUTES = [page("/factory-reset", factory_reset, name="factory-reset", methods=("GET", "POST"))]
