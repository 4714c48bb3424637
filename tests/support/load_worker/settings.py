"""What a load run is told, shared by the process that runs it and the one that starts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["http1", "http1-new", "https1", "https1-new", "h2"]


@dataclass(frozen=True)
class Settings:
    """One run. `pause` is the seconds a worker (for h2: a stream) rests after each request."""

    kind: Kind
    address: str
    port: int
    workers: int = 4
    streams: int = 4
    sni: str | None = None
    host: str | None = None
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    sources: tuple[str, ...] = ()
    pause: float = 0.005
    timeout: float = 10.0
    expect: tuple[int, ...] = (200,)

    @property
    def tls(self) -> bool:
        return self.kind in ("https1", "https1-new", "h2")

    @property
    def authority(self) -> str:
        """The Host header, or :authority."""
        return self.host or self.sni or f"{self.address}:{self.port}"

    def source(self, worker: int) -> tuple[str, int] | None:
        return (self.sources[worker % len(self.sources)], 0) if self.sources else None
