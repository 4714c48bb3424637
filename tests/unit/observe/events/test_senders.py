"""Senders against real receivers: rsyslog, an SMTP server, snmptrapd, an HTTPS server."""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.certificates import authority, leaf
from tests.support.ports import free_port
from tests.support.receivers import Hooks, MailServer, Rsyslog, TlsFront, Traps, wait_for
from tests.unit.observe.events.making import event

from steelyard.model.notification import IF_OFFERED, START_TLS, TLS
from steelyard.model.severity import Severity
from steelyard.observe.events.channel import Undelivered
from steelyard.observe.events.event import KINDS
from steelyard.observe.events.gathering import Batch
from steelyard.observe.events.mail import MOST_LINES, MailSender
from steelyard.observe.events.mail import MailServer as Server
from steelyard.observe.events.snmp import MOST_TRAPS, Sink, TrapSender, TrapUser, engine_id
from steelyard.observe.events.syslog import SyslogSender
from steelyard.observe.events.trust import Trust
from steelyard.observe.events.webhook import WebhookSender

ROOT = authority("Events Root")
HERE = leaf("localhost", "127.0.0.1", issuer=ROOT)
BELIEVED = Trust(authorities=ROOT.pem.decode())
ENTERPRISE = "1.3.6.1.4.1.8072.9999.9999"


def batch(*texts: str, **members: Any) -> Batch:
    return Batch(tuple(event(text, number=number, **members) for number, text in enumerate(texts, start=7)))


# ------------------------------------------------------------------------------------------------------------- syslog


@pytest.fixture(scope="module")
def rsyslog(request: pytest.FixtureRequest) -> Iterator[Rsyslog]:
    with Rsyslog() as running:
        yield running


@pytest.mark.needs("rsyslogd")
@pytest.mark.parametrize("protocol", ["udp", "tcp", "tls"])
def test_rsyslog_reads_every_part_of_a_message(rsyslog: Rsyslog, protocol: Any) -> None:
    before = len(rsyslog.lines)
    front = TlsFront(HERE.server_context(), rsyslog.port)
    port = front.port if protocol == "tls" else rsyslog.port
    sender = SyslogSender("127.0.0.1", port, protocol, BELIEVED)
    sender.deliver(batch("first: plain", 'größer "zwei" ] \\ <3>', severity=Severity.CRITICAL))
    sender.deliver(batch("third"))
    one, two, three = rsyslog.wait(before + 3)[before:]
    sender.close()
    front.close()
    assert (one["severity"], one["facility"], one["program"], one["kind"]) == (
        "2",
        "daemon",
        "steelyard",
        "server_down",
    )
    assert one["at"] == "2027-01-15T08:00:00.125Z"
    assert 'sequenceId="7"' in one["data"] and 'software="steelyard"' in one["data"]
    assert [line["text"].lstrip("\ufeff") for line in (one, two, three)] == [
        "first: plain", 'größer "zwei" ] \\ <3>', "third",
    ]  # fmt: skip


def test_a_syslog_host_whose_certificate_is_not_believed_gets_nothing() -> None:
    front = TlsFront(HERE.server_context(), 1)
    sender = SyslogSender("127.0.0.1", front.port, "tls", Trust())
    with pytest.raises(Undelivered, match=r"certificate is not believed.*import its authority"):
        sender.deliver(batch("one"))
    front.close()


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_a_syslog_host_that_does_not_listen_is_told_of(protocol: Any) -> None:
    sender = SyslogSender("127.0.0.1", free_port("127.0.0.1"), protocol, Trust())
    with pytest.raises(Undelivered, match="refused") as refused:
        for _ in range(3):  # UDP hears of it with the next datagram
            sender.deliver(batch("one", "two"))
    assert refused.value.done <= 1


@pytest.mark.needs("rsyslogd")
def test_syslog_over_tcp_goes_on_when_the_receiver_was_restarted(rsyslog: Rsyslog) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listening:
        sender = SyslogSender("127.0.0.1", listening.getsockname()[1], "tcp", Trust())
        sender.deliver(batch("one"))
        first, _ = listening.accept()
        assert b"one" in first.recv(4096)
        first.close()
        sender.deliver(batch("two"))
        second, _ = listening.accept()
        assert second.recv(4096).endswith(b"two")
        second.close()
        sender.close()


# --------------------------------------------------------------------------------------------------------------- mail


