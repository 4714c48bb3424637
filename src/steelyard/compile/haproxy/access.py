"""Access lists: who may connect at all (`reference/behaviour.md`, section 13).

One look into a tree of addresses answers allow or block, by the longest prefix, whatever the number of entries. Both
families' whole ranges are in it too: HAProxy (2.6 and 2.8) looks for an IPv4 client that no IPv4 entry fits among the
IPv6 ones. Real servers, which are always let in, have a lookup of their own that is asked only for who would be
refused.

The rule for the lists of all services is in every listener, also while they are empty: then an attacker is shut out
without a reload, and the look into an empty tree costs less than can be measured. The rule for the lists of one service
is there while it has entries. Where the packet filter is off there are none.

A lookup that no listener uses is not in HAProxy, which then could not change it: a disabled service has none.

A sub-service has no rules: its clients were looked at when they connected to its parent.
"""

from __future__ import annotations

from collections.abc import Mapping

from steelyard.compile.haproxy.context import ServiceContext
from steelyard.compile.haproxy.part import Family, Part
from steelyard.model.access_list import EVERY_SERVICE, AccessLists
from steelyard.model.configuration import Configuration
from steelyard.model.parameters import AccessParameters
from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import Directive, Lookup, directive, lookup_path

_EVERY_SERVICE = "access"
_REAL_SERVERS = "access-real-servers"


def access_part(service: VirtualService, family: Family, context: ServiceContext) -> Part:
    """The rules of one service."""
    if not _listens(service) or not context.refusal:
        return Part()
    rules = [_refusal(context.refusal, _EVERY_SERVICE)]
    if family.access is None:
        return Part(frontend=tuple(rules))
    own = Lookup(f"{service.engine_name}-access", family.access.verdicts)
    return Part(frontend=(*rules, _refusal(context.refusal, own.name)), lookups=(own,))


def _refusal(action: str, name: str) -> Directive:
    blocked = ("{", f"src,map_ip({lookup_path(name)})", "-m", "str", "block", "}")
    unknown = ("!{", "src", "-f", lookup_path(_REAL_SERVERS), "}")
    return directive("tcp-request", "connection", action, "if", *blocked, *unknown)


class SharedAccess:
    """The lookups that the rules of every service share; they stay the same objects while what they hold does."""

    def __init__(self) -> None:
        self._lists: AccessLists | None = None
        self._services: Mapping[int, VirtualService] = {}
        self._lookups: tuple[Lookup, ...] = (Lookup(_REAL_SERVERS, (), is_map=False), Lookup(_EVERY_SERVICE, ()))

    def lookups(
        self, configuration: Configuration, carried: Mapping[int, VirtualService] | None = None
    ) -> tuple[Lookup, ...]:
        """The lookups of a configuration; real servers are listed when there is a list they could be in.

        `carried` are the services that HAProxy carries; None: all.
        """
        listening = configuration.services if carried is None else carried
        if not refusal(configuration.access) or not any(_listens(one) for one in listening.values()):
            return ()
        lists = configuration.access_lists.get(EVERY_SERVICE)
        services = configuration.services if configuration.access_lists else {}
        servers, clients = self._lookups
        if lists is not self._lists:
            clients = Lookup(_EVERY_SERVICE, () if lists is None else lists.verdicts)
        if services is not self._services:
            listed = Lookup(_REAL_SERVERS, _addresses(services), is_map=False)
            servers = servers if listed == servers else listed
        self._lists, self._services = lists, services
        if servers is not self._lookups[0] or clients is not self._lookups[1]:
            # in the order of their changes: real servers are known before the first client is shut out
            self._lookups = (servers, clients)
        return self._lookups


def refusal(parameters: AccessParameters) -> str:
    """What is done to clients that are blocked, as HAProxy says it; empty when nobody is."""
    if not parameters.enabled:
        return ""
    return "silent-drop" if parameters.drop else "reject"


def _listens(service: VirtualService) -> bool:
    return service.enabled and not service.is_sub


def _addresses(services: Mapping[int, VirtualService]) -> tuple[tuple[str, str], ...]:
    found = {server.address for service in services.values() for server in service.servers}
    return tuple((address, "") for address in sorted(found))
