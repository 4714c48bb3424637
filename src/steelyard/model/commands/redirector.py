"""A service that does nothing but send clients from HTTP to another service's HTTPS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from steelyard.model.commands.command import Change
from steelyard.model.commands.services import AddService
from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError

_LONGEST_NAME = 255
_SUFFIX = " - Redirect"


@dataclass(frozen=True)
class AddRedirector:
    """Make a service on another port of the same address that redirects every request to this one."""

    index: int
    port: int = 80
    permission: ClassVar[str] = "vs"

    @property
    def summary(self) -> str:
        return f"add a redirector on port {self.port} to virtual service {self.index}"

    def apply(self, configuration: Configuration) -> Change:
        service = configuration.service(self.index)
        if service.is_sub:
            raise OperatorError(
                f"{service.title} has no address to redirect to",
                field="index",
                value=self.index,
                remedy="Name its parent",
            )
        if service.is_http and not service.ssl_acceleration:
            raise OperatorError(
                f"{service.title} speaks plain HTTP, so that clients sent to https:// would find nothing there",
                field="index",
                value=self.index,
                remedy="Switch SSL acceleration on first",
            )
        settings = {
            "address": service.address,
            "port": self.port,
            "service_type": "http",
            "check_type": "none",
            "error_code": 302,
            "error_url": "https://%h%s" if service.port == 443 else f"https://%h:{service.port}%s",
        }
        if service.name:
            settings["name"] = service.name[: _LONGEST_NAME - len(_SUFFIX)] + _SUFFIX
        return AddService(settings).apply(configuration)
