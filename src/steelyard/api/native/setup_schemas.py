"""Schemas of the first start and the quick setup."""

from __future__ import annotations

from typing import get_args

from steelyard.api.native.catalogue import Schema
from steelyard.api.native.schema_words import FLAG, NUMBER, TEXT, TEXTS, object_of
from steelyard.model.first_start import FirstStep


def setup_schemas() -> dict[str, Schema]:
    """By name."""
    side = object_of(
        {
            "interface": TEXT,
            "number": {**NUMBER, "description": "LoadMaster's."},
            "up": FLAG,
            "hardware_address": TEXT,
            "address": {**TEXT, "description": "address/prefix; empty without one"},
            "addresses": {**TEXTS, "description": "All that are there."},
            "dynamic": {**TEXTS, "description": "Those that end by themselves, as DHCP's do."},
        }
    )
    maybe_side: Schema = {**side, "type": ["object", "null"]}
    names: dict[str, Schema] = {"name_servers": TEXTS, "search_domains": TEXTS, "host_name": TEXT}
    network = {
        "managed": FLAG,
        "network": maybe_side,
        "farm": {**maybe_side, "description": "null on a host of one interface"},
        "candidates": {"type": "array", "items": side},
        "default_gateway": TEXT,
        **names,
    }
    return {
        "Setup": object_of(
            {
                "version": TEXT,
                "first_step": {"enum": list(get_args(FirstStep)), "description": "Empty: the appliance is set up."},
                "web": {
                    "description": "Where the web interface listens.",
                    **object_of({"address": TEXT, "port": NUMBER}),
                    "type": ["object", "null"],
                },
                "network": object_of(network),
                "waiting": {
                    "description": "The change that goes back unless it is confirmed; null without one.",
                    **object_of({"revision": NUMBER, "seconds": {"type": "number"}}),
                    "type": ["object", "null"],
                },
            }
        ),
        "NetworkSetup": object_of(
            {
                "network_side": {**TEXT, "description": "Its interface; left out: the first."},
                "network_address": {**TEXT, "description": "address/prefix"},
                "farm_side": {**TEXT, "description": "Its interface; left out: the second."},
                "farm_address": {**TEXT, "description": "address/prefix; empty for one arm"},
                "default_gateway": {**TEXT, "description": "In the network of the network side; empty removes it."},
                **names,
                "manage": {**FLAG, "description": "Hand the network to Steelyard, if another tool owns it."},
            }
        ),
    }
