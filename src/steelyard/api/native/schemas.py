"""The OpenAPI components: schemas of what is sent and answered, those of settings derived from the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from steelyard.api.native.acme_schemas import acme_schemas
from steelyard.api.native.batch_operations import operation_schemas
from steelyard.api.native.catalogue import PARAMETERS, Schema, object_schema, secret_schemas
from steelyard.appliance.signing import DEFAULT_KEY, KEY_TYPES, SUBJECT
from steelyard.model.access_list import LISTS, MAX_COMMENT
from steelyard.model.certificate import Certificate
from steelyard.model.certificate_backup import LEAST_PASS_PHRASE, MOST_PASS_PHRASE, PARTS
from steelyard.model.cipher_set import CipherSet
from steelyard.model.commands.weights import LONGEST_SECONDS, USUAL_SECONDS
from steelyard.model.content_rule import ContentRule
from steelyard.model.intermediate import Intermediate
from steelyard.model.ldap_endpoint import LdapEndpoint
from steelyard.model.limits import KINDS, LimitRule
from steelyard.model.real_server import RealServer
from steelyard.model.revocation_list import RevocationList
from steelyard.model.severity import LEVELS
from steelyard.model.signing_request import SigningRequest
from steelyard.model.slot import Slot
from steelyard.model.user import PERMISSIONS
from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service.further import FurtherCheck
from steelyard.observe.events.event import KINDS as EVENT_KINDS
from steelyard.observe.network_state import InterfaceKind

_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "integer"}
_FLAG: Schema = {"type": "boolean"}
_MOMENT: Schema = {"type": ["string", "null"], "format": "date-time"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_VALIDITY: dict[str, Schema] = {
    "not_before": _MOMENT,
    "not_after": _MOMENT,
    "days_left": {**_NUMBER, "description": "Whole days until it ends, negative when it has."},
}
_USED_BY: Schema = {"type": "array", "items": _NUMBER, "description": "Indexes of virtual services."}
_BACKUP_PASSWORD: Schema = {
    **_TEXT,
    "format": "password",
    "minLength": LEAST_PASS_PHRASE,
    "maxLength": MOST_PASS_PHRASE,
}
_INDEX: Schema = {"type": "integer", "minimum": 1, "description": "Given by Steelyard."}


def ref(name: str) -> Schema:
    """A reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def list_of(name: str) -> Schema:
    """A list of a component."""
    return {"type": "array", "items": ref(name)}


def _object(properties: Mapping[str, Schema], *required: str) -> Schema:
    found: Schema = {"type": "object", "additionalProperties": False, "properties": dict(properties)}
    return {**found, "required": list(required)} if required else found


def _named(value: type[Any], name: str) -> Schema:
    found: Schema = object_schema(value)["properties"][name]
    return found


def _services() -> dict[str, Schema]:
    servers = {"type": "array", "items": ref("NewRealServer"), "description": "Its real servers."}
    state = {"status": _TEXT, "reason": _TEXT}
    slot = {"slot": {**ref("NewSlot"), "description": "What the parent decides of it."}}
    subs = {**list_of("NewSubService"), "description": "Its sub-services, in place of real servers."}
    parent = {"type": "integer", "description": "Index of the service it is a sub-service of; 0 for none."}
    checks = {"further_checks": {**list_of("FurtherCheck"), "description": "Asked besides the service's own check."}}
    sub_service = object_schema(VirtualService, extra={"servers": servers, **checks, **slot})
    sub_service.pop("required", None)
    since = {"since": _MOMENT, "drain_ends": _MOMENT}
    return {
        "NewVirtualService": object_schema(VirtualService, extra={"servers": servers, "sub_services": subs, **checks}),
        "FurtherCheck": object_schema(FurtherCheck),
        "FurtherCheckChanges": object_schema(FurtherCheck, changes=True),
        "FurtherChecks": _object(checks, "further_checks"),
        "NewSubService": sub_service,
        "NewSlot": object_schema(Slot),
        "SlotChanges": object_schema(Slot, changes=True),
        "Slot": object_schema(Slot, extra={"index": _INDEX, "service": _NUMBER, **state, **since}),
        "VirtualServiceChanges": object_schema(VirtualService, changes=True),
        "VirtualService": object_schema(
            VirtualService,
            extra={
                "index": _INDEX,
                "parent": parent,
                "servers": list_of("RealServer"),
                "slots": list_of("Slot"),
                **checks,
                **state,
            },
        ),
        "NewRealServer": object_schema(RealServer),
        "RealServerChanges": object_schema(RealServer, changes=True),
        "RealServer": object_schema(RealServer, extra={"index": _INDEX, **state, **since}),
        "Copy": _object({name: _named(VirtualService, name) for name in ("address", "port")}),
        "NewRedirector": _object({"port": _named(VirtualService, "port")}),
        "ErrorPage": _object({"data": {**_TEXT, "format": "byte"}, "media_type": _TEXT}),
        "NewErrorPage": _object(
            {"text": {**_TEXT, "description": "The page as text."}, "data": {**_TEXT, "format": "byte"}}
        ),
        "ExternalWeights": _object(
            {
                "weights": {
                    "type": "object",
                    "description": "Index of a real server or slot: its weight.",
                    "additionalProperties": {"type": "integer", "minimum": 1, "maximum": 65535},
                },
                "seconds": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": LONGEST_SECONDS,
                    "default": USUAL_SECONDS,
                    "description": "After these the configured weights hold again.",
                },
            },
            "weights",
        ),
        "Weights": _object(
            {
                "service": _INDEX,
                "schedule": _TEXT,
                "members": {
                    "type": "array",
                    "items": {"type": "object"},
                    "description": "Each with what it counts as.",
                },
            }
        ),
        "Check": {
            "type": "object",
            "description": "One attempt of a check: what was sent, what came back, the verdict.",
        },
    }


