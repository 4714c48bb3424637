"""Who asks. Over TCP a request carries a password (HTTP Basic) or an API key; over the Unix socket it needs neither.

The socket's directory admits only the user Steelyard runs as, so a peer there acts as the administrator.
Browsers send remembered credentials along with requests that foreign pages make, so a write that says it comes from
another origin is refused.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from steelyard.appliance.contract import Actor, ApplianceApi
from steelyard.model.configuration import Configuration
from steelyard.model.errors import SteelyardError
from steelyard.model.first_start import CLOSED, FirstStep
from steelyard.model.user import ADMINISTRATOR, User

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_LONGEST_CREDENTIAL = 4096
#: what is answered at the first start, by what is to be done
_FIRST: Mapping[FirstStep, frozenset[tuple[str, str]]] = {
    "licence": frozenset({("GET", "/setup"), ("POST", "/setup/licence")}),
    "password": frozenset({("GET", "/setup"), ("POST", "/setup/licence"), ("PATCH", "/users/{name}")}),
}


class Unauthenticated(SteelyardError):
    """No credentials, or wrong ones; the answer does not say which."""

    kind = "unauthenticated"

    def __init__(self) -> None:
        super().__init__("A valid user and password, or an API key, is needed")


class FirstStartDue(SteelyardError):
    """The appliance is new: nobody who comes by the network gets anything else than its first start."""

    kind = "first_start_due"

    def __init__(self, step: FirstStep) -> None:
        due = "its licence is not accepted" if step == "licence" else f"{ADMINISTRATOR} has no password of its own"
        super().__init__(
            f"This Steelyard is not set up yet: {due}. Do that in the web interface, by POST /setup/licence and"
            f" PATCH /users/{ADMINISTRATOR}, or by readeula, accepteula, accepteula2 and set_initial_passwd"
        )


class ForeignOrigin(SteelyardError):
    """A page of another origin made a browser send this write."""

    kind = "foreign_origin"

    def __init__(self) -> None:
        super().__init__("Changes that a page of another origin sends are refused")


async def appliance_of(request: Request) -> ApplianceApi:
    """The appliance the application was built with."""
    found: ApplianceApi = request.app.state.appliance
    return found


Appliance = Annotated[ApplianceApi, Depends(appliance_of)]


async def identified(request: Request) -> Actor:
    """The actor of a request. Raises `Unauthenticated`, `LockedOut` or `ForeignOrigin`."""
    # by a call, not as a dependency: FastAPI would work that out again for each of 150 routes, at every start
    appliance = await appliance_of(request)
    if request.app.state.trusted_local:
        return Actor(appliance.snapshot().configuration.user(ADMINISTRATOR), "cli")
    user = await _user(request, appliance)
    if user is None:
        raise Unauthenticated
    _refuse_before_first_start(appliance.snapshot().configuration, request)
    if request.method not in _READING and _is_foreign(request):
        raise ForeignOrigin
    return Actor(user, "api")


Caller = Annotated[Actor, Depends(identified)]


def _refuse_before_first_start(configuration: Configuration, request: Request) -> None:
    """Raise `FirstStartDue` for anything but the first start itself while that is not done."""
    step = configuration.first_step
    if step in CLOSED and (request.method, getattr(request.scope.get("route"), "path", "")) not in _FIRST[step]:
        raise FirstStartDue(step)


async def _user(request: Request, appliance: ApplianceApi) -> User | None:
    key = request.headers.get("x-api-key")
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if key is None and scheme.lower() == "bearer":
        key = value.strip()
    if key is not None:
        return await run_in_threadpool(appliance.authenticate_key, key) if 0 < len(key) <= _LONGEST_CREDENTIAL else None
    if scheme.lower() != "basic" or len(value) > _LONGEST_CREDENTIAL:
        return None
    try:
        name, colon, password = base64.b64decode(value.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        return None
    address = request.client.host if request.client is not None else "unknown"
    return await appliance.admission.admit(name, password, address, "native API") if colon else None


def _is_foreign(request: Request) -> bool:
    """Browsers say it in Sec-Fetch-Site; those from before 2023 say only the origin."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("none", "same-origin")
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host", "")
