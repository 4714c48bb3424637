"""LoadMaster's own API, versions 1 and 2, over an appliance.

A request becomes a `Call` of an `Entry` of the registry; its handler builds commands of the model and reads
snapshots; what it answers is encoded as XML or JSON. `reference/loadmaster-api` is the specification throughout.
"""

from steelyard.api.loadmaster.routes import build_loadmaster_routes

__all__ = ["build_loadmaster_routes"]
