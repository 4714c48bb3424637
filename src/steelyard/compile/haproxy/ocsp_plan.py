"""What services that ask about clients' certificates depend on besides themselves."""

from __future__ import annotations

from dataclasses import dataclass

from steelyard.model.ocsp_parameters import OcspParameters


@dataclass(frozen=True, slots=True)
class OcspPlan:
    """Which responder is asked, empty for the one of each certificate, and what counts where none answers."""

    responder: str = ""
    allow_on_failure: bool = False


def ocsp_plan(parameters: OcspParameters) -> OcspPlan:
    """What parameters say to services."""
    return OcspPlan(parameters.responder, parameters.ocsp_allow_on_failure)
