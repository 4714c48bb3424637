"""The record of a real server (`reference/loadmaster-api/03`, 3.4): `Port` is a number, `DnsName` is always there."""

from __future__ import annotations

from steelyard.api.loadmaster.answers import ABSENT, Items, Record
from steelyard.model.real_server import RealServer
from steelyard.model.virtual_service import VirtualService
from steelyard.observe.status import ServiceState


def status_word(status: str) -> str:
    """The status as LoadMaster's clients know it: a real server that stands by is well, and FailMessage is one word."""
    return "Up" if status == "Standby" else status.replace(" ", "")


def server_record(service: VirtualService, server: RealServer, state: ServiceState) -> Record:
    """The record of one real server of a service, in captured order."""
    known = state.servers.get(server.index)
    status = known.status if known is not None else ("Down" if server.enabled else "Disabled")
    return {
        "Status": status_word(status),
        "VSIndex": service.index,
        "RsIndex": server.index,
        "Addr": server.address,
        "Port": server.port,
        "DnsName": server.dns_name,
        "Forward": server.forward,
        "Weight": server.weight,
        "Limit": server.limit,
        "RateLimit": server.rate_limit,
        "Follow": server.follow,
        "Enable": server.enabled,
        "Critical": server.critical,
        "Nrules": len(server.rules),
        "MatchRules": Items("Name", server.rules) if server.rules else ABSENT,
    }
