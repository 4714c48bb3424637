"""LDAP endpoints: how checks, and later sign-in, ask a directory."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

from starlette.responses import Response

from steelyard.model.commands import AddLdapEndpoint, ChangeLdapEndpoint, RemoveLdapEndpoint
from steelyard.model.commands.ldap_endpoints import Password
from steelyard.model.configuration import Configuration
from steelyard.model.ldap_endpoint import SECURITY, LdapEndpoint
from steelyard.model.setting import Setting
from steelyard.model.virtual_service import VirtualService
from steelyard.web.confirming import Question, confirmed
from steelyard.web.editing import Changes, Editor, Part, edited
from steelyard.web.frame import Visit, page
from steelyard.web.pages.service import BOTH, scrolled


class EndpointForm(LdapEndpoint):
    """An endpoint with its password, which the endpoint itself only names the place of."""

    password: Annotated[
        str,
        Setting(
            "adminpass",
            "ldap endpoint",
            "Admin User Password",
            "Password of that user. It is never shown; left empty, the one there is stays.",
            max_length=512,
            secret=True,
        ),
    ] = ""


_PARTS = (
    Part("directory", "Directory", ("name", "security", "servers", "timeout", "validation_interval", "referrals")),
    Part("account", "Account", ("user", "password", "base")),
)


def _split(changes: Changes) -> tuple[dict[str, Any], Password | None]:
    settings = {name: value for name, value in changes.items() if name != "password"}
    text = changes.get("password")
    return settings, None if text is None else Password(secrets.token_hex(16), str(text))


def users_of_endpoint(configuration: Configuration, name: str) -> tuple[VirtualService, ...]:
    """The services that name an endpoint."""
    return tuple(one for one in configuration.services.values() if one.ldap_endpoint == name)


async def show_list(visit: Visit) -> Response:
    """Every endpoint."""
    configuration = visit.snapshot.configuration
    rows = [(one, users_of_endpoint(configuration, one.name)) for one in configuration.ldap_endpoints.values()]
    return visit.render("pages/ldap_endpoints.html", {"rows": rows, "security": SECURITY})


def _editor(visit: Visit, endpoint: LdapEndpoint | None) -> Editor:
    declared = EndpointForm.declared()
    if endpoint is None:
        values: dict[str, Any] = {name: one.default for name, one in declared.items()} | {"name": ""}
    else:
        values = {name: getattr(endpoint, name, "") for name in declared} | {"password": endpoint.password_key}
    done = visit.url("ldap")
    return Editor(
        model=EndpointForm,
        values=values,
        parts=_PARTS,
        command=lambda changes: (
            AddLdapEndpoint(*_split(changes))
            if endpoint is None
            else ChangeLdapEndpoint(endpoint.name, *_split(changes))
        ),
        done=lambda key: done,
        permission="root",
        fresh=endpoint is None,
        noun="LDAP endpoint",
        apply_label="Add Endpoint" if endpoint is None else "Apply",
        always=("name",) if endpoint is None else (),
        fixed={} if endpoint is None else {"name": "The name of an endpoint cannot be changed."},
    )


async def add(visit: Visit) -> Response:
    """Make an endpoint."""
    return await _edit(visit, None)


async def modify(visit: Visit) -> Response:
    """Properties of an endpoint."""
    return await _edit(visit, visit.snapshot.configuration.ldap_endpoint(visit.request.path_params["name"]))


async def _edit(visit: Visit, endpoint: LdapEndpoint | None) -> Response:
    context = {
        "title": endpoint.name if endpoint is not None else "Add an LDAP endpoint",
        "sub": "LDAP endpoint" if endpoint is not None else "",
        "back": visit.url("ldap"),
        "above": ("LDAP Configuration", visit.url("ldap")),
    }
    return await edited(
        visit,
        _editor(visit, endpoint),
        lambda drawn: scrolled(visit, drawn, visit.render("editor.html", context, drawn=drawn)),
    )


async def remove(visit: Visit) -> Response:
    """Ask, and remove an endpoint that nobody uses."""
    name: str = visit.request.path_params["name"]
    back = visit.url("ldap")
    question = Question(f"Delete LDAP endpoint {name}?", "Delete", back, back, f"LDAP endpoint {name} was deleted")
    return await confirmed(visit, RemoveLdapEndpoint(name), question)


ROUTES = [
    page("/ldap-endpoints", show_list, name="ldap"),
    page("/add/ldap-endpoint", add, name="add-ldap-endpoint", belongs="ldap", methods=BOTH),
    page("/ldap-endpoints/{name}", modify, name="ldap-endpoint", belongs="ldap", methods=BOTH),
    page("/ldap-endpoints/{name}/remove", remove, name="remove-ldap-endpoint", belongs="ldap", methods=BOTH),
]
