"""The OpenAPI components: schemas of what is sent and answered, those of settings derived from the catalogue."""

from __future__ import annotations

from typing import Any

from steelyard.api.native.acme_schemas import acme_schemas
from steelyard.api.native.backup_schemas import backup_schemas
from steelyard.api.native.batch_operations import operation_schemas
from steelyard.api.native.catalogue import PARAMETERS, Schema, object_schema, secret_schemas
from steelyard.api.native.certificate_schemas import certificate_schemas
from steelyard.api.native.schema_words import FLAG, MOMENT, NUMBER, TEXT, TEXTS, list_of, object_of, ref
from steelyard.api.native.service_schemas import service_schemas
from steelyard.api.native.setup_schemas import setup_schemas
from steelyard.api.native.state_schemas import state_schemas
from steelyard.api.native.template_schemas import template_schemas
from steelyard.model.user import PERMISSIONS


def _users() -> dict[str, Schema]:
    permissions = {"type": "array", "items": {"enum": list(PERMISSIONS), "type": "string"}}
    password = {**TEXT, "format": "password"}
    return {
        "NewUser": object_of({"name": TEXT, "password": password, "permissions": permissions}, "name", "password"),
        "UserChanges": object_of({"password": password, "permissions": permissions}),
        "User": object_of({"name": TEXT, "permissions": permissions, "api_keys": NUMBER}),
        "ApiKey": object_of({"id": TEXT, "hint": {**TEXT, "description": "Its first characters."}}),
    }


def _configuration() -> dict[str, Schema]:
    parameters = {name: object_schema(model) for name, model in PARAMETERS.items()}
    return {
        **{f"{name.capitalize()}Parameters": schema for name, schema in parameters.items()},
        **{
            f"{name.capitalize()}ParameterChanges": object_schema(model, changes=True, extra=secret_schemas(model))
            for name, model in PARAMETERS.items()
        },
        "Configuration": object_of(
            {
                "services": list_of("NewVirtualService"),
                "certificates": {**list_of("NewCertificate"), "description": "By name alone: keep the one there is."},
                "access_lists": {
                    **list_of("AccessLists"),
                    "description": "Without a service: the lists for all services.",
                },
                "rules": list_of("NewContentRule"),
                "intermediates": list_of("NewIntermediate"),
                "cipher_sets": list_of("NewCipherSet"),
                "client_limits": list_of("ClientLimit"),
                "limit_rules": list_of("NewLimitRule"),
                "ldap_endpoints": list_of("NewLdapEndpoint"),
                "revocation_lists": {
                    **list_of("NewRevocationList"),
                    "description": "Left out: they stay as they are. A newer one that is here stays.",
                },
                "acme": ref("DeclaredAcme"),
                "network": {
                    **object_of(
                        {
                            "interfaces": list_of("WantedInterface"),
                            "routes": list_of("StaticRoute"),
                            "hosts": list_of("HostsEntry"),
                        }
                    ),
                    "description": "A part that is left out stays as it is; one that is given is the whole truth.",
                },
                "parameters": object_of({name: ref(f"{name.capitalize()}ParameterChanges") for name in PARAMETERS}),
            }
        ),
        "Batch": object_of({"commands": {"type": "array", "items": {"oneOf": operation_schemas()}}}, "commands"),
        "Rollback": object_of({"revision": NUMBER, "reason": TEXT, "dry_run": FLAG}, "revision"),
    }


def _answers() -> dict[str, Schema]:
    difference = {"kind": TEXT, "key": TEXT, "title": TEXT, "action": {"enum": ["add", "change", "remove"]}}
    entry = dict.fromkeys(("author", "origin", "reason", "summary", "status", "detail"), TEXT)
    said = dict.fromkeys(("kind", "message", "field", "allowed", "remedy", "position", "words", "with", "lacks"), TEXT)
    return {
        "Error": object_of({"error": object_of({**said, "value": {}}, "kind", "message")}, "error"),
        "Difference": object_of({**difference, "lines": {**TEXTS, "description": "setting: old -> new"}}),
        "Change": object_of(
            {
                "revision": NUMBER,
                "dry_run": FLAG,
                "applied": {"enum": ["now", "queued", "unchanged", "no"], "description": "no: it was a dry run."},
                "reload": FLAG,
                "reload_reasons": TEXTS,
                "operations": TEXTS,
                "differences": list_of("Difference"),
                "object": {"description": "The object after the change, null when there is none."},
            }
        ),
        "Revision": object_of(
            {
                "number": NUMBER,
                "at": MOMENT,
                **entry,
                "rollback_of": {"type": ["integer", "null"]},
                "differences": list_of("Difference"),
            }
        ),
        "Data": {"type": "object"},
    }


def components() -> dict[str, Schema]:
    """Every component by name."""
    objects = {
        **service_schemas(),
        **certificate_schemas(),
        **_users(),
        **acme_schemas(),
        **state_schemas(),
        **template_schemas(),
        **backup_schemas(),
        **setup_schemas(),
    }
    return {**objects, **_configuration(), **_answers()}


def body(name: str, *, required: bool = True) -> dict[str, Any]:
    """`openapi_extra` of a route that takes that component as JSON."""
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": ref(name)}}}}


def answers(
    schema: Schema | str, status: int = 200, says: str = "What was asked for."
) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route: that schema, or the component of that name."""
    found = ref(schema) if isinstance(schema, str) else schema
    return {status: {"description": says, "content": {"application/json": {"schema": found}}}}


CHANGED = answers("Change", says="What was done, or would be by a dry run.")


MADE = {**CHANGED, **answers("Change", 201, "It was made; Location says where it is.")}
