"""Advanced properties of a virtual service (`reference/loadmaster-api/02`, 2.5), rule positions excepted."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from steelyard.model.error_page import MAX_BYTES, decoded_page
from steelyard.model.network import canonical_address
from steelyard.model.real_server import checked_address
from steelyard.model.setting import Setting, Settings
from steelyard.model.text import TOKEN, TOKEN_SAYS
from steelyard.model.virtual_service.refusals import (
    HEADER_VALUE,
    HEADER_VALUE_SAYS,
    REDIRECT_URL,
    REDIRECT_URL_SAYS,
)

_SECTION = "advanced"
_PAGE_SAYS = f"base64 of a page of at most {MAX_BYTES:,} bytes"

ADD_VIA = {
    0: "Legacy Operation",
    1: "X-Forwarded-For (+ Via)",
    2: "None",
    3: "X-ClientSide (+ Via)",
    4: "X-ClientSide (No Via)",
    5: "X-Forwarded-For (No Via)",
    6: "Via Only",
}


def _attached(answer: str, label: str, explanation: str) -> Setting:
    """A list of content rules on the service itself; rules are attached and moved by commands of their own."""
    return Setting(None, _SECTION, label, explanation, answer=answer, pattern=r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


#: alternate source addresses of a service, at most
MOST_SOURCES = 64


class AdvancedSettings(Settings):
    """Headers, errors, limits and the like."""

    pre_rules: Annotated[
        tuple[str, ...],
        _attached("PreProcessRules", "Content matching rules", "Rules that set flags or refuse, before all others."),
    ] = ()
    request_rules: Annotated[
        tuple[str, ...], _attached("RequestRules", "Request rules", "Rules that change requests, in order.")
    ] = ()
    response_rules: Annotated[
        tuple[str, ...], _attached("ResponseRules", "Response rules", "Rules that change answers, in order.")
    ] = ()
    body_rules: Annotated[
        tuple[str, ...],
        _attached("MatchBodyRules", "Response body rules", "Rules that replace text in answers, in order."),
    ] = ()

    add_via: Annotated[
        int,
        Setting(
            "AddVia",
            _SECTION,
            "Add HTTP Headers",
            "Headers that tell the real server who the client is. Legacy adds none, as observed on current units.",
            choices=ADD_VIA,
        ),
    ] = 0
    copy_header_from: Annotated[
        str,
        Setting(
            "CopyHdrFrom",
            _SECTION,
            "Copy Header in Request",
            "Header to copy; of several lines the last one. Without it nothing is changed.",
            max_length=127,
            pattern=TOKEN,
            pattern_says=TOKEN_SAYS,
        ),
    ] = ""
    copy_header_to: Annotated[
        str,
        Setting(
            "CopyHdrTo",
            _SECTION,
            "To Header",
            "Header it is copied to, in place of one the client sent.",
            max_length=127,
            pattern=TOKEN,
            pattern_says=TOKEN_SAYS,
        ),
    ] = ""
    extra_header_name: Annotated[
        str,
        Setting(
            "ExtraHdrKey",
            _SECTION,
            "Add Header to Request",
            "Name of a header added to each request.",
            max_length=127,
            pattern=TOKEN,
            pattern_says=TOKEN_SAYS,
        ),
    ] = ""
    extra_header_value: Annotated[
        str,
        Setting(
            "ExtraHdrValue",
            _SECTION,
            "Value",
            "Value of the added header.",
            max_length=255,
            pattern=HEADER_VALUE,
            pattern_says=HEADER_VALUE_SAYS,
        ),
    ] = ""
    alternate_address: Annotated[
        str, Setting("AltAddress", _SECTION, "Alternate Address", "Second address of the service.", built=False)
    ] = ""
    cache: Annotated[
        bool,
        Setting(
            "Cache",
            _SECTION,
            "Enable Caching",
            "Keep answers in memory that say they may be kept, at most an hour; a reload empties the cache.",
        ),
    ] = False
    cache_percent: Annotated[
        int,
        Setting(
            "CachePercent",
            _SECTION,
            "Maximum Cache Usage",
            "Share of the global cache size this service may take; 0 is all of it.",
            unit="percent",
            ge=0,
            le=100,
        ),
    ] = 0
    compress: Annotated[
        bool,
        Setting(
            "Compress",
            _SECTION,
            "Enable Compression",
            "Compress text with gzip for clients that take it, unless the real server has done so.",
        ),
    ] = False
    default_gateway: Annotated[
        str,
        Setting(
            "DefaultGW",
            _SECTION,
            "Service Specific Default Gateway",
            "Gateway on a local network for answers to clients of this service. Networks this host is on itself are"
            " still reached directly, unless Use Default Route Only is on.",
        ),
    ] = ""
    error_code: Annotated[
        int,
        Setting(
            "ErrorCode",
            _SECTION,
            "Error Code",
            "Status sent when no real server is available; 0 is the usual 503. 301, 302, 303, 307 and 308 send clients"
            " to ErrorUrl, the others come with ErrorPage.",
            ge=200,
            le=505,
            or_zero=True,
            text_number=True,
        ),
    ] = 0
    error_url: Annotated[
        str,
        Setting(
            "ErrorUrl",
            _SECTION,
            "Redirect URL",
            "Where clients are sent when no real server is available and ErrorCode is a redirect. %h is the host the"
            " client asked for, without a port, and %s path and query: https://%h%s.",
            max_length=1024,
            pattern=REDIRECT_URL,
            pattern_says=REDIRECT_URL_SAYS,
        ),
    ] = ""
    error_page: Annotated[
        str,
        Setting(
            "ErrorPage",
            _SECTION,
            "Error page",
            "Page sent when no real server is available and ErrorCode is no redirect, in base64. Without it a plain one"
            " is sent.",
            pattern_says=_PAGE_SAYS,
        ),
    ] = ""
    follow_vs: Annotated[
        int,
        Setting(
            "FollowVSID",
            _SECTION,
            "Port Following",
            "Index of the service that this one follows: a client known there goes to the same real server here."
            " Set it on both for both directions; 0 is off.",
            ge=0,
            le=2**31 - 1,
        ),
    ] = 0
    port_follow: Annotated[
        int,
        Setting(
            "PortFollow",
            _SECTION,
            "Port Following (obsolete)",
            "Port of the service whose persistence is shared.",
            ge=0,
            le=65535,
            built=False,
        ),
    ] = 0
    local_bind_addresses: Annotated[
        tuple[str, ...],
        Setting(
            "LocalBindAddrs",
            _SECTION,
            "Alternate Source Addresses",
            "Addresses of this host that real servers see in turn, in place of one. Needs connection scaling over 64K"
            " connections, and HAProxy to have CAP_NET_RAW.",
            separator=" ",
        ),
    ] = ()
    standby_address: Annotated[
        str,
        Setting(
            "StandbyAddr",
            _SECTION,
            "Sorry Server",
            "Server used when no real server is available; never checked.",
            pattern_says="an IPv4 or IPv6 address",
        ),
    ] = ""
    standby_port: Annotated[
        int,
        Setting(
            "StandbyPort",
            _SECTION,
            "Sorry Server port",
            "Port of the sorry server; 0 is the port the client connected to.",
            ge=0,
            le=65535,
        ),
    ] = 0
    non_local_sorry_server: Annotated[
        bool,
        Setting(
            "NonLocalSorryServer",
            _SECTION,
            "Non-Local Sorry Server",
            "Says that the sorry server is on no attached network. Steelyard reaches it by the routes of its host, with"
            " or without this.",
        ),
    ] = False
    intrusion_detection: Annotated[
        int,
        Setting(
            "Verify",
            _SECTION,
            "Detect Malicious Requests",
            "1 detect, 2 drop instead of reject, 4 also warn.",
            ge=0,
            le=7,
            built=False,
        ),
    ] = 0
    http_reschedule: Annotated[
        bool,
        Setting(
            "HTTPReschedule",
            _SECTION,
            "HTTP reschedule",
            "Choose the real server anew for each request of a connection.",
        ),
    ] = False
    multi_connect: Annotated[
        bool,
        Setting(
            "MultiConnect",
            _SECTION,
            "Enable Multiple Connect",
            "Send requests of many clients over few connections.",
            built=False,
        ),
    ] = False
    non_local: Annotated[
        bool,
        Setting(
            "non_local",
            _SECTION,
            "Allow Remote Addresses",
            "Says that real servers are on no attached network. Steelyard reaches them by the routes of its host, with"
            " or without this.",
        ),
    ] = False
    transaction_limit: Annotated[
        int,
        Setting(
            "Transactionlimit",
            _SECTION,
            "Transaction limit",
            "Old limit of transactions.",
            ge=0,
            le=100_000_000,
            built=False,
            why_unbuilt="no reference says what it counts; RequestsPerSecLimit and ConnsPerSecLimit took its place",
        ),
    ] = 0
    bandwidth: Annotated[
        int,
        Setting(
            "Bandwidth",
            _SECTION,
            "Bandwidth limit",
            "Bytes of the service, in either direction; 0 is no limit. Needs HAProxy 2.7 or newer.",
            unit="kbit/s",
            ge=16,
            le=99_999_999,
            or_zero=True,
        ),
    ] = 0
    connections_per_second: Annotated[
        int,
        Setting(
            "ConnsPerSecLimit",
            _SECTION,
            "Connections per second",
            "New connections; 0 is no limit.",
            ge=0,
            le=1_000_000,
        ),
    ] = 0
    requests_per_second: Annotated[
        int,
        Setting(
            "RequestsPerSecLimit",
            _SECTION,
            "Requests per second",
            "Requests; 0 is no limit.",
            ge=0,
            le=1_000_000,
        ),
    ] = 0
    max_connections: Annotated[
        int,
        Setting(
            "MaxConnsLimit",
            _SECTION,
            "Concurrent connections",
            "Connections at a time; 0 is no limit. Of a sub-service that reads HTTP: requests it is serving.",
            ge=0,
            le=100_000_000,
        ),
    ] = 0
    response_status_remap: Annotated[
        bool,
        Setting(
            "ResponseStatusRemap",
            _SECTION,
            "Response status remapping",
            "Rewrite status codes of answers.",
            built=False,
            why_unbuilt="no reference says how the map of codes is written",
        ),
    ] = False
    response_remap_format: Annotated[
        int,
        Setting(
            "ResponseRemapMsgFormat",
            _SECTION,
            "Remap message format",
            "Format of a rewritten answer.",
            ge=0,
            le=9,
            built=False,
        ),
    ] = 0
    response_remap_codes: Annotated[
        str, Setting("ResponseRemapCodeMap", _SECTION, "Remap codes", "Which codes become which.", built=False)
    ] = ""
    response_remap_messages: Annotated[
        str, Setting("ResponseRemapMsgMap", _SECTION, "Remap messages", "Which messages become which.", built=False)
    ] = ""

    @field_validator("default_gateway")
    @classmethod
    def _canonical_gateway(cls, value: str) -> str:
        return canonical_address(value)

    @field_validator("local_bind_addresses")
    @classmethod
    def _canonical_sources(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(str(checked_address(one)) for one in value))
        if len(found) > MOST_SOURCES:
            why = f"has {len(found)} addresses, more than {MOST_SOURCES}"
            raise PydanticCustomError("setting", "{why}", {"why": why})
        return found

    @field_validator("standby_address", mode="before")
    @classmethod
    def _canonical_standby(cls, value: Any) -> Any:
        return value if value == "" else checked_address(value)

    @field_validator("error_page")
    @classmethod
    def _page(cls, value: str) -> str:
        try:
            decoded_page(value)
        except ValueError as failure:
            raise PydanticCustomError("setting", "{why}", {"why": str(failure), "allowed": _PAGE_SAYS}) from None
        return value
