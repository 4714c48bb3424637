"""Exchange 2013 and later: web protocols with a health page each, mail protocols, and a user of all of them.

Nothing of a user is in one server's memory: cookies are good at every server, so no affinity is needed, and none is
simulated. What matters is that each protocol is well or not by itself: `/owa/healthcheck.htm` and its like.

    127.0.4.41 .42   Mailbox servers mbx1, mbx2   127.0.4.44  mail.lync.example, autodiscover.lync.example
"""

from __future__ import annotations

import base64
import imaplib
import poplib
import smtplib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from steelyard.lab.certificates import Authority, ServerCertificate
from steelyard.lab.client import SignIn, StepFailed, made
from steelyard.lab.connection import Service, Talk
from steelyard.lab.fetching import Browser, Reply
from steelyard.lab.http import Answer, Headers, HttpService, Request, said
from steelyard.lab.lync import PAIR
from steelyard.lab.mail import basic, imap, pop3, smtp
from steelyard.lab.memory import Memory
from steelyard.lab.names import Names
from steelyard.lab.organisation import Account, Organisation
from steelyard.lab.ports import Ports
from steelyard.lab.roles import Role, Watched
from steelyard.lab.sip_proxy import Opener

PROTOCOLS = ("activesync", "autodiscover", "ecp", "ews", "mapi", "oab", "owa", "powershell", "rpc")
_PATHS = {"activesync": "/microsoft-server-activesync"}
#: connections with which each protocol is asked, to see every server that has it
_EACH = 4


def path_of(protocol: str) -> str:
    """Where a protocol's pages begin."""
    return _PATHS.get(protocol, f"/{protocol}")


@dataclass(frozen=True)
class Exchange:
    """A Mailbox server. A protocol that is `unwell` answers 503, its health page too."""

    name: str
    address: str
    organisation: Organisation
    certificate: ServerCertificate | None
    unwell: frozenset[str] = frozenset()

    def services(self, memory: Memory, watched: Watched, opener: Opener) -> Sequence[Service]:
        """Its ports: 80 and 443, SMTP 25, IMAP 143 and POP3 110."""
        web = HttpService(watched(self._web))
        organisation = self.organisation
        talks: tuple[tuple[int, Talk, bool], ...] = (
            (80, web, False),
            (443, web, True),
            (25, smtp(organisation), False),
            (143, imap(organisation), False),
            (110, pop3(organisation), False),
        )
        return [Service(self.address, organisation.ports.of(port), talk, tls=tls) for port, talk, tls in talks]

    async def _web(self, request: Request) -> Answer:
        path = request.path.lower()
        protocol = next((one for one in PROTOCOLS if (path + "/").startswith(path_of(one) + "/")), "")
        marks: Headers = (("X-FEServer", self.name), ("X-Lab-Server", self.name))
        seen = request.seen() | {"role": "exchange", "protocol": protocol}
        if not protocol:
            return said(seen, 200 if path in ("/", "/lab/seen") else 404, marks)
        if protocol in self.unwell:
            return said(seen | {"error": f"{protocol} of {self.name} is unwell"}, 503, marks)
        if path == f"{path_of(protocol)}/healthcheck.htm":
            return Answer(200, f"200 OK\r\n{self.name}".encode(), "text/html", marks)
        user = self._user(request)
        if user is None:
            asks = ("WWW-Authenticate", f'Basic realm="{self.organisation.domain}"')
            return said(seen | {"error": "unknown user or wrong password"}, 401, (*marks, asks))
        if protocol == "autodiscover":
            return Answer(200, self._autodiscover().encode(), "text/xml; charset=utf-8", marks)
        return said(seen | {"user": user}, 200, marks)

    def _user(self, request: Request) -> str | None:
        scheme, _, given = (request.header("authorization") or "").partition(" ")
        try:
            user, _, password = base64.b64decode(given).decode().partition(":")
        except ValueError:
            return None
        account = self.organisation.account(user, password) if scheme.lower() == "basic" else None
        return None if account is None else account.user

    def _autodiscover(self) -> str:
        base = self.organisation.ports.url(self.organisation.name("mail"))
        return (
            '<?xml version="1.0" encoding="utf-8"?><Autodiscover><Response><Account><Protocol><Type>WEB</Type>'
            f"<ASUrl>{base}ews/exchange.asmx</ASUrl><OWAUrl>{base}owa/</OWAUrl></Protocol></Account></Response>"
            "</Autodiscover>"
        )


