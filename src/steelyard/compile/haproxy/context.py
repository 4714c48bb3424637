"""What every service's plan depends on besides the service and its family."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ServiceContext:
    """Small and comparable, so that plans can be cached by it."""

    always_check_persistence: int
    drain_seconds: int
    temporary_certificate: str | None
    lua: bool
    cache_megabytes: int = 100
    not_cached: tuple[str, ...] = ()
    not_compressed: tuple[str, ...] = ()
    add_cookie_port: bool = False
    share_persistence: bool = False
