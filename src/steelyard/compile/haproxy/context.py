"""What every service's plan depends on besides the service and its family."""

from __future__ import annotations

from dataclasses import dataclass, field

from steelyard.compile.haproxy.limit_rules import LimitPlan
from steelyard.compile.haproxy.ocsp_plan import OcspPlan
from steelyard.model.sources import SourceSettings


@dataclass(frozen=True)
class ServiceContext:
    """Small and comparable, so that plans can be cached by it."""

    always_check_persistence: int
    drain_seconds: int
    temporary_certificate: str | None
    lua: bool
    security_header_age: int = 31_536_000
    close_on_error: bool = False
    cache_megabytes: int = 100
    #: whether answers from the cache say so in a Via header
    via_in_cache: bool = False
    not_cached: tuple[str, ...] = ()
    not_compressed: tuple[str, ...] = ()
    #: whether POST requests without a length are let in
    empty_posts: bool = False
    #: whether the kernel probes connections on which nothing moves
    keepalive: bool = False
    #: whether connections to real servers end with a reset
    reset_on_close: bool = False
    add_cookie_port: bool = False
    share_persistence: bool = False
    #: what is done to clients that access lists block, "silent-drop" or "reject"; empty where the lists are off
    refusal: str = ""
    #: whether the edge filter logs the User-Agent header
    log_user_agent: bool = False
    #: seconds in which a real server that returns gets its full share under least connection; 0 is at once
    slow_start: int = 0
    #: limits beside those of the service itself
    limits: LimitPlan = field(default_factory=LimitPlan)
    #: ciphers HAProxy's TLS library has, None when nobody has asked it
    ciphers: frozenset[str] | None = None
    session_tickets: bool = True
    #: whether real servers are verified where a service does not say
    verify_servers: bool = False
    #: whom services ask about clients' certificates that do so
    ocsp: OcspPlan = field(default_factory=OcspPlan)
    #: which addresses real servers see
    sources: SourceSettings = field(default_factory=SourceSettings)
    #: whether there are revocation lists
    revocations: bool = False
