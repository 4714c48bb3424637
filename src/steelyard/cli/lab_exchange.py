"""The configuration of the Exchange lab: web protocols re-encrypted, each with its check, and the mail protocols."""

from __future__ import annotations

from steelyard.appliance.shipped_templates import shipped_templates
from steelyard.cli.lab_templates import CHECKS, moved
from steelyard.lab.exchange import ExchangePool
from steelyard.model.certificate import read_upload
from steelyard.model.commands import Batch, Command, PutCertificate, SetParameters, UseTemplate

CERTIFICATE = "ExchangeLab"
_LAYER7 = {"drop_on_failure": True, "drop_at_drain_end": True}
_TEMPLATES = (
    "Exchange 2016 HTTPS Re-encrypted",
    "Exchange 2016 SMTP",
    "Exchange 2016 IMAP",
    "Exchange 2016 POP",
)


def exchange_deployed(pool: ExchangePool) -> Command:
    """Everything in one change."""
    certificate = read_upload(pool.authority.issue(*pool.certified).pem)
    commands: list[Command] = [
        SetParameters("checks", CHECKS),
        SetParameters("layer7", _LAYER7),
        PutCertificate(CERTIFICATE, certificate),
    ]
    for name in _TEMPLATES:
        made = moved(shipped_templates()[name], pool.ports, "", lambda service: {})
        tls = [CERTIFICATE] if any(one.has_tls for one in made.content.services) else []
        commands.append(UseTemplate(made, pool.virtual, servers=pool.servers, certificates=tls))
    return Batch(tuple(commands))
