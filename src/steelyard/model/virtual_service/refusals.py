"""Rules of the settings that change headers and answer in place of real servers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from steelyard.model.text import FRAMING_HEADERS, HOST_NAME

#: statuses that send clients to another address
REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: statuses whose answers have no page, or mean something only together with headers nobody can set here
_WITHOUT_PAGE = frozenset({204, 205, 206, 300, 304, 305, 306})

#: settings that mean something only where requests are read, with their defaults
HTTP_ONLY: Mapping[str, Any] = {
    "error_code": 0,
    "error_page": "",
    "copy_header_from": "",
    "copy_header_to": "",
    "extra_header_name": "",
    "extra_header_value": "",
    "security_header_options": 0,
    "ssl_rewrite": "",
    "pass_cipher": False,
    "requests_per_second": 0,
}

_CHARACTER = r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2}|%[hs])"
_NAME = HOST_NAME.removeprefix(r"(\*\.)?")
#: `%h` is the host the client asked for, `%s` path and query; `%s` begins with a slash
REDIRECT_URL = (
    rf"https?://((?:[A-Za-z0-9-]+\.)*%h|{_NAME}|\[[0-9A-Fa-f:.]+\])(:[0-9]{{1,5}})?((?:%s|[/?#]){_CHARACTER}*)?"
    rf"|/(?:[A-Za-z0-9._~?#&'()*+,;=@!$:-]{_CHARACTER}*)?"
)
REDIRECT_URL_SAYS = (
    "http://HOST, https://HOST or / and what follows, without blanks; %h is the host the client asked for (alone or"
    " after a prefix such as www.), %s its path and query, and another % stands before two hexadecimal digits"
)

#: what may stand in a header's value: no control characters, and nothing that is read in different character sets
HEADER_VALUE = r"[!-~]([ -~]*[!-~])?"
HEADER_VALUE_SAYS = "printable ASCII characters, no blank at either end"

_PLACEHOLDER = re.compile(r"%[hs]")


class _Service(Protocol):
    @property
    def is_http(self) -> bool: ...
    @property
    def port(self) -> int: ...
    @property
    def ssl_acceleration(self) -> bool: ...
    @property
    def error_code(self) -> int: ...
    @property
    def error_url(self) -> str: ...
    @property
    def copy_header_from(self) -> str: ...
    @property
    def copy_header_to(self) -> str: ...
    @property
    def extra_header_name(self) -> str: ...
    @property
    def extra_header_value(self) -> str: ...
    @property
    def standby_address(self) -> str: ...
    @property
    def standby_port(self) -> int: ...
    @property
    def client_certificates(self) -> int: ...
    @property
    def requests_per_second(self) -> int: ...


def refusals(service: _Service) -> Iterator[tuple[str, str]]:
    """Every rule a service breaks: the field, and why it is refused."""
    if not service.is_http:
        for name, default in HTTP_ONLY.items():
            if getattr(service, name) != default:
                yield name, "it is about HTTP messages; the service type must be http"
        if service.client_certificates > 1:
            yield "client_certificates", "it adds headers to HTTP requests; the service type must be http, or give 1"
    if service.error_code in _WITHOUT_PAGE:
        yield "error_code", f"an answer with the status {service.error_code} has no page; use a redirect, 4xx or 503"
    if service.error_code in REDIRECTS and not service.error_url:
        yield "error_url", f"the status {service.error_code} needs an address to send clients to; give ErrorUrl with it"
    if bool(service.copy_header_from) != bool(service.copy_header_to):
        yield "copy_header_to", "CopyHdrFrom and CopyHdrTo need each other; give both in one change, or neither"
    if bool(service.extra_header_name) != bool(service.extra_header_value):
        yield "extra_header_name", "ExtraHdrKey and ExtraHdrValue need each other; give both in one change, or neither"
    for name in ("copy_header_to", "extra_header_name"):
        if getattr(service, name).lower() in FRAMING_HEADERS:
            yield name, f"{getattr(service, name)} belongs to the connection, and setting it would break messages"
    if service.requests_per_second and service.port == 443 and not service.ssl_acceleration:
        yield (
            "requests_per_second",
            "requests on port 443 can be counted only with SSL acceleration; otherwise they are encrypted",
        )
    if service.standby_port and not service.standby_address:
        yield "standby_address", "StandbyPort is the port of a sorry server; give StandbyAddr with it"


def placeholders(url: str) -> frozenset[str]:
    """The placeholders a redirect uses: `%h`, `%s`."""
    return frozenset(_PLACEHOLDER.findall(url))
