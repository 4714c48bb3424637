"""The ports people know, moved up together where this user may not listen below 1024."""

from __future__ import annotations

from dataclasses import dataclass

#: added to each port where low ones are refused: 443 is 20443, 4443 is 24443; no two of a lab's ports meet
MOVED = 20_000


@dataclass(frozen=True)
class Ports:
    """Where a well-known port is found; `shift` is 0 or more and leaves 8080 below 65536."""

    shift: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.shift <= 50_000:
            raise ValueError(f"ports are moved by 0 to 50000, not by {self.shift}")

    def of(self, port: int) -> int:
        """The port to listen on, or to connect to, for a well-known one."""
        return port + self.shift

    def url(self, name: str, path: str = "/", *, scheme: str = "https") -> str:
        """An address on the scheme's own port; the port is written only where it is another than usual."""
        port = 443 if scheme == "https" else 80
        return f"{scheme}://{name}{f':{self.of(port)}' if self.shift else ''}{path}"
