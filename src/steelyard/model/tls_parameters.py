"""TLS parameters of every service: resumption (`SessionParameters`) and OCSP (`reference/loadmaster-api/05`, 5.5)."""

from __future__ import annotations

from typing import Annotated, ClassVar

from steelyard.model.admin_tls_parameters import AdminTlsParameters
from steelyard.model.ocsp_parameters import OcspParameters
from steelyard.model.session_parameters import SessionParameters
from steelyard.model.setting import Setting

_SECTION = "tls"


class TlsParameters(AdminTlsParameters, OcspParameters, SessionParameters):
    """TLS parameters of every service."""

    noun: ClassVar[str] = "TLS parameter"

    stapling: Annotated[
        bool,
        Setting(
            "SSLStapling",
            _SECTION,
            "Enable OCSP Stapling",
            "Ask the authorities of assigned certificates whether these still hold, and hand the answer to clients in"
            " the handshake. Certificates that name no responder, and those whose issuer is not known here, go"
            " without.",
        ),
    ] = False
    stapling_interval: Annotated[
        int,
        Setting(
            "SSLRefreshInterval",
            _SECTION,
            "OCSP Refresh Interval",
            "How often the authorities are asked; sooner where an answer holds for less than that.",
            unit="seconds",
            ge=3600,
            le=86_400,
        ),
    ] = 3600
