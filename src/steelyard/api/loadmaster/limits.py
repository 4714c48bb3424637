"""Limits of clients and limiting rules (`reference/loadmaster-api/09`, 9.6).

The reference names the tag of each list, not the members of its records: they are called as the parameters are.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from steelyard.api.loadmaster.answers import Answer, Data, Message
from steelyard.api.loadmaster.call import Call, Entry, Handler
from steelyard.api.loadmaster.failures import missing
from steelyard.api.loadmaster.values import decoded
from steelyard.model.commands import (
    AddLimitRule,
    ChangeLimitRule,
    MoveLimitRule,
    RemoveClientLimit,
    RemoveLimitRule,
    SetClientLimit,
)
from steelyard.model.errors import OperatorError
from steelyard.model.limits import Kind, LimitRule

#: family of commands -> what it limits, and the tag of its list
_FAMILIES: tuple[tuple[str, Kind, str], ...] = (
    ("clientmaxclimit", "connections", "ClientMaxcLimit"),
    ("clientcpslimit", "connections_per_second", "ClientCpsLimit"),
    ("afeclientlimit", "connections_per_second", "ClientLimit"),
    ("clientrpslimit", "requests_per_second", "ClientRpsLimit"),
    ("clientbandwidthlimit", "bandwidth", "ClientBandwidthLimit"),
)


def _number(call: Call, name: str) -> int:
    text = call.parameters.required(name, "Integer")
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise OperatorError(
            f"{name} {text[:40]!r} is no whole number",
            field=name,
            value=text[:40],
            allowed="a whole number",
            remedy="Give a whole number",
        )
    return int(text)


def _shown(where: str) -> str:
    """A network as it was given: one address has no prefix."""
    found = ip_network(where)
    return str(found.network_address) if found.num_addresses == 1 else where


def _family(kind: Kind, tag: str) -> tuple[Handler, Handler, Handler]:
    async def listed(call: Call) -> Answer:
        entries = call.configuration.limit_entries.of(kind)
        return Data({tag: tuple({"l7addr": _shown(where), "l7limit": limit} for where, limit in entries.items())})

    async def add(call: Call) -> Answer:
        where = call.parameters.required("l7addr")
        await call.execute(SetClientLimit(kind, where, _number(call, "l7limit")))
        return Message()

    async def remove(call: Call) -> Answer:
        await call.execute(RemoveClientLimit(kind, call.parameters.required("l7addr")))
        return Message()

    return listed, add, remove


def _families() -> Iterator[Entry]:
    for name, kind, tag in _FAMILIES:
        listed, add, remove = _family(kind, tag)
        yield Entry(f"{name}list", listed)
        yield Entry(f"{name}add", add, "root")
        yield Entry(f"{name}del", remove, "root")


async def listlimitrules(call: Call) -> Answer:
    """The limiting rules in their order."""
    rules = call.configuration.limit_entries.rules
    return Data(
        {
            "Limits": tuple(
                {"name": rule.name, "pattern": rule.pattern, "limit": rule.limit, "match": rule.match} for rule in rules
            )
        }
    )


def _settings(call: Call) -> dict[str, object]:
    declared = LimitRule.by_wire()
    return {
        declared[name].name: decoded(declared[name], call.parameters.raw(name))
        for name in call.parameters
        if name in declared
    }


async def addlimitrule(call: Call) -> Answer:
    """A new rule, the last one."""
    for name in ("name", "pattern", "limit"):
        call.parameters.required(name, "Integer" if name == "limit" else "String")
    await call.execute(AddLimitRule(_settings(call)))
    return Message()


async def modlimitrule(call: Call) -> Answer:
    """Change pattern, limit or match of a rule."""
    changes = {name: value for name, value in _settings(call).items() if name != "name"}
    await call.execute(ChangeLimitRule(call.parameters.required("name"), changes))
    return Message()


async def dellimitrule(call: Call) -> Answer:
    """Remove a rule."""
    await call.execute(RemoveLimitRule(call.parameters.required("name")))
    return Message()


async def movelimitrule(call: Call) -> Answer:
    """Give a rule another place; what is too large is the end."""
    if "position" not in call.parameters:
        raise missing("position", "Integer")
    await call.execute(MoveLimitRule(call.parameters.required("name"), _number(call, "position")))
    return Message()


COMMANDS = (
    *_families(),
    Entry("listlimitrules", listlimitrules),
    Entry("addlimitrule", addlimitrule, "root"),
    Entry("modlimitrule", modlimitrule, "root"),
    Entry("dellimitrule", dellimitrule, "root"),
    Entry("movelimitrule", movelimitrule, "root"),
)
