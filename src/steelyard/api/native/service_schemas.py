"""Schemas of services, real servers, sub-services and what they use: content rules, access lists, limits."""

from __future__ import annotations

from steelyard.api.native.catalogue import Schema, object_schema
from steelyard.api.native.schema_words import FLAG, INDEX, MOMENT, NUMBER, TEXT, TEXTS, list_of, named, object_of, ref
from steelyard.model.access_list import LISTS, MAX_COMMENT
from steelyard.model.commands.weights import LONGEST_SECONDS, USUAL_SECONDS
from steelyard.model.content_rule import ContentRule
from steelyard.model.ldap_endpoint import LdapEndpoint
from steelyard.model.limits import KINDS, LimitRule
from steelyard.model.real_server import RealServer
from steelyard.model.slot import Slot
from steelyard.model.virtual_service import VirtualService
from steelyard.model.virtual_service.further import FurtherCheck


def _services() -> dict[str, Schema]:
    servers = {"type": "array", "items": ref("NewRealServer"), "description": "Its real servers."}
    state = {"status": TEXT, "reason": TEXT}
    layer = {
        "layer": {
            **object_of({"number": NUMBER, "title": TEXT, "reason": TEXT, "carried_by": TEXT}),
            "description": "Whether it runs at layer 4 or 7, why, and what carries it.",
        }
    }
    slot = {"slot": {**ref("NewSlot"), "description": "What the parent decides of it."}}
    subs = {**list_of("NewSubService"), "description": "Its sub-services, in place of real servers."}
    parent = {"type": "integer", "description": "Index of the service it is a sub-service of; 0 for none."}
    checks = {"further_checks": {**list_of("FurtherCheck"), "description": "Asked besides the service's own check."}}
    sub_service = object_schema(VirtualService, extra={"servers": servers, **checks, **slot})
    sub_service.pop("required", None)
    since = {"since": MOMENT, "drain_ends": MOMENT}
    return {
        "NewVirtualService": object_schema(VirtualService, extra={"servers": servers, "sub_services": subs, **checks}),
        "FurtherCheck": object_schema(FurtherCheck),
        "FurtherCheckChanges": object_schema(FurtherCheck, changes=True),
        "FurtherChecks": object_of(checks, "further_checks"),
        "NewSubService": sub_service,
        "NewSlot": object_schema(Slot),
        "SlotChanges": object_schema(Slot, changes=True),
        "Slot": object_schema(Slot, extra={"index": INDEX, "service": NUMBER, **state, **since}),
        "VirtualServiceChanges": object_schema(VirtualService, changes=True),
        "VirtualService": object_schema(
            VirtualService,
            extra={
                "index": INDEX,
                "parent": parent,
                "servers": list_of("RealServer"),
                "slots": list_of("Slot"),
                **checks,
                **state,
                **layer,
                "warnings": {
                    "type": "array",
                    "items": object_of(dict.fromkeys(("field", "message", "remedy"), TEXT)),
                    "description": "What works as it is set, but hardly as it is meant.",
                },
            },
        ),
        "NewRealServer": object_schema(RealServer),
        "RealServerChanges": object_schema(RealServer, changes=True),
        "RealServer": object_schema(RealServer, extra={"index": INDEX, **state, **since}),
        "Copy": object_of({name: named(VirtualService, name) for name in ("address", "port")}),
        "NewRedirector": object_of({"port": named(VirtualService, "port")}),
        "ErrorPage": object_of({"data": {**TEXT, "format": "byte"}, "media_type": TEXT}),
        "NewErrorPage": object_of(
            {"text": {**TEXT, "description": "The page as text."}, "data": {**TEXT, "format": "byte"}}
        ),
        "ExternalWeights": object_of(
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
        "Weights": object_of(
            {
                "service": INDEX,
                "schedule": TEXT,
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


def _access_lists() -> dict[str, Schema]:
    address = {**TEXT, "description": "An address or network; without a prefix it is one address."}
    lines = {**TEXT, "description": "One address a line, a comment after #."}
    entry = {"address": address, "comment": {**TEXT, "maxLength": MAX_COMMENT}}
    counts = {"scope": {**TEXT, "description": "all, or the index of a virtual service."}}
    held = {**TEXTS, "description": "One entry each, a comment after #."}
    return {
        "Entry": object_of(entry, "address"),
        "NewEntries": object_of({**entry, "entries": list_of("Entry"), "text": lines}),
        "AccessListCounts": object_of({**counts, "block": NUMBER, "allow": NUMBER, "otherwise": {"enum": list(LISTS)}}),
        "AccessDecision": object_of({"allowed": FLAG, "why": TEXT}),
        "AccessLists": object_of(
            {
                "service": object_of({"address": TEXT, "port": NUMBER, "protocol": TEXT}, "address", "port"),
                "block": held,
                "allow": held,
            }
        ),
    }


def _rules() -> dict[str, Schema]:
    position = {"type": "integer", "minimum": 1, "description": "Counted from 1; beyond the end is last."}
    used = {"used_by": {"type": "array", "items": NUMBER, "description": "Indexes of virtual services."}}
    return {
        "NewContentRule": object_schema(ContentRule),
        "ContentRuleChanges": object_schema(ContentRule, changes=True),
        "ContentRule": object_schema(ContentRule, extra=used),
        "Attachment": object_of({"rule": TEXT, "position": position}, "rule"),
        "Position": object_of({"position": position}, "position"),
    }


def _ldap_endpoints() -> dict[str, Schema]:
    password = {"password": {**TEXT, "format": "password", "description": "Of the user; empty takes it away."}}
    used = {"type": "array", "items": NUMBER, "description": "Indexes of virtual services."}
    return {
        "NewLdapEndpoint": object_schema(LdapEndpoint, extra=password),
        "LdapEndpointChanges": object_schema(LdapEndpoint, changes=True, extra=password),
        "LdapEndpoint": object_schema(LdapEndpoint, extra={"has_password": FLAG, "used_by": used}),
    }


def _limits() -> dict[str, Schema]:
    network = {**TEXT, "description": "An address or a network: 198.51.100.0/24."}
    limit = {**NUMBER, "minimum": 0, "description": "0 is no limit, whatever wider networks have."}
    rules = {"type": "array", "items": ref("NewLimitRule"), "description": "In the order in which they are looked at."}
    networks = {"type": "array", "items": object_of({"network": network, "limit": limit})}
    return {
        "NewLimitRule": object_schema(LimitRule),
        "LimitRuleChanges": object_schema(LimitRule, changes=True),
        "NetworkLimit": object_of({"network": network, "limit": limit}, "network", "limit"),
        "ClientLimit": object_of(
            {"kind": {"enum": list(KINDS)}, "network": network, "limit": limit}, "kind", "network", "limit"
        ),
        "Limits": object_of({"clients": object_of(dict.fromkeys(KINDS, networks)), "rules": rules}),
        "AppliedLimit": object_of({"kind": {"enum": list(KINDS)}, "limit": NUMBER, "why": TEXT}),
    }


def service_schemas() -> dict[str, Schema]:
    """By name."""
    return {**_services(), **_access_lists(), **_rules(), **_limits(), **_ldap_endpoints()}
