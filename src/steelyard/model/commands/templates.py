"""Commands on application templates: keeping them, and making services from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, cast

from steelyard.model.commands.command import Change
from steelyard.model.commands.parameters import Section, SetParameters
from steelyard.model.commands.rules import AddRule
from steelyard.model.commands.services import AddService
from steelyard.model.configuration import Configuration
from steelyard.model.content_rule import ContentRule
from steelyard.model.errors import ConflictError, NotFound, OperatorError, located
from steelyard.model.parameters import SECTIONS
from steelyard.model.template import Prerequisite, Template, TemplateService

#: addresses a template is tried with when it is imported (RFC 5737)
_TRIED_WITH = "192.0.2."


@dataclass(frozen=True)
class AddTemplates:
    """Keep templates. Each is tried: what cannot be used is not kept. Names of templates that are there are refused."""

    templates: Sequence[Template]
    #: names that the templates that come with Steelyard have
    shipped: frozenset[str] = frozenset()
    permission: ClassVar[str] = "vs"

    @property
    def summary(self) -> str:
        return f"import {len(self.templates)} templates: {', '.join(one.name for one in self.templates)}"

    def apply(self, configuration: Configuration) -> Change:
        result = dict(configuration.templates)
        for template in self.templates:
            if template.name in result or template.name in self.shipped:
                raise ConflictError(
                    f"Template {template.name} already exists; remove it or rename the new one",
                    field="name",
                    with_what=template.name,
                )
            with located(template.name):
                try_out(template)
            result[template.name] = template
        return Change(replace(configuration, templates=result), self.templates[0].name)


def try_out(template: Template) -> None:
    """Raise `OperatorError` when a template cannot be used, whatever the configuration."""
    places = {place: f"{_TRIED_WITH}{number}" for number, place in enumerate(template.content.places, 1)}
    UseTemplate(template, places.get("", f"{_TRIED_WITH}99"), addresses=places).apply(Configuration())


@dataclass(frozen=True)
class RemoveTemplate:
    """Forget a template. Services that were made from it stay as they are."""

    name: str
    permission: ClassVar[str] = "vs"

    @property
    def summary(self) -> str:
        return f"remove template {self.name}"

    def apply(self, configuration: Configuration) -> Change:
        if self.name not in configuration.templates:
            raise NotFound("template", self.name)
        kept = {name: one for name, one in configuration.templates.items() if name != self.name}
        return Change(replace(configuration, templates=kept), self.name)


@dataclass(frozen=True)
class UseTemplate:
    """Make the services of a template, all or none; gives the index of the first.

    `addresses` are by place, where a template has several; `address` is for the others. `port` and `name` are for the
    first service; with several, `name` stands before the names of all. `servers` are addresses of real servers, which
    every service that has some gets on its own port.
    """

    template: Template
    address: str
    port: int | None = None
    name: str = ""
    addresses: Mapping[str, str] = field(default_factory=dict)
    servers: Sequence[str] = ()
    certificates: Sequence[str] = ()
    permission: ClassVar[str] = "vs"

    @property
    def needed_permissions(self) -> frozenset[str]:
        """Content rules are somebody's own trade."""
        return frozenset({self.permission, "rules"} if self.template.content.rules else {self.permission})

    @property
    def summary(self) -> str:
        return f"add virtual services from template {self.template.name} on {self.address}"

    def apply(self, configuration: Configuration) -> Change:
        content = self.template.content
        for number, rule in enumerate(content.rules):
            with located(f"rules[{number}]"):
                configuration = _with_rule(configuration, rule)
        first: int | str | None = None
        for number, service in enumerate(content.services):
            with located(f"services[{number}]"):
                change = AddService(self._settings(number, service)).apply(configuration)
            configuration = change.configuration
            first = change.key if first is None else first
        return Change(configuration, first)

    def _settings(self, number: int, service: TemplateService) -> dict[str, Any]:
        settings = dict(service.settings)
        settings["address"] = self._address(service.place)
        if number == 0 and self.port is not None:
            settings["port"] = self.port
        if self.name:
            several = len(self.template.content.services) > 1
            settings["name"] = f"{self.name} {service.name}" if several else self.name
        if service.has_tls and self.certificates:
            settings["certificates"] = list(self.certificates)
        port = service.server_port or settings["port"]
        members = [{"address": address, "port": port} for address in self.servers]
        subs = settings.get("sub_services")
        if subs:
            settings["sub_services"] = [
                {**sub, "servers": members} if _takes_servers(sub) and members else dict(sub) for sub in subs
            ]
        elif service.real_servers and members:
            settings["servers"] = members
        return settings

    def _address(self, place: str) -> str:
        if place in self.addresses:
            return self.addresses[place]
        if place and len(self.template.content.places) > 1:
            raise OperatorError(
                f"The template needs an address for {place!r}",
                field="addresses",
                value=place,
                allowed=", ".join(one or "the others" for one in self.template.content.places),
                remedy=f"Give one: {place}=ADDRESS",
            )
        return self.address


def _takes_servers(sub: Mapping[str, Any]) -> bool:
    """A sub-service that redirects or answers by itself has none."""
    return not (sub.get("error_code") or sub.get("error_url"))


def _with_rule(configuration: Configuration, settings: Mapping[str, Any]) -> Configuration:
    """A rule that is there already is used if it is the same."""
    name = str(settings.get("name", ""))
    there = configuration.rules.get(name)
    if there is None:
        return AddRule(settings).apply(configuration).configuration
    if there == ContentRule.make(settings):
        return configuration
    raise ConflictError(
        f"Content rule {name} exists and is another one than the template's; rename the one that is there",
        field="rules",
        with_what=name,
    )


@dataclass(frozen=True)
class MeetPrerequisites:
    """Set every global setting a template counts on, all at one stroke; gives the name of the template."""

    template: Template
    #: the one that global settings need
    permission: ClassVar[str] = SetParameters.permission

    @property
    def summary(self) -> str:
        return f"set what template {self.template.name} counts on"

    def apply(self, configuration: Configuration) -> Change:
        for one in unmet(self.template, configuration):
            # reading the template has made sure that there is such a section
            change = SetParameters(cast(Section, one.section), {one.name: one.value})
            with located(f"{one.section}.{one.name}"):
                configuration = change.apply(configuration).configuration
        return Change(configuration, self.template.name)


def unmet(template: Template, configuration: Configuration) -> tuple[Prerequisite, ...]:
    """What a template counts on and is otherwise here."""
    return tuple(one for one in template.content.prerequisites if not is_met(one, configuration))


def is_met(one: Prerequisite, configuration: Configuration) -> bool:
    """Whether the global setting is what the template counts on."""
    return bool(getattr(getattr(configuration, one.section), one.name) == one.value)


def warning(one: Prerequisite) -> str:
    """What is to be done about a prerequisite, with the path of the menu."""
    declared = SECTIONS[one.section].declared()[one.name]
    value = ("on" if one.value else "off") if isinstance(one.value, bool) else str(one.value)
    return f"{declared.setting.label} should be {value} ({one.path}): {one.why}"


__all__ = [
    "AddTemplates",
    "MeetPrerequisites",
    "RemoveTemplate",
    "UseTemplate",
    "is_met",
    "try_out",
    "unmet",
    "warning",
]
