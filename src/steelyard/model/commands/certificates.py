"""Commands on certificates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from steelyard.model.certificate import Certificate, Material
from steelyard.model.commands.command import Change
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, NotFound


@dataclass(frozen=True)
class PutCertificate:
    """Import a certificate; `replace` allows an existing name, whose assignments stay."""

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
        certificate = Certificate.make(
            {
                "name": self.name,
                "chain_pem": self.material.chain_pem,
                "key_id": self.material.key_id,
                "key_type": self.material.key_type,
                "temporary": self.temporary,
            }
        )
        certificates = {**configuration.certificates, self.name: certificate}
        secrets = {f"key/{certificate.key_id}": self.material.key_pem}
        return Change(replace(configuration, certificates=certificates), self.name, secrets)


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
        certificates = {key: value for key, value in configuration.certificates.items() if key != self.name}
        return Change(replace(configuration, certificates=certificates), self.name)
