"""What a service does for clients while no real server is available, in LoadMaster's words (behaviour.md, 7.4)."""

from __future__ import annotations

from typing import Protocol

from steelyard.model.virtual_service.refusals import REDIRECTS


class _Service(Protocol):
    @property
    def is_http(self) -> bool: ...
    @property
    def standby_address(self) -> str: ...
    @property
    def standby_port(self) -> int: ...
    @property
    def error_code(self) -> int: ...
    @property
    def error_url(self) -> str: ...
    @property
    def error_page(self) -> str: ...


def answers_itself(service: _Service) -> bool:
    """Whether it has an answer of its own for clients it has no real server for."""
    return service.is_http and bool(service.error_code or service.error_page)


def handles_itself(service: _Service) -> bool:
    """Whether it has any setting for that case; a sub-service without one does as its parent."""
    return bool(service.standby_address) or answers_itself(service)


def status_instead(service: _Service, *, has_servers: bool) -> tuple[str, str] | None:
    """The status of a service without an available server, and why; None where it is just down.

    Redirect and Fail Message are services made for it, which have no real servers at all.
    """
    if service.standby_address:
        port = f" port {service.standby_port}" if service.standby_port else ""
        return "Sorry", f"the sorry server {service.standby_address}{port} is used, which is not checked"
    if has_servers or not answers_itself(service):
        return None
    if service.error_code in REDIRECTS:
        return "Redirect", f"every request is redirected to {service.error_url}"
    return "Fail Message", f"every request is answered {service.error_code or 503}"
