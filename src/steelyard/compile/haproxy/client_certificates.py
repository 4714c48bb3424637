"""What real servers are told of a client's certificate (`reference/behaviour.md`, section 10).

The client's own headers of these names are removed, whichever of `-` and `_` they are spelled with: servers that hand
headers on as variables (CGI, WSGI) make the same of both. A name is written as RFC 2253 has it, which keeps line ends
in a certificate's fields from becoming line ends of the request.
"""

from __future__ import annotations

from steelyard.model.virtual_service import VirtualService
from steelyard.plan.haproxy import Directive, directive

#: header -> sample expression of its value, for "required, headers added"
DESCRIPTION = {
    "X-SSL-ClientSerialid": "ssl_c_serial,hex",
    "X-SSL-ClientSubject": "ssl_c_s_dn(,0,rfc2253)",
    "X-SSL-ClientIssuer": "ssl_c_i_dn(,0,rfc2253)",
    "X-SSL-ClientFingerprint": "ssl_c_der,sha2(256),hex",
}
#: the headers that can carry a whole certificate
CARRIERS = ("SSL-CLIENT-CERT", "X-CLIENT-CERT")

_DER = "ssl_c_der,base64"
#: PEM on one line: every line end is a blank, as Apache writes it
_PEM = f"-----BEGIN CERTIFICATE----- %[{_DER},regsub('(.{{64}})','\\1 ',g)] -----END CERTIFICATE-----"
#: `ClientCert` -> the header that carries the certificate, and its value
_WHOLE = {
    3: (CARRIERS[0], f"%[{_DER}]"),
    4: (CARRIERS[1], f"%[{_DER}]"),
    5: (CARRIERS[0], _PEM),
    6: (CARRIERS[1], _PEM),
}
_SHOWN = ("if", "{", "ssl_c_used", "}")


def certificate_headers(service: VirtualService) -> tuple[Directive, ...]:
    """The rules of a service that asks clients for certificates; a client without one has none of these headers."""
    if not service.verifies_clients or not service.is_http:
        return ()
    if service.client_certificates == 2:
        return (
            *_removed(tuple(DESCRIPTION)),
            *(
                directive("http-request", "set-header", name, f"%[{value}]", *_SHOWN)
                for name, value in DESCRIPTION.items()
            ),
        )
    if service.client_certificates in _WHOLE:
        name, value = _WHOLE[service.client_certificates]
        return (*_removed(CARRIERS), directive("http-request", "set-header", name, value, *_SHOWN))
    return ()


def _removed(names: tuple[str, ...]) -> tuple[Directive, ...]:
    """Header names are in lower case where HAProxy compares them (2.6, 2.8)."""
    patterns = (name.lower().replace("-", "[-_]") for name in names)
    return tuple(directive("http-request", "del-header", f"^{pattern}$", "-m", "reg") for pattern in patterns)
