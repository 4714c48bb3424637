"""Certificates looked at together with their keys and this host: diagnosis and backup.

Neither changes anything, so neither is a command; both take a while and are run in a thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from steelyard.appliance.contract import Actor
from steelyard.model.certificate import Certificate, public_bytes
from steelyard.model.certificate_backup import NONCE_BYTES, SALT_BYTES, check_pass_phrase, gather, seal
from steelyard.model.certificate_chain import Authorities
from steelyard.model.certificate_diagnosis import Finding, diagnose
from steelyard.model.configuration import Configuration
from steelyard.model.errors import OperatorError
from steelyard.model.user import ADMINISTRATOR, PERMISSIONS

BACKUP_PERMISSION = "certbackup"


def diagnosis(
    configuration: Configuration,
    name: str,
    host: str | None,
    *,
    now: datetime,
    secret: Callable[[str], bytes],
    roots: Authorities | None,
) -> tuple[Finding, ...]:
    """What is wrong with a certificate. Raises `NotFound`."""
    certificate = configuration.certificate(name)
    fits = _key_fits(certificate, secret)
    return diagnose(certificate, configuration, now, host=host, roots=roots, key_fits=fits)


def _key_fits(certificate: Certificate, secret: Callable[[str], bytes]) -> bool:
    try:
        key = load_pem_private_key(secret(f"key/{certificate.key_id}"), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return public_bytes(key.public_key()) == public_bytes(certificate.leaf().public_key())


def require_backup_permission(actor: Actor) -> None:
    """Raise `OperatorError` with the field "permission" for who may not have the keys in a file."""
    if not actor.user.may(BACKUP_PERMISSION):
        raise OperatorError(
            f"User {actor.name} lacks the permission {PERMISSIONS[BACKUP_PERMISSION]}",
            field="permission",
            value=BACKUP_PERMISSION,
            remedy=f"Ask {ADMINISTRATOR}",
        )


def backup(configuration: Configuration, pass_phrase: str, *, now: datetime, secret: Callable[[str], bytes]) -> bytes:
    """Every certificate with its key, and every intermediate, encrypted. Raises `OperatorError`."""
    check_pass_phrase(pass_phrase)
    keys = {one.key_id: secret(f"key/{one.key_id}") for one in configuration.certificates.values()}
    content = gather(configuration, keys)
    return seal(content, pass_phrase, salt=os.urandom(SALT_BYTES), nonce=os.urandom(NONCE_BYTES), at=now)
