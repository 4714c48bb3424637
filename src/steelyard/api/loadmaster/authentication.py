"""Who asks (`reference/loadmaster-api/01`, 1.3).

An API key wins over user and password; an empty one is none at all. v2 clients put `apiuser` and `apipass` into the
object; Basic works in both versions. .NET clients send their first request without credentials and wait for the
challenge.
"""

from __future__ import annotations

import base64
import binascii

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from steelyard.api.loadmaster.call import Parameters
from steelyard.api.loadmaster.failures import NotSignedIn
from steelyard.appliance.contract import ApplianceApi
from steelyard.model.user import User

CHALLENGE = 'Basic realm="Steelyard"'

#: parameters that are credentials, never arguments of a command
CREDENTIALS = ("apikey", "apiuser", "apipass")


async def signed_in(appliance: ApplianceApi, request: Request, parameters: Parameters, version: int) -> User:
    """The user of the request. Raises `NotSignedIn`."""
    user = await _user(appliance, request, parameters, version)
    if user is None:
        raise NotSignedIn
    return user


async def _user(appliance: ApplianceApi, request: Request, parameters: Parameters, version: int) -> User | None:
    key = parameters.text("apikey")
    if key:
        return appliance.authenticate_key(key)
    name = parameters.text("apiuser")
    if version == 2 and name:
        return await run_in_threadpool(appliance.authenticate, name, parameters.text("apipass") or "")
    basic = _basic(request.headers.get("authorization", ""))
    # hashing a password takes a twentieth of a second, unless it was right before
    return await run_in_threadpool(appliance.authenticate, *basic) if basic is not None else None


def _basic(header: str) -> tuple[str, str] | None:
    """Name and password of a Basic header (RFC 7617), in UTF-8 or in ISO-8859-1."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    try:
        text = decoded.decode()
    except UnicodeDecodeError:
        text = decoded.decode("latin-1")
    name, separator, password = text.partition(":")
    return (name, password) if separator and name else None
