"""What every service's plan depends on besides the service and its family."""

from __future__ import annotations

from dataclasses import dataclass, field

from steelyard.compile.haproxy.limit_rules import LimitPlan


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
    not_cached: tuple[str, ...] = ()
    not_compressed: tuple[str, ...] = ()
    add_cookie_port: bool = False
    share_persistence: bool = False
    #: what is done to clients that access lists block, "silent-drop" or "reject"; empty where the lists are off
    refusal: str = ""
    #: whether the edge filter logs the User-Agent header
    log_user_agent: bool = False
    #: limits beside those of the service itself
    limits: LimitPlan = field(default_factory=LimitPlan)