def _certificates() -> dict[str, Schema]:
    material = {
        "pem": {**_TEXT, "description": "Key, certificate and chain in PEM, in any order."},
        "data": {**_TEXT, "format": "byte", "description": "PKCS#12 (or PEM) in base64, instead of pem."},
        "password": {**_TEXT, "format": "password", "description": "Opens an encrypted key or PKCS#12 file."},
    }
    name = {"name": _named(Certificate, "name")}
    texts = ("subject", "issuer", "serial", "sha256", "key_type", "chain_pem")
    return {
        "CertificateMaterial": _object(material),
        "NewCertificate": _object({**name, **material}, "name"),
        "Certificate": _object(
            {
                **name,
                "temporary": _FLAG,
                **dict.fromkeys(texts, _TEXT),
                "key_bits": {"type": ["integer", "null"]},
                "names": _TEXTS,
                **_VALIDITY,
                "used_by": _USED_BY,
                "chain": {**_TEXTS, "description": "Subjects of what clients are sent, the certificate's own first."},
                "problems": list_of("Finding"),
            }
        ),
        "Finding": _object(
            {"kind": _TEXT, "severity": {"enum": ["error", "warning", "note"]}, "text": _TEXT, "remedy": _TEXT}
        ),
        **_intermediates(),
        **_signing_requests(),
        "NewCertificateBackup": _object({"password": _BACKUP_PASSWORD}, "password"),
        "CertificateBackup": _object({"data": {**_TEXT, "format": "byte", "description": "The file, in base64."}}),
        "CertificateRestore": _object(
            {
                "data": {**_TEXT, "format": "byte", "description": "The file, in base64."},
                "password": _BACKUP_PASSWORD,
                "type": {
                    "enum": list(PARTS),
                    "default": "full",
                    "description": "third: intermediates alone; vs: certificates of services alone.",
                },
            },
            "data",
            "password",
        ),
    }


def _intermediates() -> dict[str, Schema]:
    material = {
        "pem": {**_TEXT, "description": "One certificate in PEM, or several."},
        "data": {**_TEXT, "format": "byte", "description": "The same in base64."},
    }
    name = {"name": _named(Intermediate, "name")}
    return {
        "IntermediateMaterial": _object(material),
        "NewIntermediate": _object({**name, **material}, "name"),
        "Intermediate": _object(
            {
                **name,
                "root": {**_FLAG, "description": "Its own issuer: never part of a chain."},
                **dict.fromkeys(("subject", "issuer", "serial", "sha256", "pem"), _TEXT),
                **_VALIDITY,
                "completes": {**_TEXTS, "description": "Names of certificates whose chains have it."},
                "used_by": {
                    **_USED_BY,
                    "description": "Indexes of virtual services that name it, for clients or real servers.",
                },
                "problems": list_of("Finding"),
            }
        ),
    }


