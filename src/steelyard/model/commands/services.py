"""Commands on virtual services."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from steelyard.model.checked_as import check_verdicts, without_leaders
from steelyard.model.commands.access_lists import copied, without_service
from steelyard.model.commands.attachments import check_attachments
from steelyard.model.commands.authorities import check_authorities
from steelyard.model.commands.cipher_sets import check_cipher_set, copied_set, with_ciphers, without_own_set
from steelyard.model.commands.command import Change
from steelyard.model.commands.ldap_endpoints import check_endpoint
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, OperatorError, located
from steelyard.model.family import check_family, refuse_parents_settings, servers_behind
from steelyard.model.following import check_following, refuse_removal
from steelyard.model.limits import refuse_above_global
from steelyard.model.real_server import RealServer
from steelyard.model.slot import Slot
from steelyard.model.virtual_service import DEFAULT_PERSISTENCE_TIMEOUT, HTTP_PERSISTENCE, VirtualService
from steelyard.model.virtual_service.checks import usual_check
from steelyard.model.virtual_service.further import made_checks
from steelyard.model.virtual_service.refusals import HTTP_ONLY

#: longer numbers are out of every range; the model says so
_NUMBER = re.compile(r"\s*[0-9]{1,9}\s*")
_NEEDS_TLS = ("ssl_reencrypt", "allow_http2")


def with_service(configuration: Configuration, service: VirtualService) -> Configuration:
    """The configuration with that service put in place of the one of its index, checked against the others."""
    _check_sockets(configuration, service)
    _check_circles(configuration, service)
    for name in service.certificates:
        if name not in configuration.certificates:
            raise OperatorError(
                f"CertFile names {name!r}, which is no certificate here",
                field="certificates",
                value=name,
                allowed=", ".join(n for n, c in configuration.certificates.items() if not c.temporary)
                or "none imported yet",
                remedy="Import it first",
            )
    if service.minimum_servers and not service.enhanced_checks:
        raise OperatorError(
            "RsMinimum needs EnhancedHealthchecks",
            field="minimum_servers",
            value=service.minimum_servers,
            remedy="Switch Enhanced Options on in the same change",
        )
    check_cipher_set(configuration, service)
    check_authorities(configuration, service)
    check_endpoint(configuration, service)
    services = dict(configuration.services)
    fresh = service.index not in services
    services[service.index] = service
    if fresh:
        services = dict(sorted(services.items()))
    check_following(services, service, configuration.services.get(service.index))
    check_attachments(services, configuration.rules, service)
    check_family(services, service)
    check_verdicts(services, service, configuration.services.get(service.index))
    refuse_above_global(configuration.limits, service)
    return replace(configuration, services=services)


def _check_sockets(configuration: Configuration, service: VirtualService) -> None:
    ranges = service.port_ranges
    if service.is_sub:
        return
    for other in configuration.services.values():
        if other.index == service.index or other.address != service.address or other.protocol != service.protocol:
            continue
        if other.port == service.port:
            raise ConflictError(
                f"VS {service.protocol}/{service.host}:{service.port} already exists",
                field="port",
                with_what=other.title,
            )
        for first, last in other.port_ranges:
            for mine_first, mine_last in ranges:
                if first <= mine_last and mine_first <= last:
                    port = max(first, mine_first)
                    raise ConflictError(
                        f"Port {port} on {service.address} belongs to virtual service {other.title} already",
                        field="extra_ports" if port != service.port else "port",
                        with_what=other.title,
                    )


def _check_circles(configuration: Configuration, service: VirtualService) -> None:
    """A real server may be another virtual service here, but none that leads back to this one.

    One connection would go round until the engine has none left for any service.
    """
    services = {**configuration.services, service.index: service}
    subject = services.get(service.parent, service)
    listening: dict[str, list[VirtualService]] = {}
    for other in services.values():
        listening.setdefault(other.address, []).append(other)
    seen: set[int] = set()
    waiting = [(server, server) for server in (*service.servers, *servers_behind(services, subject))]
    while waiting:
        first, server = waiting.pop()
        loopback = server.address == "::1" or server.address.startswith("127.")
        for address in (server.address, "0.0.0.0", "::") if loopback else (server.address,):
            for other in listening.get(address, ()):
                if other.index in seen or not any(low <= server.port <= high for low, high in other.port_ranges):
                    continue
                if other.index == subject.index:
                    raise OperatorError(
                        f"Real server {first.address} port {first.port} leads back to the virtual service itself,"
                        " so that a connection would go round without end",
                        field="servers",
                        value=first.address,
                        remedy="Give another address or port",
                    )
                seen.add(other.index)
                waiting.extend((first, further) for further in servers_behind(services, other))


def _settled(changes: Mapping[str, Any], before: VirtualService | None) -> dict[str, Any]:
    """The changes with what LoadMaster adds: persistence and time-out follow each other, a new type resets."""
    settled = dict(changes)
    mode_before = before.persistence if before is not None else "none"
    timeout_before = before.persistence_timeout if before is not None else 0
    if "service_type" in settled and before is not None and settled["service_type"] != before.service_type:
        settled.setdefault("add_via", 0)
        settled.setdefault("starttls_mode", 0)
        if settled["service_type"] != "http":
            if mode_before in HTTP_PERSISTENCE:
                settled.setdefault("persistence", "none")
            if before.schedule == "uhash":
                settled.setdefault("schedule", "rr")
            if before.refresh_persistence:
                settled.setdefault("refresh_persistence", False)
            for name, default in HTTP_ONLY.items():
                settled.setdefault(name, default)
    checked_before = before.check_type if before is not None else ""
    checked = settled.get("check_type", checked_before)
    if before is not None and checked != checked_before and "bdata" in (checked, checked_before):
        # what is hexadecimal for the one is a URL and an expression for all others
        for name in ("check_url", "check_pattern"):
            settled.setdefault(name, "")
    if settled.get("enhanced_checks") is False:
        settled.setdefault("minimum_servers", 0)
    timeout = settled.get("persistence_timeout")
    if isinstance(timeout, str) and _NUMBER.fullmatch(timeout):
        timeout = settled["persistence_timeout"] = int(timeout)
    mode = settled.get("persistence", mode_before)
    if isinstance(timeout, int) and 0 <= timeout < 60:
        settled["persistence_timeout"] = 0
        if "persistence" not in settled:
            settled["persistence"] = "none"
        elif mode != "none":
            settled["persistence_timeout"] = DEFAULT_PERSISTENCE_TIMEOUT
    elif isinstance(timeout, int) and timeout >= 60 and mode == "none" and settled.get("persistence") is None:
        settled["persistence"] = "src"
    elif timeout is None and settled.get("persistence", "none") != "none" and not timeout_before:
        settled["persistence_timeout"] = DEFAULT_PERSISTENCE_TIMEOUT
    if settled.get("persistence") == "none":
        settled["persistence_timeout"] = 0
    if before is not None and before.ssl_acceleration and settled.get("ssl_acceleration") is False:
        settled["certificates"] = ()
    if settled.get("standby_address") == "":
        settled.setdefault("standby_port", 0)
    _settle_layer(settled, before)
    return settled


def _settle_layer(settled: dict[str, Any], before: VirtualService | None) -> None:
    """Force L4 and Force L7 are each other's opposite; UDP and the wildcard port have neither unless it is said."""
    protocol = settled.get("protocol", before.protocol if before is not None else "tcp")
    port = settled.get("port", before.port if before is not None else None)
    if before is not None and before.is_sub:
        return
    kernel_only = protocol == "udp" or str(port) in ("0", "*")
    if kernel_only:
        was_tcp = before is None or (before.protocol == "tcp" and not before.wildcard)
        if was_tcp or settled.get("force_l4") is True:
            settled.setdefault("force_l7", False)
        return
    if "force_l4" in settled and "force_l7" not in settled:
        settled["force_l7"] = not settled["force_l4"]
    elif "force_l7" in settled and "force_l4" not in settled:
        settled["force_l4"] = not settled["force_l7"]
    elif before is not None and (before.protocol == "udp" or before.wildcard):
        settled.setdefault("force_l7", not before.force_l4)


