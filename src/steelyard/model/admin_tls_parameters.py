"""TLS of the administration interface (`reference/loadmaster-api/08`, 8.4)."""

from __future__ import annotations

from typing import Annotated, ClassVar

from steelyard.model.ciphers import TLS13_STANDARD
from steelyard.model.setting import Setting, Settings
from steelyard.model.text import IDENTIFIER, IDENTIFIER_SAYS
from steelyard.model.virtual_service.tls import TLS_TYPES, protocols_of, why_no_tls_type

_SECTION = "tls"


class AdminTlsParameters(Settings):
    """What clients of the administration interface are offered. A change counts for new connections."""

    noun: ClassVar[str] = "TLS parameter"

    admin_cipher_set: Annotated[
        str,
        Setting(
            "wuicipherset",
            _SECTION,
            "WUI Cipher Set",
            "Ciphers clients of the administration interface are offered with TLS 1.0 to 1.2.",
            max_length=127,
            pattern=IDENTIFIER,
            pattern_says=IDENTIFIER_SAYS,
            filled=True,
        ),
    ] = "WUI"
    admin_tls_type: Annotated[
        int,
        Setting(
            "WUITLSProtocols",
            _SECTION,
            "WUI TLS Protocols",
            "Sum of the protocols the administration interface switches off: 1 SSLv3, 2 TLS 1.0, 4 TLS 1.1, 8 TLS 1.2,"
            " 16 TLS 1.3. SSLv3 has to be off; what stays has to be one unbroken range.",
            choices=TLS_TYPES,
            explains=why_no_tls_type,
        ),
    ] = 7
    admin_tls13_cipher_set: Annotated[
        tuple[str, ...],
        Setting(
            "WUITLS13Ciphersets",
            _SECTION,
            "WUI TLS 1.3 Ciphers",
            "Cipher suites the administration interface offers with TLS 1.3.",
            separator=" ",
            built=False,
            why_unbuilt="the administration interface runs in Python, whose TLS cannot choose suites of TLS 1.3",
        ),
    ] = TLS13_STANDARD

    @property
    def admin_protocols(self) -> tuple[str, ...]:
        """What the administration interface offers, oldest first."""
        return protocols_of(self.admin_tls_type)
