"""An ACME authority in memory, with the methods of `engines.acme.authority.Authority`.

It issues real certificates, remembers accounts by their keys and believes every proof, unless `objects` says what it
says no to. `shown` are the challenges that were answered when it looked.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from tests.support.certificates import authority

from steelyard.engines.acme.authority import Registration
from steelyard.model.acme_problem import AuthorityRefused


@dataclass
class FakeAuthorities:
    """Every authority there is; give `open` to whom it may concern."""

    terms_url: str | None = "https://ca.example/terms"
    objects: dict[str, Exception] = field(default_factory=dict)
    accounts: dict[bytes, Registration] = field(default_factory=dict)
    bindings: list[tuple[str, str] | None] = field(default_factory=list)
    orders: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    shown: list[Mapping[str, str]] = field(default_factory=list)
    now_shown: Callable[[], Mapping[str, str]] = dict
    days: int = 90
    delays: Callable[[], object] = lambda: None

    def open(self, directory_url: str, key_pem: bytes, *, uri: str = "", authority_pem: str = "") -> FakeAuthority:
        return FakeAuthority(self, directory_url, key_pem, uri, authority_pem)


class FakeAuthority:
    """One conversation."""

    def __init__(self, world: FakeAuthorities, url: str, key: bytes, uri: str, pem: str) -> None:
        self._world, self._url, self._key, self.uri, self.pem = world, url, key, uri, pem

    def _step(self, name: str) -> None:
        failure = self._world.objects.get(name)
        if failure is not None:
            raise failure

    def close(self) -> None:
        pass

    def terms(self) -> str | None:
        self._step("directory")
        return self._world.terms_url

    def register(self, email: str, binding: tuple[str, str] | None) -> Registration:
        self._step("register")
        self._world.bindings.append(binding)
        uri = f"{self._url}/account/{len(self._world.accounts) + 1}"
        return self._world.accounts.setdefault(self._key, Registration(uri, email))

    def find(self) -> Registration:
        if self._key not in self._world.accounts:
            raise AuthorityRefused("no such account", remedy="Register the account (again)", code="accountDoesNotExist")
        return self._world.accounts[self._key]

    def order(self, request_pem: bytes) -> tuple[Any, list[Any]]:
        self._world.delays()
        self._step("order")
        request = x509.load_pem_x509_csr(request_pem)
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = tuple(names.get_values_for_type(x509.DNSName))
        self._world.orders.append((self._url, found))
        pending = [
            SimpleNamespace(
                body=SimpleNamespace(
                    identifier=SimpleNamespace(value=name.removeprefix("*.")), wildcard=name.startswith("*.") or None
                )
            )
            for name in found
        ]
        return found, pending

    def challenge(self, authorization: Any, kind: str) -> Any:
        domain = authorization.body.identifier.value
        token = hashlib.sha256(domain.encode()).hexdigest()
        return SimpleNamespace(
            domain=domain,
            kind=kind,
            token=token,
            answer=f"{token}.thumb",
            record=f"_acme-challenge.{domain}" if kind == "dns-01" else "",
        )

    def answer(self, challenge: Any) -> None:
        self._world.shown.append(dict(self._world.now_shown()))

    def proved(self, challenge: Any) -> bool:
        self._step("proof")
        return True

    def finalize(self, order: Any, request_pem: bytes) -> str:
        self._step("issue")
        request = x509.load_pem_x509_csr(request_pem)
        issuer = authority("Fake ACME Root")
        made = (
            x509.CertificateBuilder()
            .subject_name(request.subject)
            .issuer_name(issuer.certificate.subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(issuer.certificate.not_valid_before_utc)
            .not_valid_after(_later(self._world.days))
            .add_extension(
                request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value, critical=False
            )
            .sign(issuer.key, hashes.SHA256())
        )
        return made.public_bytes(Encoding.PEM).decode() + issuer.pem.decode()


def _later(days: int) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)


HMAC = base64.urlsafe_b64encode(b"an external account's own key 32").decode()