def _check_needs(changes: Mapping[str, Any], service: VirtualService) -> None:
    for name in _NEEDS_TLS:
        if changes.get(name) is True and not service.ssl_acceleration:
            raise OperatorError(
                f"{VirtualService.wire_name(name)} needs SSLAcceleration",
                field=name,
                value=True,
                remedy="Switch SSL acceleration on in the same change",
            )
    if changes.get("client_certificates") and not service.ssl_acceleration:
        raise OperatorError(
            "ClientCert needs SSLAcceleration",
            field="client_certificates",
            value=changes["client_certificates"],
            remedy="Switch SSL acceleration on in the same change",
        )
    if changes.get("pass_sni") is True and not service.reencrypts:
        raise OperatorError(
            "PassSNI needs SSLReencrypt", field="pass_sni", value=True, remedy="Switch re-encryption on too"
        )


def with_minimum(service: VirtualService) -> VirtualService:
    """The service with a minimum its members can reach: it shrinks with them."""
    if service.minimum_servers <= len(service.members):
        return service
    return service.changed({"minimum_servers": len(service.members)})


def new_server(configuration: Configuration, settings: Mapping[str, Any]) -> tuple[Configuration, RealServer]:
    """A real server from plain data, with the next number of the appliance's counter."""
    configuration, number = _next_number(configuration)
    return configuration, RealServer.make({**settings, "index": number})


