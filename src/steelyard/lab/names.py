"""Where names lead: the hosts file of a lab's clients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit


class NoSuchName(LookupError):
    """A name nobody has given an address."""


@dataclass(frozen=True)
class Names:
    """Addresses by name, in lower case. A name may be an address itself."""

    addresses: Mapping[str, str]

    def address(self, name: str) -> str:
        """Where a name leads. Raises `NoSuchName`."""
        found = self.addresses.get(name.lower())
        if found is not None:
            return found
        if name.replace(".", "").isdecimal() or ":" in name:
            return name
        raise NoSuchName(f"{name} has no address here")

    def place(self, url: str) -> tuple[str, str, int]:
        """Name, address and port of a URL. Raises `NoSuchName`."""
        parts = urlsplit(url)
        name = parts.hostname or ""
        return name, self.address(name), parts.port or (443 if parts.scheme == "https" else 80)