def server(mail: MailServer, **members: Any) -> Server:
    return Server("127.0.0.1", mail.port, **({"trust": BELIEVED, "domain": "adc.example"} | members))


def test_a_mail_tells_of_every_event_of_a_batch() -> None:
    with MailServer() as mail:
        MailSender(server(mail), ("ops@example.com", "boss@example.com")).deliver(
            Batch((event("one is down"), event("all is lost", severity=Severity.CRITICAL, number=8)), lost=3)
        )
        (taken,) = mail.wait()
    assert taken.recipients == ["ops@example.com", "boss@example.com"] and not taken.encrypted
    assert taken.message["From"] == taken.sender == "steelyard@adc.example"
    assert str(taken.message["Subject"]).endswith("critical: all is lost (and 1 more)")
    assert taken.message["Auto-Submitted"] == "auto-generated"
    assert "2027-01-15T08:00:00.125Z  warn       one is down" in taken.text
    assert "3 earlier ones were lost" in taken.text


def test_a_thousand_events_are_one_mail_that_has_the_gravest_and_counts_the_rest() -> None:
    many = [event(f"RS {number} removed", number=number) for number in range(1000)]
    many.append(event("VS is down", number=1000, kind="service_down", severity=Severity.CRITICAL))
    with MailServer() as mail:
        MailSender(server(mail), ("ops@example.com",)).deliver(Batch(tuple(many)))
        (taken,) = mail.wait()
    lines = taken.text.splitlines()
    assert sum("removed" in line for line in lines) == MOST_LINES - 1
    assert any("VS is down" in line for line in lines)
    assert f"{1001 - MOST_LINES} more that are not shown here: {1001 - MOST_LINES} server_down" in taken.text


def test_mail_with_starttls_and_a_password() -> None:
    with MailServer(starttls=HERE.server_context(), must_encrypt=True, account=("joe", "s3cret")) as mail:
        MailSender(server(mail, security=START_TLS, user="joe", password="s3cret"), ("a@example.com",)).deliver(
            batch("one")
        )
        (taken,) = mail.wait()
        assert taken.encrypted and taken.user == "joe"
        with pytest.raises(Undelivered, match="535"):
            MailSender(server(mail, security=START_TLS, user="joe", password="wrong"), ("a@example.com",)).deliver(
                batch("one")
            )


def test_mail_over_tls_from_the_first_byte() -> None:
    with MailServer(tls=HERE.server_context()) as mail:
        MailSender(server(mail, security=TLS), ("a@example.com",)).deliver(batch("one"))
        assert mail.wait()[0].encrypted
        with pytest.raises(Undelivered, match="certificate is not believed"):
            MailSender(server(mail, security=TLS, trust=Trust()), ("a@example.com",)).deliver(batch("one"))
        MailSender(server(mail, security=TLS, trust=Trust(verify=False)), ("a@example.com",)).deliver(batch("two"))


def test_starttls_if_offered_is_used_where_it_is_and_never_sends_a_password_in_clear() -> None:
    with MailServer(starttls=HERE.server_context()) as mail:
        MailSender(server(mail, security=IF_OFFERED, trust=Trust()), ("a@example.com",)).deliver(batch("one"))
        assert mail.wait()[0].encrypted
    with MailServer(account=("joe", "s3cret")) as mail:
        sender = MailSender(server(mail, security=IF_OFFERED, user="joe", password="s3cret"), ("a@example.com",))
        with pytest.raises(Undelivered, match="not sent in clear"):
            sender.deliver(batch("one"))
        with pytest.raises(Undelivered, match="STARTTLS"):
            MailSender(server(mail, security=START_TLS), ("a@example.com",)).deliver(batch("one"))


def test_a_refused_recipient_is_told_of_and_the_others_get_the_mail_once() -> None:
    with MailServer() as mail:
        mail.refused.add("gone@example.com")
        with pytest.raises(Undelivered, match=r"gone@example.com: 550") as refused:
            MailSender(server(mail), ("ops@example.com", "gone@example.com")).deliver(batch("one", "two"))
        assert refused.value.done == 2
        assert mail.wait()[0].recipients == ["ops@example.com"]


# --------------------------------------------------------------------------------------------------------------- SNMP


@pytest.fixture(scope="module")
def traps() -> Iterator[Traps]:
    users = (
        f"createUser -e 0x{engine_id('', 'adc').hex()} joe SHA authpass1 AES privpass1",
        f"createUser -e 0x{engine_id('', 'adc').hex()} ann MD5 authpass2",
        "authUser log joe priv",
        "authUser log ann auth",
    )
    with Traps(*users) as running:
        yield running


