"""Global parameters: layer 7, network options, health checks (`reference/loadmaster-api/08`, 8.6, 8.7 and 04, 4.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import field_validator, model_validator

from steelyard.model.acme_renewal import AcmeParameters
from steelyard.model.adaptive import AdaptiveParameters
from steelyard.model.administration_parameters import AdministrationParameters
from steelyard.model.layer7_parameters import Layer7Parameters
from steelyard.model.limits import LimitParameters
from steelyard.model.network import HostParameters
from steelyard.model.notification import (
    EmailParameters,
    EventParameters,
    SnmpParameters,
    SyslogParameters,
    WebhookParameters,
)
from steelyard.model.setting import Setting, Settings
from steelyard.model.tls_parameters import TlsParameters

_NETWORK = "network"
_CHECKS = "checks"
_ACCESS = "access"


class NetworkParameters(Settings):
    """Network options."""

    noun: ClassVar[str] = "network option"

    server_nat: Annotated[
        bool,
        Setting(
            "snat",
            _NETWORK,
            "Enable Server NAT",
            "Connections that real servers and their neighbours start, with this host as their gateway, leave by its"
            " default gateway with this host's address there. Where another tool owns the network, only those of"
            " services whose address is used for it do.",
        ),
    ] = True
    allow_upload: Annotated[bool, Setting("allowupload", _NETWORK, "Allow upload", "", built=False)] = False
    connection_timeout: Annotated[
        int,
        Setting(
            "conntimeout",
            _NETWORK,
            "Connection Timeout",
            "Idle time-out of services made without one.",
            unit="seconds",
            ge=60,
            le=86400,
            or_zero=True,
        ),
    ] = 660
    keepalive: Annotated[
        bool,
        Setting(
            "keepalive",
            _NETWORK,
            "Enable TCP Keepalives",
            "Have the kernel probe client and server connections on which nothing moves, so that dead ones are found"
            " and firewalls keep live ones.",
        ),
    ] = False
    multiple_gateways: Annotated[bool, Setting("multigw", _NETWORK, "Enable Alternate GW support", "", built=False)] = (
        False
    )
    non_local_servers: Annotated[
        bool, Setting("nonlocalrs", _NETWORK, "Enable Non-Local Real Servers", "", built=False)
    ] = True
    default_route_only: Annotated[
        bool,
        Setting(
            "onlydefaultroutes",
            _NETWORK,
            "Use Default Route Only",
            "Answers of services with a gateway of their own go there alone, also to clients on a network this host is"
            " on itself.",
        ),
    ] = False
    reset_on_close: Annotated[
        bool,
        Setting(
            "resetclose",
            _NETWORK,
            "Enable Reset on Close",
            "End connections to real servers with a reset (RST) in place of the usual farewell (FIN).",
        ),
    ] = False
    subnet_originating: Annotated[
        bool,
        Setting(
            "subnetorigin",
            _NETWORK,
            "Subnet Originating Requests",
            "Real servers of all services that are not transparent see this host's own address on their network. Off:"
            " each service says so itself, and without it they see the service's address.",
        ),
    ] = True
    tcp_timestamps: Annotated[bool, Setting("tcptimestamp", _NETWORK, "Enable TCP Timestamps", "", built=False)] = False
    strict_routing: Annotated[
        bool,
        Setting(
            "routefilter",
            _NETWORK,
            "Enable Strict IP Routing",
            "Packets to an address of this host, a service's too, come in by the interface that has the address, or not"
            " at all.",
        ),
    ] = False
    verify_servers: Annotated[
        bool,
        Setting(
            "sslforceserververify",
            _NETWORK,
            "Force RS Certificate Checking",
            "Verify the certificates of real servers that are spoken to with TLS; a service may say otherwise.",
        ),
    ] = False
    http_proxy: Annotated[str, Setting("http_proxy", _NETWORK, "HTTP proxy", "", built=False)] = ""
    no_tcp_recycle: Annotated[bool, Setting("tcpnorecycle", _NETWORK, "No TCP recycle", "", built=False)] = False

    @field_validator("connection_timeout")
    @classmethod
    def _zero_is_default(cls, value: int) -> Any:
        return value or 660


class CheckParameters(Settings):
    """Global timing of health checks. Steelyard allows less than LoadMaster's minimums of 9, 4 and 2."""

    noun: ClassVar[str] = "check parameter"

    interval: Annotated[
        int,
        Setting(
            "RetryInterval",
            _CHECKS,
            "Check Interval",
            "Time between two checks.",
            unit="seconds",
            ge=1,
            le=901,
            text_number=True,
        ),
    ] = 9
    timeout: Annotated[
        int,
        Setting(
            "Timeout",
            _CHECKS,
            "Connect Timeout",
            "Time one attempt may take.",
            unit="seconds",
            ge=1,
            le=60,
            text_number=True,
        ),
    ] = 4
    retries: Annotated[
        int,
        Setting(
            "RetryCount",
            _CHECKS,
            "Retry Count",
            "Attempts without an answer until a server is down.",
            ge=1,
            le=15,
            text_number=True,
        ),
    ] = 2

    @model_validator(mode="after")
    def _interval_covers_attempts(self) -> Self:
        least = self.timeout * self.retries + 1
        if self.interval < least:
            object.__setattr__(self, "interval", least)
        return self


class AccessParameters(Settings):
    """The packet filter, as far as it concerns access lists (`reference/loadmaster-api/09`, 9.5)."""

    noun: ClassVar[str] = "packet filter parameter"

    enabled: Annotated[
        bool,
        Setting(None, _ACCESS, "Packet Routing Filter", "Access lists are in force. Off: every client is let in."),
    ] = True
    drop: Annotated[
        bool,
        Setting(
            None,
            _ACCESS,
            "Drop blocked packets",
            "A refused client gets no answer. Off: its connection is closed at once.",
        ),
    ] = True
    restrict_forwarding: Annotated[
        bool,
        Setting(
            None,
            _ACCESS,
            "Forward for services only",
            "Between its networks this host forwards what it balances and what hosts next to real servers begin, and"
            " nothing else. Off: it forwards what the kernel is set to.",
        ),
    ] = False
    restrict_interfaces: Annotated[bool, Setting(None, _ACCESS, "Restrict traffic to Interfaces", "", built=False)] = (
        False
    )
    include_wui: Annotated[
        bool,
        Setting(
            None,
            _ACCESS,
            "Include WUI in IP Access Lists",
            "The access lists for all services hold for the APIs and the web interface too. The command line on this"
            " host is always let in.",
        ),
    ] = False


#: section of the global parameters -> its model; the section is its name in every interface
SECTIONS: Mapping[str, type[Settings]] = {
    "layer7": Layer7Parameters,
    "network": NetworkParameters,
    "checks": CheckParameters,
    "access": AccessParameters,
    "limits": LimitParameters,
    "tls": TlsParameters,
    "syslog": SyslogParameters,
    "email": EmailParameters,
    "snmp": SnmpParameters,
    "webhook": WebhookParameters,
    "events": EventParameters,
    "adaptive": AdaptiveParameters,
    "acme": AcmeParameters,
    "administration": AdministrationParameters,
    "host": HostParameters,
}
