"""The request that is asked about, and the parts of it that rules look at, cut out as HAProxy cuts them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from steelyard.model.errors import OperatorError
from steelyard.model.text import canonical_address

_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_TARGET = re.compile(r"[^\x00-\x20\x7f]+")
#: what separates parameters in a query (2.6, `is_param_delimiter`)
_PARAMETERS = re.compile("[&;]")

_COOKIE = re.compile(r"""(?P<name>[^=;,]*)(=(?P<value>[ \t]*([^";,]|"([^"\\]|\\.)*("|\\?$))*))?""", re.DOTALL)

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Request:
    """A request as it reaches the appliance: the first one of a new client connection.

    `service` is the index of the virtual service, or 0 to find it by `address` and `port`. `target` is that of the
    request line. `tls` None takes what the service expects. `version` is "1.0", "1.1" or "2".
    """

    client: str
    service: int = 0
    address: str = ""
    port: int = 0
    method: str = "GET"
    target: str = "/"
    headers: Headers = ()
    body: bytes = b""
    tls: bool | None = None
    server_name: str = ""
    version: str = "1.1"

    def __post_init__(self) -> None:
        for name in ("client", "address"):
            value = getattr(self, name)
            if value or name == "client":
                object.__setattr__(self, name, _address(name, value))
        if not _METHOD.fullmatch(self.method):
            raise _refused("method", self.method, "a method such as GET")
        if not _TARGET.fullmatch(self.target):
            raise _refused("url", self.target, "a path without blanks and control characters")
        for name, value in self.headers:
            if not _HEADER.fullmatch(name) or _UNPRINTABLE.search(value):
                raise _refused("headers", f"{name}: {value}", "header names and values without control characters")
        if self.version not in ("1.0", "1.1", "2"):
            raise _refused("version", self.version, "1.0, 1.1 or 2")

    # --- what rules look at

    @property
    def path_and_query(self) -> str:
        """As `pathq`: of a target with scheme and host what follows them."""
        if self.target.startswith("/"):
            return self.target
        after = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*", self.target)
        return self.target[after.end() :] or "/" if after is not None else self.target

    @property
    def path(self) -> str:
        """As `path`."""
        return re.split("[?#]", self.path_and_query, maxsplit=1)[0]

    @property
    def query(self) -> str:
        """As `query`."""
        return self.path_and_query.partition("?")[2]

    def lines(self, name: str) -> tuple[str, ...]:
        """The values of a header's lines."""
        return tuple(value.strip(" \t") for key, value in self.headers if key.lower() == name.lower())

    def last_line(self, name: str) -> str | None:
        """As `req.fhdr`: the last line of a header, whole."""
        found = self.lines(name)
        return found[-1] if found else None

    def last_value(self, name: str) -> str | None:
        """As `req.hdr`: the last value of a header whose values are separated by commas."""
        line = self.last_line(name)
        return None if line is None else line.rpartition(",")[2].strip(" \t")

    def cookie(self, name: str) -> str | None:
        """As `req.cook`: the value of the last cookie of that name."""
        found = [value for line in self.lines("cookie") for key, value in _cookies(line, len(name)) if key == name]
        return found[-1] if found else None

    def parameter(self, name: str) -> str | None:
        """As `urlp`: the value of the first parameter of that name in the query."""
        for pair in _PARAMETERS.split(self.query):
            key, equals, value = pair.partition("=")
            if equals and key == name:
                return value
        return None


def _cookies(line: str, name_length: int) -> Iterator[tuple[str, str]]:
    """The cookies of a line (2.6, `http_extract_cookie_value`).

    Quotes protect what separates cookies, which a comma does too, and a cookie ends the search when less is left of the
    line than a name of the length that is looked for, a sign of equality and one character.
    """
    start = 0
    while start + name_length + 1 < len(line):
        cookie = _COOKIE.match(line, start)
        if cookie is None:
            return
        name, value = cookie["name"], cookie["value"]
        if value is not None and not name.startswith("$"):
            yield name.strip(" \t"), value.strip(" \t")
        start = cookie.end() + 1


def masked(address: str, bits: int) -> str:
    """An address with a persistence mask: of an IPv6 address four times as many bits count."""
    found = ip_address(address)
    kept = bits * 4 if found.version == 6 else bits
    return str(ip_network((found, kept), strict=False).network_address)


def _address(name: str, value: str) -> str:
    try:
        return canonical_address(value.strip("[]"))
    except ValueError:
        raise _refused(name, value, "an IPv4 or IPv6 address") from None


def _refused(name: str, value: str, allowed: str) -> OperatorError:
    shown = value.encode("unicode_escape").decode("ascii")[:120]
    return OperatorError(
        f"{name} {shown!r} is malformed; allowed: {allowed}",
        field=name,
        value=shown,
        allowed=allowed,
        remedy="Correct it",
    )
