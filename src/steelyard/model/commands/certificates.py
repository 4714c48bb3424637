"""Commands on certificates and signing requests."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from steelyard.model.certificate import Certificate, Material, public_bytes, read_upload
from steelyard.model.certificate_backup import CertificateBackup, Part
from steelyard.model.commands.cipher_sets import check_cipher_set
from steelyard.model.commands.command import Change
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, NotFound, OperatorError
from steelyard.model.intermediate import Intermediate
from steelyard.model.signing_request import SigningRequest


@dataclass(frozen=True)
class PutCertificate:
    """Import a certificate; `replace` allows an existing name, whose assignments stay.

    One that comes without its key gets that of the signing request it answers, or of the certificate it renews. A
    signing request is done with when its certificate is imported.
    """

    name: str
    material: Material
    replace: bool = False
    temporary: bool = False
    permission: ClassVar[str] = "certs"

    @property
    def summary(self) -> str:
        return f"{'replace' if self.replace else 'import'} certificate {self.name}"

    def apply(self, configuration: Configuration) -> Change:
        if self.name in configuration.certificates and not self.replace:
            raise ConflictError(
                f"Certificate {self.name} already exists; replace it or choose another name",
                field="cert",
                with_what=self.name,
            )
        before = configuration.certificates.get(self.name)
        if before is not None and before.temporary and not self.temporary:
            raise ConflictError(
                f"{self.name} is the name of the temporary certificate; choose another name",
                field="cert",
                with_what=self.name,
            )
        draft = {
            "name": self.name,
            "chain_pem": self.material.chain_pem,
            "key_id": self.material.key_id or "",
            "key_type": self.material.key_type,
            "temporary": self.temporary,
        }
        certificate = Certificate.make(draft)
        answered = _answered(certificate, configuration)
        if self.material.key_pem is None:
            certificate = Certificate.make({**draft, "key_id": _kept_key(certificate, answered, before)})
        secrets = {} if self.material.key_pem is None else {f"key/{certificate.key_id}": self.material.key_pem}
        result = replace(configuration, certificates={**configuration.certificates, self.name: certificate})
        if answered is not None:
            result = _without_request(result, answered.name)
        if before is not None and before.key_type != certificate.key_type:
            for service in result.services.values():
                if self.name in service.certificates:
                    check_cipher_set(result, service)
        return Change(result, self.name, secrets)


def _answered(certificate: Certificate, configuration: Configuration) -> SigningRequest | None:
    """The signing request with the certificate's key; of its own name first, should a key serve several."""
    if not configuration.signing_requests:
        return None
    public = public_bytes(certificate.leaf().public_key())
    found = [one for one in configuration.signing_requests.values() if public_bytes(one.parsed.public_key()) == public]
    return min(found, key=lambda one: one.name != certificate.name, default=None)


def _kept_key(certificate: Certificate, answered: SigningRequest | None, before: Certificate | None) -> str:
    """The digest of the key that is here already."""
    if answered is not None:
        return answered.key_id
    public = public_bytes(certificate.leaf().public_key())
    if before is not None and public_bytes(before.leaf().public_key()) == public:
        return before.key_id
    raise OperatorError(
        "The upload holds no private key, and no signing request kept here is answered by this certificate",
        field="data",
        remedy="Put key, certificate and chain into one file",
    )


def _without_request(configuration: Configuration, name: str) -> Configuration:
    requests = {key: value for key, value in configuration.signing_requests.items() if key != name}
    return replace(configuration, signing_requests=requests)


@dataclass(frozen=True)
class AddSigningRequest:
    """Keep a signing request and its key until the certificate comes."""

    name: str
    request_pem: str
    key_pem: bytes = field(repr=False)
    key_id: str
    key_type: str
    permission: ClassVar[str] = "certs"

    @property
    def summary(self) -> str:
        return f"make signing request {self.name}"

    def apply(self, configuration: Configuration) -> Change:
        if self.name in configuration.signing_requests:
            raise ConflictError(
                f"Signing request {self.name} already exists; remove it or choose another name",
                field="name",
                with_what=self.name,
            )
        known = configuration.certificates.get(self.name)
        if known is not None and known.temporary:
            raise ConflictError(
                f"{self.name} is the name of the temporary certificate; choose another name",
                field="name",
                with_what=self.name,
            )
        request = SigningRequest.make(
            {"name": self.name, "request_pem": self.request_pem, "key_id": self.key_id, "key_type": self.key_type}
        )
        requests = {**configuration.signing_requests, self.name: request}
        return Change(
            replace(configuration, signing_requests=requests), self.name, {f"key/{self.key_id}": self.key_pem}
        )


@dataclass(frozen=True)
class RemoveSigningRequest:
    """Give a signing request up. Its key stays among the secrets, so that a rollback finds it."""

    name: str
    permission: ClassVar[str] = "certs"

    @property
    def summary(self) -> str:
        return f"remove signing request {self.name}"

    def apply(self, configuration: Configuration) -> Change:
        configuration.signing_request(self.name)
        return Change(_without_request(configuration, self.name), self.name)


@dataclass(frozen=True)
class RemoveCertificate:
    """Remove a certificate that no service uses."""

    name: str
    permission: ClassVar[str] = "certs"

    @property
    def summary(self) -> str:
        return f"remove certificate {self.name}"

    def apply(self, configuration: Configuration) -> Change:
        if configuration.certificate(self.name).temporary:
            raise NotFound("certificate", self.name)
        for service in configuration.services.values():
            if self.name in service.certificates:
                raise ConflictError("Certfile still associated with a VS", field="cert", with_what=service.title)
        if self.name in configuration.acme_certificates:
            raise ConflictError(
                f"Certificate {self.name} is ordered by ACME, which would order it again; remove it there",
                field="cert",
                with_what=self.name,
            )
        certificates = {key: value for key, value in configuration.certificates.items() if key != self.name}
        return Change(replace(configuration, certificates=certificates), self.name)


@dataclass(frozen=True)
class RestoreCertificates:
    """Bring certificates and intermediates of a backup back, all or none; those of the same names are replaced.

    What the backup does not have stays.
    """

    backup: CertificateBackup = field(repr=False)
    part: Part = "full"
    permission: ClassVar[str] = "certbackup"

    @property
    def summary(self) -> str:
        return f"restore certificates from a backup ({self.part})"

    def apply(self, configuration: Configuration) -> Change:
        secrets: dict[str, bytes] = {}
        if self.part != "third":
            for saved in self.backup.certificates:
                material = read_upload(saved.key_pem + saved.chain_pem.encode())
                change = PutCertificate(saved.name, material, replace=True).apply(configuration)
                configuration = change.configuration
                secrets.update(change.secrets)
        if self.part != "vs":
            intermediates = dict(configuration.intermediates)
            for name, pem in self.backup.intermediates.items():
                intermediates[name] = Intermediate.make({"name": name, "pem": pem})
            configuration = replace(configuration, intermediates=intermediates)
        return Change(configuration, None, secrets)
