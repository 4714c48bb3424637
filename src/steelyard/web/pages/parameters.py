"""Global parameters, under the names LoadMaster's menu has for them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.responses import Response
from starlette.routing import Route

from steelyard.model.cipher_set import BUILT_IN
from steelyard.model.commands import SetParameters
from steelyard.model.commands.parameters import Section
from steelyard.model.configuration import Configuration
from steelyard.model.parameters import SECTIONS
from steelyard.web.editing import Changes, Editor, Part, edited
from steelyard.web.forms.field import Offer
from steelyard.web.frame import Visit, page
from steelyard.web.pages.service import BOTH, scrolled

_FRONT_END = ("cache_size", "not_cached", "not_compressed")


@dataclass(frozen=True)
class ParameterPage:
    """A page of parameters of one section. `tabs` are pages that stand beside it: (title, page)."""

    name: str
    path: str
    title: str
    section: Section
    parts: tuple[Part, ...] = ()
    sub: str = ""
    belongs: str = ""
    tabs: tuple[tuple[str, str], ...] = ()
    leave_out: tuple[str, ...] = ()
    #: the page it is reached from: (title, page)
    above: tuple[str, str] | None = None
    #: what settings may name
    offers: Callable[[Configuration], Mapping[str, Offer]] = lambda configuration: {}

    def laid_out(self) -> tuple[Part, ...]:
        """Its parts; without any the whole section in one."""
        if self.parts:
            return self.parts
        names = tuple(name for name in SECTIONS[self.section].declared() if name not in self.leave_out)
        return (Part(self.section, self.title, names),)

    def route(self) -> Route:
        """Its route."""

        async def handler(visit: Visit) -> Response:
            return await _edit(visit, self)

        return page(self.path, handler, name=self.name, belongs=self.belongs, methods=BOTH)


def _cipher_sets(configuration: Configuration) -> Mapping[str, Offer]:
    return {"admin_cipher_set": Offer(tuple((name, name) for name in (*BUILT_IN, *configuration.cipher_sets)))}


_ADMIN_TABS = (("Sessions", "admin-access"), ("TLS", "admin-tls"))
OCSP_TABS = (("OCSP", "ocsp"), ("Revocation Lists", "revocation-lists"), ("TLS Sessions", "tls-sessions"))
_CHECK_TABS = (("Service Check", "check-parameters"), ("Adaptive", "adaptive-parameters"))
PAGES: tuple[ParameterPage, ...] = (
    ParameterPage(
        "check-parameters",
        "/check-parameters",
        "Check Parameters",
        "checks",
        sub="How often real servers are checked, where a service says nothing else",
        tabs=_CHECK_TABS,
    ),
    ParameterPage(
        "adaptive-parameters",
        "/check-parameters/adaptive",
        "Adaptive Parameters",
        "adaptive",
        sub="How load agents are asked, where a service says nothing else",
        belongs="check-parameters",
        tabs=_CHECK_TABS,
    ),
    ParameterPage(
        "layer7-configuration",
        "/layer7-configuration",
        "L7 Configuration",
        "layer7",
        sub="What holds for every layer-7 service",
        leave_out=_FRONT_END,
    ),
    ParameterPage(
        "afe-configuration",
        "/afe-configuration",
        "AFE Configuration",
        "layer7",
        parts=(Part("afe", "Caching and Compression", _FRONT_END),),
        sub="The size of the cache, and what is not kept or compressed",
    ),
    ParameterPage(
        "network-options",
        "/network-options",
        "Network Options",
        "network",
        sub="What holds for the connections of all services",
    ),
    ParameterPage(
        "admin-access",
        "/admin-access",
        "Admin WUI Access",
        "administration",
        sub="Sessions of this interface",
        tabs=_ADMIN_TABS,
    ),
    ParameterPage(
        "admin-tls",
        "/admin-access/tls",
        "TLS of the Web Interface and the APIs",
        "tls",
        parts=(Part("admin", "TLS", ("admin_tls_type", "admin_cipher_set")),),
        sub="What clients of the administration interface are offered",
        belongs="admin-access",
        tabs=_ADMIN_TABS,
        offers=_cipher_sets,
    ),
    ParameterPage(
        "remote-access",
        "/remote-access",
        "Remote Access",
        "access",
        parts=(
            Part(
                "access",
                "Who reaches the web interface and the APIs",
                ("include_wui",),
                hint="Whom the lists let in stands in System Configuration > Packet Routing Filter.",
            ),
        ),
        sub="From where this appliance can be administered",
    ),
    ParameterPage(
        "cache-configuration",
        "/cache-configuration",
        "Cache Configuration",
        "layer7",
        parts=(Part("cache", "Cache", ("cache_size", "not_cached")),),
        sub="The size of the cache that services with caching share, and what is not kept in it",
    ),
    ParameterPage(
        "compression-options",
        "/compression-options",
        "Compression Options",
        "layer7",
        parts=(Part("compression", "Compression", ("not_compressed",)),),
        sub="What services with compression send as it is",
    ),
    ParameterPage(
        "acme-parameters",
        "/acme/parameters",
        "Renewal",
        "acme",
        sub="When certificates ordered by ACME are renewed",
        belongs="acme",
        above=("ACME Certificates", "acme"),
    ),
    ParameterPage(
        "tls-sessions",
        "/ocsp/tls-sessions",
        "TLS Sessions",
        "tls",
        parts=(
            Part(
                "sessions",
                "Resumption",
                ("session_tickets", "ticket_key_hours", "session_lifetime", "session_cache_size"),
            ),
        ),
        sub="How clients that come back resume a session without a whole handshake",
        belongs="ocsp",
        tabs=OCSP_TABS,
    ),
    ParameterPage(
        "network-safety",
        "/interfaces/safety",
        "Safety of Network Changes",
        "host",
        parts=(Part("safety", "Confirmation", ("confirm_seconds",)),),
        sub="What happens to a change that may cut you off",
        belongs="interfaces",
        above=("Interfaces", "interfaces"),
    ),
)


def parameter_editor(
    visit: Visit, section: Section, parts: tuple[Part, ...], done: str, offers: Mapping[str, Offer] | None = None
) -> Editor:
    """The editor of a section of the parameters."""
    configuration: Configuration = visit.snapshot.configuration
    model = SECTIONS[section]
    present = getattr(configuration, section)

    def command(changes: Changes) -> SetParameters:
        return SetParameters(section, changes, secrets.token_hex(16))

    return Editor(
        model=model,
        values={name: getattr(present, name) for name in model.declared()},
        parts=parts,
        command=command,
        done=lambda key: done,
        offers=offers or {},
        permission="root",
        noun="parameters",
    )


async def _edit(visit: Visit, which: ParameterPage) -> Response:
    here = visit.url(which.name)
    offers = which.offers(visit.snapshot.configuration)
    editor = parameter_editor(visit, which.section, which.laid_out(), here, offers)
    context = {
        "title": which.title,
        "sub": which.sub,
        "back": here,
        "above": None if which.above is None else (which.above[0], visit.url(which.above[1])),
        "tabs": [(title, visit.url(name), name == which.name) for title, name in which.tabs],
    }
    return await edited(
        visit, editor, lambda drawn: scrolled(visit, drawn, visit.render("pages/parameters.html", context, drawn=drawn))
    )


ROUTES = [one.route() for one in PAGES]
