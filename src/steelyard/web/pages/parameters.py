"""Global parameters, under the names LoadMaster's menu has for them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.responses import Response
from starlette.routing import Route

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
    editor = parameter_editor(visit, which.section, which.laid_out(), here)
    context = {
        "title": which.title,
        "sub": which.sub,
        "back": here,
        "above": None,
        "tabs": [(title, visit.url(name), name == which.name) for title, name in which.tabs],
    }
    return await edited(
        visit, editor, lambda drawn: scrolled(visit, drawn, visit.render("parameters.html", context, drawn=drawn))
    )


ROUTES = [one.route() for one in PAGES]
