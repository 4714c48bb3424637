"""The web services of a Front End or a Director: two sites, internal (80, 443) and external (8080, 4443).

What the sites have, by the deployment guides of Lync 2010 and 2013:

- `/abs/handler` asks who one is over HTTPS (401) and is forbidden over HTTP (403); `/meet/blank.html` answers 200
  on both, so it is what is checked on port 80.
- mobility (`/Mcx`) is on the external site alone, for clients inside and outside; a session is in one server's memory.
- paths that end in Int are the internal site's, those in Ext the external one's.
- `lyncdiscover` answers JSON or XML that says on which site one landed (`AccessLocation`).

What is said to `/Mcx`, `/dialin` and `/scheduler` is simpler than Microsoft's; names, codes, where state lies are not.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qs
from xml.sax.saxutils import escape, quoteattr

from steelyard.lab.http import Answer, Headers, Request, said
from steelyard.lab.memory import Memory, new_identifier
from steelyard.lab.organisation import Account, Organisation

Site = Literal["internal", "external"]

TICKET_HEADER = "X-MS-WebTicket"
TICKET_PATH = "/WebTicket/WebTicketService.svc"
DISCOVER_PATH = "/Autodiscover/AutodiscoverService.svc/root"
USER_PATH = f"{DISCOVER_PATH}/oauth/user"
MOBILITY_PATH = "/Mcx/McxService.svc"
PHONE_PATH = "/CertProv/CertProvisioningService.svc"
#: what the Mobility service calls the cookie of its session, the record of Server Cookie persistence
MOBILITY_COOKIE = "LyncMobility"
PAGE_COOKIE = "ASP.NET_SessionId"

_SUFFIX: dict[Site, str] = {"internal": "int", "external": "ext"}
#: paths of one site each, `{}` being int or ext, and whether they are refused over plain HTTP
_TABLE = (
    ("/autoupdate/{}", False),
    ("/conf/{}", False),
    ("/deviceupdatefiles_{}", False),
    ("/groupexpansion/{}/service.asmx", False),
    ("/phoneconferencing/{}", False),
)
#: paths of both sites
_BOTH = ("/etc/place/null", "/requesthandler", "/requesthandlerext", "/rgsconfig", "/rgsclients", "/persistentchat/rm")
_MOBILE = re.compile(r"^/mcx/mcxservice\.svc/sessions(?:/([0-9a-f]+)(/events)?)?$")
_LONGEST_STREAM = 36_000


@dataclass(frozen=True)
class WebSite:
    """One site of one server. `home` is whether users of the pool live here: a Director sends them on."""

    server: str
    role: str
    site: Site
    organisation: Organisation
    memory: Memory
    home: bool = True

    async def __call__(self, request: Request) -> Answer:
        answer = await self._route(request)
        marks: Headers = (("X-Lab-Server", self.server), ("X-Lab-Site", self.site), ("Server", "Microsoft-IIS/8.5"))
        return Answer(answer.status, answer.body, answer.media, (*marks, *answer.headers), answer.stream)

    async def _route(self, request: Request) -> Answer:
        path = request.path.lower().rstrip("/") or self._front_page(request)
        routes: tuple[tuple[str, Callable[[Request], Awaitable[Answer]]], ...] = (
            ("/abs", self._address_book),
            ("/autodiscover", self._discover),
            ("/webticket/webticketservice.svc", self._ticket),
            ("/mcx", self._mobility),
            ("/meet", self._meet),
            ("/dialin", self._page),
            ("/scheduler", self._page),
            ("/certprov/certprovisioningservice.svc", self._phone),
            ("/lab", self._lab),
        )
        for prefix, handler in routes:
            if path == prefix or path.startswith(f"{prefix}/"):
                return await handler(request)
        return self._from_table(request, path)

    def _front_page(self, request: Request) -> str:
        """Where a simple URL, which is a name alone, leads."""
        host = request.host.partition(":")[0].partition(".")[0].lower()
        return {
            "meet": "/meet",
            "dialin": "/dialin",
            "scheduler": "/scheduler",
            "lyncdiscover": "/autodiscover",
            "lyncdiscoverinternal": "/autodiscover",
        }.get(host, "/")

    def _told(self, request: Request, status: int = 200, headers: Headers = (), **more: Any) -> Answer:
        marks = {"role": self.role, "site": self.site}
        return said(request.seen() | marks | more, status, headers)

    def _absent(self, request: Request, why: str) -> Answer:
        return self._told(request, 404, error=why)

    def _from_table(self, request: Request, path: str) -> Answer:
        if path == "/" or path in _BOTH:
            return self._told(request)
        for pattern, _ in _TABLE:
            if path == pattern.format(_SUFFIX[self.site]):
                return self._told(request)
            if path in (pattern.format("int"), pattern.format("ext")):
                return self._absent(request, f"this is the {self.site} web site, and that belongs to the other")
        return self._absent(request, "no such page")

    async def _address_book(self, request: Request) -> Answer:
        path = request.path.lower()
        if not request.tls:
            return self._told(request, 403, error="the address book is given over HTTPS alone")
        other = "ext" if self.site == "internal" else "int"
        if path not in ("/abs/handler", f"/abs/{_SUFFIX[self.site]}/handler"):
            why = "belongs to the other web site" if path == f"/abs/{other}/handler" else "no such page"
            return self._absent(request, why)
        user = self._holder(request)
        return self._asks_who(request) if user is None else self._told(request, user=user)

    def _holder(self, request: Request) -> str | None:
        ticket = request.header(TICKET_HEADER)
        return None if ticket is None else self.organisation.holder(ticket)

    def _asks_who(self, request: Request) -> Answer:
        ports, name = self.organisation.ports, self._own_name
        headers = (
            ("WWW-Authenticate", "Negotiate"),
            ("WWW-Authenticate", "NTLM"),
            ("X-MS-WebTicketURL", ports.url(name, TICKET_PATH)),
            ("X-MS-WebTicketSupported", "cwt,saml"),
        )
        return self._told(request, 401, headers, error="no web ticket, or none of this organisation")

    @property
    def _own_name(self) -> str:
        return self.organisation.internal_web if self.site == "internal" else self.organisation.external_web

    async def _discover(self, request: Request) -> Answer:
        path, ports = request.path.lower().rstrip("/"), self.organisation.ports
        location = "Internal" if self.site == "internal" else "External"
        if not path.endswith("/user"):
            links = {
                "Redirect": ports.url(self._own_name, DISCOVER_PATH),
                "User": ports.url(self._own_name, USER_PATH),
            }
            return _document(request, "Root", location, links, {})
        if not request.tls:
            return self._told(request, 403, error="the user document is given over HTTPS alone")
        user = self._holder(request)
        if user is None:
            return self._asks_who(request)
        organisation = self.organisation
        # a mobile client has one address for mobility wherever it is, so that its session outlives a change of network
        links = {
            "Internal/Autodiscover": ports.url(organisation.internal_web, DISCOVER_PATH),
            "External/Autodiscover": ports.url(organisation.external_web, DISCOVER_PATH),
            "Internal/Mcx": ports.url(organisation.external_web, MOBILITY_PATH),
            "External/Mcx": ports.url(organisation.external_web, MOBILITY_PATH),
            "Internal/AddressBook": ports.url(organisation.internal_web, "/abs/handler"),
            "External/AddressBook": ports.url(organisation.external_web, "/abs/handler"),
            "OfficeWebApps": ports.url(organisation.office_web_apps, "/hosting/discovery"),
        }
        servers = {
            "SipServerInternalAccess": (organisation.pool, ports.of(5061)),
            "SipClientInternalAccess": (organisation.pool, ports.of(5061)),
            "SipClientExternalAccess": (organisation.access_edge, ports.of(443)),
        }
        return _document(request, "User", location, links, servers)

    async def _ticket(self, request: Request) -> Answer:
        if not request.tls:
            return self._told(request, 403, error="tickets are given over HTTPS alone")
        if request.method != "POST":
            return self._told(request)
        account = self._basic(request)
        if account is None:
            headers = (("WWW-Authenticate", f'Basic realm="{self.organisation.domain}"'),)
            return self._told(request, 401, headers, error="unknown user or wrong password")
        body = (
            '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
            '<t:RequestSecurityTokenResponse xmlns:t="http://docs.oasis-open.org/ws-sx/ws-trust/200512">'
            f"<t:RequestedSecurityToken>{self.organisation.ticket(account)}</t:RequestedSecurityToken>"
            "</t:RequestSecurityTokenResponse></s:Body></s:Envelope>"
        )
        return Answer(200, body.encode(), "text/xml; charset=utf-8", (("Cache-Control", "no-store"),))

    def _basic(self, request: Request) -> Account | None:
        scheme, _, given = (request.header("authorization") or "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            user, _, password = base64.b64decode(given).decode().partition(":")
        except ValueError:
            return None
        return self.organisation.account(user, password)

    async def _mobility(self, request: Request) -> Answer:
        if self.site == "internal" or not self.home:
            return self._absent(request, "mobility is on the external web site of the Front End pool")
        if not request.tls:
            return self._told(request, 403, error="mobility is over HTTPS alone")
        user = self._holder(request)
        if user is None:
            return self._asks_who(request)
        matched = _MOBILE.match(request.path.lower().rstrip("/"))
        if matched is None:
            return self._told(request, user=user)
        session, events = matched.groups()
        if session is None:
            return self._new_mobility(request, user)
        if self.memory.mobility.get(session) != user:
            return self._told(request, 410, error=f"{self.server} has no mobility session {session}", session=session)
        if events:
            return self._events(request, session)
        if request.method == "DELETE":
            del self.memory.mobility[session]
        return self._told(request, session=session, user=user)

    def _new_mobility(self, request: Request, user: str) -> Answer:
        if request.method != "POST":
            return self._told(request, 405, (("Allow", "POST"),), error="sessions are made with POST")
        session = new_identifier()
        self.memory.mobility[session] = user
        cookie = ("Set-Cookie", f"{MOBILITY_COOKIE}={session}; path=/; secure; HttpOnly")
        return self._told(request, 201, (cookie,), session=session, user=user)

    def _events(self, request: Request, session: str) -> Answer:
        """Events as they come: a line each, for as long as was asked for. What a push channel looks like to a proxy."""
        pieces = min(_number(request.query("pieces"), 1), _LONGEST_STREAM)
        pause = _number(request.query("pause_ms"), 0) / 1000
        return Answer(200, stream=self._lines(pieces, pause, {"session": session, **request.facts}))

    async def _lines(self, pieces: int, pause: float, facts: dict[str, Any]) -> AsyncIterator[bytes]:
        for number in range(1, pieces + 1):
            if number > 1:
                await asyncio.sleep(pause)
            yield json.dumps(facts | {"event": number}).encode() + b"\n"

    async def _meet(self, request: Request) -> Answer:
        path = request.path.rstrip("/")
        if path.lower() == "/meet/blank.html":
            return Answer(200, b"<html><body></body></html>\n", "text/html")
        meeting = path.split("/")[2:]
        if len(meeting) < 2:
            return self._told(request, page="meet", error="the address names no meeting")
        if not self.home:
            target = self.organisation.ports.url(self._own_name, path)
            return self._told(request, 302, (("Location", target),), page="meet")
        return self._told(request, page="meet", organiser=meeting[0], meeting=meeting[1])

    async def _page(self, request: Request) -> Answer:
        """The dial-in and scheduler pages: a form that signs in, and a session in this server's memory."""
        page = request.path.strip("/").split("/")[0].lower() or request.host.partition(".")[0].lower()
        if request.method == "POST":
            form = parse_qs(request.body.decode("latin-1"))
            account = self.organisation.account(form.get("user", [""])[0], form.get("password", [""])[0])
            if account is None:
                return self._told(request, 401, page=page, error="unknown user or wrong password")
            session = new_identifier()
            self.memory.pages[session] = account.user
            cookie = ("Set-Cookie", f"{PAGE_COOKIE}={session}; path=/; HttpOnly")
            return self._told(request, 200, (cookie,), page=page, user=account.user)
        given = request.cookie(PAGE_COOKIE)
        if given is None:
            return self._told(request, page=page, form=f"/{page}/login")
        user = self.memory.pages.get(given)
        if user is None:
            return self._told(request, 440, page=page, error=f"{self.server} has no such session; sign in again")
        return self._told(request, page=page, user=user)

    async def _phone(self, request: Request) -> Answer:
        """Telephones: the root certificate over plain HTTP, then extension and PIN over HTTPS."""
        if request.method == "GET":
            return Answer(200, self.organisation.root_certificate, "application/x-x509-ca-cert")
        if not request.tls:
            return self._told(request, 403, error="a PIN is sent over HTTPS alone")
        form = parse_qs(request.body.decode("latin-1"))
        extension, pin = (form.get(one, [""])[0] for one in ("extension", "pin"))
        account = next((one for one in self.organisation.accounts if one.extension == extension), None)
        if account is None or not pin or account.pin != pin:
            return self._told(request, 401, error="unknown extension or wrong PIN")
        return self._told(request, user=account.user, ticket=self.organisation.ticket(account))

    async def _lab(self, request: Request) -> Answer:
        """Pages no product has: /lab/seen, /lab/sleep?ms=, /lab/bytes/N, /lab/stream?pieces=&pause_ms="""
        _, _, what = request.path.lower().removeprefix("/lab").partition("/")
        if what == "sleep":
            await asyncio.sleep(_number(request.query("ms"), 0) / 1000)
        if what == "stream":
            pieces = min(_number(request.query("pieces"), 1), _LONGEST_STREAM)
            pause = _number(request.query("pause_ms"), 0) / 1000
            return Answer(200, stream=self._lines(pieces, pause, request.facts))
        if what.startswith("bytes/"):
            return Answer(200, b"x" * min(_number(what.removeprefix("bytes/"), 0), 10_000_000), "text/plain")
        return self._told(request, body=request.body.decode("latin-1"))


