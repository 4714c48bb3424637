"""Schemas of certificates, intermediates, signing requests, revocation lists and cipher sets."""

from __future__ import annotations

from steelyard.api.native.catalogue import Schema, object_schema
from steelyard.api.native.schema_words import FLAG, MOMENT, NUMBER, TEXT, TEXTS, USED_BY, list_of, named, object_of
from steelyard.appliance.signing import DEFAULT_KEY, KEY_TYPES, SUBJECT
from steelyard.model.certificate import Certificate
from steelyard.model.certificate_backup import LEAST_PASS_PHRASE, MOST_PASS_PHRASE, PARTS
from steelyard.model.cipher_set import CipherSet
from steelyard.model.intermediate import Intermediate
from steelyard.model.revocation_list import RevocationList
from steelyard.model.signing_request import SigningRequest

_VALIDITY: dict[str, Schema] = {
    "not_before": MOMENT,
    "not_after": MOMENT,
    "days_left": {**NUMBER, "description": "Whole days until it ends, negative when it has."},
}


_BACKUP_PASSWORD: Schema = {
    **TEXT,
    "format": "password",
    "minLength": LEAST_PASS_PHRASE,
    "maxLength": MOST_PASS_PHRASE,
}


def _certificates() -> dict[str, Schema]:
    material = {
        "pem": {**TEXT, "description": "Key, certificate and chain in PEM, in any order."},
        "data": {**TEXT, "format": "byte", "description": "PKCS#12 (or PEM) in base64, instead of pem."},
        "password": {**TEXT, "format": "password", "description": "Opens an encrypted key or PKCS#12 file."},
    }
    name = {"name": named(Certificate, "name")}
    texts = ("subject", "issuer", "serial", "sha256", "key_type", "chain_pem")
    return {
        "CertificateMaterial": object_of(material),
        "NewCertificate": object_of({**name, **material}, "name"),
        "Certificate": object_of(
            {
                **name,
                "temporary": FLAG,
                **dict.fromkeys(texts, TEXT),
                "key_bits": {"type": ["integer", "null"]},
                "names": TEXTS,
                **_VALIDITY,
                "used_by": USED_BY,
                "chain": {**TEXTS, "description": "Subjects of what clients are sent, the certificate's own first."},
                "problems": list_of("Finding"),
            }
        ),
        "Finding": object_of(
            {"kind": TEXT, "severity": {"enum": ["error", "warning", "note"]}, "text": TEXT, "remedy": TEXT}
        ),
        **_intermediates(),
        **_signing_requests(),
        "NewCertificateBackup": object_of({"password": _BACKUP_PASSWORD}, "password"),
        "CertificateBackup": object_of({"data": {**TEXT, "format": "byte", "description": "The file, in base64."}}),
        "CertificateRestore": object_of(
            {
                "data": {**TEXT, "format": "byte", "description": "The file, in base64."},
                "password": _BACKUP_PASSWORD,
                "type": {
                    "enum": list(PARTS),
                    "default": "full",
                    "description": "third: intermediates alone; vs: certificates of services alone.",
                },
            },
            "data",
            "password",
        ),
    }


def _intermediates() -> dict[str, Schema]:
    material = {
        "pem": {**TEXT, "description": "One certificate in PEM, or several."},
        "data": {**TEXT, "format": "byte", "description": "The same in base64."},
    }
    name = {"name": named(Intermediate, "name")}
    return {
        "IntermediateMaterial": object_of(material),
        "NewIntermediate": object_of({**name, **material}, "name"),
        "Intermediate": object_of(
            {
                **name,
                "root": {**FLAG, "description": "Its own issuer: never part of a chain."},
                **dict.fromkeys(("subject", "issuer", "serial", "sha256", "pem"), TEXT),
                **_VALIDITY,
                "completes": {**TEXTS, "description": "Names of certificates whose chains have it."},
                "used_by": {
                    **USED_BY,
                    "description": "Indexes of virtual services that name it, for clients or real servers.",
                },
                "problems": list_of("Finding"),
            }
        ),
    }


def _signing_requests() -> dict[str, Schema]:
    name = {"name": named(SigningRequest, "name")}
    names = {**TEXTS, "description": "Host names and addresses; a common name that is a host name is added."}
    return {
        "NewSigningRequest": object_of(
            {
                **name,
                "subject": object_of(dict.fromkeys(SUBJECT, TEXT)),
                "names": names,
                "key_type": {"enum": list(KEY_TYPES), "default": DEFAULT_KEY},
                "show_key": {**FLAG, "description": "Have the key in this one answer."},
            },
            "name",
        ),
        "SigningRequest": object_of({**name, "subject": TEXT, "names": names, "key_type": TEXT, "pem": TEXT}),
    }


def _cipher_sets() -> dict[str, Schema]:
    made = object_schema(CipherSet)
    missing = {
        **TEXTS,
        "description": "Members that the TLS library of this host's HAProxy lacks; services go without.",
    }
    used = {"type": "array", "items": NUMBER, "description": "Indexes of virtual services."}
    return {
        "NewCipherSet": made,
        "CipherSetContent": object_of({"ciphers": named(CipherSet, "ciphers")}, "ciphers"),
        "CipherSet": object_schema(CipherSet, extra={"built_in": FLAG, "missing": missing, "used_by": used}),
    }


def _revocation() -> dict[str, Schema]:
    content = {"pem": TEXT, "data": {**TEXT, "description": "The file in base64, PEM or DER."}}
    name = named(RevocationList, "name")
    moments = dict.fromkeys(("answer_made", "answer_until", "asked", "next"), MOMENT)
    return {
        "RevocationList": object_of(
            {
                "name": name,
                "issuer": TEXT,
                "authorities": {**TEXTS, "description": "Intermediate certificates that signed it."},
                "last_update": MOMENT,
                "next_update": {**MOMENT, "description": "Until when it holds; null is without end."},
                "revoked": {**NUMBER, "description": "How many certificates it names."},
                "pem": TEXT,
            }
        ),
        "NewRevocationList": object_of({"name": name, **content}, "name"),
        "RevocationListContent": object_of(content),
        "RefusedClient": object_of(
            {
                "at": MOMENT,
                "client": TEXT,
                "subject": {**TEXT, "description": "Of its certificate; empty when it showed none."},
                "reason": TEXT,
            }
        ),
        "Stapling": object_of(
            {
                "certificate": TEXT,
                "responder": {**TEXT, "description": "Empty when the certificate names none."},
                **moments,
                "failures": {**NUMBER, "description": "Attempts in a row that brought no answer."},
                "trouble": {**TEXT, "description": "What went wrong at the last attempt."},
                "never": {**TEXT, "description": "Why nobody is asked at all."},
            }
        ),
    }


def certificate_schemas() -> dict[str, Schema]:
    """By name."""
    return {**_certificates(), **_cipher_sets(), **_revocation()}
