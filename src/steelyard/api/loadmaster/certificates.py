"""Commands on certificates (`reference/loadmaster-api/05`, 5.1). The temporary self-signed one is never shown here."""

from __future__ import annotations

import asyncio
import base64

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from steelyard.api.loadmaster.answers import ABSENT, Answer, Data, Message, PerVersion, Record, Value
from steelyard.api.loadmaster.call import Call, Entry
from steelyard.model.certificate import Certificate, read_upload
from steelyard.model.commands import PutCertificate, RemoveCertificate
from steelyard.model.configuration import Configuration
from steelyard.model.errors import NotFound, OperatorError

_CHAIN_REMEDY = "put the intermediates into the file of the certificate itself and use addcert"


def _imported(configuration: Configuration, name: str) -> Certificate:
    certificate = configuration.certificate(name)
    if certificate.temporary:
        raise NotFound("certificate", name)
    return certificate


def _record(certificate: Certificate) -> Record:
    record: dict[str, Value] = {"name": certificate.name, "type": certificate.key_type}
    key = certificate.leaf().public_key()
    if isinstance(key, RSAPublicKey):
        return {**record, "modulus": f"{key.public_numbers().n:X}"}
    # The Python SDK (v1) fails on a certificate without the element, so an elliptic-curve one has it empty there.
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {**record, "modulus": PerVersion("", ABSENT), "publickey": base64.b64encode(spki).decode()}


async def listcert(call: Call) -> Answer:
    """Imported certificates."""
    found = call.configuration.certificates.values()
    return Data({"cert": tuple(_record(certificate) for certificate in found if not certificate.temporary)})


async def readcert(call: Call) -> Answer:
    """The leaf certificate, never the key: PEM, or DER in base64."""
    leaf = _imported(call.configuration, call.parameters.required("cert")).leaf()
    form = (call.parameters.text("outform") or "PEM").strip().upper()
    if form not in ("PEM", "DER"):
        raise OperatorError("outform is unknown; allowed: PEM, DER", field="outform", allowed="PEM, DER")
    if form == "DER":
        return Data({"certificate": base64.b64encode(leaf.public_bytes(Encoding.DER)).decode()})
    return Data({"certificate": leaf.public_bytes(Encoding.PEM).decode()})


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


COMMANDS = (
    Entry("listcert", listcert),
    Entry("readcert", readcert),
    Entry("addcert", addcert, "certs", upload=True),
    Entry("delcert", delcert, "certs"),
)

#: known, and refused with a remedy of their own: a certificate carries its chain, so that intermediates are no objects
REFUSED = dict.fromkeys(("listintermediate", "readintermediate", "addintermediate", "delintermediate"), _CHAIN_REMEDY)