def _signing_requests() -> dict[str, Schema]:
    name = {"name": _named(SigningRequest, "name")}
    names = {**_TEXTS, "description": "Host names and addresses; a common name that is a host name is added."}
    return {
        "NewSigningRequest": _object(
            {
                **name,
                "subject": _object(dict.fromkeys(SUBJECT, _TEXT)),
                "names": names,
                "key_type": {"enum": list(KEY_TYPES), "default": DEFAULT_KEY},
                "show_key": {**_FLAG, "description": "Have the key in this one answer."},
            },
            "name",
        ),
        "SigningRequest": _object({**name, "subject": _TEXT, "names": names, "key_type": _TEXT, "pem": _TEXT}),
    }


def _cipher_sets() -> dict[str, Schema]:
    made = object_schema(CipherSet)
    missing = {
        **_TEXTS,
        "description": "Members that the TLS library of this host's HAProxy lacks; services go without.",
    }
    used = {"type": "array", "items": _NUMBER, "description": "Indexes of virtual services."}
    return {
        "NewCipherSet": made,
        "CipherSetContent": _object({"ciphers": _named(CipherSet, "ciphers")}, "ciphers"),
        "CipherSet": object_schema(CipherSet, extra={"built_in": _FLAG, "missing": missing, "used_by": used}),
    }


def _users() -> dict[str, Schema]:
    permissions = {"type": "array", "items": {"enum": list(PERMISSIONS), "type": "string"}}
    password = {**_TEXT, "format": "password"}
    return {
        "NewUser": _object({"name": _TEXT, "password": password, "permissions": permissions}, "name", "password"),
        "UserChanges": _object({"password": password, "permissions": permissions}),
        "User": _object({"name": _TEXT, "permissions": permissions, "api_keys": _NUMBER}),
        "ApiKey": _object({"id": _TEXT, "hint": {**_TEXT, "description": "Its first characters."}}),
    }


def _access_lists() -> dict[str, Schema]:
    address = {**_TEXT, "description": "An address or network; without a prefix it is one address."}
    lines = {**_TEXT, "description": "One address a line, a comment after #."}
    entry = {"address": address, "comment": {**_TEXT, "maxLength": MAX_COMMENT}}
    counts = {"scope": {**_TEXT, "description": "all, or the index of a virtual service."}}
    held = {**_TEXTS, "description": "One entry each, a comment after #."}
    return {
        "Entry": _object(entry, "address"),
        "NewEntries": _object({**entry, "entries": list_of("Entry"), "text": lines}),
        "AccessListCounts": _object({**counts, "block": _NUMBER, "allow": _NUMBER, "otherwise": {"enum": list(LISTS)}}),
        "AccessDecision": _object({"allowed": _FLAG, "why": _TEXT}),
        "AccessLists": _object(
            {
                "service": _object({"address": _TEXT, "port": _NUMBER, "protocol": _TEXT}, "address", "port"),
                "block": held,
                "allow": held,
            }
        ),
    }


def _rules() -> dict[str, Schema]:
    position = {"type": "integer", "minimum": 1, "description": "Counted from 1; beyond the end is last."}
    used = {"used_by": {"type": "array", "items": _NUMBER, "description": "Indexes of virtual services."}}
    return {
        "NewContentRule": object_schema(ContentRule),
        "ContentRuleChanges": object_schema(ContentRule, changes=True),
        "ContentRule": object_schema(ContentRule, extra=used),
        "Attachment": _object({"rule": _TEXT, "position": position}, "rule"),
        "Position": _object({"position": position}, "position"),
    }


def _ldap_endpoints() -> dict[str, Schema]:
    password = {"password": {**_TEXT, "format": "password", "description": "Of the user; empty takes it away."}}
    used = {"type": "array", "items": _NUMBER, "description": "Indexes of virtual services."}
    return {
        "NewLdapEndpoint": object_schema(LdapEndpoint, extra=password),
        "LdapEndpointChanges": object_schema(LdapEndpoint, changes=True, extra=password),
        "LdapEndpoint": object_schema(LdapEndpoint, extra={"has_password": _FLAG, "used_by": used}),
    }


def _limits() -> dict[str, Schema]:
    network = {**_TEXT, "description": "An address or a network: 198.51.100.0/24."}
    limit = {**_NUMBER, "minimum": 0, "description": "0 is no limit, whatever wider networks have."}
    rules = {"type": "array", "items": ref("NewLimitRule"), "description": "In the order in which they are looked at."}
    networks = {"type": "array", "items": _object({"network": network, "limit": limit})}
    return {
        "NewLimitRule": object_schema(LimitRule),
        "LimitRuleChanges": object_schema(LimitRule, changes=True),
        "NetworkLimit": _object({"network": network, "limit": limit}, "network", "limit"),
        "ClientLimit": _object(
            {"kind": {"enum": list(KINDS)}, "network": network, "limit": limit}, "kind", "network", "limit"
        ),
        "Limits": _object({"clients": _object(dict.fromkeys(KINDS, networks)), "rules": rules}),
        "AppliedLimit": _object({"kind": {"enum": list(KINDS)}, "limit": _NUMBER, "why": _TEXT}),
    }


