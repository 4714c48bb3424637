"""Standard options of a virtual service (`reference/loadmaster-api/02`, 2.3)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from steelyard.model.adaptive import refuse_tls_port
from steelyard.model.setting import Setting, Settings
from steelyard.model.text import (
    PRINTABLE_PATH,
    PRINTABLE_PATH_SAYS,
    TOKEN,
    TOKEN_SAYS,
    format_port_ranges,
    parse_port_ranges,
)

_SECTION = "standard"
MAX_EXTRA_PORTS = 510

#: schedules under which a server that comes up may start slowly
LEAST_CONNECTION = frozenset({"lc", "wlc"})

PERSISTENCE_MODES = {
    "none": "off",
    "src": "Source IP Address",
    "ssl": "SSL Session ID",
    "cookie": "Server Cookie",
    "cookie-src": "Server Cookie or Source IP",
    "active-cookie": "Active Cookie",
    "active-cook-src": "Active Cookie or Source IP",
    "cookie-hash": "Hash All Cookies",
    "cookie-hash-src": "Hash All Cookies or Source IP",
    "url": "URL Hash",
    "query-hash": "Hash of HTTP Query Item",
    "host": "HTTP Host Header",
    "header": "Selected Header",
    "super": "Super HTTP",
    "super-src": "Super HTTP and Source IP Address",
    "rdp": "Terminal Service",
    "rdp-src": "Terminal Service or Source IP",
    "rdp-sb": "Session Broker",
    "rdp-sb-src": "Session Broker or Source IP",
    "udpsip": "UDP Session Initiation Protocol",
}

SCHEDULES = {
    "rr": "round robin",
    "wrr": "weighted round robin",
    "lc": "least connection",
    "wlc": "weighted least connection",
    "fixed": "fixed weighting",
    "adaptive": "resource based (adaptive)",
    "sdn-adaptive": "resource based (SDN adaptive)",
    "sh": "source IP hash",
    "dl": "weighted response time",
    "uhash": "URL hash",
    "random": "random; Steelyard only",
}

#: seconds. HAProxy keeps times as milliseconds in 31 bits (`haproxy -c` of 2.6 and 2.8: "maximum value is 2147483647
#: ms"); this is the last whole minute.
LONGEST_PERSISTENCE = 2_147_460


def _too_long(seconds: int) -> tuple[str, str] | None:
    if seconds <= LONGEST_PERSISTENCE:
        return None
    return (
        "is too long: HAProxy's timers are 32-bit numbers of milliseconds",
        f"Give at most {LONGEST_PERSISTENCE} seconds, which is 24 days, 20 hours and 31 minutes",
    )


class StandardSettings(Settings):
    """Layer, persistence, scheduling."""

    force_l7: Annotated[
        bool,
        Setting(
            "ForceL7",
            _SECTION,
            "Force L7",
            "Run at layer 7: HAProxy ends connections. Default of TCP; UDP and the wildcard port cannot.",
        ),
    ] = True
    force_l4: Annotated[
        bool,
        Setting(
            "ForceL4",
            _SECTION,
            "Force L4",
            "Run at layer 4: the kernel forwards packets, and real servers see the client's address. Setting this or"
            " Force L7 clears the other.",
        ),
    ] = False
    layer4_source_nat: Annotated[
        bool,
        Setting(
            None,
            _SECTION,
            "Source NAT at layer 4",
            "Real servers see the service's address in place of the client's. Needed where their replies do not come"
            " back through this host, for example in a one-armed network.",
        ),
    ] = False
    transparent: Annotated[
        bool,
        Setting(
            "Transparent",
            _SECTION,
            "Transparency",
            "Real servers see the client's address, and have to answer by way of this host. Clients on a real server's"
            " own network are shown this host's address. Needs HAProxy to have CAP_NET_RAW.",
        ),
    ] = False
    subnet_originating: Annotated[
        bool,
        Setting(
            "SubnetOriginating",
            _SECTION,
            "Subnet Originating Requests",
            "Without transparency, real servers see this host's own address on their network; off, and off for all"
            " services too, they see the service's address.",
        ),
    ] = True
    extra_ports: Annotated[
        tuple[str, ...],
        Setting(
            "ExtraPorts",
            _SECTION,
            "Extra Ports",
            "Further ports of the service: single ports and ranges such as 5070-5076, 510 ports at most.",
            separator=",",
            pattern=r"[0-9]+(-[0-9]+)?",
            pattern_says="ports and ranges such as 5061,5070-5076",
        ),
    ] = ()
    server_init: Annotated[
        int,
        Setting(
            "ServerInit",
            _SECTION,
            "Server Initiating Protocols",
            "Which protocol's server speaks first. Steelyard connects to the real server at once, so all work.",
            choices={
                0: "Normal Protocols",
                1: "SMTP",
                2: "SSH",
                3: "Other Server Initiating",
                4: "IMAP4",
                5: "MySQL",
                6: "POP3",
            },
        ),
    ] = 0
    starttls_mode: Annotated[
        int,
        Setting(
            "StartTLSMode",
            _SECTION,
            "STARTTLS mode",
            "Protocol whose STARTTLS is answered here; needs the type tls and SSL acceleration. Clients have to begin"
            " TLS; real servers are spoken to in plain text.",
            choices={0: "HTTP/HTTPS", 1: "SMTP if requested", 2: "SMTP always", 3: "FTP", 4: "IMAP", 6: "POP3"},
            unbuilt=frozenset({1, 3}),
            why_unbuilt="a client that does not ask for TLS would have to be handed over in the middle of its dialogue,"
            " and data connections of FTP are encrypted one by one; pass these through (type gen)",
        ),
    ] = 0
    idle_time: Annotated[
        int,
        Setting(
            "Idletime",
            _SECTION,
            "Idle Connection Timeout",
            "A connection without a byte in either direction for so long is closed.",
            unit="seconds",
            ge=0,
            le=86400,
        ),
    ] = 660
    refresh_persistence: Annotated[
        bool,
        Setting(
            "Refreshpersist",
            _SECTION,
            "Refresh Persist",
            "Restart the time of a client's record at each request, not only at the first of a connection; needs a"
            " service that reads requests.",
            answer="RefreshPersist",
        ),
    ] = False
    persistence: Annotated[
        str,
        Setting(
            "Persist",
            _SECTION,
            "Persistence Mode",
            "What makes a client come back to its real server.",
            choices=PERSISTENCE_MODES,
            unbuilt=frozenset({"rdp-sb", "rdp-sb-src"}),
        ),
    ] = "none"
    persistence_timeout: Annotated[
        int,
        Setting(
            "PersistTimeout",
            _SECTION,
            "Persistence Timeout",
            "How long a client stays with its real server after its last new connection; whole minutes. LoadMaster's"
            " longest, 28 days, does not fit HAProxy's timers.",
            unit="seconds",
            ge=0,
            le=LONGEST_PERSISTENCE,
            text_number=True,
            explains=_too_long,
        ),
    ] = 0
    persistence_mask: Annotated[
        int,
        Setting(
            None,
            _SECTION,
            "Persistence Mask",
            "Leading bits of a client's IPv4 address that make it the same client;"
            " an IPv6 client is known by as many bits times four.",
            unit="bits",
            ge=8,
            le=32,
        ),
    ] = 32
    cookie: Annotated[
        str,
        Setting(
            "Cookie",
            _SECTION,
            "Cookie or header name",
            "Cookie of the cookie modes, header of the mode Selected Header.",
            max_length=127,
            pattern=TOKEN,
            pattern_says=TOKEN_SAYS,
        ),
    ] = ""
    query_tag: Annotated[
        str,
        Setting(
            "QueryTag",
            _SECTION,
            "Query item",
            "Query parameter of the mode Hash of HTTP Query Item.",
            max_length=127,
            pattern=r"[A-Za-z0-9._~-]+",
            pattern_says="letters, digits and . _ ~ -",
        ),
    ] = ""
    schedule: Annotated[
        str,
        Setting(
            "Schedule",
            _SECTION,
            "Scheduling Method",
            "How a real server is chosen for a client without a record.",
            choices=SCHEDULES,
        ),
    ] = "rr"
    adaptive_interval: Annotated[
        int,
        Setting(
            "AdaptiveInterval",
            _SECTION,
            "Adaptive interval",
            "Time between two polls of the load agents; 0 is the global value. In effect never shorter than the check"
            " interval.",
            unit="seconds",
            ge=0,
            le=86400,
        ),
    ] = 0
    adaptive_url: Annotated[
        str,
        Setting(
            "AdaptiveUrl",
            _SECTION,
            "Adaptive URL",
            "Where the load agents of its real servers answer; empty means the global value.",
            max_length=126,
            pattern=PRINTABLE_PATH,
            pattern_says=PRINTABLE_PATH_SAYS,
        ),
    ] = ""
    adaptive_port: Annotated[
        int,
        Setting(
            "AdaptivePort",
            _SECTION,
            "Adaptive port",
            "Port of the load agents, which speak plain HTTP; 0 is the global value.",
            ge=0,
            le=65535,
        ),
    ] = 0
    adaptive_min_percent: Annotated[
        int,
        Setting(
            "AdaptiveMinPercent",
            _SECTION,
            "Minimum control variable",
            "While every load is below it, the static weights hold; 0 is the global value.",
            unit="%",
            ge=0,
            le=50,
        ),
    ] = 0
    use_for_snat: Annotated[
        bool,
        Setting(
            "UseforSnat",
            _SECTION,
            "Use Address for Server NAT",
            "Traffic started by the real servers leaves by the default gateway with the service's address. A real"
            " server of several such services uses that with the port it connects to. Needs server NAT.",
        ),
    ] = False
    qos: Annotated[
        int,
        Setting(
            "QoS",
            _SECTION,
            "Quality of Service",
            "Type-of-service bits of packets to the real servers.",
            choices={
                0: "Normal-Service",
                1: "Minimize-Cost",
                2: "Maximize-Reliability",
                4: "Maximize-Throughput",
                8: "Minimize-Delay",
                16: "Pass Through",
            },
            built=False,
        ),
    ] = 0

    @field_validator("adaptive_port")
    @classmethod
    def _plain_agent(cls, value: int) -> Any:
        return refuse_tls_port(value)

    @field_validator("idle_time")
    @classmethod
    def _idle_default(cls, value: int) -> int:
        return value or 660

    @field_validator("persistence_timeout")
    @classmethod
    def _whole_minutes(cls, value: int) -> int:
        return value - value % 60

    @field_validator("extra_ports")
    @classmethod
    def _ranges(cls, value: tuple[str, ...]) -> Any:
        try:
            ranges = parse_port_ranges(value)
        except ValueError as failure:
            raise PydanticCustomError("setting", "{why}", {"why": f"is malformed: {failure}"}) from None
        if sum(last - first + 1 for first, last in ranges) > MAX_EXTRA_PORTS:
            raise PydanticCustomError("setting", "{why}", {"why": f"names more than {MAX_EXTRA_PORTS} ports"})
        return format_port_ranges(ranges)
