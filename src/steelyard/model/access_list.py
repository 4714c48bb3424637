"""Access lists: who may connect, to this appliance and to each virtual service (`reference/behaviour.md`, section 13).

The rules: the entry with the longest prefix decides, and of two equal ones the allow list's. Where no entry fits,
clients are let in, unless the allow list alone has entries. A client must be let in by the lists for all services and
by those of the service. Real servers of this appliance are always let in.

A list may hold 100,000 entries and change by one. So entries are kept in parts chosen by a digest of the address; a
change makes one part anew, and a part is what is stored.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Literal, get_args

from pydantic import BaseModel, ConfigDict, field_validator

from steelyard.model.errors import OperatorError, located

if TYPE_CHECKING:
    from steelyard.model.configuration import Configuration
    from steelyard.model.virtual_service import VirtualService

ListName = Literal["block", "allow"]
LISTS: tuple[ListName, ...] = get_args(ListName)

#: the scope of the lists that hold for every service; other scopes are indexes of virtual services
EVERY_SERVICE = 0

#: networks a scope may have in both lists together; the engine takes some 200 bytes for each
MAX_ENTRIES = 1_000_000
MAX_COMMENT = 127

_PARTS = 1024
_BITS = {4: 32, 6: 128}
_PREFIX = re.compile(r"[0-9]{1,3}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_MAPPED = 0xFFFF << 32
_ALLOWED = "an address or a network such as 192.0.2.7, 198.51.100.0/24 or 2001:db8::/32"


def network(text: str) -> str:
    """The canonical spelling of an address or network: 10.1.2.3 is 10.1.2.3/32. Raises `OperatorError`."""
    given, slash, length = text.strip().partition("/")
    try:
        address = ip_address(given.strip("[]"))
    except ValueError:
        raise _refused(text, "is not an address or network") from None
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise _refused(text, "has a zone, which no client's address has here")
    bits = _BITS[address.version]
    if slash and (not _PREFIX.fullmatch(length) or int(length) > bits):
        raise _refused(text, f"has a prefix that is not a number from 0 to {bits}")
    prefix = int(length) if slash else bits
    number = int(address)
    if number & ((1 << (bits - prefix)) - 1):
        whole = _spelled(address.version, number, prefix)
        raise _refused(
            text,
            "is an invalid network specification: the prefix is invalid for the specified network",
            f"Give {whole} for the network, or {address}/{bits} for the one address",
        )
    if bits == 128 and prefix >= 96 and number >> 32 == _MAPPED >> 32:
        # clients of such addresses are seen with their IPv4 address
        return _spelled(4, number & 0xFFFFFFFF, prefix - 96)
    return f"{address}/{prefix}"


def _spelled(version: int, number: int, prefix: int) -> str:
    shift = _BITS[version] - prefix
    masked = number >> shift << shift
    return f"{IPv4Address(masked) if version == 4 else IPv6Address(masked)}/{prefix}"


def _refused(text: str, why: str, remedy: str | None = None) -> OperatorError:
    shown = text if len(text) <= 80 and not _CONTROL.search(text) else repr(text[:80])
    return OperatorError(
        f"Invalid address: {shown} {why}",
        field="address",
        value=shown,
        allowed=_ALLOWED,
        remedy=remedy or f"Give {_ALLOWED}",
    )


def checked_comment(text: str) -> str:
    """A comment without blanks around it. Raises `OperatorError`."""
    comment = text.strip()
    if len(comment) > MAX_COMMENT or _CONTROL.search(comment):
        raise OperatorError(
            "The comment is too long" if len(comment) > MAX_COMMENT else "The comment holds a control character",
            field="comment",
            allowed=f"one line of at most {MAX_COMMENT} characters",
            remedy="Shorten it to one line",
        )
    return comment


@dataclass(frozen=True)
class Entries:
    """Networks with their comments; an object that exists has canonical networks and good comments only."""

    comments: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.comments)

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Entries:
        """From addresses or networks and comments; of the same network twice the later counts."""
        found: dict[str, str] = {}
        for number, (address, comment) in enumerate(pairs):
            with located(f"entries[{number}]"):
                found[network(address)] = checked_comment(comment) if comment else ""
        return cls(found)

    @classmethod
    def read(cls, text: str) -> Entries:
        """From lines: an address or network, then, if there is one, a comment after a blank or `#`.

        Empty lines and lines that begin with `#` or `;` are passed over. An error says which line.
        """
        return cls.of_lines(text.removeprefix("\ufeff").splitlines())

    @classmethod
    def of_lines(cls, lines: Iterable[str]) -> Entries:
        """The same from lines that are apart already."""
        found: dict[str, str] = {}
        for number, line in enumerate(lines, 1):
            bare = line.strip()
            if not bare or bare[0] in "#;":
                continue
            with located(f"line {number}"):
                address, comment = _split(bare)
                found[network(address)] = checked_comment(comment) if comment else ""
        return cls(found)


def _split(line: str) -> tuple[str, str]:
    address, _, hashed = line.partition("#")
    word, *rest = address.split(None, 1) or [""]
    said = (*rest, hashed.strip()) if hashed else tuple(rest)
    comment = " ".join(part.strip() for part in said if part.strip())
    return word, comment[1:].strip() if comment.startswith(";") else comment


def line_of(address: str, comment: str) -> str:
    """An entry as the line that `Entries.read` takes."""
    return f"{address} # {comment}" if comment else address


class AccessPart(BaseModel):
    """Some entries of both lists: networks with their comments. A part that exists has at least one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    block: dict[str, str] = {}
    allow: dict[str, str] = {}

    @field_validator("block", "allow")
    @classmethod
    def _canonical(cls, value: dict[str, str]) -> dict[str, str]:
        for address, comment in value.items():
            if network(address) != address or (comment and checked_comment(comment) != comment):
                raise ValueError(f"{address} is not an entry as it is stored")
        return value

    def of(self, which: ListName) -> Mapping[str, str]:
        """One of its lists."""
        return self.block if which == "block" else self.allow

    @cached_property
    def verdicts(self) -> tuple[tuple[str, str], ...]:
        """Networks with the list that decides over them, in a fixed order."""
        return tuple(sorted((dict.fromkeys(self.block, "block") | dict.fromkeys(self.allow, "allow")).items()))


