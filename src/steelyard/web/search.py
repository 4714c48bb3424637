"""The search field: any service, real server, rule, certificate, setting or page, by what people remember of it.

Every word has to be found. What begins with the words comes first, services before settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from starlette.responses import Response

from steelyard.model.configuration import Configuration
from steelyard.model.parameters import SECTIONS
from steelyard.model.virtual_service import VirtualService
from steelyard.web.frame import Site, Visit, page
from steelyard.web.menu import places, plain

#: under the field, and on the page
_FEW, _MANY = 12, 200
#: sections of global settings -> the page of the menu that shows them
_SECTION_PAGES = {
    "layer7": "layer7-configuration",
    "network": "network-options",
    "checks": "check-parameters",
    "adaptive": "check-parameters",
    "access": "access-lists",
    "limits": "limits",
    "tls": "ocsp",
    "acme": "acme",
    "administration": "admin-access",
    "syslog": "syslog-options",
    "email": "email-options",
    "snmp": "snmp-options",
    "webhook": "webhook-options",
    "events": "event-options",
    "host": "host-dns",
}


#: settings of a section that another page shows than its others
_OWN_PAGES = {
    "admin_cipher_set": "admin-tls",
    "admin_tls_type": "admin-tls",
    **dict.fromkeys(("session_tickets", "ticket_key_hours", "session_lifetime", "session_cache_size"), "tls-sessions"),
    **dict.fromkeys(("default_gateway", "default_gateway6"), "default-gateway"),
    "confirm_seconds": "network-safety",
}


@dataclass(frozen=True)
class Found:
    """One thing: its kind, how it is called, what to know of it, where it is."""

    kind: str
    title: str
    about: str
    href: str
    words: str = ""

    def fits(self, words: list[str]) -> bool:
        """Whether it holds every word."""
        held = f"{self.kind} {self.title} {self.about} {self.words}".lower()
        return all(word in held for word in words)


async def search(visit: Visit) -> Response:
    """What is found: as a list under the field, or as a page."""
    text = visit.query("q").strip()
    found = find(visit.site, visit.snapshot.configuration, text)
    if visit.by_htmx:
        return visit.render("pages/search_found.html", found=found[:_FEW], text=text, more=max(0, len(found) - _FEW))
    return visit.render("pages/search.html", found=found[:_MANY], text=text, more=max(0, len(found) - _MANY))


def find(site: Site, configuration: Configuration, text: str) -> list[Found]:
    """Everything that holds every word, the nearest first."""
    words = text.lower().split()
    if not words:
        return []
    found = [each for each in _everything(site, configuration) if each.fits(words)]
    # a path of LoadMaster's menu, typed as people write it: "System Configuration > Interfaces"
    wanted = plain(text)
    if wanted:
        known = {each.href for each in found}
        for path, entry in places(site.menu):
            href = site.link(entry.page)
            if href and href not in known and wanted in plain(path):
                found.append(Found("Page", entry.title, path, href))
                known.add(href)
    whole = text.lower()
    return sorted(found, key=lambda each: (not each.title.lower().startswith(whole), whole not in each.title.lower()))


def _everything(site: Site, configuration: Configuration) -> Iterator[Found]:
    yield from _services(site, configuration)
    yield from _named(site, configuration)
    seen: set[str] = set()
    for path, entry in places(site.menu):
        href = site.link(entry.page)
        if href and href not in seen:
            seen.add(href)
            yield Found("Page", entry.title, path, href, entry.words)
    yield from _settings(site)


def _services(site: Site, configuration: Configuration) -> Iterator[Found]:
    servers: dict[str, list[VirtualService]] = {}
    for service in configuration.services.values():
        href = site.link("service", index=service.index) or site.link("services")
        where = "sub-service" if service.is_sub else f"{service.protocol}/{service.host}:{service.port}"
        yield Found("Virtual service", service.name or where, where if service.name else "", href, service.address)
        for server in service.servers:
            servers.setdefault(f"{server.address}:{server.port}", []).append(service)
    for address, of in servers.items():
        names = ", ".join(one.name or one.title for one in of[:3]) + (f" and {len(of) - 3} more" if len(of) > 3 else "")
        href = site.link("real-servers") if len(of) > 1 else site.link("service", index=of[0].index)
        yield Found("Real server", address, f"in {names}", href or site.link("services"))


def _named(site: Site, configuration: Configuration) -> Iterator[Found]:
    """Objects that have a name and a page that lists them; `{page}` of one object where there is such a page."""
    kinds: tuple[tuple[str, str, str, Callable[[Configuration], Iterator[tuple[str, str]]]], ...] = (
        ("Content rule", "content-rule", "content-rules", lambda c: ((r.name, r.pattern) for r in c.rules.values())),
        ("Certificate", "certificate", "certificates", lambda c: ((name, "") for name in c.certificates)),
        ("Intermediate", "intermediate", "intermediates", lambda c: ((name, "") for name in c.intermediates)),
        ("Cipher set", "cipher-set", "cipher-sets", lambda c: ((name, "") for name in c.cipher_sets)),
        ("User", "user", "users", lambda c: ((name, "") for name in c.users)),
        ("ACME certificate", "acme-certificate", "acme", lambda c: ((name, "") for name in c.acme_certificates)),
        ("Interface", "interface", "interfaces", lambda c: ((o.name, o.address) for o in c.interfaces.values())),
        ("LDAP endpoint", "ldap-endpoint", "ldap", lambda c: ((name, "") for name in c.ldap_endpoints)),
    )
    for kind, one, several, names in kinds:
        if several not in site.pages:
            continue
        for name, about in names(configuration):
            yield Found(kind, name, about if about != name else "", _page_of(site, one, name) or site.link(several))


def _page_of(site: Site, page_name: str, name: str) -> str:
    return site.link(page_name, name=name)


@cache
def _declared() -> tuple[tuple[str, str, str, str], ...]:
    """The settings that work: (page or "service", label, help, LoadMaster's name)."""
    found = [
        (
            _OWN_PAGES.get(one.name) or _SECTION_PAGES.get(section, ""),
            one.setting.label,
            one.setting.help,
            one.setting.wire or "",
        )
        for section, model in SECTIONS.items()
        for one in model.declared().values()
        if one.setting.built
    ]
    found += [
        ("service", one.setting.label, one.setting.help, one.setting.wire or "")
        for one in VirtualService.declared().values()
        if one.setting.built
    ]
    return tuple(found)


def _settings(site: Site) -> Iterator[Found]:
    for shown_by, label, says, wire in _declared():
        if shown_by == "service":
            yield Found("Setting of a service", label, says, site.link("services"), wire)
            continue
        href = site.link(shown_by)
        if href:
            yield Found("Setting", label, says, href, wire)


ROUTES = [page("/search", search, name="search")]