def _number(text: str, otherwise: int) -> int:
    """A number of a query; what is none is passed over."""
    return int(text) if text.isdecimal() else otherwise


def _document(
    request: Request, kind: str, location: str, links: dict[str, str], servers: dict[str, tuple[str, int]]
) -> Answer:
    """An autodiscover document, in XML where that is asked for (MS-OCDISCWS), in JSON otherwise."""
    if "xml" not in (request.header("accept") or "").lower():
        found = {
            "AccessLocation": location,
            kind: {
                "Links": [{"token": token, "href": href} for token, href in links.items()],
                **{name: {"fqdn": fqdn, "port": port} for name, (fqdn, port) in servers.items()},
            },
        }
        return said(found, headers=(("Cache-Control", "no-cache"),))
    inside = "".join(
        f"<{name} fqdn={quoteattr(fqdn)} port={quoteattr(str(port))}/>" for name, (fqdn, port) in servers.items()
    )
    inside += "".join(f"<Link token={quoteattr(token)} href={quoteattr(href)}/>" for token, href in links.items())
    body = f'<?xml version="1.0" encoding="utf-8"?><AutodiscoverResponse AccessLocation="{escape(location)}">'
    body += f"<{kind}>{inside}</{kind}></AutodiscoverResponse>"
    media = "application/vnd.microsoft.rtc.autodiscover+xml; v=1"
    return Answer(200, body.encode(), media, (("Cache-Control", "no-cache"),))
