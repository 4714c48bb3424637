"""The OpenAPI components of ACME."""

from __future__ import annotations

from steelyard.api.native.catalogue import Schema, object_schema
from steelyard.model.acme_account import AcmeAccount
from steelyard.model.acme_certificate import AcmeCertificate
from steelyard.model.acme_dns import DnsProvider

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_NUMBER: Schema = {"type": "integer"}
_SECRET: Schema = {**_TEXT, "format": "password", "writeOnly": True}
_MOMENT: Schema = {"type": ["string", "null"], "format": "date-time"}
_NAMES: Schema = {"type": "array", "items": _TEXT, "description": "Names of certificates."}


def _object(properties: dict[str, Schema], *required: str) -> Schema:
    found: Schema = {"type": "object", "additionalProperties": False, "properties": properties}
    return {**found, "required": list(required)} if required else found


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def acme_schemas() -> dict[str, Schema]:
    """Every component by name."""
    pem = {
        "authority_pem": {**_TEXT, "description": "Whom to believe for the directory's own TLS; empty: as the host."}
    }
    hmac = {"hmac": {**_SECRET, "description": "Of the external account binding; empty takes it away."}}
    key = {"key": {**_SECRET, "description": "Secret of the TSIG key in base64; empty takes it away."}}
    account_changes = object_schema(AcmeAccount, changes=True, extra={**pem, **hmac})
    account_changes["properties"].pop("name")
    provider_changes = object_schema(DnsProvider, changes=True, extra=key)
    provider_changes["properties"].pop("name")
    services = object_schema(AcmeCertificate)["properties"]["challenge_services"]
    indexes = {"challenge_services": {**services, "items": {"type": "integer", "minimum": 0}}}
    where = _object({"address": _TEXT, "port": _NUMBER, "protocol": _TEXT}, "address", "port")
    answering = {**services, "items": {"oneOf": [where, {"type": "null"}]}}
    changes = object_schema(AcmeCertificate, changes=True, extra=indexes)
    changes["properties"].pop("name")
    state = {
        "not_after": _MOMENT,
        "used_by": {"type": "array", "items": _NUMBER, "description": "Indexes of virtual services."},
        "under_way": _FLAG,
        "failures": {**_NUMBER, "description": "Orders that failed since the last good one."},
        "ordered": {**_MOMENT, "description": "When the last order ended."},
        "next": {**_MOMENT, "description": "When the next one is made."},
        "trouble": {**_TEXT, "description": "Why the last order failed."},
        "remedy": _TEXT,
        "words": {**_TEXT, "description": "The authority's problem document."},
        "output": {**_TEXT, "description": "What DNS updates and hooks said."},
    }
    registered = {"has_hmac": _FLAG, "registered": _FLAG, "uri": _TEXT, "used_by": _NAMES}
    return {
        "AcmeAccount": object_schema(AcmeAccount, extra={**pem, **registered}),
        "AcmeAccountChanges": account_changes,
        "AcmeRegistration": _object(
            {
                "email": _TEXT,
                "agree_terms": {**_FLAG, "description": "You agree to the authority's terms of service."},
            }
        ),
        "AcmeAccountKey": _object(
            {
                "key": {**_SECRET, "description": "Private key in PEM, or a JSON Web Key."},
                "password": {**_SECRET, "description": "Opens an encrypted key."},
            },
            "key",
        ),
        "NewDnsProvider": object_schema(DnsProvider, extra=key),
        "DnsProviderChanges": provider_changes,
        "DnsProvider": object_schema(DnsProvider, extra={"has_key": _FLAG, "used_by": _NAMES}),
        "NewAcmeCertificate": object_schema(AcmeCertificate, extra=indexes),
        "AcmeCertificateChanges": changes,
        "AcmeCertificate": object_schema(AcmeCertificate, extra={**indexes, **state}),
        "DeclaredAcme": {
            **_object(
                {
                    "accounts": _list(object_schema(AcmeAccount, extra=pem)),
                    "dns_providers": _list(object_schema(DnsProvider)),
                    "certificates": _list(object_schema(AcmeCertificate, extra={"challenge_services": answering})),
                }
            ),
            "description": "Left out: all of it stays as it is. Keys and registrations stay with those named again.",
        },
        "AcmeRehearsal": _object({"directory_url": {**_TEXT, "description": "Where to try it."}}),
    }
