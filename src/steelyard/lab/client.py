"""A user who signs in, step by step; each step says whether it worked and who answered, or what is wrong.

What comes back after a pause comes on a new connection, so a balancer that sends it to another server shows as a
session that is lost, and one that leads to the wrong web site as that.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from steelyard.lab.fetching import Browser, Dial, Reply, dial
from steelyard.lab.names import Names, NoSuchName
from steelyard.lab.organisation import Account, Organisation
from steelyard.lab.sip import Message
from steelyard.lab.sip_client import SipClient
from steelyard.lab.web_site import DISCOVER_PATH, PHONE_PATH, TICKET_HEADER, Site

#: new connections with which a session is tried; two servers in turn are found out by the first
RETURNS = 4
_TOKEN = re.compile(rb"RequestedSecurityToken>([^<]+)<")


class StepFailed(Exception):
    """What is wrong, for the user."""


@dataclass(frozen=True)
class Step:
    """One step of a sign-in. `server` is who answered last; `says` is empty, what was found, or what is wrong."""

    name: str
    ok: bool
    server: str = ""
    says: str = ""


@dataclass(frozen=True)
class SignIn:
    """How a sign-in went. Steps after a failed one are made as far as they can do without it."""

    steps: tuple[Step, ...]

    @property
    def ok(self) -> bool:
        return all(step.ok for step in self.steps)

    @property
    def failed(self) -> Step | None:
        """The first step that failed."""
        return next((step for step in self.steps if not step.ok), None)

    def step(self, name: str) -> Step:
        """A step by its name. Raises `KeyError` when it was not made."""
        found = next((step for step in self.steps if step.name == name), None)
        if found is None:
            raise KeyError(name)
        return found


@dataclass
class Client:
    """A user's devices in one place: `inside` the organisation's network or outside.

    `trust` is the root they believe, in PEM; without one they take any certificate. `host` is a context manager within
    which this thread is on the client's host, for a network namespace. `leave_out` names steps that are not made.
    """

    organisation: Organisation
    names: Names
    account: Account
    inside: bool = False
    trust: bytes | None = None
    source: str | None = None
    agent: str = "Lync/15"
    timeout: float = 10.0
    host: Callable[[], AbstractContextManager[object]] = nullcontext
    dial: Dial = dial
    leave_out: frozenset[str] = frozenset()
    ticket: str = ""
    document: dict[str, Any] = field(default_factory=dict)

    @property
    def site(self) -> Site:
        """The web site it has to land on."""
        return "internal" if self.inside else "external"

    def browser(self) -> Browser:
        """A browser of this user with an empty jar."""
        return Browser(self.names, self.trust, self.agent, self.source, self.timeout, self.dial)

    def sip(self) -> SipClient:
        """A SIP client of this user."""
        return SipClient(self.organisation, self.account, self.names, self.trust, self.source, self.timeout, self.dial)

    def sign_in(self) -> SignIn:
        """Everything a user's device does to be there."""
        steps: list[tuple[str, Callable[[], tuple[str, str]]]] = [
            ("discover", self._discover),
            ("web ticket", self._web_ticket),
            ("user document", self._user_document),
            ("SIP register", self._register),
            ("mobility", self._mobility),
            ("address book", self._address_book),
            ("dial-in page", self._dial_in),
            ("presentation", self._presentation),
        ]
        done: list[Step] = []
        with self.host():
            for name, work in steps:
                if name not in self.leave_out:
                    done.append(made(name, work))
                    if name in ("discover", "web ticket", "user document") and not done[-1].ok:
                        break
        return SignIn(tuple(done))

    def phone(self) -> SignIn:
        """A telephone: the root certificate over plain HTTP, then extension and PIN, then SIP."""
        with self.host():
            steps = [made("root certificate", self._root), made("PIN", self._pin)]
            if all(step.ok for step in steps) and "SIP register" not in self.leave_out:
                steps.append(made("SIP register", self._register))
        return SignIn(tuple(steps))

    # -- web

    @property
    def web_name(self) -> str:
        """The web services' name where this client is."""
        return self.organisation.internal_web if self.inside else self.organisation.external_web

    @property
    def discover_name(self) -> str:
        """The name discovery begins at."""
        return self.organisation.name("lyncdiscoverinternal" if self.inside else "lyncdiscover")

    def _discover(self) -> tuple[str, str]:
        url = self.organisation.ports.url(self.discover_name)
        reply = self._asked(self.browser().get(url, Accept="application/json"), 200)
        self._landed(_json(reply)["AccessLocation"].lower(), reply)
        self.document = _json(reply)
        return reply.server, url

    def _landed(self, site: str, reply: Reply) -> None:
        if site != self.site:
            raise StepFailed(
                f"landed on the {site} web site of {reply.server}, not on the {self.site} one: "
                f"the {self.site} site's ports are {'80 and 443' if self.inside else '8080 and 4443'}"
            )

    def _asked(self, reply: Reply, *wanted: int) -> Reply:
        if reply.status not in wanted:
            who = reply.server or "the balancer"
            raise StepFailed(f"{who} answered {reply.status}: {_reason(reply)}")
        return reply

    def _link(self, kind: str, token: str) -> str:
        links = {one["token"]: one["href"] for one in self.document.get(kind, {}).get("Links", ())}
        if token not in links:
            raise StepFailed(f"no link {token} was given")
        return str(links[token])

    def _web_ticket(self) -> tuple[str, str]:
        asked = self.browser().get(self._link("Root", "User"), Accept="application/json")
        self._asked(asked, 401)
        url = asked.header("X-MS-WebTicketURL")
        if url is None:
            raise StepFailed(f"{asked.server} asks who one is and names no place to say it")
        given = base64.b64encode(f"{self.account.user}:{self.account.password}".encode()).decode()
        headers = {"Authorization": f"Basic {given}", "Content-Type": "text/xml"}
        reply = self._asked(self.browser().ask("POST", url, headers=headers, body=b"<RequestSecurityToken/>"), 200)
        found = _TOKEN.search(reply.body)
        if found is None:
            raise StepFailed(f"{reply.server} gave no ticket")
        self.ticket = found[1].decode()
        return reply.server, url

    def _user_document(self) -> tuple[str, str]:
        url = self._link("Root", "User")
        headers = {"Accept": "application/json", TICKET_HEADER: self.ticket}
        reply = self._asked(self.browser().ask("GET", url, headers=headers), 200)
        self._landed(_json(reply)["AccessLocation"].lower(), reply)
        self.document = _json(reply)
        return reply.server, url

    def _address_book(self) -> tuple[str, str]:
        url = self._link("User", f"{self.site.title()}/AddressBook")
        reply = self._asked(self.browser().ask("GET", url, headers={TICKET_HEADER: self.ticket}), 200)
        self._landed(reply.site, reply)
        return reply.server, url

    def _mobility(self) -> tuple[str, str]:
        """A session, then coming back to it on new connections, then a stream of its events."""
        base = self._link("User", f"{self.site.title()}/Mcx")
        browser, headers = self.browser(), {TICKET_HEADER: self.ticket}
        began = self._asked(browser.ask("POST", f"{base}/sessions", headers=headers, body=b""), 201)
        session = f"{base}/sessions/{_json(began)['session']}"
        for _ in range(RETURNS):
            self._kept(began.server, browser.ask("GET", session, headers=headers))
        with browser.opened("GET", f"{session}/events?pieces=3&pause_ms=20", headers=headers) as stream:
            self._kept(began.server, stream.head)
            events = len(list(stream.lines()))
        if events != 3:
            raise StepFailed(f"the stream of events broke off after {events} of 3")
        browser.ask("DELETE", session, headers=headers)
        return began.server, f"{RETURNS + 1} new connections, one server"

    def _kept(self, began: str, reply: Reply) -> None:
        if reply.status == 410:
            raise StepFailed(f"session lost: it began at {began}, and the next connection came to {reply.server}")
        self._asked(reply, 200)

    def _dial_in(self) -> tuple[str, str]:
        url = self.organisation.ports.url(self.organisation.name("dialin"), "/dialin/login")
        browser = self.browser()
        form = urlencode({"user": self.account.user, "password": self.account.password}).encode()
        began = self._asked(browser.ask("POST", url, body=form), 200)
        for _ in range(RETURNS):
            reply = browser.get(self.organisation.ports.url(self.organisation.name("dialin"), "/dialin"))
            if reply.status == 440:
                raise StepFailed(f"signed in at {began.server}, and the next page came from {reply.server}")
            self._asked(reply, 200)
        return began.server, f"{RETURNS + 1} new connections, one server"

    def _presentation(self) -> tuple[str, str]:
        """Slides by several connections at once, as a browser asks for them."""
        ports, name = self.organisation.ports, self.organisation.office_web_apps
        browser = self.browser()
        self._asked(browser.get(ports.url(name, "/hosting/discovery")), 200)
        began = self._asked(browser.ask("POST", ports.url(name, "/p/presentations"), body=b""), 201)
        base = ports.url(name, f"/p/presentations/{_json(began)['presentation']}")

        def slide(number: int) -> Reply:
            with self.host():
                return replace(browser, jar=dict(browser.jar)).get(f"{base}/slides/{number}")

        with ThreadPoolExecutor(RETURNS) as pool:
            for reply in pool.map(slide, range(1, 2 * RETURNS + 1)):
                if reply.status == 410:
                    raise StepFailed(f"began at {began.server}, and a slide was asked of {reply.server}")
                self._asked(reply, 200)
        return began.server, f"{2 * RETURNS} slides, one server"

    # -- SIP

    def _register(self) -> tuple[str, str]:
        """REGISTER where the user document says, on to the home pool where a Director redirects; then a refresh."""
        kind = "SipClientInternalAccess" if self.inside else "SipClientExternalAccess"
        found = self.document.get("User", {}).get(kind)
        if found is None:
            port = self.organisation.ports.of(5061 if self.inside else 443)
            found = {"fqdn": self.organisation.pool if self.inside else self.organisation.access_edge, "port": port}
        client, name, port = self.sip(), str(found["fqdn"]), int(found["port"])
        with client.connect(name, port) as connection:
            answer = client.register(connection)
        if answer.status == 301:
            name, port = _contact(answer)
            client.begin_anew()
            with client.connect(name, port) as connection:
                answer = client.register(connection)
        server = answer.header("X-Lab-Server")
        if answer.status != 200:
            raise StepFailed(f"{server or name} answered {answer.first[8:]} {answer.header('ms-diagnostics')}".strip())
        for _ in range(RETURNS):
            with client.connect(name, port) as connection:
                again = client.refresh(connection)
            if again.status != 200:
                other = again.header("X-Lab-Server")
                raise StepFailed(
                    f"registration lost: it is at {server}, and the next connection came to {other} ({again.status})"
                )
        return server, f"{name}:{port}"

    # -- telephones

    def _root(self) -> tuple[str, str]:
        url = self.organisation.ports.url(self.web_name, PHONE_PATH, scheme="http")
        reply = self._asked(self.browser().get(url), 200)
        if reply.body != self.organisation.root_certificate:
            raise StepFailed(f"{reply.server} gave another certificate than the root")
        return reply.server, url

    def _pin(self) -> tuple[str, str]:
        url = self.organisation.ports.url(self.web_name, PHONE_PATH)
        form = urlencode({"extension": self.account.extension, "pin": self.account.pin}).encode()
        reply = self._asked(self.browser().ask("POST", url, body=form), 200)
        self.ticket = _json(reply)["ticket"]
        return reply.server, url