def sink(traps: Traps, version: Any, user: TrapUser | None = None) -> Sink:
    return Sink("127.0.0.1", traps.port, version, ENTERPRISE, user=user, engine=engine_id("", "adc"))


@pytest.mark.needs("snmptrapd")
@pytest.mark.parametrize(
    ("version", "user"),
    [
        (1, None),
        (2, None),
        (3, TrapUser("joe", "authpass1", "SHA", "privpass1", "AES")),
        (3, TrapUser("ann", "authpass2", "MD5")),
    ],
)
def test_snmptrapd_takes_traps_of_each_version(traps: Traps, version: Any, user: TrapUser | None) -> None:
    text = f"for version {version} {user.name if user else ''}"
    sender = TrapSender(sink(traps, version, user))
    sender.deliver(batch(text))
    sender.deliver(batch(f"again {text}"))
    wait_for(lambda: f"again {text}" in traps.said, "the second trap")
    sender.close()
    said = traps.said[: traps.said.index(f"again {text}")]
    place = KINDS.index("server_down") + 1
    number = "Enterprise Specific Trap" if version == 1 else f".1.3.6.1.6.3.1.1.4.1.0 = OID: .{ENTERPRISE}.0.{place}"
    assert number in said
    assert f'.{ENTERPRISE}.1.2.0 = STRING: "server_down"' in said
    assert f'.{ENTERPRISE}.1.4.0 = STRING: "{text}"' in said
    assert f".{ENTERPRISE}.1.7.0 = INTEGER: 2" in said


@pytest.mark.needs("snmptrapd")
def test_many_events_are_one_trap_a_kind(traps: Traps) -> None:
    many = [event(f"storm {number}", number=number) for number in range(MOST_TRAPS + 30)]
    many.append(event("the service is down", kind="service_down", number=99))
    before = traps.said.count("storm")
    TrapSender(sink(traps, 2)).deliver(Batch(tuple(many)))
    wait_for(lambda: "the service is down" in traps.said, "the other kind")
    assert traps.said.count("storm") == before + 1
    assert f"{MOST_TRAPS + 30} events of this kind; one of them: storm 0" in traps.said


# ------------------------------------------------------------------------------------------------------------ webhooks


def test_a_webhook_gets_signed_json_over_tls() -> None:
    with Hooks(HERE.server_context()) as hooks:
        WebhookSender(hooks.url, "key", BELIEVED).deliver(batch("größer", "two", ends=Severity.CRITICAL))
        (call,) = hooks.calls
    signed = call.headers["X-Steelyard-Timestamp"].encode() + b"." + call.body
    expected = "sha256=" + hmac.new(b"key", signed, hashlib.sha256).hexdigest()
    assert call.headers["X-Steelyard-Signature"] == expected
    assert json.loads(call.body)["lost"] == 0
    first, second = call.events
    assert first["text"] == "größer" and second["number"] == 8
    assert first["severity"] == "warn" and first["ends"] == "critical" and first["at"] == "2027-01-15T08:00:00.125Z"


def test_a_webhook_without_a_secret_is_not_signed() -> None:
    with Hooks() as hooks:
        WebhookSender(hooks.url, "", Trust()).deliver(batch("one"))
        assert "X-Steelyard-Signature" not in hooks.calls[0].headers


def test_a_webhook_that_refuses_or_cannot_be_believed_is_told_of() -> None:
    with Hooks() as hooks:
        hooks.status = 500
        with pytest.raises(Undelivered, match="answered 500"):
            WebhookSender(hooks.url, "", Trust()).deliver(batch("one"))
        hooks.status = 302
        with pytest.raises(Undelivered, match="answered 302"):
            WebhookSender(hooks.url, "", Trust()).deliver(batch("one"))
    with Hooks(HERE.server_context()) as hooks, pytest.raises(Undelivered, match="certificate is not believed"):
        WebhookSender(hooks.url, "", Trust()).deliver(batch("one"))
    with pytest.raises(Undelivered, match="refused"):
        WebhookSender(f"http://127.0.0.1:{free_port('127.0.0.1')}/", "", Trust()).deliver(batch("one"))


def test_verification_needs_tls_of_today() -> None:
    assert BELIEVED.context().minimum_version == ssl.TLSVersion.TLSv1_2
    assert Trust(verify=False).context().verify_mode == ssl.CERT_NONE
