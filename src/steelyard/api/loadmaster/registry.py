"""The commands there are, by name.

Command names are matched without regard to case; sub-commands are separated by a slash or a dot, and the prefix
`logging/` may be missing (`reference/loadmaster-api/13`, quirk 13).
"""

from __future__ import annotations

from collections.abc import Mapping

from steelyard.api.loadmaster import (
    access_lists,
    acme,
    adaptive,
    backups,
    certificates,
    cipher_sets,
    error_pages,
    event_logs,
    extended_logs,
    extensions,
    first_start,
    interfaces,
    ldap_endpoints,
    limits,
    parameters,
    real_servers,
    rules,
    statistics,
    system,
    templates,
    users,
    virtual_services,
)
from steelyard.api.loadmaster.answers import Answer, Data
from steelyard.api.loadmaster.call import Call, Entry
from steelyard.api.loadmaster.failures import Refusal, not_built
from steelyard.api.loadmaster.identity import version
from steelyard.api.loadmaster.known_names import KNOWN_COMMANDS
from steelyard.model.first_start import CLOSED


async def listapi(call: Call) -> Answer:
    """The commands that are built, for clients that look before they ask."""
    closed = call.configuration.first_step in CLOSED
    known = sorted(entry.name for entry in _BUILT if entry.listed and (entry.first or not closed))
    return Data({"version": version(call), "commands": {"cmd": tuple(known)}})


_BUILT: tuple[Entry, ...] = (
    *virtual_services.COMMANDS,
    *real_servers.COMMANDS,
    *error_pages.COMMANDS,
    *rules.COMMANDS,
    *certificates.COMMANDS,
    *cipher_sets.COMMANDS,
    *acme.COMMANDS,
    *backups.COMMANDS,
    *ldap_endpoints.COMMANDS,
    *parameters.COMMANDS,
    *adaptive.COMMANDS,
    *limits.COMMANDS,
    *access_lists.COMMANDS,
    *extensions.COMMANDS,
    *extended_logs.COMMANDS,
    *event_logs.COMMANDS,
    *interfaces.COMMANDS,
    *users.COMMANDS,
    *statistics.COMMANDS,
    *templates.COMMANDS,
    *system.COMMANDS,
    *first_start.COMMANDS,
    Entry("listapi", listapi, first="signed"),
)


def _by_name(entries: tuple[Entry, ...]) -> Mapping[str, Entry]:
    return {name: entry for entry in entries for name in (entry.name, *entry.aliases)}


REGISTRY = _by_name(_BUILT)
_REMEDIES = {**extended_logs.REFUSED, **interfaces.REFUSED, **first_start.REFUSED}


def find(name: str) -> Entry:
    """The command of that name. Raises `Refusal`: 422 for one that is known and not built, 405 for one nobody knows."""
    folded = name.strip().strip("/").lower().replace(".", "/")
    entry = REGISTRY.get(folded)
    if entry is not None:
        return entry
    family = folded.partition("/")[0]
    for known in (folded, f"logging/{folded}", family):
        if known in KNOWN_COMMANDS and known not in REGISTRY:
            raise not_built(f"Command {known}", _REMEDIES.get(known))
    raise Refusal(405, "Unknown command")