def _number_of_part(address: str) -> int:
    return zlib.crc32(address.encode()) % _PARTS


@dataclass(frozen=True)
class AccessLists:
    """Block and allow list of one scope. Parts that a change leaves alone are shared, so that identity tells."""

    parts: Mapping[int, AccessPart] = field(default_factory=dict)

    def entries(self, which: ListName) -> list[tuple[str, str]]:
        """The networks of a list with their comments, IPv4 first, in the order of addresses."""
        found = [pair for part in self.parts.values() for pair in part.of(which).items()]
        return sorted(found, key=_order)

    def comment(self, which: ListName, address: str) -> str | None:
        """The comment of a network in a list; None when it is not there."""
        part = self.parts.get(_number_of_part(address))
        return None if part is None else part.of(which).get(address)

    def count(self, which: ListName) -> int:
        """How many networks a list has."""
        return self._counts[LISTS.index(which)]

    @cached_property
    def _counts(self) -> tuple[int, int]:
        return (
            sum(len(part.block) for part in self.parts.values()),
            sum(len(part.allow) for part in self.parts.values()),
        )

    @property
    def otherwise(self) -> ListName:
        """What holds where no entry fits."""
        return "block" if self.count("allow") and not self.count("block") else "allow"

    @cached_property
    def verdicts(self) -> tuple[tuple[str, str], ...]:
        """Every network with its verdict, and the whole of both families with what holds otherwise."""
        found: list[tuple[str, str]] = []
        for number in sorted(self.parts):
            found += self.parts[number].verdicts
        for whole in ("0.0.0.0/0", "::/0"):
            if self.comment("block", whole) is None and self.comment("allow", whole) is None:
                found.append((whole, self.otherwise))
        return tuple(found)

    def verdict(self, address: IPv4Address | IPv6Address) -> tuple[ListName, str | None]:
        """The list that decides over an address, and by which of its networks; None when no entry fits."""
        number, bits = int(address), _BITS[address.version]
        for prefix in range(bits, -1, -1):
            candidate = _spelled(address.version, number, prefix)
            for which in ("allow", "block"):
                if self.comment(which, candidate) is not None:
                    return which, candidate
        return self.otherwise, None

    def changed(self, which: ListName, put: Mapping[str, str], gone: Collection[str] = ()) -> AccessLists:
        """With some entries put into a list, and some gone from it."""
        touched: dict[int, dict[str, str]] = {}
        for address in (*gone, *put):
            number = _number_of_part(address)
            if number not in touched:
                part = self.parts.get(number)
                touched[number] = {} if part is None else dict(part.of(which))
        for address in gone:
            touched[_number_of_part(address)].pop(address, None)
        for address, comment in put.items():
            touched[_number_of_part(address)][address] = comment
        return self._with(which, touched)

    def replaced(self, which: ListName, entries: Mapping[str, str]) -> AccessLists:
        """With other entries in a list."""
        touched: dict[int, dict[str, str]] = {number: {} for number, part in self.parts.items() if part.of(which)}
        for address, comment in entries.items():
            touched.setdefault(_number_of_part(address), {})[address] = comment
        return self._with(which, touched)

    def _with(self, which: ListName, touched: Mapping[int, dict[str, str]]) -> AccessLists:
        parts = dict(self.parts)
        for number, entries in touched.items():
            before = parts.get(number, _NOTHING)
            if before.of(which) == entries:
                continue
            block, allow = (entries, before.allow) if which == "block" else (before.block, entries)
            if block or allow:
                # the entries were checked when they came in
                parts[number] = AccessPart.model_construct(block=block, allow=allow)
            else:
                parts.pop(number, None)
        return AccessLists(parts)


