"""A batch: several changes as plain JSON, read as one command.

    {"commands": [{"op": "add-service", "settings": {...}}, {"op": "disable-server", "service": 1, "server": 3}]}

Each error has the position of its item. Users and API keys are not changed in batches.
"""

from __future__ import annotations

import difflib
import secrets
from collections.abc import Callable, Mapping
from typing import Any, cast

from steelyard.api.native.access_lists import entries_of, list_named, scope_named
from steelyard.api.native.batch_operations import MEMBERS, RULE_OPERATIONS
from steelyard.api.native.bodies import mapping, number, objects, only, text, texts
from steelyard.api.native.catalogue import PARAMETERS
from steelyard.api.native.certificates import material_of
from steelyard.api.native.intermediates import certificates_of
from steelyard.api.native.ldap_endpoints import settings_and_password
from steelyard.api.native.rules import batch_command
from steelyard.api.native.services import duplicate, new_service, service_changes
from steelyard.api.native.sub_services import creation
from steelyard.api.native.writing import settings_given
from steelyard.model.access_list import ListName
from steelyard.model.commands import (
    AddEntries,
    AddFurtherCheck,
    AddIntermediates,
    AddLdapEndpoint,
    AddServer,
    AddServerToAll,
    AddService,
    Batch,
    ChangeFurtherCheck,
    ChangeLdapEndpoint,
    ChangeServer,
    ChangeService,
    ChangeSlot,
    Command,
    EnableAddress,
    PutCertificate,
    PutCipherSet,
    RemoveCertificate,
    RemoveCipherSet,
    RemoveEntries,
    RemoveFurtherCheck,
    RemoveIntermediate,
    RemoveLdapEndpoint,
    RemoveServer,
    RemoveService,
    ReplaceList,
    SetParameters,
)
from steelyard.model.commands.parameters import Section
from steelyard.model.errors import OperatorError, located
from steelyard.model.real_server import RealServer
from steelyard.model.slot import Slot
from steelyard.model.text import canonical_address
from steelyard.model.virtual_service.further import FurtherCheck

Item = Mapping[str, Any]

MAX_COMMANDS = 10_000


def batch_of(data: Item) -> Batch:
    """The command of a batch. Raises `OperatorError` with the position of the bad item. Verifies keys: slow."""
    only(data, ("commands",), "a batch")
    items = objects(data, "commands")
    if not 1 <= len(items) <= MAX_COMMANDS:
        raise OperatorError(
            f"A batch holds {len(items)} commands",
            field="commands",
            allowed=f"1 to {MAX_COMMANDS}",
            remedy="Send them in several batches" if items else 'Send {"commands": [{"op": ...}, ...]}',
        )
    commands = []
    for position, item in enumerate(items):
        with located(f"commands[{position}]"):
            commands.append(command_of(item))
    return Batch(tuple(commands))


def command_of(item: Item) -> Command:
    """The command of one item."""
    op = text(item, "op")
    if op not in MEMBERS:
        near = difflib.get_close_matches(op, list(MEMBERS), n=1)
        raise OperatorError(
            f"{op!r} is no operation of a batch",
            field="op",
            value=op[:80],
            allowed=", ".join(MEMBERS),
            remedy=f"Did you mean {near[0]!r}?" if near else "Choose one of them",
        )
    only(item, ("op", *MEMBERS[op]), f"the operation {op}")
    return _READERS[op](item)


def _change_server(item: Item) -> Command:
    changes = settings_given(RealServer, mapping(item, "changes"))
    return ChangeServer(number(item, "service"), number(item, "server"), changes)


def _add_sub_service(item: Item) -> Command:
    return creation(number(item, "parent"), mapping(item, "settings") if "settings" in item else {})


def _switch_server(item: Item, enabled: bool) -> Command:
    return ChangeServer(number(item, "service"), number(item, "server"), {"enabled": enabled})


def _switch_address(item: Item, enabled: bool) -> Command:
    given = text(item, "address")
    try:
        return EnableAddress(canonical_address(given), enabled)
    except ValueError:
        raise OperatorError(
            f"{given[:80]!r} is not an address",
            field="address",
            value=given[:80],
            allowed="an IPv4 or IPv6 address",
            remedy="Give the real server's address",
        ) from None


