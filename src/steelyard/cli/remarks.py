"""What an operator is told about a virtual service that works as it is set, but hardly as it is meant. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def remarks(service: Mapping[str, Any]) -> Iterator[str]:
    """Of a service as the API shows it: each with its remedy."""
    if service["ssl_acceleration"] and not service["certificates"] and not service["parent"]:
        yield "No certificate is assigned: clients are shown a temporary, self-signed one. Remedy: certificates=NAME"
    if _speaks_plain(service) and service["check_type"] == "https" and not service["check_port"] and service["servers"]:
        yield (
            "Checks speak TLS to the real servers, but clients' requests reach them without it."
            " Remedy: ssl_reencrypt=yes, or check_type=http and the servers' port for HTTP"
        )
    if service["esp_enabled"] and not service["allowed_hosts"]:
        yield "The edge filter has no allowed hosts, so it refuses every request. Remedy: allowed_hosts=NAMES"


def _speaks_plain(service: Mapping[str, Any]) -> bool:
    """Whether it reads what clients send and passes it on without TLS. A sub-service goes by its parent's TLS."""
    reads = service["ssl_acceleration"] or service["service_type"] == "http"
    encrypts = service["ssl_reencrypt"] or service["ssl_reverse"]
    return reads and not encrypts and not service["parent"]
