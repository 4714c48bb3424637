"""SSL properties of a virtual service (`reference/loadmaster-api/02`, 2.4)."""

from __future__ import annotations

from typing import Annotated

from steelyard.model.setting import Setting, Settings
from steelyard.model.text import HOST_NAME, HOST_NAME_SAYS, IDENTIFIER, IDENTIFIER_SAYS

_SECTION = "ssl"
TLS13_SUITES = ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256")

#: bit of `TLSType` -> HAProxy's name of the protocol it switches off
PROTOCOL_BITS = {1: "sslv3", 2: "tlsv10", 4: "tlsv11", 8: "tlsv12", 16: "tlsv13"}
#: HAProxy offers nothing older than TLS 1.2 unless told to (`ssl-min-ver`), and OpenSSL 3 refuses it by default: one of
#: the bits 8 and 16 has to stay unset, and a sum above this has both
MOST_SWITCHED_OFF = 23


class TlsSettings(Settings):
    """Termination, re-encryption, certificates."""

    ssl_acceleration: Annotated[
        bool,
        Setting(
            "SSLAcceleration",
            _SECTION,
            "SSL Acceleration",
            "TLS ends here. Without a certificate a temporary self-signed one is used.",
        ),
    ] = False
    certificates: Annotated[
        tuple[str, ...],
        Setting(
            "CertFile",
            _SECTION,
            "Certificates",
            "Assigned certificates; the server name of the client chooses, the first is used without a match.",
            separator=" ",
            pattern=IDENTIFIER,
            pattern_says=IDENTIFIER_SAYS,
        ),
    ] = ()
    ciphers: Annotated[
        str, Setting("Ciphers", _SECTION, "Ciphers", "Cipher list of its own.", max_length=8099, built=False)
    ] = ""
    cipher_set: Annotated[
        str, Setting("CipherSet", _SECTION, "Cipher Set", "Named set of ciphers.", max_length=127, built=False)
    ] = "Default"
    tls13_cipher_set: Annotated[
        tuple[str, ...],
        Setting("Tls13CipherSet", _SECTION, "TLS 1.3 Ciphers", "Cipher suites of TLS 1.3.", separator=" ", built=False),
    ] = TLS13_SUITES
    tls_type: Annotated[
        int,
        Setting(
            "TLSType",
            _SECTION,
            "Supported Protocols",
            "Sum of the protocols switched off: 1 SSLv3, 2 TLS 1.0, 4 TLS 1.1, 8 TLS 1.2, 16 TLS 1.3. Steelyard offers"
            " TLS 1.2 and 1.3, so one of these has to stay.",
            answer="TlsType",
            ge=0,
            le=MOST_SWITCHED_OFF,
            text_number=True,
        ),
    ] = 3
    client_certificates: Annotated[
        int,
        Setting(
            "ClientCert",
            _SECTION,
            "Client Certificates",
            "Whether clients must show a certificate.",
            choices={
                0: "none",
                1: "required",
                2: "required, headers added",
                3: "DER as SSL-CLIENT-CERT",
                4: "DER as X-CLIENT-CERT",
                5: "PEM as SSL-CLIENT-CERT",
                6: "PEM as X-CLIENT-CERT",
            },
            built=False,
        ),
    ] = 0
    pass_cipher: Annotated[
        bool, Setting("PassCipher", _SECTION, "Add Received Cipher Name", "Add X-SSL headers.", built=False)
    ] = False
    ssl_reencrypt: Annotated[
        bool,
        Setting(
            "SSLReencrypt", _SECTION, "Reencrypt", "Encrypt again towards the real servers; needs SSL acceleration."
        ),
    ] = False
    pass_sni: Annotated[
        bool,
        Setting(
            "PassSNI",
            _SECTION,
            "Pass through SNI hostname",
            "Ask the real server for the name the client asked for.",
            answer="PassSni",
        ),
    ] = False
    reencrypt_sni: Annotated[
        str,
        Setting(
            "ReverseSNIHostname",
            _SECTION,
            "Reencryption SNI Hostname",
            "Name to ask the real servers for.",
            max_length=253,
            pattern=HOST_NAME,
            pattern_says=HOST_NAME_SAYS,
        ),
    ] = ""
    ssl_reverse: Annotated[
        bool,
        Setting("SSLReverse", _SECTION, "Reversed SSL", "Encrypt towards the real servers; clients speak plain text."),
    ] = False
    ssl_rewrite: Annotated[
        str,
        Setting(
            "SSLRewrite",
            _SECTION,
            "Rewrite Redirects",
            "Scheme written into Location headers.",
            choices={"": "none", "http": "", "https": ""},
            built=False,
        ),
    ] = ""
    security_header_options: Annotated[
        int,
        Setting(
            "SecurityHeaderOptions",
            _SECTION,
            "Strict Transport Security",
            "HSTS header on answers.",
            choices={0: "none", 1: "add", 2: "with subdomains", 4: "with preload", 6: "with both"},
            built=False,
        ),
    ] = 0
    ocsp_verify: Annotated[
        bool, Setting("OCSPVerify", _SECTION, "OCSP Verify", "Check client certificates by OCSP.", built=False)
    ] = False
    require_sni: Annotated[
        bool,
        Setting(
            "NeedHostName", _SECTION, "Require SNI hostname", "Drop TLS hellos without a server name.", built=False
        ),
    ] = False
    intermediate_certificates: Annotated[
        tuple[str, ...],
        Setting(
            "IntermediateCerts",
            _SECTION,
            "Intermediates for clients",
            "Accepted for client certificates.",
            separator=" ",
            built=False,
        ),
    ] = ()
    allow_http2: Annotated[
        bool, Setting("AllowHTTP2", _SECTION, "Allow HTTP/2", "Offer HTTP/2 to clients; needs SSL acceleration.")
    ] = False
    verify_bearer: Annotated[
        bool, Setting("VerifyBearer", _SECTION, "Verify Bearer Header", "Check JSON web tokens.", built=False)
    ] = False
    bearer_certificate: Annotated[
        str, Setting("BearerCertificateName", _SECTION, "Bearer certificate", "Certificate of the tokens.", built=False)
    ] = ""
    bearer_text: Annotated[
        str, Setting("BearerText", _SECTION, "Bearer text", "Strings a token must hold.", built=False)
    ] = ""
