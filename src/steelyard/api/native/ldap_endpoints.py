"""LDAP endpoints: `/ldap-endpoints`. Passwords go in and never come out."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from fastapi.responses import JSONResponse

from steelyard.api.native.access import Appliance
from steelyard.api.native.bodies import JsonObject, optional_text
from steelyard.api.native.objects import Json, settings_json
from steelyard.api.native.routing import NativeRouter
from steelyard.api.native.schema_words import list_of
from steelyard.api.native.schemas import CHANGED, MADE, answers, body
from steelyard.api.native.writing import Writing, read, settings_given
from steelyard.model.commands import AddLdapEndpoint, ChangeLdapEndpoint, DeclaredEndpoint, RemoveLdapEndpoint
from steelyard.model.commands.ldap_endpoints import Password
from steelyard.model.configuration import Configuration
from steelyard.model.ldap_endpoint import LdapEndpoint

router = NativeRouter(prefix="/ldap-endpoints", tags=["LDAP endpoints"])

PASSWORD = "password"


def endpoint_json(endpoint: LdapEndpoint, configuration: Configuration) -> Json:
    """An endpoint, whether it has a password, and the services that use it."""
    used = [s.index for s in configuration.services.values() if s.ldap_endpoint == endpoint.name]
    return {**settings_json(endpoint), "has_password": bool(endpoint.password_key), "used_by": used}


def settings_and_password(data: Mapping[str, Any]) -> tuple[dict[str, Any], Password | None]:
    """The settings of an endpoint and its password, an empty one takes it away. Raises `OperatorError`."""
    text = optional_text(data, PASSWORD, secret=True)
    settings = settings_given(LdapEndpoint, {name: value for name, value in data.items() if name != PASSWORD})
    return settings, None if text is None else Password(secrets.token_hex(16), text)


def declared_endpoint(data: Mapping[str, Any]) -> DeclaredEndpoint:
    """An endpoint of a declaration. Raises `OperatorError`."""
    return DeclaredEndpoint(*settings_and_password(data))


def _rendered(configuration: Configuration, key: int | str | None) -> Any:
    return endpoint_json(configuration.ldap_endpoint(str(key)), configuration) if key is not None else None


@router.get("", responses=answers(list_of("LdapEndpoint")))
async def list_ldap_endpoints(appliance: Appliance) -> JSONResponse:
    """Every LDAP endpoint."""
    snapshot = appliance.snapshot()
    found = snapshot.configuration.ldap_endpoints.values()
    return read(snapshot.revision, [endpoint_json(one, snapshot.configuration) for one in found])


@router.post("", status_code=201, responses=MADE, openapi_extra=body("NewLdapEndpoint"))
async def add_ldap_endpoint(write: Writing, data: JsonObject) -> JSONResponse:
    """Make an LDAP endpoint."""
    return await write.carry_out(AddLdapEndpoint(*settings_and_password(data)), _rendered, made="ldap-endpoints")


@router.get("/{name}", responses=answers("LdapEndpoint"))
async def show_ldap_endpoint(appliance: Appliance, name: str) -> JSONResponse:
    """One LDAP endpoint."""
    snapshot = appliance.snapshot()
    return read(snapshot.revision, _rendered(snapshot.configuration, name))


@router.patch("/{name}", responses=CHANGED, openapi_extra=body("LdapEndpointChanges"))
async def change_ldap_endpoint(write: Writing, name: str, data: JsonObject) -> JSONResponse:
    """Change an LDAP endpoint.

    What is not named keeps its value, the password too; an empty one takes it away.
    """
    return await write.carry_out(ChangeLdapEndpoint(name, *settings_and_password(data)), _rendered)


@router.delete("/{name}", responses=CHANGED)
async def remove_ldap_endpoint(write: Writing, name: str) -> JSONResponse:
    """Remove an LDAP endpoint that no service uses."""
    return await write.carry_out(RemoveLdapEndpoint(name))