def _network() -> dict[str, Schema]:
    maybe_number = {"type": ["integer", "null"]}
    interface = {
        "name": _TEXT,
        "number": {**maybe_number, "description": "LoadMaster's number; loopback has none."},
        "kind": {"enum": list(get_args(InterfaceKind))},
        "up": _FLAG,
        "mtu": _NUMBER,
        "hardware_address": _TEXT,
        "addresses": {**_TEXTS, "description": "address/prefix"},
        "vlan": maybe_number,
        "parent": {**_TEXT, "description": "The interface a VLAN is on."},
        "member_of": {**_TEXT, "description": "The bond or bridge it belongs to."},
        "gateway": {**_FLAG, "description": "Whether a default route leaves by it."},
    }
    route = {"destination": _TEXT, "gateway": _TEXT, "interface": _TEXT, "metric": _NUMBER}
    return {
        "Network": _object(
            {
                "host_name": _TEXT,
                "interfaces": {"type": "array", "items": _object(interface)},
                "routes": {"type": "array", "items": _object(route)},
                "name_servers": _TEXTS,
                "search_domains": _TEXTS,
                "hosts": {"type": "array", "items": _object({"address": _TEXT, "names": _TEXTS})},
            }
        )
    }


def _configuration() -> dict[str, Schema]:
    parameters = {name: object_schema(model) for name, model in PARAMETERS.items()}
    return {
        **{f"{name.capitalize()}Parameters": schema for name, schema in parameters.items()},
        **{
            f"{name.capitalize()}ParameterChanges": object_schema(model, changes=True, extra=secret_schemas(model))
            for name, model in PARAMETERS.items()
        },
        "Configuration": _object(
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
                "parameters": _object({name: ref(f"{name.capitalize()}ParameterChanges") for name in PARAMETERS}),
            }
        ),
        "Batch": _object({"commands": {"type": "array", "items": {"oneOf": operation_schemas()}}}, "commands"),
        "Rollback": _object({"revision": _NUMBER, "reason": _TEXT, "dry_run": _FLAG}, "revision"),
    }


def _events() -> dict[str, Schema]:
    level: Schema = {"enum": list(LEVELS)}
    number: Schema = {"type": ["integer", "null"]}
    return {
        "Event": _object(
            {
                "number": {**_NUMBER, "description": "Its place in the log."},
                "at": _MOMENT,
                "kind": {"enum": list(EVENT_KINDS)},
                "severity": level,
                "text": _TEXT,
                "service": {**number, "description": "Index of the virtual service it is about."},
                "server": {**number, "description": "Index of the real server it is about."},
                "about": {**_TEXT, "description": "What else it is about: a certificate, a subscriber."},
                "ends": {"type": ["string", "null"], "description": "Level of the trouble that is over with it."},
                "damped": {**_FLAG, "description": "One of many of something flapping: syslog and the log alone."},
                "late": {**_FLAG, "description": "It happened while the control plane was away."},
            }
        ),
        "Subscriber": _object(
            {
                "name": _TEXT,
                "level": level,
                "state": {"enum": ["idle", "working", "failing"]},
                "delivered": _NUMBER,
                "waiting": _NUMBER,
                "lost": _NUMBER,
                "error": _TEXT,
                "last_delivered": _MOMENT,
            }
        ),
        "TestEvent": _object({"severity": {**level, "default": "info"}, "text": _TEXT}),
    }


def _answers() -> dict[str, Schema]:
    difference = {"kind": _TEXT, "key": _TEXT, "title": _TEXT, "action": {"enum": ["add", "change", "remove"]}}
    entry = dict.fromkeys(("author", "origin", "reason", "summary", "status", "detail"), _TEXT)
    said = dict.fromkeys(("kind", "message", "field", "allowed", "remedy", "position", "words", "with", "lacks"), _TEXT)
    return {
        "Error": _object({"error": _object({**said, "value": {}}, "kind", "message")}, "error"),
        "Difference": _object({**difference, "lines": {**_TEXTS, "description": "setting: old -> new"}}),
        "Change": _object(
            {
                "revision": _NUMBER,
                "dry_run": _FLAG,
                "applied": {"enum": ["now", "queued", "unchanged", "no"], "description": "no: it was a dry run."},
                "reload": _FLAG,
                "reload_reasons": _TEXTS,
                "operations": _TEXTS,
                "differences": list_of("Difference"),
                "object": {"description": "The object after the change, null when there is none."},
            }
        ),
        "Revision": _object(
            {
                "number": _NUMBER,
                "at": _MOMENT,
                **entry,
                "rollback_of": {"type": ["integer", "null"]},
                "differences": list_of("Difference"),
            }
        ),
        "Data": {"type": "object"},
    }