_NOTHING = AccessPart()


def _order(pair: tuple[str, str]) -> tuple[int, int, int]:
    address, _, prefix = pair[0].partition("/")
    parsed = ip_address(address)
    return parsed.version, int(parsed), int(prefix)


def keyed_parts(lists: Mapping[int, AccessLists]) -> Iterator[tuple[str, AccessPart]]:
    """Every part with the key it is stored under."""
    for scope, of_scope in lists.items():
        for number, part in of_scope.parts.items():
            yield f"{scope}/{number}", part


def changed_parts(
    old: Mapping[int, AccessLists], new: Mapping[int, AccessLists]
) -> Iterator[tuple[str, AccessPart | None, AccessPart | None]]:
    """The parts that differ, by the key they are stored under."""
    for scope in old.keys() | new.keys():
        before, after = old.get(scope, _NO_LISTS).parts, new.get(scope, _NO_LISTS).parts
        if before is after:
            continue
        for number in before.keys() | after.keys():
            was, is_now = before.get(number), after.get(number)
            if was is not is_now and was != is_now:
                yield f"{scope}/{number}", was, is_now


_NO_LISTS = AccessLists()


def from_parts(parts: Mapping[str, AccessPart]) -> dict[int, AccessLists]:
    """The opposite of `keyed_parts`."""
    found: dict[int, dict[int, AccessPart]] = {}
    for key, part in parts.items():
        scope, _, number = key.partition("/")
        found.setdefault(int(scope), {})[int(number)] = part
    return {scope: AccessLists(found[scope]) for scope in sorted(found)}


def scope_of(key: str) -> int:
    """The scope of a part, from the key it is stored under."""
    return int(key.partition("/")[0])


@dataclass(frozen=True)
class Decision:
    """Whether a client may connect, and why, in words."""

    allowed: bool
    why: str


def decision(configuration: Configuration, service: VirtualService, address: str) -> Decision:
    """What the access lists say to a client of a service; a sub-service's clients are its parent's.

    Raises `OperatorError` when the text is no address.
    """
    if "/" in address:
        raise _refused(address, "is not one client's address")
    client = network(address).partition("/")[0]
    if not configuration.access.enabled:
        return Decision(True, "the packet filter is off")
    if any(client == server.address for each in configuration.services.values() for server in each.servers):
        return Decision(True, f"{client} is a real server, which is never blocked")
    said = []
    for scope in (EVERY_SERVICE, service.parent if service.is_sub else service.index):
        lists = configuration.access_lists.get(scope)
        if lists is None:
            continue
        verdict, entry = lists.verdict(ip_address(client))
        if entry is not None:
            why = f"{entry} is in the {verdict} list {scope_title(scope)}"
        elif verdict == "block":
            why = f"it is not in the allow list {scope_title(scope)}, which alone has entries"
        else:
            why = f"no entry {scope_title(scope)} fits"
        if verdict == "block":
            return Decision(False, why)
        said.append(why)
    return Decision(True, "; ".join(said) or "no access list concerns it")


def admits_administration(configuration: Configuration, address: str) -> bool:
    """Whether a client may reach the APIs and the web interface, as far as the access lists for all services say.

    They say nothing unless "Include WUI in IP Access Lists" is on. Text that is no address is let in.
    """
    lists = configuration.access_lists.get(EVERY_SERVICE)
    if lists is None or not (configuration.access.enabled and configuration.access.include_wui):
        return True
    try:
        client = network(address).partition("/")[0]
    except OperatorError:
        # no socket of the network has such a peer
        return True
    if lists.verdict(ip_address(client))[0] == "allow":
        return True
    return any(client == server.address for each in configuration.services.values() for server in each.servers)


def scope_title(scope: int) -> str:
    """How people call a scope, after a noun: "for all services"."""
    return "for all services" if scope == EVERY_SERVICE else f"of virtual service {scope}"