@dataclass(frozen=True)
class ExchangePool:
    """The deployment on loopback addresses. `unwell` are protocols of the first server that do not work."""

    ports: Ports
    net: str = "127.0"
    unwell: frozenset[str] = frozenset()
    authority: Authority = field(default_factory=Authority)
    base: Organisation = field(default_factory=Organisation)

    @property
    def organisation(self) -> Organisation:
        return replace(self.base, ports=self.ports, root_certificate=self.authority.der)

    @property
    def servers(self) -> list[str]:
        return [f"{self.net}.4.{40 + number}" for number in PAIR]

    @property
    def virtual(self) -> str:
        """The address for a balancer to have."""
        return f"{self.net}.4.44"

    @property
    def names(self) -> Names:
        return Names({self.base.name(host): self.virtual for host in ("mail", "autodiscover")})

    @property
    def certified(self) -> list[str]:
        return sorted(self.names.addresses)

    def roles(self) -> list[Role]:
        """Its servers."""
        certificate = self.authority.issue(*self.certified)
        return [
            Exchange(
                f"mbx{number}", address, self.organisation, certificate, self.unwell if number == 1 else frozenset()
            )
            for number, address in zip(PAIR, self.servers, strict=True)
        ]

    def user(self, name: str = "alice") -> MailUser:
        """A user. Raises `KeyError` for nobody's name."""
        account = self.base.known(name)
        if account is None:
            raise KeyError(name)
        return MailUser(self.organisation, self.names, account, self.authority.pem)


@dataclass
class MailUser:
    """A user's programs: a browser, a phone, Outlook, and mail programs of others."""

    organisation: Organisation
    names: Names
    account: Account
    trust: bytes | None = None
    timeout: float = 10.0
    host: Callable[[], AbstractContextManager[object]] = nullcontext

    def sign_in(self) -> SignIn:
        """Each protocol by itself; the servers that answered are named."""
        web = [(protocol, partial(self._web, protocol)) for protocol in PROTOCOLS]
        mail = [("SMTP", self._smtp), ("IMAP", self._imap), ("POP3", self._pop3)]
        with self.host():
            return SignIn((*(made(name, work) for name, work in web), *(made(name, work) for name, work in mail)))

    def _web(self, protocol: str) -> tuple[str, str]:
        host = "autodiscover" if protocol == "autodiscover" else "mail"
        url = self.organisation.ports.url(self.organisation.name(host), f"{path_of(protocol)}/")
        headers = {"Authorization": basic(self.account.user, self.account.password)}
        seen = set()
        for _ in range(_EACH):
            reply = Browser(self.names, self.trust, timeout=self.timeout).ask("GET", url, headers=headers)
            self._must(reply)
            seen.add(reply.server)
        return " ".join(sorted(seen)), url

    def _must(self, reply: Reply) -> None:
        if reply.status != 200:
            raise StepFailed(f"{reply.server or 'the balancer'} answered {reply.status}")

    def _place(self, port: int) -> dict[str, Any]:
        address = self.names.address(self.organisation.name("mail"))
        return {"host": address, "port": self.organisation.ports.of(port), "timeout": self.timeout}

    def _smtp(self) -> tuple[str, str]:
        try:
            with smtplib.SMTP(**self._place(25)) as session:
                _, greeting = session.ehlo("client.lync.example")
                code, text = session.mail(f"{self.account.user}@{self.organisation.domain}")
        except smtplib.SMTPException as broken:
            raise StepFailed(f"SMTP: {broken}") from broken
        if code != 250:
            raise StepFailed(f"the sender was refused: {code} {text!r}")
        return greeting.decode().split(" ")[0], "EHLO, MAIL FROM"

    def _imap(self) -> tuple[str, str]:
        try:
            with imaplib.IMAP4(**self._place(143)) as session:
                session.login(self.account.user, self.account.password)
                return _in_brackets(session.welcome), "LOGIN"
        except imaplib.IMAP4.error as refused:
            raise StepFailed(f"IMAP: {refused}") from refused

    def _pop3(self) -> tuple[str, str]:
        try:
            session = poplib.POP3(**self._place(110))
            session.user(self.account.user)
            session.pass_(self.account.password)
            session.quit()
        except poplib.error_proto as refused:
            raise StepFailed(f"POP3: {refused}") from refused
        return _in_brackets(session.getwelcome()), "USER, PASS"


def _in_brackets(greeting: bytes) -> str:
    return greeting.decode("latin-1").rpartition("[")[2].rstrip("]\r\n ")