def made(name: str, work: Callable[[], tuple[str, str]]) -> Step:
    """A step of some work, which gives who answered and what was found."""
    try:
        server, says = work()
    except StepFailed as failure:
        return Step(name, False, says=str(failure))
    except ssl.SSLCertVerificationError as refused:
        return Step(name, False, says=f"the certificate is not believed: {refused.verify_message}")
    except (OSError, NoSuchName) as broken:
        return Step(name, False, says=f"no answer: {str(broken) or type(broken).__name__}")
    return Step(name, True, server, says)


def _json(reply: Reply) -> dict[str, Any]:
    try:
        found = reply.json
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise StepFailed(f"{reply.server or 'the balancer'} answered something else than was asked for")
    return found


def _reason(reply: Reply) -> str:
    try:
        return str(json.loads(reply.body)["error"])
    except (ValueError, KeyError, TypeError):
        return reply.body[:80].decode("latin-1").strip() or "no more was said"


def _contact(answer: Message) -> tuple[str, int]:
    found = re.search(r"sip:([^:;>]+)(?::(\d+))?", answer.header("Contact"))
    if found is None:
        raise StepFailed(f"{answer.header('X-Lab-Server')} redirects to nowhere")
    return found[1], int(found[2] or 5061)


__all__ = ["DISCOVER_PATH", "RETURNS", "Client", "SignIn", "Step", "StepFailed", "made"]
