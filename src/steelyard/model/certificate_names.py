"""Which hosts a certificate is for (RFC 6125): exact names, wildcards for one label, addresses."""

from __future__ import annotations

import ipaddress

from cryptography import x509
from cryptography.x509.oid import NameOID


def alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The names and addresses of the extension; empty when there is none, or it cannot be read."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(str(name.value) for name in names if isinstance(name, (x509.DNSName, x509.IPAddress)))


def common_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The subject's common names."""
    return tuple(str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME))


def covers(name: str, host: str) -> bool:
    """Whether a name of a certificate is for that host: `*` stands for one whole label, the first."""
    name, host = name.lower().rstrip("."), host.lower().rstrip(".")
    if name == host:
        return True
    first, _, rest = host.partition(".")
    return bool(first) and bool(rest) and name == f"*.{rest}" and not is_address(host)


def is_address(host: str) -> bool:
    """Whether it is an address and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
