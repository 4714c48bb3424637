"""Commands on the certificates of authorities that complete chains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from cryptography import x509

from steelyard.model.certificate_chain import chain_pem, is_authority
from steelyard.model.commands.authorities import refuse_removal_of_authority
from steelyard.model.commands.command import Change
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, OperatorError
from steelyard.model.intermediate import Intermediate


@dataclass(frozen=True)
class AddIntermediates:
    """Keep authorities' certificates; of a file that holds several the second is called NAME-2, and so on.

    One that is there already under whatever name is passed over, so that a renewed bundle can be added whole.
    """

    name: str
    certificates: Sequence[x509.Certificate]
    replace: bool = False
    permission: ClassVar[str] = "cert3"

    @property
    def summary(self) -> str:
        return f"{'replace' if self.replace else 'import'} intermediate certificate {self.name}"

    def apply(self, configuration: Configuration) -> Change:
        if self.replace:
            configuration.intermediate(self.name)
            if len(self.certificates) != 1:
                raise OperatorError(
                    "One intermediate certificate takes the place of one",
                    field="data",
                    allowed="one certificate",
                    remedy="Send it alone, or add the others by names of their own",
                )
        result = dict(configuration.intermediates)
        known = {one.parsed for one in result.values()}
        key = None
        for number, certificate in enumerate(dict.fromkeys(self.certificates), 1):
            name = self.name if number == 1 else f"{self.name}-{number}"
            if certificate in known and len(self.certificates) > 1:
                continue
            if name in result and not self.replace:
                raise ConflictError(
                    f"Intermediate certificate {name} already exists; remove it or choose another name",
                    field="cert",
                    with_what=name,
                )
            result[name] = made_intermediate(name, certificate)
            key = key or name
        return Change(replace(configuration, intermediates=result), key or self.name)


def made_intermediate(name: str, certificate: x509.Certificate) -> Intermediate:
    """The object of a certificate. Raises `OperatorError` when it may not sign others."""
    try:
        subject, signs = certificate.subject.rfc4514_string(), is_authority(certificate)
    except ValueError as failure:
        raise OperatorError(
            "A certificate in the upload cannot be read", field="data", remedy="Send unbroken certificates"
        ) from failure
    if not signs:
        raise OperatorError(
            f"{subject or 'The certificate'} is no authority's certificate: it may not sign others",
            field="data",
            remedy="Import a server's certificate as a certificate, together with its key",
        )
    return Intermediate.make({"name": name, "pem": chain_pem((certificate,))})


@dataclass(frozen=True)
class RemoveIntermediate:
    """Remove an authority's certificate; chains it completed get shorter.

    Refused while a service trusts clients by it.
    """

    name: str
    permission: ClassVar[str] = "cert3"

    @property
    def summary(self) -> str:
        return f"remove intermediate certificate {self.name}"

    def apply(self, configuration: Configuration) -> Change:
        configuration.intermediate(self.name)
        refuse_removal_of_authority(configuration, self.name)
        kept = {key: value for key, value in configuration.intermediates.items() if key != self.name}
        return Change(replace(configuration, intermediates=kept), self.name)


def declared_intermediates(
    configuration: Configuration, declared: Mapping[str, x509.Certificate]
) -> dict[str, Intermediate]:
    """The intermediates of a declaration; those that are the same stay the same objects."""
    found = {}
    for name, certificate in declared.items():
        before = configuration.intermediates.get(name)
        same = before is not None and before.parsed == certificate
        found[name] = before if before is not None and same else made_intermediate(name, certificate)
    return found
