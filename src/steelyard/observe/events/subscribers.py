"""The subscribers that a configuration wants. A secret is looked up when its sender is made."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import cast

from steelyard.model.configuration import Configuration
from steelyard.model.severity import Severity
from steelyard.observe.events.bus import Subscriber
from steelyard.observe.events.channel import Route, Sender
from steelyard.observe.events.gathering import Pace
from steelyard.observe.events.mail import MailSender, MailServer
from steelyard.observe.events.snmp import Sink, TrapSender, TrapUser, engine_id
from steelyard.observe.events.syslog import Protocol, SyslogSender
from steelyard.observe.events.trust import Trust
from steelyard.observe.events.webhook import WebhookSender

Secret = Callable[[str], str]

_SYSLOG_PACE = Pace(at_once=200, kept=20_000)
_WEBHOOK_PACE = Pace(wait=0.5, pause=2.0, at_once=1000, kept=10_000)
_TRAP_PACE = Pace(wait=0.5, pause=2.0, at_once=10_000, kept=10_000)
_MOST_MAILED = 20_000


def subscribers(configuration: Configuration, secret: Secret) -> list[Subscriber]:
    """Every subscriber. `secret` gives the text kept under a name, empty for an empty name."""
    authorities = "\n".join(one.pem for one in configuration.intermediates.values())
    return [
        *_syslog(configuration, authorities),
        *_email(configuration, authorities, secret),
        *_snmp(configuration, secret),
        *_webhooks(configuration, authorities, secret),
    ]


def _syslog(configuration: Configuration, authorities: str) -> Iterator[Subscriber]:
    wanted = configuration.syslog
    protocol = cast(Protocol, wanted.protocol)
    trust = Trust(wanted.verify, authorities if protocol == "tls" else "")
    for level, host in wanted.hosts():
        make = partial(SyslogSender, host, wanted.port, protocol, trust)
        route = Route(f"syslog {host}", level, damped=True, pace=_SYSLOG_PACE)
        yield Subscriber(route, (wanted.port, protocol, trust), make)


def _email(configuration: Configuration, authorities: str, secret: Secret) -> Iterator[Subscriber]:
    wanted = configuration.email
    if not wanted.enabled or not wanted.server:
        return
    trust = Trust(wanted.verify, authorities if wanted.security else "")
    pace = Pace(configuration.events.mail_wait, configuration.events.mail_pause, _MOST_MAILED, _MOST_MAILED)
    plain = MailServer(
        wanted.server,
        wanted.port,
        wanted.security,
        trust,
        wanted.user,
        domain=wanted.domain,
        sender=wanted.sender,
    )

    def make(recipients: tuple[str, ...]) -> Sender:
        return MailSender(replace(plain, password=secret(wanted.password)), recipients)

    for level, recipients in wanted.recipients():
        route = Route(f"email {level.word}", level, pace=pace)
        yield Subscriber(route, (plain, wanted.password, recipients), partial(make, recipients))


def _snmp(configuration: Configuration, secret: Secret) -> Iterator[Subscriber]:
    wanted = configuration.snmp
    if not wanted.traps:
        return
    engine = engine_id(wanted.engine_id, socket.gethostname())

    def make(host: str) -> Sender:
        private = secret(wanted.privacy_password) if wanted.encrypt else ""
        user = TrapUser(
            wanted.user,
            secret(wanted.password),
            wanted.authentication,  # type: ignore[arg-type]
            private,
            wanted.privacy,  # type: ignore[arg-type]
        )
        return TrapSender(Sink(host, wanted.port, 3, wanted.enterprise, user=user, engine=engine))

    for version, sinks in ((1, wanted.v1_sinks), (2, wanted.v2_sinks)):
        for host in sinks:
            sink = Sink(host, wanted.port, version, wanted.enterprise, wanted.community)  # type: ignore[arg-type]
            route = Route(f"snmp v{version} {host}", Severity.INFO, pace=_TRAP_PACE)
            yield Subscriber(route, sink, partial(TrapSender, sink))
    for host in wanted.v3_sinks if wanted.v3 else ():
        route = Route(f"snmp v3 {host}", Severity.INFO, pace=_TRAP_PACE)
        yield Subscriber(route, wanted, partial(make, host))


def _webhooks(configuration: Configuration, authorities: str, secret: Secret) -> Iterator[Subscriber]:
    wanted = configuration.webhook
    trust = Trust(wanted.verify, authorities)

    def make(url: str) -> Sender:
        return WebhookSender(url, secret(wanted.secret), trust)

    for url in dict.fromkeys(wanted.urls):
        route = Route(f"webhook {url}", Severity.of(wanted.level), pace=_WEBHOOK_PACE)
        yield Subscriber(route, (wanted.secret, trust), partial(make, url))
