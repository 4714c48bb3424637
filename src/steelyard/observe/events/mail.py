"""Events by mail (SMTP, RFC 5321): one mail for a batch, however many events that has."""

from __future__ import annotations

import smtplib
import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

from steelyard.model.notification import IF_OFFERED, PLAIN, START_TLS, TLS
from steelyard.observe.events.channel import Undelivered
from steelyard.observe.events.event import Event, moment
from steelyard.observe.events.gathering import Batch
from steelyard.observe.events.trust import Trust, why_not

#: lines of events in a mail; the others are counted by kind
MOST_LINES = 200
_TIMEOUT = 20.0
_LONGEST_SUBJECT = 150


@dataclass(frozen=True)
class MailServer:
    """Where mails go, and who signs in. `security` is a choice of the e-mail parameters."""

    host: str
    port: int = 0
    security: int = PLAIN
    trust: Trust = field(default_factory=Trust)
    user: str = ""
    password: str = ""
    domain: str = ""
    sender: str = ""


def subject(events: Sequence[Event], host: str) -> str:
    """The gravest event, and how many others there are."""
    gravest = min(events, key=lambda event: (event.severity, event.number))
    more = f" (and {len(events) - 1} more)" if len(events) > 1 else ""
    start = f"Steelyard {host}: {gravest.severity.word}: "
    text = gravest.text
    room = _LONGEST_SUBJECT - len(start) - len(more)
    return start + (text if len(text) <= room else text[: room - 3] + "...") + more


def body(batch: Batch) -> str:
    """A line an event, the gravest kept when there are too many for one mail."""
    shown = sorted(sorted(batch.events, key=lambda event: event.severity)[:MOST_LINES], key=lambda event: event.number)
    lines = [f"{moment(event.at)}  {event.severity.word:9}  {event.text}{_late(event)}" for event in shown]
    kept = {id(event) for event in shown}
    others = Counter(event.kind for event in batch.events if id(event) not in kept)
    if others:
        kinds = ", ".join(f"{count} {kind}" for kind, count in others.most_common())
        lines += ["", f"{sum(others.values())} more that are not shown here: {kinds}. `steelyard events` shows them."]
    if batch.lost:
        lines += [
            "",
            f"{batch.lost} earlier ones were lost while no mail could be sent; `steelyard events` shows them.",
        ]
    return "\n".join(lines) + "\n"


def _late(event: Event) -> str:
    return "  (told late: the control plane was away)" if event.late else ""


class MailSender:
    """Sends to the recipients of one level."""

    def __init__(self, server: MailServer, recipients: Sequence[str]) -> None:
        self._server = server
        self._recipients = tuple(recipients)
        self._name = socket.gethostname()
        self._domain = server.domain or self._name

    def deliver(self, batch: Batch) -> None:
        """Send one mail. Raises `Undelivered`."""
        where = f"{self._server.host}:{self._port()}"
        try:
            self._send(batch)
        except smtplib.SMTPException as failure:
            raise Undelivered(f"{where}: {_said(failure)}") from failure
        except OSError as failure:
            raise Undelivered(f"{where}: {why_not(failure)}") from failure

    def close(self) -> None:
        """Each mail has its own connection."""

    def _port(self) -> int:
        return self._server.port or (465 if self._server.security == TLS else 25)

    def _written(self, batch: Batch) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = subject(batch.events, self._name)
        mail["From"] = self._server.sender or f"steelyard@{self._domain}"
        mail["To"] = ", ".join(self._recipients)
        mail["Date"] = format_datetime(datetime.now(UTC))
        mail["Message-ID"] = make_msgid(domain=self._domain)
        # RFC 3834: nobody's holiday answer to this
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(body(batch))
        return mail

    def _send(self, batch: Batch) -> None:
        server = self._server
        if server.security == TLS:
            connection: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, self._port(), self._domain, timeout=_TIMEOUT, context=server.trust.context()
            )
        else:
            connection = smtplib.SMTP(server.host, self._port(), self._domain, timeout=_TIMEOUT)
        with connection:
            connection.ehlo_or_helo_if_needed()
            encrypted = server.security == TLS or self._encrypted(connection)
            if server.user:
                if server.security == IF_OFFERED and not encrypted:
                    raise Undelivered(
                        f"{server.host} does not offer STARTTLS, and a password is not sent in clear where it was asked"
                        " for; set emailsslmode to 0 to send it all the same"
                    )
                connection.login(server.user, server.password)
            refused = connection.send_message(self._written(batch), to_addrs=list(self._recipients))
            if refused:
                # the others have it; a second mail would reach them alone again
                why = f"{server.host} refused {', '.join(refused)}: {_words(next(iter(refused.values())))}"
                raise Undelivered(why, done=len(batch.events))

    def _encrypted(self, connection: smtplib.SMTP) -> bool:
        """Go over to TLS where that is asked for. Raises `smtplib.SMTPException` where it is a must and not offered."""
        security = self._server.security
        if security == PLAIN or (security == IF_OFFERED and not connection.has_extn("starttls")):
            return False
        trust = self._server.trust if security == START_TLS else Trust(verify=False)
        connection.starttls(context=trust.context())
        connection.ehlo()
        return True


def _words(answer: tuple[int, bytes]) -> str:
    return f"{answer[0]} {answer[1].decode('utf-8', 'replace')}"


def _said(failure: smtplib.SMTPException) -> str:
    """What the server said."""
    if isinstance(failure, smtplib.SMTPRecipientsRefused):
        return "; ".join(f"{who}: {_words(answer)}" for who, answer in failure.recipients.items())
    if isinstance(failure, smtplib.SMTPResponseException):
        error = failure.smtp_error
        return f"{failure.smtp_code} {error.decode('utf-8', 'replace') if isinstance(error, bytes) else error}"
    return str(failure)