def new_servers(
    configuration: Configuration, settings: Sequence[Mapping[str, Any]]
) -> tuple[Configuration, tuple[RealServer, ...]]:
    """Several of them. An error says which: its position is "servers[2]"."""
    made = []
    for number, data in enumerate(settings):
        with located(f"servers[{number}]"):
            configuration, server = new_server(configuration, data)
        made.append(server)
    return configuration, tuple(made)


@dataclass(frozen=True)
class AddService:
    """Make a virtual service. Type and check follow the port as LoadMaster does: 80 is http, others generic and tcp."""

    settings: Mapping[str, Any]
    permission: ClassVar[str] = "vs"

    @property
    def summary(self) -> str:
        return f"add virtual service {self.settings.get('address')}:{self.settings.get('port')}"

    def apply(self, configuration: Configuration) -> Change:
        data = _settled(self.settings, None)
        web = str(data.get("port")) == "80" and data.get("protocol") != "udp"
        data.setdefault("service_type", "http" if web else "gen")
        plain_behind = data.get("ssl_acceleration") is True and data.get("ssl_reencrypt") is not True
        data.setdefault(
            "check_type", usual_check(data.get("port"), data.get("protocol", "tcp"), plain_behind=plain_behind)
        )
        data.setdefault("idle_time", configuration.network.connection_timeout)
        if data["idle_time"] in (0, "0"):
            data["idle_time"] = configuration.network.connection_timeout
        data["index"] = configuration.lowest_free_index()
        configuration = with_ciphers(configuration, data, None)
        servers = list(data.pop("servers", ()))
        subs = list(data.pop("sub_services", ()))
        configuration, data["servers"] = new_servers(configuration, servers)
        data["further_checks"] = made_checks(data.pop("further_checks", ()))
        service = VirtualService.make(data)
        _check_needs(self.settings, service)
        configuration = with_service(configuration, service)
        for number, settings in enumerate(subs):
            with located(f"sub_services[{number}]"):
                configuration, _ = add_sub_service(configuration, service.index, settings)
        return Change(configuration, service.index)


@dataclass(frozen=True)
class ChangeService:
    """Change settings of a virtual service; what is not named keeps its value."""

    index: int
    changes: Mapping[str, Any]
    permission: ClassVar[str] = "vs"

    @property
    def summary(self) -> str:
        if set(self.changes) == {"enabled"}:
            return f"{'enable' if self.changes['enabled'] else 'disable'} virtual service {self.index}"
        return f"change virtual service {self.index}: {', '.join(sorted(self.changes)) or 'nothing'}"

    def apply(self, configuration: Configuration) -> Change:
        before = configuration.service(self.index)
        for fixed in ("index", "servers", "slots", "parent", "further_checks"):
            if fixed in self.changes:
                raise OperatorError(f"{fixed!r} cannot be changed here", field=fixed, remedy="Use the commands for it")
        if before.is_sub:
            refuse_parents_settings(self.changes, before)
        changes = _settled(self.changes, before)
        if changes.get("idle_time") in (0, "0"):
            changes["idle_time"] = configuration.network.connection_timeout
        configuration = with_ciphers(configuration, changes, before)
        service = before.changed(changes)
        if "minimum_servers" in changes and service.members:
            service = with_minimum(service)
        _check_needs(self.changes, service)
        if service == before:
            return Change(configuration, self.index)
        return Change(with_service(configuration, service), self.index)


@dataclass(frozen=True)
class RemoveService:
    """Remove a virtual service with its real servers; a parent with its sub-services, a sub-service with its slot."""

    index: int
    permission: ClassVar[str] = "vs"

    @property
    def summary(self) -> str:
        return f"remove virtual service {self.index}"

    def apply(self, configuration: Configuration) -> Change:
        service = configuration.service(self.index)
        refuse_removal(configuration.services, self.index)
        gone = {self.index, *(slot.service for slot in service.slots)}
        services = {key: value for key, value in configuration.services.items() if key not in gone}
        if service.is_sub:
            parent = configuration.service(service.parent)
            slots = tuple(slot for slot in parent.slots if slot.service != self.index)
            services[parent.index] = with_minimum(parent.changed({"slots": slots}))
        for index in gone:
            configuration = without_own_set(without_service(configuration, index), services, index)
        members = {member.index for index in gone for member in configuration.services[index].members}
        if service.is_sub:
            slots = configuration.service(service.parent).slots
            members |= {slot.index for slot in slots if slot.service == self.index}
        return Change(without_leaders(replace(configuration, services=services), members), self.index)


