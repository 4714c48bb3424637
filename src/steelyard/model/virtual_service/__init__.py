"""A virtual service: what clients connect to, with everything configured on it.

The settings live in one module a section, as in LoadMaster's own pages; this module adds the rules that span sections.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Self

from pydantic import field_validator, model_validator
from pydantic_core import PydanticCustomError

from steelyard.model.real_server import RealServer
from steelyard.model.slot import Slot
from steelyard.model.text import parse_port_ranges
from steelyard.model.virtual_service.advanced import AdvancedSettings
from steelyard.model.virtual_service.availability import AvailabilitySettings
from steelyard.model.virtual_service.basic import BasicSettings
from steelyard.model.virtual_service.checks import CheckSettings
from steelyard.model.virtual_service.esp import EspSettings
from steelyard.model.virtual_service.further import FurtherCheck
from steelyard.model.virtual_service.layers import layer_refusals
from steelyard.model.virtual_service.refusals import refusals
from steelyard.model.virtual_service.standard import StandardSettings
from steelyard.model.virtual_service.tls import TlsSettings
from steelyard.model.virtual_service.waf import WafSettings

#: persistence modes that read a request, so need plain text HTTP
HTTP_PERSISTENCE = frozenset(
    {
        "cookie",
        "cookie-src",
        "active-cookie",
        "active-cook-src",
        "cookie-hash",
        "cookie-hash-src",
        "url",
        "query-hash",
        "host",
        "header",
        "super",
        "super-src",
    }
)
#: modes that need a name in `cookie`
NAMED_PERSISTENCE = frozenset({"cookie", "cookie-src", "header"})
#: `starttls_mode` -> the protocol
STARTTLS_PROTOCOLS = {2: "smtp", 4: "imap", 6: "pop3"}
DEFAULT_ACTIVE_COOKIE = "steelyard"
DEFAULT_PERSISTENCE_TIMEOUT = 360


def _clash(name: str, why: str) -> PydanticCustomError:
    return PydanticCustomError("rule", "{why}", {"why": why, "name": name})


# pydantic gathers fields from the last base to the first: this way the catalogue begins with what identifies a service
class VirtualService(
    EspSettings,
    WafSettings,
    AvailabilitySettings,
    CheckSettings,
    AdvancedSettings,
    TlsSettings,
    StandardSettings,
    BasicSettings,
):
    """One virtual service.

    Its key is (address, port, protocol); its index never changes and names it in the engines.
    """

    noun: ClassVar[str] = "virtual service"

    servers: tuple[RealServer, ...] = ()
    #: its sub-services; a service has these or real servers, never both
    slots: tuple[Slot, ...] = ()
    #: what is asked of each real server besides the check of the service itself
    further_checks: tuple[FurtherCheck, ...] = ()

    @property
    def is_sub(self) -> bool:
        """Whether it is a sub-service: without an address, reached through its parent."""
        return self.parent != 0

    @property
    def members(self) -> tuple[RealServer | Slot, ...]:
        """What its traffic is shared among: real servers or slots."""
        return self.slots or self.servers

    @property
    def switches_content(self) -> bool:
        """Whether content rules select among its members."""
        return any(member.rules for member in self.members)

    def persistence_options(self) -> tuple[str | int, ...]:
        """The persistence mode with those settings that make its keys; equal ones give equal keys."""
        cookie = self.active_cookie if self.persistence in ("active-cookie", "active-cook-src") else ""
        return (
            self.persistence,
            self.persistence_mask,
            self.cookie if self.persistence in NAMED_PERSISTENCE else cookie,
            self.query_tag if self.persistence == "query-hash" else "",
        )

    def rule_names(self) -> Iterator[str]:
        """The content rules it and its members name; some more than once."""
        yield from self.pre_rules
        yield from self.request_rules
        yield from self.response_rules
        yield from self.body_rules
        for member in self.members:
            yield from member.rules

    @property
    def active_cookie(self) -> str:
        """The name of the cookie it issues. Its parent may issue one too; siblings may share their records."""
        return self.cookie or (f"{DEFAULT_ACTIVE_COOKIE}-sub" if self.is_sub else DEFAULT_ACTIVE_COOKIE)

    @property
    def engine_name(self) -> str:
        """Its name in every engine."""
        return f"vs{self.index}"

    @property
    def title(self) -> str:
        """How people know it: its name if it has one, and its address."""
        if self.is_sub:
            return f"{self.name or 'sub-service'} {self.index} of virtual service {self.parent}"
        where = f"{self.protocol}/{self.host}:{self.shown_port}"
        return f"{self.name} ({where})" if self.name else where

    @property
    def wildcard(self) -> bool:
        """Whether it has every port that no other service of its address has."""
        return self.port == 0 and not self.is_sub

    @property
    def shown_port(self) -> str:
        """The port as people write it."""
        return "*" if self.wildcard else str(self.port)

    @property
    def host(self) -> str:
        """The address as it is written before a port."""
        return f"[{self.address}]" if ":" in self.address else self.address

    @property
    def is_http(self) -> bool:
        """Whether requests are read; otherwise bytes are passed."""
        return self.service_type in ("http", "http2")

    @property
    def starttls_protocol(self) -> str:
        """The protocol in which clients begin TLS by STARTTLS: "smtp", "imap", "pop3", or "" where they do not."""
        return STARTTLS_PROTOCOLS.get(self.starttls_mode, "")

    @property
    def reencrypts(self) -> bool:
        """Whether traffic is encrypted again; the stored flag has no effect while acceleration is off."""
        return self.ssl_acceleration and self.ssl_reencrypt

    @property
    def verifies_clients(self) -> bool:
        """Whether clients are asked for a certificate; the stored number has no effect while acceleration is off."""
        return self.ssl_acceleration and self.client_certificates != 0

    @property
    def port_ranges(self) -> tuple[tuple[int, int], ...]:
        """The base port and the extra ports, merged and sorted. A sub-service has none, nor has the wildcard port."""
        if self.is_sub or self.wildcard:
            return ()
        return parse_port_ranges((str(self.port), *self.extra_ports))

    def sockets(self) -> Iterator[tuple[str, int]]:
        """Every (address, port) it listens on."""
        for first, last in self.port_ranges:
            for port in range(first, last + 1):
                yield self.address, port

    @property
    def needed_members(self) -> int:
        """How many members must be available; 0 where no minimum is set."""
        return min(self.minimum_servers, len(self.members)) if self.enhanced_checks else 0

    def server(self, index: int) -> RealServer | None:
        """The real server with that index."""
        return next((server for server in self.servers if server.index == index), None)

    def slot(self, index: int) -> Slot | None:
        """The slot with that index."""
        return next((slot for slot in self.slots if slot.index == index), None)

    @field_validator("servers")
    @classmethod
    def _distinct(cls, value: tuple[RealServer, ...]) -> Any:
        seen: set[tuple[str, int]] = set()
        for server in value:
            if (server.address, server.port) in seen:
                raise _clash("servers", f"real server {server.address}:{server.port} is already in the service")
            seen.add((server.address, server.port))
        return value

    @model_validator(mode="after")
    def _rules(self) -> Self:
        if self.is_sub and (self.address or self.port or self.extra_ports):
            raise _clash("address", "a sub-service has no address and no port of its own")
        if self.slots and self.servers:
            raise _clash("servers", "a virtual service has real servers or sub-services, never both")
        if self.is_sub and self.slots:
            raise _clash("slots", "a sub-service has no sub-services of its own")
        if self.persistence in HTTP_PERSISTENCE and not self.is_http:
            raise _clash("persistence", f"{self.persistence!r} reads HTTP requests; the service type must be http")
        if self.persistence in NAMED_PERSISTENCE and not self.cookie:
            raise _clash("cookie", f"persistence {self.persistence!r} needs a name in Cookie")
        if self.persistence == "query-hash" and not self.query_tag:
            raise _clash("query_tag", "persistence 'query-hash' needs a name in QueryTag")
        if self.persistence == "ssl" and (self.ssl_acceleration or self.is_http):
            raise _clash("persistence", "'ssl' works only where TLS passes through: no SSL acceleration, type gen")
        if self.persistence in ("rdp", "rdp-src") and self.is_http:
            raise _clash(
                "persistence", f"{self.persistence!r} reads the RDP cookie; the service type must be ts or gen"
            )
        if self.refresh_persistence and not self.is_http:
            raise _clash(
                "refresh_persistence",
                "records are refreshed by requests, which only a service of type http reads; HAProxy cannot restart a"
                " record's time while bytes flow",
            )
        if self.schedule == "uhash" and not self.is_http:
            raise _clash("schedule", "'uhash' reads the URL; the service type must be http")
        if self.slots and self.schedule in ("adaptive", "dl"):
            raise _clash(
                "schedule",
                f"{self.schedule!r} measures real servers, and this service has sub-services; give it to the"
                " sub-services, or use sdn-adaptive here",
            )
        if self.schedule == "dl" and self.check_type == "none":
            raise _clash(
                "schedule", "'dl' follows the response times of health checks, and CheckType none makes no checks"
            )
        if self.ssl_reverse and self.ssl_acceleration:
            raise _clash("ssl_reverse", "reversed SSL and SSL acceleration exclude each other; use re-encryption")
        if self.starttls_mode and self.service_type != "tls":
            raise _clash("starttls_mode", "STARTTLS is for services of type tls (VStype)")
        if self.starttls_mode and not self.ssl_acceleration:
            raise _clash("starttls_mode", "TLS that clients begin has to end here; it needs SSLAcceleration")
        if self.starttls_mode and self.ocsp_verify:
            raise _clash("ocsp_verify", "clients that begin TLS by STARTTLS cannot be asked about by OCSP")
        if self.starttls_mode and (self.slots or self.is_sub):
            raise _clash("starttls_mode", "a service with STARTTLS has real servers, no sub-services")
        for name, why in refusals(self):
            raise _clash(name, why)
        for name, why in self.check_refusals():
            raise _clash(name, why)
        for name, why in layer_refusals(self):
            raise _clash(name, why)
        if self.check_post_data and self.check_method != 2:
            raise _clash("check_post_data", "POST data needs the check method POST (2)")
        if self.esp_enabled and not self.is_http:
            raise _clash("esp_enabled", "the edge filter reads HTTP requests; the service type must be http")
        if self.esp_enabled and self.transparent:
            raise _clash("transparent", "the edge filter and transparency exclude each other; switch one of them off")
        if self.use_for_snat and self.is_sub:
            raise _clash("use_for_snat", "a sub-service has no address of its own; give it to its parent")
        if self.use_for_snat and self.address in ("0.0.0.0", "::"):
            raise _clash("use_for_snat", "a service on every address has no address of its own")
        if self.esp_enabled and not self.ssl_acceleration and any(a <= 443 <= b for a, b in self.port_ranges):
            raise _clash("esp_enabled", "port 443 carries TLS, so the edge filter needs SSL acceleration there")
        return self


__all__ = ["DEFAULT_ACTIVE_COOKIE", "DEFAULT_PERSISTENCE_TIMEOUT", "HTTP_PERSISTENCE", "VirtualService"]
