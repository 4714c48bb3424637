"""Commands on certificates and intermediates (`reference/loadmaster-api/05`, 5.1).

The temporary self-signed one is never shown here.
"""

from __future__ import annotations

import asyncio
import base64

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from steelyard.api.loadmaster.answers import ABSENT, Answer, Data, Download, Message, PerVersion, Record, Value
from steelyard.api.loadmaster.call import Call, Entry
from steelyard.model.certificate import Certificate, read_certificates, read_upload
from steelyard.model.certificate_backup import PARTS, Part, unseal
from steelyard.model.commands import (
    AddIntermediates,
    PutCertificate,
    RemoveCertificate,
    RemoveIntermediate,
    RestoreCertificates,
)
from steelyard.model.configuration import Configuration
from steelyard.model.errors import NotFound, OperatorError


def _imported(configuration: Configuration, name: str) -> Certificate:
    certificate = configuration.certificate(name)
    if certificate.temporary:
        raise NotFound("certificate", name)
    return certificate


def _record(name: str, certificate: x509.Certificate) -> Record:
    key = certificate.public_key()
    record: dict[str, Value] = {"name": name, "type": "RSA" if isinstance(key, RSAPublicKey) else "ECC"}
    if isinstance(key, RSAPublicKey):
        return {**record, "modulus": f"{key.public_numbers().n:X}"}
    # The Python SDK (v1) fails on a certificate without the element, so an elliptic-curve one has it empty there.
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {**record, "modulus": PerVersion("", ABSENT), "publickey": base64.b64encode(spki).decode()}


async def listcert(call: Call) -> Answer:
    """Imported certificates."""
    found = call.configuration.certificates.values()
    return Data({"cert": tuple(_record(one.name, one.leaf()) for one in found if not one.temporary)})


async def readcert(call: Call) -> Answer:
    """The leaf certificate, never the key: PEM, or DER in base64."""
    return _shown(call, _imported(call.configuration, call.parameters.required("cert")).leaf())


def _shown(call: Call, certificate: x509.Certificate) -> Answer:
    form = (call.parameters.text("outform") or "PEM").strip().upper()
    if form not in ("PEM", "DER"):
        raise OperatorError("outform is unknown; allowed: PEM, DER", field="outform", allowed="PEM, DER")
    if form == "DER":
        return Data({"certificate": base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()})
    return Data({"certificate": certificate.public_bytes(Encoding.PEM).decode()})


async def addcert(call: Call) -> Answer:
    """Import PEM or PKCS#12. The chain is kept, and with `replace` every assignment (quirk 94)."""
    parameters = call.parameters
    name = parameters.required("cert")
    replace = parameters.flag("replace")
    known = call.configuration.certificates.get(name)
    if known is not None and known.temporary:
        raise OperatorError("cert is the name of the self-signed certificate; choose another name", field="cert")
    # Opening a PKCS#12 file is slow by design; other requests go on meanwhile.
    material = await asyncio.to_thread(read_upload, call.upload, parameters.text("password") or None)
    await call.execute(PutCertificate(name, material, replace=replace))
    return Message()


async def delcert(call: Call) -> Answer:
    """Remove a certificate no service uses."""
    await call.execute(RemoveCertificate(call.parameters.required("cert")))
    return Message()


async def listintermediate(call: Call) -> Answer:
    """Intermediates."""
    return Data({"cert": tuple(_record(one.name, one.parsed) for one in call.configuration.intermediates.values())})


async def readintermediate(call: Call) -> Answer:
    """One intermediate: PEM, or DER in base64."""
    return _shown(call, call.configuration.intermediate(call.parameters.required("cert")).parsed)


async def addintermediate(call: Call) -> Answer:
    """Import an intermediate, which completes the chains it belongs to."""
    name = call.parameters.required("cert")
    await call.execute(AddIntermediates(name, read_certificates(call.upload)))
    return Message()


async def delintermediate(call: Call) -> Answer:
    """Remove an intermediate."""
    await call.execute(RemoveIntermediate(call.parameters.required("cert")))
    return Message()


async def backupcert(call: Call) -> Answer:
    """Certificates with their keys, and intermediates, encrypted: the file itself in v1, base64 in v2."""
    file = await call.appliance.backup_certificates(call.parameters.required("password"), call.actor)
    if call.version == 1:
        return Download(file)
    return Data({"data": base64.b64encode(file).decode()})


async def restorecert(call: Call) -> Answer:
    """Bring certificates of a backup back, all or none; `type` is in lower case (quirk 97)."""
    parameters = call.parameters
    password, given = parameters.required("password"), parameters.required("type")
    part: Part | None = next((one for one in PARTS if one == given), None)
    if part is None:
        raise OperatorError("type is unknown; allowed: full, third, vs", field="type", allowed="full, third, vs")
    backup = await asyncio.to_thread(unseal, call.upload, password)
    await call.execute(RestoreCertificates(backup, part))
    return Message()


COMMANDS = (
    Entry("listcert", listcert),
    Entry("readcert", readcert),
    Entry("addcert", addcert, "certs", upload=True),
    Entry("delcert", delcert, "certs"),
    Entry("listintermediate", listintermediate),
    Entry("readintermediate", readintermediate),
    Entry("addintermediate", addintermediate, "cert3", upload=True),
    Entry("delintermediate", delintermediate, "cert3"),
    Entry("backupcert", backupcert, "certbackup"),
    Entry("restorecert", restorecert, "certbackup", upload=True),
)
