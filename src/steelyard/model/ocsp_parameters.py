"""Whom to ask about the certificates of clients (`reference/loadmaster-api/05`, 5.5)."""

from __future__ import annotations

from typing import Annotated, ClassVar

from steelyard.model.setting import Setting, Settings

_SECTION = "tls"
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?"


class OcspParameters(Settings):
    """The responder that is asked about clients of services with OCSP Verify."""

    noun: ClassVar[str] = "TLS parameter"

    ocsp_server: Annotated[
        str,
        Setting(
            "OCSPServer",
            _SECTION,
            "OCSP Server",
            "Responder that is asked about every client's certificate. Empty: the one that the certificate names.",
            max_length=253,
            pattern=rf"{_LABEL}(\.{_LABEL})*|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]+",
            pattern_says="a host name or address",
        ),
    ] = ""
    ocsp_port: Annotated[
        int,
        Setting(
            "OCSPPort",
            _SECTION,
            "OCSP Server Port",
            "Port of that responder; 0 is 80, or 443 with SSL.",
            ge=0,
            le=65_535,
        ),
    ] = 0
    ocsp_path: Annotated[
        str,
        Setting(
            "OCSPUrl",
            _SECTION,
            "OCSP URL",
            "Path at that responder.",
            max_length=126,
            pattern=r"/[!-~]*",
            pattern_says="a path that begins with / and has no blanks",
            filled=True,
        ),
    ] = "/"
    ocsp_use_ssl: Annotated[
        bool,
        Setting(
            "OCSPUseSSL",
            _SECTION,
            "Use SSL",
            "Ask that responder over TLS. Its certificate is not verified; the signature of its answers is.",
        ),
    ] = False
    ocsp_allow_on_failure: Annotated[
        bool,
        Setting(
            "OCSPOnServerFail",
            _SECTION,
            "Allow Access on Server Failure",
            "Let clients in whose certificates nobody gives a valid answer about. Off: they are refused.",
        ),
    ] = False

    @property
    def responder(self) -> str:
        """The URL of the responder that is asked about all clients; empty where certificates name theirs."""
        if not self.ocsp_server:
            return ""
        host = f"[{self.ocsp_server}]" if ":" in self.ocsp_server else self.ocsp_server
        port = self.ocsp_port or (443 if self.ocsp_use_ssl else 80)
        return f"{'https' if self.ocsp_use_ssl else 'http'}://{host}:{port}{self.ocsp_path}"