@dataclass(frozen=True)
class DuplicateService:
    """Copy a virtual service with its real servers and sub-services to another address or port.

    A sub-service is copied within its parent, with everything its slot has.
    """

    index: int
    address: str | None = None
    port: int | None = None
    permission: ClassVar[str] = "vs"

    @property
    def summary(self) -> str:
        return (
            f"duplicate virtual service {self.index} to {self.address or 'the same address'}:{self.port or 'same port'}"
        )

    def apply(self, configuration: Configuration) -> Change:
        source = configuration.service(self.index)
        if source.is_sub:
            if self.address is not None or self.port is not None:
                raise OperatorError(
                    "A sub-service has no address and no port; its copy is another sub-service of the same parent",
                    field="address" if self.address is not None else "port",
                    remedy="Leave address and port out",
                )
            (slot,) = (slot for slot in configuration.service(source.parent).slots if slot.service == self.index)
            configuration, index = _copied_sub(configuration, source, slot, source.parent)
            return Change(configuration, index)
        configuration, servers = _copied_servers(configuration, source)
        configuration, cipher_set = copied_set(configuration, source)
        service = source.changed(
            {
                "index": configuration.lowest_free_index(),
                "cipher_set": cipher_set,
                "address": self.address if self.address is not None else source.address,
                "port": self.port if self.port is not None else source.port,
                "servers": servers,
                "slots": (),
            }
        )
        subs = [(configuration.services[slot.service], slot) for slot in source.slots]
        configuration = with_service(configuration, service)
        for sub, slot in subs:
            configuration, _ = _copied_sub(configuration, sub, slot, service.index)
        return Change(copied(configuration, self.index, service.index), service.index)


def _copied_servers(
    configuration: Configuration, source: VirtualService
) -> tuple[Configuration, tuple[RealServer, ...]]:
    keep = set(RealServer.model_fields) - {"index"}
    copies = [{name: getattr(server, name) for name in keep} for server in source.servers]
    for copy, server in zip(copies, source.servers, strict=True):
        copy["follow"] = server.checked_as
    return new_servers(configuration, copies)


def _copied_sub(
    configuration: Configuration, source: VirtualService, slot: Slot, parent: int
) -> tuple[Configuration, int]:
    configuration, number = _next_number(configuration)
    configuration, servers = _copied_servers(configuration, source)
    sub = source.changed({"index": configuration.lowest_free_index(), "parent": parent, "servers": servers})
    place = slot.changed({"index": number, "service": sub.index, "follow": slot.checked_as})
    return _placed(configuration, sub, place), sub.index


def _next_number(configuration: Configuration) -> tuple[Configuration, int]:
    """The next number of the counter that real servers and slots share."""
    number = configuration.counters.next_server
    counters = configuration.counters.model_copy(update={"next_server": number + 1})
    return replace(configuration, counters=counters), number


def _placed(configuration: Configuration, sub: VirtualService, slot: Slot) -> Configuration:
    configuration = with_service(configuration, sub)
    parent = configuration.service(sub.parent)
    return with_service(configuration, parent.changed({"slots": (*parent.slots, slot)}))


def add_sub_service(
    configuration: Configuration, parent: int, settings: Mapping[str, Any]
) -> tuple[Configuration, int]:
    """A new sub-service at the end of a parent's, and its index. `settings` may hold `servers` and a `slot`."""
    above = configuration.service(parent)
    if above.is_sub:
        raise OperatorError(
            "A sub-service has no sub-services of its own", field="parent", value=parent, remedy="Name the parent"
        )
    if above.servers:
        raise OperatorError(
            f"{above.title} has real servers; a virtual service has these or sub-services, never both",
            field="servers",
            value=parent,
            remedy="Remove the real servers first",
        )
    refuse_parents_settings(settings, None)
    data = _settled(settings, None)
    for name in ("service_type", "check_type", "idle_time"):
        data.setdefault(name, getattr(above, name))
    if data["idle_time"] in (0, "0"):
        data["idle_time"] = configuration.network.connection_timeout
    slot, servers = dict(data.pop("slot", {})), list(data.pop("servers", ()))
    configuration, number = _next_number(configuration)
    configuration, data["servers"] = new_servers(configuration, servers)
    data["further_checks"] = made_checks(data.pop("further_checks", ()))
    index = configuration.lowest_free_index()
    sub = VirtualService.make({**data, "index": index, "parent": parent, "address": "", "port": 0})
    with located("slot"):
        made = Slot.make({**slot, "index": number, "service": index})
    return _placed(configuration, sub, made), index


__all__ = [
    "AddService",
    "ChangeService",
    "DuplicateService",
    "RemoveService",
    "add_sub_service",
    "with_minimum",
    "with_service",
]
