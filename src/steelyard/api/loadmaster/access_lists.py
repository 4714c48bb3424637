"""The packet filter and its access lists: `aclcontrol` (`reference/loadmaster-api/09`, 9.5).

What is wanted is said by a parameter, which may have no value (`aclcontrol?isenabled`), be the last part of the path
(`aclcontrol/isenabled`) or, in v2, of the command's name (`aclcontrol.isenabled`). The words `addvs`, `delvs` and
`listvs`, elsewhere commands, are parameters here; the service stands in `vsip` or `vs`, by address or by index.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from steelyard.api.loadmaster.answers import ABSENT, Answer, Data, Message, PerVersion, Record, Value
from steelyard.api.loadmaster.call import Call, Entry, Parameters
from steelyard.api.loadmaster.failures import Refusal, missing
from steelyard.api.loadmaster.references import service_of
from steelyard.model.access_list import EVERY_SERVICE, AccessLists, Entries, ListName
from steelyard.model.commands import AddEntries, Command, RemoveEntries, SetParameters
from steelyard.model.errors import OperatorError
from steelyard.model.parameters import AccessParameters
from steelyard.model.virtual_service import VirtualService

#: what a client says -> the list, and the tag v1 answers it under
_LISTS: Mapping[str, tuple[ListName, str]] = {
    "block": ("block", "Blocklist"),
    "allow": ("allow", "Allowlist"),
    "black": ("block", "Blacklist"),
    "white": ("allow", "Whitelist"),
}
#: what a service is called here -> elsewhere
_REFERENCE = {"vsip": "vs", "vsport": "port", "vsprot": "prot"}

#: what is asked -> the answer's name and the words for on and off
_ASKED: Mapping[str, tuple[str, Callable[[AccessParameters], str]]] = {
    "isenabled": ("aclstatus", lambda found: "enabled" if found.enabled else "disabled"),
    "isdrop": ("aclmethod", lambda found: "drop" if found.drop else "reject"),
    "isifblock": ("aclblockall", lambda found: "Block" if found.restrict_interfaces else "Free"),
    "iswuiblock": ("aclwuiblock", lambda found: "Block" if found.include_wui else "Free"),
    "wuiaddr": ("wuiaddr", lambda found: ""),
}
_SWITCHES = {"enable": "enabled", "drop": "drop", "ifblock": "restrict_interfaces", "wuiblock": "include_wui"}


async def aclcontrol(call: Call) -> Answer:
    """Whatever the parameters ask for."""
    for word in _WORDS:
        if word in call.parameters:
            return await _WORDS[word](call, word)
    raise Refusal(422, f"aclcontrol needs one of {', '.join(_WORDS)}")


async def _asked(call: Call, word: str) -> Answer:
    name, said = _ASKED[word]
    return Data({name: said(call.configuration.access)})


async def _switch(call: Call, word: str) -> Answer:
    call.need("root")
    if not (call.parameters.text(word) or "").strip():
        raise missing(word, "Boolean")
    value = call.parameters.flag(word)
    if word != "enable" and not call.configuration.access.enabled:
        raise OperatorError(
            f"{word} can only be set while the packet filter is on", field=word, remedy="Set enable=1 first"
        )
    await call.execute(SetParameters("access", {_SWITCHES[word]: value}))
    return Message()


async def _list(call: Call, word: str) -> Answer:
    name, tag = _list_named(call, word)
    found = _entries(call.configuration.access_lists.get(EVERY_SERVICE), name)
    return Data({"list": PerVersion(ABSENT, name), tag: PerVersion({"IP": found}, ABSENT), "IP": _in_v2(found)})


async def _list_of_service(call: Call, word: str) -> Answer:
    name, tag = _list_named(call, word)
    service = _service(call)
    found = _entries(call.configuration.access_lists.get(service.index), name)
    named: dict[str, Value] = {
        "VS_IP": service.address,
        "VS_Port": str(service.port),
        "VS_Protocol": service.protocol,
    }
    wrapped: Record = {**named, tag: {"IP": found}}
    flat = {key: PerVersion(ABSENT, value) for key, value in named.items()}
    return Data({"VS": PerVersion(wrapped, ABSENT), **flat, "list": PerVersion(ABSENT, name), "IP": _in_v2(found)})


def _in_v2(found: tuple[Record, ...]) -> Value:
    return PerVersion(ABSENT, found)


def _entries(lists: AccessLists | None, which: ListName) -> tuple[Record, ...]:
    if lists is None:
        return ()
    return tuple({"addr": address, "comment": comment} for address, comment in lists.entries(which))


async def _add(call: Call, word: str) -> Answer:
    return await _change(call, word, EVERY_SERVICE, AddEntries)


async def _delete(call: Call, word: str) -> Answer:
    return await _change(call, word, EVERY_SERVICE, RemoveEntries)


async def _add_to_service(call: Call, word: str) -> Answer:
    return await _change(call, word, _service(call).index, AddEntries)


async def _delete_from_service(call: Call, word: str) -> Answer:
    return await _change(call, word, _service(call).index, RemoveEntries)


async def _change(call: Call, word: str, scope: int, command: Callable[[int, ListName, Entries], Command]) -> Answer:
    name, _ = _list_named(call, word)
    entry = (call.parameters.required("addr", "Address"), call.parameters.text("comment") or "")
    try:
        entries = Entries.of([entry])
    except OperatorError as failure:
        # there is only this one
        failure.position = None
        raise
    await call.execute(command(scope, name, entries))
    return Message()


def _list_named(call: Call, word: str) -> tuple[ListName, str]:
    given = call.parameters.required(word).lower()
    if given not in _LISTS:
        raise OperatorError(f"{word} is no list; allowed: block, allow", field=word, allowed="block, allow")
    return _LISTS[given]


def _service(call: Call) -> VirtualService:
    """The service of a request, whichever of its two sets of names it has."""
    given = {old: call.parameters.raw(new) for new, old in _REFERENCE.items() if new in call.parameters}
    for name in _REFERENCE.values():
        if name in call.parameters:
            given.setdefault(name, call.parameters.raw(name))
    return service_of(call.configuration, Parameters(given))


#: in this order: a request may carry an empty parameter of another form
_WORDS: Mapping[str, Callable[[Call, str], Awaitable[Answer]]] = {
    **dict.fromkeys(_ASKED, _asked),
    "listvs": _list_of_service,
    "addvs": _add_to_service,
    "delvs": _delete_from_service,
    "list": _list,
    "add": _add,
    "del": _delete,
    **dict.fromkeys(_SWITCHES, _switch),
}


def _by_path(word: str) -> Entry:
    async def carry_out(call: Call) -> Answer:
        given = {name: call.parameters.raw(name) for name in call.parameters}
        return await _WORDS[word](replace(call, parameters=Parameters({word: "", **given})), word)

    return Entry(f"aclcontrol/{word}", carry_out, listed=False)


COMMANDS = (Entry("aclcontrol", aclcontrol), *(_by_path(word) for word in _WORDS))
