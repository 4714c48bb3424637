"""Global parameters of layer 7 (`reference/loadmaster-api/08`, 8.6)."""

from __future__ import annotations

from typing import Annotated, ClassVar

from steelyard.model.setting import Setting, Settings

_L7 = "layer7"


def _extensions(label: str, explanation: str) -> Setting:
    """A list of file extensions; LoadMaster has commands of its own for it (`reference/loadmaster-api/09`, 9.9)."""
    return Setting(
        None,
        _L7,
        label,
        explanation,
        separator=" ",
        pattern=r"\.[A-Za-z0-9_-]{1,32}",
        pattern_says="extensions with their leading dot, for example .php",
    )


class Layer7Parameters(Settings):
    """Parameters of every layer-7 service."""

    noun: ClassVar[str] = "layer-7 parameter"

    alternate_sources: Annotated[
        bool,
        Setting(
            "localbind",
            _L7,
            "Allow connection scaling over 64K Connections",
            "Services connect to real servers with their alternate source addresses in turn: one address has about"
            " 64,000 ports towards each port of a real server.",
        ),
    ] = False
    always_check_persistence: Annotated[
        int,
        Setting(
            "alwayspersist",
            _L7,
            "Always Check Persist",
            "When the persistence of a kept-alive connection is looked up: on its first request only, or on each.",
            choices={0: "No", 1: "Yes", 2: "Yes - Accept Changes"},
        ),
    ] = 0
    add_cookie_port: Annotated[
        bool,
        Setting(
            "addcookieport",
            _L7,
            "Add Port to Active Cookie",
            "An active cookie that is issued has the client's port in its value.",
        ),
    ] = False
    rfc_conform: Annotated[
        bool,
        Setting(
            "rfcconform",
            _L7,
            "Conform to RFC",
            "URL ends at the first blank.",
            built=False,
            why_unbuilt="HAProxy answers 400 to a request line with more than two blanks",
        ),
    ] = True
    close_on_error: Annotated[
        bool,
        Setting(
            "closeonerror",
            _L7,
            "Close on Error",
            "Close the client's connection after an error that Steelyard answers itself (HTTP/1.1).",
        ),
    ] = False
    add_via_in_cache: Annotated[
        bool,
        Setting("addvia", _L7, "Add Via Header In Cache Responses", "Answers from the cache have a Via header."),
    ] = False
    real_servers_local: Annotated[
        bool,
        Setting(
            "rsarelocal",
            _L7,
            "Real Servers are Local",
            "A real server that is itself the client of a transparent service is seen as this host, whichever network"
            " it is on.",
        ),
    ] = False
    drop_on_failure: Annotated[
        bool,
        Setting(
            "droponfail", _L7, "Drop Connections on RS Failure", "Close a real server's connections when it goes down."
        ),
    ] = False
    drop_at_drain_end: Annotated[
        bool,
        Setting(
            "dropatdrainend", _L7, "Drop at Drain Time End", "Close what is left when the drain time of a server ends."
        ),
    ] = False
    drain_time: Annotated[
        int,
        Setting(
            "finalpersist",
            _L7,
            "L7 Connection Drain Time",
            "How long a disabled server still serves clients that have a record; 0 cuts everything at once.",
            unit="seconds",
            ge=60,
            le=86400,
            or_zero=True,
        ),
    ] = 300
    transparent: Annotated[
        bool,
        Setting(
            "transparent",
            _L7,
            "L7 Transparency",
            "Services with Transparency show clients' addresses to real servers; off, none does.",
        ),
    ] = True
    additional_header: Annotated[
        int,
        Setting(
            "addforwardheader",
            _L7,
            "Additional L7 Header",
            "Header of services whose Add HTTP Headers is Legacy Operation. As on current units none is added to them,"
            " so 1 and 2 are the same here; AddVia of a service adds one.",
            choices={0: "X-ClientSide", 1: "X-Forwarded-For", 2: "None"},
            unbuilt=frozenset({0}),
            why_unbuilt="Legacy Operation adds no header on current units; give services AddVia 4",
        ),
    ] = 1
    continue_handling: Annotated[
        int,
        Setting(
            "expect100",
            _L7,
            "100-Continue Handling",
            "What is done with Expect: 100-continue. RFC-7231: the real server's own answer decides.",
            choices={0: "RFC-2616", 1: "Require 100-Continue", 2: "RFC-7231"},
            unbuilt=frozenset({0, 1}),
            why_unbuilt="HAProxy passes the body on as it comes, and the real server's 100 (Continue) back (RFC 7231)",
        ),
    ] = 2
    allow_empty_posts: Annotated[
        bool,
        Setting(
            "allowemptyposts",
            _L7,
            "Allow Empty POSTs",
            "Let POST requests of HTTP/1 in that have neither Content-Length nor Transfer-Encoding, as ones without a"
            " body. Without it they are answered 411.",
        ),
    ] = False
    allow_empty_headers: Annotated[
        bool,
        Setting(
            "AllowEmptyHttpHeaders",
            _L7,
            "Allow Empty HTTP Headers",
            "Says that headers without a value may pass. They pass with or without this.",
        ),
    ] = False
    force_complete_match: Annotated[
        bool,
        Setting(
            "forcefullrsmatch",
            _L7,
            "Force Complete RS Match",
            "Says that a client connection stays with its real server from one content rule to the next only where"
            " address and port are the same. It does so with or without this.",
        ),
    ] = False
    slow_start: Annotated[
        int,
        Setting(
            "slowstart",
            _L7,
            "Least Connection Slow Start",
            "Time in which a real server that comes up gets to its full share of new connections, and to its connection"
            " limit, under least connection and weighted least connection; 0 is at once.",
            unit="seconds",
            ge=0,
            le=600,
        ),
    ] = 0
    share_subvs_persistence: Annotated[
        bool,
        Setting(
            "ShareSubVSPersist",
            _L7,
            "Share SubVS Persistence",
            "Sub-services of one parent with the same persistence (mode, options, time-out) know each other's clients:"
            " a client keeps the address of its real server from one to the next.",
        ),
    ] = False
    authentication_timeout: Annotated[
        int,
        Setting("authtimeout", _L7, "L7 Authentication Timeout", "", unit="seconds", ge=30, le=300, built=False),
    ] = 30
    authentication_post_wait: Annotated[
        int, Setting("authpostwait", _L7, "L7 Wait after POST", "", unit="ms", ge=1, le=2000, built=False)
    ] = 2000
    client_token_timeout: Annotated[
        int,
        Setting("clienttokentimeout", _L7, "L7 Client Token Timeout", "", unit="seconds", ge=60, le=300, built=False),
    ] = 120
    log_split_interval: Annotated[
        int, Setting("logsplitinterval", _L7, "Log Insight Message Split Interval", "", ge=1, le=100, built=False)
    ] = 10
    log_user_agent: Annotated[
        bool,
        Setting(
            "loguseragent",
            _L7,
            "Include User Agent Header in User Logs",
            "Whether the edge filter's logs tell the User-Agent header.",
        ),
    ] = False
    cef_messages: Annotated[
        bool,
        Setting(
            "CEFmsgFormat",
            _L7,
            "Use CEF Log Format",
            "Write the edge filter's logs in the Common Event Format; lines written before stay as they are.",
        ),
    ] = False
    same_site: Annotated[
        int,
        Setting(
            "SameSite",
            _L7,
            "SameSite cookie option",
            "",
            choices={0: "not added", 1: "None", 2: "Lax", 3: "Strict"},
            built=False,
        ),
    ] = 0
    ntlm_proxy: Annotated[bool, Setting("L7NTLMProxy", _L7, "NTLM Proxy Mode", "", built=False)] = True
    old_tls_library: Annotated[bool, Setting("SSLOldLibraryVersion", _L7, "OpenSSL Version", "", built=False)] = False
    security_header_age: Annotated[
        int,
        Setting(
            "securityheaderage",
            _L7,
            "Age of the HSTS header",
            "How long browsers use nothing but HTTPS.",
            unit="seconds",
            ge=86400,
            le=94_608_000,
        ),
    ] = 31_536_000
    kcd_sha1: Annotated[bool, Setting("kcdciphersha1", _L7, "KCD cipher SHA1", "", built=False)] = False
    cache_size: Annotated[
        int,
        Setting(
            "cachesize",
            _L7,
            "Maximum Cache Size",
            "Memory a service's cache may take; the service's Maximum Cache Usage is a share of it.",
            unit="MB",
            ge=1,
            le=409,
        ),
    ] = 100
    not_cached: Annotated[
        tuple[str, ...],
        _extensions("File Extensions Not to Cache", "Answers to URLs with these endings are not kept."),
    ] = (".aspx", ".jsp", ".php", ".shtml")
    not_compressed: Annotated[
        tuple[str, ...],
        _extensions("File Extensions Not to Compress", "Answers to URLs with these endings are sent as they are."),
    ] = (
        ".asf",
        ".gif",
        ".gz",
        ".jpeg",
        ".jpg",
        ".mov",
        ".mp3",
        ".mp4",
        ".mpe",
        ".mpeg",
        ".mpg",
        ".png",
        ".rar",
        ".swf",
        ".webp",
        ".wmv",
        ".woff2",
        ".xz",
        ".zip",
    )
    cache_by_host: Annotated[
        bool,
        Setting(
            "hostcache",
            _L7,
            "Cache Virtual Hosts",
            "Answers of each host name are kept apart.",
            built=False,
            why_unbuilt="HAProxy's cache always keeps answers of different hosts apart",
        ),
    ] = True
    detection_level: Annotated[
        int,
        Setting(
            "paranoia",
            _L7,
            "Detection Level",
            "",
            choices={0: "low", 1: "default", 2: "high", 3: "paranoid"},
            built=False,
        ),
    ] = 1
