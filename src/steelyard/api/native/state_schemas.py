"""Schemas of what is: events, explanations, the network."""

from __future__ import annotations

from typing import get_args

from steelyard.api.native.catalogue import Schema, object_schema
from steelyard.api.native.schema_words import FLAG, MOMENT, NUMBER, TEXT, TEXTS, list_of, object_of, ref
from steelyard.model.network import HostsEntry, StaticRoute
from steelyard.model.network import Interface as WantedInterface
from steelyard.model.severity import LEVELS
from steelyard.observe.events.event import KINDS as EVENT_KINDS
from steelyard.observe.network_state import InterfaceKind


def _network() -> dict[str, Schema]:
    maybe_number = {"type": ["integer", "null"]}
    interface = {
        "name": TEXT,
        "number": {**maybe_number, "description": "LoadMaster's number; loopback has none."},
        "kind": {"enum": list(get_args(InterfaceKind))},
        "up": FLAG,
        "mtu": NUMBER,
        "hardware_address": TEXT,
        "addresses": {**TEXTS, "description": "address/prefix"},
        "vlan": maybe_number,
        "parent": {**TEXT, "description": "The interface a VLAN is on."},
        "member_of": {**TEXT, "description": "The bond or bridge it belongs to."},
        "gateway": {**FLAG, "description": "Whether a default route leaves by it."},
        "passing": {**TEXTS, "description": "Those of the addresses that end by themselves."},
        "bond_mode": {**maybe_number, "description": "The kernel's number of how a bond uses its ports."},
    }
    route = {"destination": TEXT, "gateway": TEXT, "interface": TEXT, "metric": NUMBER}
    return {
        "Network": object_of(
            {
                "host_name": TEXT,
                "interfaces": {"type": "array", "items": object_of(interface)},
                "routes": {"type": "array", "items": object_of(route)},
                "name_servers": TEXTS,
                "search_domains": TEXTS,
                "hosts": {"type": "array", "items": object_of({"address": TEXT, "names": TEXTS})},
                "managed": {**FLAG, "description": "Whether Steelyard manages it; otherwise it only reads it."},
                "waiting": {
                    "description": "The change that goes back unless it is confirmed; null without one.",
                    **object_of({"revision": NUMBER, "seconds": {"type": "number"}}),
                    "type": ["object", "null"],
                },
            }
        ),
        "WantedInterface": object_schema(WantedInterface),
        "InterfaceChanges": object_schema(WantedInterface, changes=True),
        "StaticRoute": object_schema(StaticRoute),
        "HostsEntry": object_schema(HostsEntry),
        "NewVlan": object_of({"vlan": NUMBER}, "vlan"),
        "NewBond": object_of({"interface": TEXT, "bond_mode": NUMBER}, "interface"),
        "BondMember": object_of({"interface": TEXT}, "interface"),
        "InterfaceAddress": object_of({"address": {**TEXT, "description": "address/prefix"}}, "address"),
        "Managed": object_of({"managed": FLAG}, "managed"),
        "Confirmed": object_of({"revision": NUMBER}),
    }


def _events() -> dict[str, Schema]:
    level: Schema = {"enum": list(LEVELS)}
    number: Schema = {"type": ["integer", "null"]}
    return {
        "Event": object_of(
            {
                "number": {**NUMBER, "description": "Its place in the log."},
                "at": MOMENT,
                "kind": {"enum": list(EVENT_KINDS)},
                "severity": level,
                "text": TEXT,
                "service": {**number, "description": "Index of the virtual service it is about."},
                "server": {**number, "description": "Index of the real server it is about."},
                "about": {**TEXT, "description": "What else it is about: a certificate, a subscriber."},
                "ends": {"type": ["string", "null"], "description": "Level of the trouble that is over with it."},
                "damped": {**FLAG, "description": "One of many of something flapping: syslog and the log alone."},
                "late": {**FLAG, "description": "It happened while the control plane was away."},
            }
        ),
        "Subscriber": object_of(
            {
                "name": TEXT,
                "level": level,
                "state": {"enum": ["idle", "working", "failing"]},
                "delivered": NUMBER,
                "waiting": NUMBER,
                "lost": NUMBER,
                "error": TEXT,
                "last_delivered": MOMENT,
            }
        ),
        "TestEvent": object_of({"severity": {**level, "default": "info"}, "text": TEXT}),
    }


def _explanations() -> dict[str, Schema]:
    headers = {"type": "object", "additionalProperties": {"anyOf": [TEXT, TEXTS]}}
    pairs = {"type": "array", "items": {"type": "array", "items": TEXT, "minItems": 2, "maxItems": 2}}
    asked = {
        "url": {**TEXT, "description": "What a client would open; with a service a path is enough."},
        "service": {**NUMBER, "description": "Index of the virtual service; without it the URL says which."},
        "client": {**TEXT, "default": "127.0.0.1", "description": "Address of the client."},
        "method": {**TEXT, "default": "GET"},
        "headers": {"anyOf": [headers, pairs], "description": "Without a Host header the URL's host is taken."},
        "body": TEXT,
        "server_name": {**TEXT, "description": "Name in the TLS hello, if it is not the URL's host."},
        "version": {**TEXT, "enum": ["1.0", "1.1", "2"], "default": "1.1"},
    }
    step = object_of({"step": TEXT, "service": NUMBER, "says": TEXT, "details": TEXTS})
    server = {"service": NUMBER, "index": {"type": ["integer", "null"]}, "address": TEXT, "port": NUMBER}
    result = {
        "kind": {**TEXT, "enum": ["server", "candidates", "answered", "closed"]},
        "why": TEXT,
        "servers": {"type": "array", "items": object_of(server)},
        "status": {"type": ["integer", "null"], "description": "Status of an answer of Steelyard's own."},
        "location": {"type": ["string", "null"], "description": "Where that answer sends the client."},
        "others": {
            **list_of("ExplainedResult"),
            "description": "What may come instead, where one of the sub-services that may be chosen refuses.",
        },
    }
    return {
        "ExplainedRequest": object_of(asked, "url"),
        "ExplainedResult": object_of(result),
        **_events(),
        "Explanation": object_of(
            {"revision": NUMBER, "steps": {"type": "array", "items": step}, "result": ref("ExplainedResult")}
        ),
    }


def state_schemas() -> dict[str, Schema]:
    """By name."""
    return {**_network(), **_explanations()}
