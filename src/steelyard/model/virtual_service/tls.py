"""SSL properties of a virtual service (`reference/loadmaster-api/02`, 2.4)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from steelyard.model.ciphers import TLS13_STANDARD, TLS13_SUITES
from steelyard.model.setting import Setting, Settings
from steelyard.model.text import HOST_NAME, HOST_NAME_SAYS, IDENTIFIER, IDENTIFIER_SAYS

_SECTION = "ssl"

_SSLV3 = 1
#: bit of `TLSType` -> the protocol it switches off, oldest first, spelled as OpenSSL and HAProxy do
PROTOCOL_BITS = {2: "TLSv1.0", 4: "TLSv1.1", 8: "TLSv1.2", 16: "TLSv1.3"}
_EVERY_BIT = _SSLV3 | sum(PROTOCOL_BITS)


def protocols_of(tls_type: int) -> tuple[str, ...]:
    """The protocols that sum leaves on, oldest first; SSLv3 is not counted."""
    return tuple(name for bit, name in PROTOCOL_BITS.items() if not tls_type & bit)


def _titled(protocols: tuple[str, ...]) -> str:
    numbers = [name.removeprefix("TLSv") for name in protocols]
    return "TLS " + (" and " if len(numbers) == 2 else " to ").join(dict.fromkeys((numbers[0], numbers[-1])))


def _newest_range(tls_type: int) -> int:
    """The sum that leaves on the newest protocols of this one, down to the first that is off."""
    kept = 0
    for bit in reversed(PROTOCOL_BITS):
        if not tls_type & bit:
            kept |= bit
        elif kept:
            break
    return _EVERY_BIT - kept


#: The sums that can be had. SSLv3 is gone from OpenSSL, and HAProxy (2.6, 2.8) offers one unbroken range of protocols:
#: beside `ssl-min-ver`, without which nothing older than TLS 1.2 is offered, it ignores `no-tlsv11`.
TLS_TYPES = {
    each: _titled(protocols_of(each)) for each in range(_EVERY_BIT) if each & _SSLV3 and each == _newest_range(each)
}


def why_no_tls_type(tls_type: int) -> tuple[str, str] | None:
    """Why a sum cannot be had, and what to do; None for what is no sum at all."""
    if not 0 <= tls_type <= _EVERY_BIT:
        return None
    if not protocols_of(tls_type):
        sslv3 = "leaves nothing but SSLv3 on, which is gone from OpenSSL"
        why = "switches every protocol off" if tls_type & _SSLV3 else sslv3
        return why, "Leave one of TLS 1.0 to 1.3 on: TLSType=7 has TLS 1.2 and 1.3"
    possible = _newest_range(tls_type)
    outcome = f"TLSType={possible} has {TLS_TYPES[possible]}"
    if tls_type & _SSLV3:
        return (
            "leaves protocols on that are no neighbours, and HAProxy offers one unbroken range",
            f"Switch the older ones off too: {outcome}",
        )
    more = "Add 1" if possible == tls_type + _SSLV3 else "Add 1, and leave no gap between protocols"
    return "leaves SSLv3 on (1 is not in the sum), which is gone from OpenSSL", f"{more}: {outcome}"


class TlsSettings(Settings):
    """Termination, re-encryption, certificates."""

    @field_validator("tls13_cipher_set")
    @classmethod
    def _some_suite(cls, value: tuple[str, ...]) -> Any:
        if not value:
            why = {"why": "cannot be emptied", "allowed": ", ".join(TLS13_SUITES)}
            more = {"remedy": "To offer no TLS 1.3, switch it off in TLSType: 23 has TLS 1.2 alone"}
            raise PydanticCustomError("setting", "{why}", {**why, **more})
        return tuple(dict.fromkeys(value))

    @property
    def offered_protocols(self) -> tuple[str, ...]:
        """What clients are offered where TLS ends here, oldest first: "TLSv1.2", "TLSv1.3"."""
        return protocols_of(self.tls_type)

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
        str,
        Setting(
            "Ciphers",
            _SECTION,
            "Ciphers",
            "Ciphers of its own, joined by colons: they become the cipher set Custom_<index of the service>, which it"
            " then uses. Reads as empty; the set has the ciphers.",
            max_length=8099,
        ),
    ] = ""
    cipher_set: Annotated[
        str,
        Setting(
            "CipherSet",
            _SECTION,
            "Cipher Set",
            "Ciphers clients are offered with TLS 1.0 to 1.2: a built-in cipher set or one of your own.",
            max_length=127,
            pattern=IDENTIFIER,
            pattern_says=IDENTIFIER_SAYS,
            filled=True,
        ),
    ] = "Default"
    tls13_cipher_set: Annotated[
        tuple[str, ...],
        Setting(
            "Tls13CipherSet",
            _SECTION,
            "TLS 1.3 Ciphers",
            "Cipher suites clients are offered with TLS 1.3, the preferred one first.",
            separator=" ",
            pattern="|".join(TLS13_SUITES),
            pattern_says=", ".join(TLS13_SUITES),
        ),
    ] = TLS13_STANDARD
    tls_type: Annotated[
        int,
        Setting(
            "TLSType",
            _SECTION,
            "Supported Protocols",
            "Sum of the protocols switched off: 1 SSLv3, 2 TLS 1.0, 4 TLS 1.1, 8 TLS 1.2, 16 TLS 1.3. SSLv3 has to be"
            " off, it is gone from OpenSSL; what stays has to be one unbroken range. TLS 1.0 and 1.1 are broken: leave"
            " them on for clients that know nothing else. LoadMaster's default is 3.",
            answer="TlsType",
            choices=TLS_TYPES,
            text_number=True,
            explains=why_no_tls_type,
        ),
    ] = 7
    client_certificates: Annotated[
        int,
        Setting(
            "ClientCert",
            _SECTION,
            "Client Certificates",
            "Whether clients must show a certificate of an accepted authority, and what real servers are told of it."
            " From 2 on, headers of the same names that clients send are removed. Needs SSL acceleration.",
            choices={
                0: "none",
                1: "required",
                2: "required, headers added",
                3: "DER as SSL-CLIENT-CERT",
                4: "DER as X-CLIENT-CERT",
                5: "PEM as SSL-CLIENT-CERT",
                6: "PEM as X-CLIENT-CERT",
            },
        ),
    ] = 0
    client_certificates_optional: Annotated[
        bool,
        Setting(
            None,
            _SECTION,
            "Client Certificates optional",
            "Clients may come without a certificate; one that is shown has to be good all the same. Means something"
            " where client certificates are asked for.",
        ),
    ] = False
    pass_cipher: Annotated[
        bool,
        Setting(
            "PassCipher",
            _SECTION,
            "Add Received Cipher Name",
            "Tell real servers what the client's TLS is: X-SSL-Cipher, X-SSL-Protocol, X-SSL-Serialid,"
            " X-SSL-ClientSerialid and X-SSL-SNIHost, in place of those the client sent.",
        ),
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
            "Scheme written into the Location headers of answers.",
            choices={"": "none", "http": "", "https": ""},
        ),
    ] = ""
    security_header_options: Annotated[
        int,
        Setting(
            "SecurityHeaderOptions",
            _SECTION,
            "Strict Transport Security",
            "HSTS header on answers, those Steelyard gives itself included; needs SSL acceleration. Its age is the"
            " parameter securityheaderage.",
            choices={0: "none", 1: "add", 2: "with subdomains", 4: "with preload", 6: "with both"},
        ),
    ] = 0
    ocsp_verify: Annotated[
        bool,
        Setting(
            "OCSPVerify",
            _SECTION,
            "OCSP Verify",
            "Ask an OCSP responder whether a client's certificate still holds, and close the connection if it does not."
            " Needs client certificates. Answers are remembered for five minutes at most.",
        ),
    ] = False
    require_sni: Annotated[
        bool,
        Setting(
            "NeedHostName",
            _SECTION,
            "Require SNI hostname",
            "Refuse TLS hellos without a server name, and with one that none of the assigned certificates is for.",
        ),
    ] = False
    intermediate_certificates: Annotated[
        tuple[str, ...],
        Setting(
            "IntermediateCerts",
            _SECTION,
            "Intermediates for clients",
            "Authorities whose client certificates are accepted: names of intermediate certificates, roots among them."
            " Empty: every one that is here.",
            separator=" ",
            pattern=IDENTIFIER,
            pattern_says=IDENTIFIER_SAYS,
        ),
    ] = ()
    server_verification: Annotated[
        str,
        Setting(
            None,
            _SECTION,
            "Verification of real servers",
            "Whether the certificates of real servers are verified, where they are spoken to with TLS: by an accepted"
            " authority, within their time, and of the name that is asked for, if one is. Empty: as the parameter"
            " sslforceserververify says.",
            choices={"": "as the global parameter says", "none": "never", "required": "always"},
        ),
    ] = ""
    server_authorities: Annotated[
        tuple[str, ...],
        Setting(
            None,
            _SECTION,
            "Authorities of real servers",
            "Authorities whose certificates real servers may show: names of intermediate certificates, roots among"
            " them. Empty: every one that is here, and those the host's system trusts.",
            separator=" ",
            pattern=IDENTIFIER,
            pattern_says=IDENTIFIER_SAYS,
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
