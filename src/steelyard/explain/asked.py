"""A request as a person writes it: a URL as a client would open it, or a path at a virtual service."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address

from steelyard.explain.request import Headers, Request
from steelyard.model.errors import OperatorError

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[^/?#:\[\]@\s]+)(:(?P<port>[0-9]{1,5}))?(?P<rest>[/?#].*)?",
    re.IGNORECASE | re.DOTALL,
)
_PORTS = {"http": 80, "https": 443}
_ALLOWED = "http://HOST/PATH, https://HOST:PORT/PATH, or with a service a path such as /index.html"


@dataclass(frozen=True)
class Asked:
    """A request, and the host name of its URL where that is no address."""

    request: Request
    host: str = ""


def asked(
    url: str,
    *,
    client: str,
    service: int = 0,
    method: str = "GET",
    headers: Headers = (),
    body: str = "",
    server_name: str = "",
    version: str = "1.1",
) -> Asked:
    """The request a client would send. Its Host header is the URL's unless it is given. Raises `OperatorError`."""
    parts = _URL.fullmatch(url)
    if parts is None:
        if not url.startswith("/"):
            raise _refused(url, "is no URL")
        if not service:
            raise _refused(url, "names no host, and no service is given")
        target = _target(url)
        return Asked(
            Request(client, service, "", 0, method, target, headers, body.encode(), None, server_name, version)
        )
    scheme, host = parts["scheme"].lower(), parts["host"].strip("[]")
    port = int(parts["port"]) if parts["port"] else _PORTS[scheme]
    if not 1 <= port <= 65535:
        raise _refused(url, "has a port that is none")
    named = not _is_address(host)
    if not any(name.lower() == "host" for name, _ in headers):
        shown = parts["host"] if port == _PORTS[scheme] else f"{parts['host']}:{port}"
        headers = (("Host", shown), *headers)
    request = Request(
        client=client,
        service=service,
        address="" if named else host,
        port=port,
        method=method,
        target=_target(parts["rest"] or "/"),
        headers=headers,
        body=body.encode(),
        tls=scheme == "https",
        server_name=server_name or (host if named and scheme == "https" else ""),
        version=version,
    )
    return Asked(request, host if named else "")


def _target(rest: str) -> str:
    """Path and query: a fragment stays with the client."""
    found = rest.partition("#")[0]
    return found if found.startswith("/") else f"/{found}"


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _refused(url: str, why: str) -> OperatorError:
    shown = url.encode("unicode_escape").decode("ascii")[:120]
    return OperatorError(f"url {shown!r} {why}", field="url", value=shown, allowed=_ALLOWED, remedy=f"Give {_ALLOWED}")
