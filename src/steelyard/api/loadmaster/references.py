"""Which virtual service and which real server a request means (`reference/loadmaster-api/02`, 2.1 and 03, 3.3).

A virtual service is a bare index, or address, port and protocol. A real server is `!INDEX`, address and port, or a
host name. `!INDEX` is no virtual service and a bare number no real server.
"""

from __future__ import annotations

import asyncio
import re

from steelyard.api.loadmaster.call import Parameters
from steelyard.api.loadmaster.failures import missing
from steelyard.model.configuration import Configuration
from steelyard.model.errors import NotFound, OperatorError
from steelyard.model.real_server import RealServer
from steelyard.model.slot import Slot
from steelyard.model.text import canonical_address
from steelyard.model.virtual_service import VirtualService

_INDEX = re.compile(r"[0-9]{1,9}")
#: a name has a letter in its last label, so that `10` and `1.2.3`, old spellings of addresses, are not looked up
_HOST_NAME = re.compile(
    r"(?=.{1,253}$)([A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9])?\.)*[A-Za-z0-9-]*[A-Za-z][A-Za-z0-9-]*\.?"
)
_LOOK_UP_SECONDS = 5.0


def service_of(configuration: Configuration, parameters: Parameters) -> VirtualService:
    """The virtual service a request means. Raises `Refusal` 400 for what is missing, `NotFound`, `OperatorError`."""
    named = parameters.required("vs", "Address")
    if isinstance(parameters.raw("vs"), bool):
        raise missing("vs", "Address")
    if _INDEX.fullmatch(named):
        return configuration.service(int(named))
    port, protocol = parameters.required("port"), parameters.required("prot").lower()
    address = address_or_none(named)
    if address is None:
        raise OperatorError("vs is neither the index nor the address of a virtual service", field="vs")
    number = 0 if port == "*" else int(port) if _INDEX.fullmatch(port) else -1
    found = configuration.service_at(address, number, protocol)
    if found is None:
        raise NotFound("VS", f"{protocol}/{named}:{port}")
    return found


def address_or_none(text: str) -> str | None:
    """The canonical spelling of an address; None when the text is none."""
    try:
        return canonical_address(text)
    except ValueError:
        return None


async def member_of(configuration: Configuration, service: VirtualService, parameters: Parameters) -> RealServer | Slot:
    """The real server of a service, or the slot of a parent, a request means: a slot goes by its number or its name.

    Raises `Refusal` 400 for what is missing, `NotFound`, `OperatorError`.
    """
    if not service.slots:
        return await server_of(service, parameters)
    named = parameters.required("rs", "Address")
    for slot in service.slots:
        if named == f"!{slot.index}":
            return slot
    by_name = [slot for slot in service.slots if configuration.service(slot.service).name == named]
    if len(by_name) > 1:
        raise OperatorError(
            f"{len(by_name)} sub-services are called {named}", field="rs", value=named, remedy="Give ! and the RsIndex"
        )
    if not by_name:
        raise NotFound("RS", named)
    return by_name[0]


async def server_of(service: VirtualService, parameters: Parameters) -> RealServer:
    """The real server of a service a request means.

    Raises `Refusal` 400 for what is missing, `NotFound`, `OperatorError`.
    """
    named = parameters.required("rs", "Address")
    if named.startswith("!"):
        index = named[1:].strip()
        found = service.server(int(index)) if _INDEX.fullmatch(index) else None
        if found is None:
            raise NotFound("RS", named)
        return found
    port = _port(parameters)
    address = address_or_none(named)
    if address is None:
        by_name = [server for server in service.servers if server.dns_name.lower() == named.lower()]
        if by_name:
            return _one(by_name, named, port)
        address = await resolved(named, service.address)
    return _one([server for server in service.servers if server.address == address], named, port)


def _port(parameters: Parameters) -> int | None:
    text = (parameters.text("rsport") or "").strip()
    if not text:
        return None
    if text == "*":
        return 0
    if not _INDEX.fullmatch(text):
        raise OperatorError("rsport is not a port; allowed: 1 to 65535", field="rsport", allowed="1 to 65535")
    return int(text)


def _one(servers: list[RealServer], named: str, port: int | None) -> RealServer:
    """The one with that port. Without a port, the only one there is: two make the port necessary."""
    matching = [server for server in servers if port is None or server.port == port]
    if not matching:
        raise NotFound("RS", named)
    if len(matching) > 1:
        raise missing("rsport")
    return matching[0]


async def resolved(name: str, like: str) -> str:
    """The address of a host name, of the family of the address `like` if it has one. Raises `OperatorError`."""
    unknown = OperatorError(
        f"rs {name[:80]!r} is neither an address nor a host name that can be resolved",
        field="rs",
        value=name[:80],
        remedy="Give an address, or a name that the name servers or the hosts file of this host know",
    )
    if _HOST_NAME.fullmatch(name) is None:
        raise unknown
    try:
        loop = asyncio.get_running_loop()
        answers = await asyncio.wait_for(loop.getaddrinfo(name, None), _LOOK_UP_SECONDS)
    except (OSError, UnicodeError, TimeoutError) as failure:
        raise unknown from failure
    addresses = [address for answer in answers if (address := address_or_none(str(answer[4][0]))) is not None]
    if not addresses:
        raise unknown
    return next((address for address in addresses if (":" in address) == (":" in like)), addresses[0])
