"""Backups of certificates and intermediates with their keys, sealed by a pass phrase (`sealed_file`).

The content is JSON: certificates with chain and key, intermediates with their PEM.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from steelyard.model.configuration import Configuration
from steelyard.model.sealed_file import (
    LEAST_PASS_PHRASE,
    MOST_PASS_PHRASE,
    NONCE_BYTES,
    SALT_BYTES,
    Kind,
    check_pass_phrase,
    damaged,
    seal_file,
    unseal_file,
)

KIND = Kind(
    b"STEELYARD-CERTIFICATES ",
    "backup of certificates",
    "Send a file that `steelyard cert backup` or backupcert has made; LoadMaster's are closed to others",
)

#: what is restored: LoadMaster's words for everything, the intermediates ("third party"), those of virtual services
Part = Literal["full", "third", "vs"]
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True)
class SavedCertificate:
    """One certificate with its key."""

    name: str
    chain_pem: str
    key_pem: bytes = field(repr=False)


@dataclass(frozen=True)
class CertificateBackup:
    """What a backup holds; intermediates by name, in PEM."""

    certificates: Sequence[SavedCertificate] = ()
    intermediates: Mapping[str, str] = field(default_factory=dict)


def gather(configuration: Configuration, keys: Mapping[str, bytes]) -> CertificateBackup:
    """Everything there is to save; `keys` by digest. The temporary certificate is every appliance's own."""
    certificates = tuple(
        SavedCertificate(one.name, one.chain_pem, keys[one.key_id])
        for one in configuration.certificates.values()
        if not one.temporary
    )
    return CertificateBackup(certificates, {one.name: one.pem for one in configuration.intermediates.values()})


def seal(backup: CertificateBackup, pass_phrase: str, *, salt: bytes, nonce: bytes, at: datetime, **cost: int) -> bytes:
    """The file; the arguments are those of `seal_file`."""
    content = {
        "certificates": [
            {"name": one.name, "chain_pem": one.chain_pem, "key_pem": one.key_pem.decode()}
            for one in backup.certificates
        ],
        "intermediates": [{"name": name, "pem": pem} for name, pem in backup.intermediates.items()],
    }
    return seal_file(KIND, json.dumps(content).encode(), pass_phrase, salt=salt, nonce=nonce, at=at, **cost)


def unseal(data: bytes, pass_phrase: str) -> CertificateBackup:
    """The content of a file. Raises `OperatorError` for a foreign or damaged file, and for a wrong pass phrase."""
    try:
        return _content(json.loads(unseal_file(KIND, data, pass_phrase)))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise damaged(KIND) from None


def _content(content: Mapping[str, Any]) -> CertificateBackup:
    """What `seal` has written. Who knows the pass phrase may have sealed something else."""
    certificates = tuple(
        SavedCertificate(one["name"], one["chain_pem"], one["key_pem"].encode()) for one in content["certificates"]
    )
    return CertificateBackup(certificates, {one["name"]: one["pem"] for one in content["intermediates"]})


__all__ = [
    "LEAST_PASS_PHRASE",
    "MOST_PASS_PHRASE",
    "NONCE_BYTES",
    "PARTS",
    "SALT_BYTES",
    "CertificateBackup",
    "Part",
    "SavedCertificate",
    "check_pass_phrase",
    "gather",
    "seal",
    "unseal",
]
