"""Who is told of events, and how (`reference/loadmaster-api/08`, 8.9): syslog, e-mail, SNMP traps, webhooks.

A subscriber belongs to one level and is told of what is as grave or graver. A secret here is the name of its place
among the secrets; the secret itself never enters a document.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from steelyard.model.setting import Setting, Settings
from steelyard.model.severity import LEVELS, Severity

_SYSLOG = "syslog"
_EMAIL = "email"
_SNMP = "snmp"
_WEBHOOK = "webhook"
_EVENTS = "events"

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = rf"{_LABEL}(\.{_LABEL})*|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]+"
_HOST_SAYS = "host names or addresses"
_MAILBOX = r"[!#-'*+./0-9=?A-Z^-~-]{1,64}@[A-Za-z0-9._\[\]:-]{1,255}"
_MAILBOX_SAYS = "mail addresses: operator@example.com"
_URL = r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(:[0-9]{1,5})?(/[!-~]*)?"
_URL_SAYS = "URLs that start with https:// or http://, without user and password"
_OID = r"[0-2](\.(0|[1-9][0-9]{0,9})){2,40}"

#: syslog hosts in all (`reference/loadmaster-api/08`, 8.9)
MOST_SYSLOG_HOSTS = 10
_MOST_SINKS = 8
#: e-mail: how the connection is encrypted
PLAIN, IF_OFFERED, START_TLS, TLS = range(4)


def _rule(name: str, why: str) -> PydanticCustomError:
    return PydanticCustomError("rule", "{why}", {"name": name, "why": why})


def _hosts(wire: str | None, section: str, label: str, explanation: str) -> Setting:
    return Setting(
        wire, section, label, explanation, separator=",", max_length=253, pattern=_HOST, pattern_says=_HOST_SAYS
    )


def _syslog_hosts(level: str) -> Setting:
    return _hosts(
        f"syslog{level}",
        _SYSLOG,
        f"{level.capitalize()} Host",
        f"Hosts that get messages of level {level} and graver ones. A host is in one level only.",
    )


def _recipients(level: str) -> Setting:
    return Setting(
        f"email{level}",
        _EMAIL,
        f"{level.capitalize()} Recipients",
        f"Who gets mail of level {level} and of graver ones.",
        separator=",",
        max_length=320,
        pattern=_MAILBOX,
        pattern_says=_MAILBOX_SAYS,
    )


def _secret(wire: str | None, section: str, label: str, explanation: str, most: int, least: int = 1) -> Setting:
    says = f"{least} to {most} characters, no control characters"
    return Setting(wire, section, label, explanation, pattern=f".{{{least},{most}}}", pattern_says=says, secret=True)


class SyslogParameters(Settings):
    """Hosts that get events as syslog messages (RFC 5424)."""

    noun: ClassVar[str] = "syslog parameter"

    emergency: Annotated[tuple[str, ...], _syslog_hosts("emergency")] = ()
    critical: Annotated[tuple[str, ...], _syslog_hosts("critical")] = ()
    error: Annotated[tuple[str, ...], _syslog_hosts("error")] = ()
    warn: Annotated[tuple[str, ...], _syslog_hosts("warn")] = ()
    notice: Annotated[tuple[str, ...], _syslog_hosts("notice")] = ()
    info: Annotated[tuple[str, ...], _syslog_hosts("info")] = ()
    port: Annotated[
        int,
        Setting("syslogport", _SYSLOG, "Remote Syslog Port", "Port of every syslog host.", ge=1, le=65535),
    ] = 514
    protocol: Annotated[
        str,
        Setting(
            "syslogprot",
            _SYSLOG,
            "Remote Syslog Protocol",
            "How syslog hosts are spoken to.",
            choices={"udp": "", "tcp": "RFC 6587, octet counting", "tls": "RFC 5425"},
        ),
    ] = "udp"
    verify: Annotated[
        bool,
        Setting(
            "syslogcert",
            _SYSLOG,
            "Verify Syslog Server Certificate",
            "With TLS: the host's certificate must be valid for its name, and from an authority that this system or an"
            " intermediate certificate here vouches for.",
        ),
    ] = True

    @model_validator(mode="after")
    def _each_host_once(self) -> Self:
        seen: dict[str, str] = {}
        for level, host in self.hosts():
            if host in seen:
                raise _rule(
                    level.word,
                    f"{host} is in syslog{seen[host]} already, and a host is in one level only; take it out there"
                    " first (syslognone removes a host from every level)",
                )
            seen[host] = level.word
        if len(seen) > MOST_SYSLOG_HOSTS:
            raise _rule(
                "emergency", f"there would be {len(seen)} syslog hosts, at most {MOST_SYSLOG_HOSTS} are allowed"
            )
        return self

    def hosts(self) -> Iterator[tuple[Severity, str]]:
        """Every host with its level."""
        for word in LEVELS:
            yield from ((Severity.of(word), host) for host in getattr(self, word))


class EmailParameters(Settings):
    """Events by mail."""

    noun: ClassVar[str] = "e-mail parameter"

    enabled: Annotated[bool, Setting("emailenable", _EMAIL, "Enable Email Logging", "Whether mails are sent.")] = False
    server: Annotated[
        str,
        Setting(
            "emailserver",
            _EMAIL,
            "SMTP Server",
            "Host that takes the mails.",
            max_length=253,
            pattern=_HOST,
            pattern_says="a host name or an address",
        ),
    ] = ""
    port: Annotated[
        int,
        Setting("emailport", _EMAIL, "Port", "Its port; 0 is the usual one, 25 or with TLS 465.", ge=0, le=65535),
    ] = 0
    user: Annotated[
        str,
        Setting("emailuser", _EMAIL, "Server Authorization (Username)", "Who signs in; empty: nobody.", max_length=128),
    ] = ""
    password: Annotated[
        str, _secret("emailpassword", _EMAIL, "Authorization Password", "Password of that user.", 128)
    ] = ""
    domain: Annotated[
        str,
        Setting(
            "emaildomain",
            _EMAIL,
            "Local Domain",
            "Domain this host gives as its own, in its greeting and in the sender's address.",
            max_length=253,
            pattern=rf"{_LABEL}(\.{_LABEL})*",
            pattern_says="a domain name",
        ),
    ] = ""
    sender: Annotated[
        str,
        Setting(
            None,
            _EMAIL,
            "Sender",
            "Address the mails come from; empty: steelyard at the local domain.",
            max_length=320,
            pattern=_MAILBOX,
            pattern_says="a mail address",
        ),
    ] = ""
    security: Annotated[
        int,
        Setting(
            "emailsslmode",
            _EMAIL,
            "Connection security",
            "How the connection is encrypted. A password is never sent in clear where STARTTLS was asked for.",
            choices={
                PLAIN: "none",
                IF_OFFERED: "STARTTLS if the server offers it",
                START_TLS: "STARTTLS",
                TLS: "TLS from the first byte",
            },
        ),
    ] = PLAIN
    verify: Annotated[
        bool,
        Setting(
            None,
            _EMAIL,
            "Verify Mail Server Certificate",
            "With STARTTLS or TLS: the server's certificate must be valid for its name, and from an authority that this"
            " system or an intermediate certificate here vouches for. Not with STARTTLS if offered.",
        ),
    ] = True
    emergency: Annotated[tuple[str, ...], _recipients("emergency")] = ()
    critical: Annotated[tuple[str, ...], _recipients("critical")] = ()
    error: Annotated[tuple[str, ...], _recipients("error")] = ()
    warn: Annotated[tuple[str, ...], _recipients("warn")] = ()
    notice: Annotated[tuple[str, ...], _recipients("notice")] = ()
    info: Annotated[tuple[str, ...], _recipients("info")] = ()

    def recipients(self) -> Iterator[tuple[Severity, tuple[str, ...]]]:
        """Recipients by level; one that is in several levels counts in the one that gets most."""
        told: set[str] = set()
        for word in reversed(LEVELS):
            fresh = tuple(dict.fromkeys(one for one in getattr(self, word) if one not in told))
            told.update(fresh)
            if fresh:
                yield Severity.of(word), fresh


class SnmpParameters(Settings):
    """Events as SNMP traps. There is no agent that could be asked."""

    noun: ClassVar[str] = "SNMP parameter"

    agent: Annotated[bool, Setting("snmpenable", _SNMP, "Enable SNMP", "An agent to be asked.", built=False)] = False
    clients: Annotated[
        tuple[str, ...], Setting("snmpclient", _SNMP, "SNMP Clients", "Who may ask.", separator=" ", built=False)
    ] = ()
    contact: Annotated[str, Setting("snmpcontact", _SNMP, "Contact", "", built=False)] = ""
    location: Annotated[str, Setting("snmplocation", _SNMP, "Location", "", built=False)] = ""
    ha_trap: Annotated[
        bool, Setting("snmpHATrap", _SNMP, "Send SNMP traps from the shared address", "", built=False)
    ] = False
    traps: Annotated[bool, Setting("snmptrapenable", _SNMP, "Enable SNMP Traps", "Whether traps are sent.")] = False
    community: Annotated[
        str,
        Setting(
            "snmpcommunity",
            _SNMP,
            "Community String",
            "What traps of version 1 and 2c carry; it travels in clear.",
            max_length=64,
            pattern=r"[!-~]+",
            pattern_says="printable ASCII without blanks",
            filled=True,
        ),
    ] = "public"
    v1_sinks: Annotated[
        tuple[str, ...], _hosts("snmpv1sink", _SNMP, "SNMP Trap Sink (v1)", "Hosts that get traps of version 1.")
    ] = ()
    v2_sinks: Annotated[
        tuple[str, ...], _hosts("snmpv2sink", _SNMP, "SNMP Trap Sink (v2)", "Hosts that get traps of version 2c.")
    ] = ()
    v3: Annotated[
        bool,
        Setting("snmpV3enable", _SNMP, "Enable SNMP V3", "Whether hosts of v3_sinks get traps of version 3."),
    ] = False
    v3_sinks: Annotated[
        tuple[str, ...], _hosts(None, _SNMP, "SNMP Trap Sink (v3)", "Hosts that get traps of version 3.")
    ] = ()
    user: Annotated[
        str,
        Setting(
            "snmpv3user",
            _SNMP,
            "Username",
            "User of version 3.",
            max_length=32,
            pattern=r"[!-~]+",
            pattern_says="printable ASCII without blanks",
        ),
    ] = ""
    password: Annotated[str, _secret("snmpv3userpasswd", _SNMP, "Password", "Signs traps of version 3.", 128, 8)] = ""
    authentication: Annotated[
        str,
        Setting("snmpAuthProt", _SNMP, "Authentication protocol", "How it signs.", choices={"SHA": "SHA-1", "MD5": ""}),
    ] = "SHA"
    encrypt: Annotated[
        bool, Setting("snmpV3Privenable", _SNMP, "Enable Privacy", "Whether traps of version 3 are encrypted.")
    ] = False
    privacy_password: Annotated[
        str,
        _secret("snmpv3privpasswd", _SNMP, "Privacy Password", "Encrypts them.", 128, 8),
    ] = ""
    privacy: Annotated[
        str,
        Setting("snmpPrivProt", _SNMP, "Privacy protocol", "How it encrypts.", choices={"AES": "AES-128", "DES": ""}),
    ] = "AES"
    port: Annotated[int, Setting(None, _SNMP, "Trap Port", "Port of every sink.", ge=1, le=65535)] = 162
    enterprise: Annotated[
        str,
        Setting(
            None,
            _SNMP,
            "Enterprise",
            "Object identifier that traps and what they carry are below; the default is one that is free for anybody.",
            max_length=128,
            pattern=_OID,
            pattern_says="an object identifier: 1.3.6.1.4.1.8072.9999.9999",
            filled=True,
        ),
    ] = "1.3.6.1.4.1.8072.9999.9999"

    engine_id: Annotated[
        str,
        Setting(
            None,
            _SNMP,
            "Engine ID",
            "What version 3 calls this sender, in hexadecimal; receivers know its users by it. Empty: made of the"
            " host's name.",
            pattern=r"([0-9A-Fa-f]{2}){5,32}",
            pattern_says="5 to 32 octets in hexadecimal",
        ),
    ] = ""

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        for name in ("v1_sinks", "v2_sinks", "v3_sinks"):
            if len(getattr(self, name)) > _MOST_SINKS:
                raise _rule(name, f"holds more than {_MOST_SINKS} hosts")
        return self


class WebhookParameters(Settings):
    """Events as JSON, sent by POST. LoadMaster has no such parameters."""

    noun: ClassVar[str] = "webhook parameter"

    urls: Annotated[
        tuple[str, ...],
        Setting(
            None,
            _WEBHOOK,
            "URLs",
            "Where events are sent by POST; none: nowhere.",
            separator=" ",
            max_length=2048,
            pattern=_URL,
            pattern_says=_URL_SAYS,
        ),
    ] = ()
    level: Annotated[
        str,
        Setting(None, _WEBHOOK, "Level", "What is as grave or graver is sent.", choices=dict.fromkeys(LEVELS, "")),
    ] = "notice"
    secret: Annotated[
        str,
        _secret(
            None,
            _WEBHOOK,
            "Signing Secret",
            "Signs each request in the header X-Steelyard-Signature (HMAC with SHA-256); empty: none is signed.",
            256,
        ),
    ] = ""
    verify: Annotated[
        bool,
        Setting(
            None,
            _WEBHOOK,
            "Verify Server Certificate",
            "The server's certificate must be valid for its name, and from an authority that this system or an"
            " intermediate certificate here vouches for.",
        ),
    ] = True

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        if len(self.urls) > _MOST_SINKS:
            raise _rule("urls", f"holds more than {_MOST_SINKS} URLs")
        return self


class EventParameters(Settings):
    """How events are kept and damped. LoadMaster has no such parameters."""

    noun: ClassVar[str] = "event parameter"

    kept: Annotated[
        int, Setting(None, _EVENTS, "Events Kept", "The newest so many stay in the log.", ge=1000, le=1_000_000)
    ] = 20_000
    flapping_changes: Annotated[
        int,
        Setting(
            None,
            _EVENTS,
            "Flapping From",
            "One that changes oftener than so many times within the flapping time is told of once as flapping, and once"
            " when it is steady again. Syslog and the log have every change. 0 never damps.",
            ge=2,
            le=1000,
            or_zero=True,
        ),
    ] = 6
    flapping_minutes: Annotated[
        int,
        Setting(
            None,
            _EVENTS,
            "Flapping Time",
            "The time changes are counted in. It is steady again when it has not changed for half of it.",
            unit="minutes",
            ge=1,
            le=1440,
        ),
    ] = 10
    mail_wait: Annotated[
        int,
        Setting(None, _EVENTS, "Mail Wait", "How long a mail waits for more to tell.", unit="seconds", ge=0, le=3600),
    ] = 5
    mail_pause: Annotated[
        int,
        Setting(
            None,
            _EVENTS,
            "Mail Pause",
            "The least time between two mails to the same recipients; what comes meanwhile is in the next one.",
            unit="seconds",
            ge=0,
            le=86_400,
        ),
    ] = 60
