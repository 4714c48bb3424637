"""Who asks (`reference/loadmaster-api/01`, 1.3).

An API key wins over user and password; an empty one is none at all. v2 clients put `apiuser` and `apipass` into the
object; Basic works in both versions. .NET clients send their first request without credentials and wait for the
challenge.
"""

from __future__ import annotations

import base64
import binascii

from starlette.requests import Request

from steelyard.api.loadmaster.call import Parameters
from steelyard.api.loadmaster.failures import NotSignedIn
from steelyard.appliance.admission import Door
from steelyard.appliance.contract import ApplianceApi
from steelyard.model.user import User

CHALLENGE = 'Basic realm="Steelyard"'
DOOR: Door = "LoadMaster API"

#: parameters that are credentials, never arguments of a command
CREDENTIALS = ("apikey", "apiuser", "apipass")


async def signed_in(appliance: ApplianceApi, request: Request, parameters: Parameters, version: int) -> User:
    """The user of the request. Raises `NotSignedIn`, or `LockedOut` after too many wrong passwords."""
    user = await _user(appliance, request, parameters, version)
    if user is None:
        raise NotSignedIn
    return user


async def _user(appliance: ApplianceApi, request: Request, parameters: Parameters, version: int) -> User | None:
    key = parameters.text("apikey")
    if key:
        return appliance.authenticate_key(key)
    name = parameters.text("apiuser")
    basic: tuple[str, str] | None
    if version == 2 and name:
        basic = (name, parameters.text("apipass") or "")
    else:
        basic = _basic(request.headers.get("authorization", ""))
    return await appliance.admission.admit(*basic, address_of(request), DOOR) if basic is not None else None


def address_of(request: Request) -> str:
    """The address a request comes from."""
    return request.client.host if request.client is not None else "unknown"


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