def _explanations() -> dict[str, Schema]:
    headers = {"type": "object", "additionalProperties": {"anyOf": [_TEXT, _TEXTS]}}
    pairs = {"type": "array", "items": {"type": "array", "items": _TEXT, "minItems": 2, "maxItems": 2}}
    asked = {
        "url": {**_TEXT, "description": "What a client would open; with a service a path is enough."},
        "service": {**_NUMBER, "description": "Index of the virtual service; without it the URL says which."},
        "client": {**_TEXT, "default": "127.0.0.1", "description": "Address of the client."},
        "method": {**_TEXT, "default": "GET"},
        "headers": {"anyOf": [headers, pairs], "description": "Without a Host header the URL's host is taken."},
        "body": _TEXT,
        "server_name": {**_TEXT, "description": "Name in the TLS hello, if it is not the URL's host."},
        "version": {**_TEXT, "enum": ["1.0", "1.1", "2"], "default": "1.1"},
    }
    step = _object({"step": _TEXT, "service": _NUMBER, "says": _TEXT, "details": _TEXTS})
    server = {"service": _NUMBER, "index": {"type": ["integer", "null"]}, "address": _TEXT, "port": _NUMBER}
    result = {
        "kind": {**_TEXT, "enum": ["server", "candidates", "answered", "closed"]},
        "why": _TEXT,
        "servers": {"type": "array", "items": _object(server)},
        "status": {"type": ["integer", "null"], "description": "Status of an answer of Steelyard's own."},
        "location": {"type": ["string", "null"], "description": "Where that answer sends the client."},
        "others": {
            **list_of("ExplainedResult"),
            "description": "What may come instead, where one of the sub-services that may be chosen refuses.",
        },
    }
    return {
        "ExplainedRequest": _object(asked, "url"),
        "ExplainedResult": _object(result),
        **_events(),
        "Explanation": _object(
            {"revision": _NUMBER, "steps": {"type": "array", "items": step}, "result": ref("ExplainedResult")}
        ),
    }


def _revocation() -> dict[str, Schema]:
    content = {"pem": _TEXT, "data": {**_TEXT, "description": "The file in base64, PEM or DER."}}
    name = _named(RevocationList, "name")
    moments = dict.fromkeys(("answer_made", "answer_until", "asked", "next"), _MOMENT)
    return {
        "RevocationList": _object(
            {
                "name": name,
                "issuer": _TEXT,
                "authorities": {**_TEXTS, "description": "Intermediate certificates that signed it."},
                "last_update": _MOMENT,
                "next_update": {**_MOMENT, "description": "Until when it holds; null is without end."},
                "revoked": {**_NUMBER, "description": "How many certificates it names."},
                "pem": _TEXT,
            }
        ),
        "NewRevocationList": _object({"name": name, **content}, "name"),
        "RevocationListContent": _object(content),
        "RefusedClient": _object(
            {
                "at": _MOMENT,
                "client": _TEXT,
                "subject": {**_TEXT, "description": "Of its certificate; empty when it showed none."},
                "reason": _TEXT,
            }
        ),
        "Stapling": _object(
            {
                "certificate": _TEXT,
                "responder": {**_TEXT, "description": "Empty when the certificate names none."},
                **moments,
                "failures": {**_NUMBER, "description": "Attempts in a row that brought no answer."},
                "trouble": {**_TEXT, "description": "What went wrong at the last attempt."},
                "never": {**_TEXT, "description": "Why nobody is asked at all."},
            }
        ),
    }


def components() -> dict[str, Schema]:
    """Every component by name."""
    objects = {
        **_services(),
        **_certificates(),
        **_cipher_sets(),
        **_revocation(),
        **_users(),
        **_access_lists(),
        **_rules(),
        **_limits(),
        **_network(),
        **_ldap_endpoints(),
        **acme_schemas(),
        **_explanations(),
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