def _duplicate(item: Item) -> Command:
    return duplicate(number(item, "index"), {name: item[name] for name in ("address", "port") if name in item})


def _certificate(item: Item, replace: bool) -> Command:
    return PutCertificate(text(item, "name"), material_of(item), replace=replace)


def _parameters(item: Item) -> Command:
    section = text(item, "section")
    if section not in PARAMETERS:
        raise OperatorError(
            f"{section[:80]!r} is no section of parameters",
            field="section",
            value=section[:80],
            allowed=", ".join(PARAMETERS),
            remedy="Choose one of them",
        )
    changes = settings_given(PARAMETERS[section], mapping(item, "changes"))
    return SetParameters(cast(Section, section), changes, secrets.token_hex(16))


def _list_of(item: Item) -> tuple[int, ListName]:
    return scope_named(text(item, "scope")), list_named(text(item, "list"))


_READERS: Mapping[str, Callable[[Item], Command]] = {
    "add-service": lambda item: AddService(new_service(mapping(item, "settings"))),
    "change-service": lambda item: ChangeService(number(item, "index"), service_changes(mapping(item, "changes"))),
    "remove-service": lambda item: RemoveService(number(item, "index")),
    "duplicate-service": _duplicate,
    "add-sub-service": _add_sub_service,
    "change-slot": lambda item: ChangeSlot(
        number(item, "service"), number(item, "slot"), settings_given(Slot, mapping(item, "changes"))
    ),
    "add-server-to-all": lambda item: AddServerToAll(
        number(item, "service"), settings_given(RealServer, mapping(item, "settings"))
    ),
    "add-server": lambda item: AddServer(
        number(item, "service"), settings_given(RealServer, mapping(item, "settings"))
    ),
    "change-server": _change_server,
    "remove-server": lambda item: RemoveServer(number(item, "service"), number(item, "server")),
    "add-further-check": lambda item: AddFurtherCheck(
        number(item, "service"), settings_given(FurtherCheck, mapping(item, "settings"))
    ),
    "change-further-check": lambda item: ChangeFurtherCheck(
        number(item, "service"), text(item, "name"), settings_given(FurtherCheck, mapping(item, "changes"))
    ),
    "remove-further-check": lambda item: RemoveFurtherCheck(number(item, "service"), text(item, "name")),
    "enable-server": lambda item: _switch_server(item, True),
    "disable-server": lambda item: _switch_server(item, False),
    "enable-address": lambda item: _switch_address(item, True),
    "disable-address": lambda item: _switch_address(item, False),
    "add-certificate": lambda item: _certificate(item, False),
    "replace-certificate": lambda item: _certificate(item, True),
    "remove-certificate": lambda item: RemoveCertificate(text(item, "name")),
    "add-cipher-set": lambda item: PutCipherSet(text(item, "name"), texts(item, "ciphers"), fresh=True),
    "change-cipher-set": lambda item: PutCipherSet(text(item, "name"), texts(item, "ciphers")),
    "remove-cipher-set": lambda item: RemoveCipherSet(text(item, "name")),
    "add-intermediate": lambda item: AddIntermediates(text(item, "name"), certificates_of(item)),
    "replace-intermediate": lambda item: AddIntermediates(text(item, "name"), certificates_of(item), replace=True),
    "remove-intermediate": lambda item: RemoveIntermediate(text(item, "name")),
    "add-ldap-endpoint": lambda item: AddLdapEndpoint(*settings_and_password(mapping(item, "settings"))),
    "change-ldap-endpoint": lambda item: ChangeLdapEndpoint(
        text(item, "name"), *settings_and_password(mapping(item, "changes"))
    ),
    "remove-ldap-endpoint": lambda item: RemoveLdapEndpoint(text(item, "name")),
    **dict.fromkeys(RULE_OPERATIONS, batch_command),
    "add-entries": lambda item: AddEntries(*_list_of(item), entries_of(item)),
    "remove-entries": lambda item: RemoveEntries(*_list_of(item), entries_of(item)),
    "replace-access-list": lambda item: ReplaceList(*_list_of(item), entries_of(item)),
    "set-parameters": _parameters,
}
