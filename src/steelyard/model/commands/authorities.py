"""Which authorities services rely on: for clients' certificates, and for those of real servers."""

from __future__ import annotations

from collections.abc import Iterable

from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, OperatorError
from steelyard.model.virtual_service import VirtualService


def check_authorities(configuration: Configuration, service: VirtualService) -> None:
    """Raise `OperatorError` when a service relies on authorities that are not here."""
    for name in ("intermediate_certificates", "server_authorities"):
        for authority in getattr(service, name):
            if authority not in configuration.intermediates:
                raise OperatorError(
                    f"{VirtualService.wire_name(name)} names {authority!r}, which is no intermediate certificate here",
                    field=name,
                    value=authority,
                    allowed=", ".join(configuration.intermediates) or "none imported yet",
                    remedy="Import the authority's certificate as an intermediate first",
                )
    if service.verifies_clients and not configuration.intermediates:
        raise OperatorError(
            f"ClientCert={service.client_certificates} would refuse every client: no authority's certificate is here"
            " that could have signed theirs",
            field="client_certificates",
            value=service.client_certificates,
            remedy="Import the certificate of the clients' authority as an intermediate first",
        )


def refuse_removal_of_authority(configuration: Configuration, name: str) -> None:
    """Raise `ConflictError` when services rely on that authority; the last one is relied on by those that name none."""
    last = set(configuration.intermediates) <= {name}
    for service in _standing(configuration.services.values()):
        named = name in service.intermediate_certificates or name in service.server_authorities
        if named or (last and service.verifies_clients):
            raise ConflictError("Certfile still associated with a VS", field="cert", with_what=service.title)


def _standing(services: Iterable[VirtualService]) -> Iterable[VirtualService]:
    return (service for service in services if not service.is_sub)
