"""Application templates: recipes that make one virtual service or several, and the file they come in.

A file is YAML: one template, or `templates:` with several. Services and rules are written as in a declared
configuration, without addresses, real servers and certificates, which are asked for when a template is used:

    name: Web site
    comment: A site that is spoken to by HTTPS and answers by HTTP.
    prerequisites:
      - {setting: network.subnet_originating, is: true, path: "System Configuration > ...", why: "..."}
    rules:
      - {name: site_static, pattern: "/static/", match_type: prefix}
    services:
      - {name: Site, port: 443, service_type: http, ssl_acceleration: true, check_type: http, server_port: 80}
      - {name: Site redirect, port: 80, real_servers: false, error_code: 302, error_url: "https://%h%s"}
    next: ["Assign the certificate of the site"]

Besides the settings of a service an entry may say `place` (which of several addresses it is on), `server_port` (the
port of its real servers, else its own) and `real_servers: false` (it has none, it redirects).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar

import yaml

from steelyard.model.errors import OperatorError, located
from steelyard.model.parameters import SECTIONS
from steelyard.model.setting import Setting, Settings

#: characters of a file; the largest of LoadMaster's own families is below a tenth of it
LONGEST_FILE = 1_000_000
MOST_SERVICES = 64
#: those of libyaml are ten times as fast; not every build of PyYAML has them
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_MEMBERS = ("name", "comment", "prerequisites", "rules", "services", "next")
_ENTRY = ("place", "server_port", "real_servers")
#: given when a template is used
_ASKED_FOR = ("address", "servers", "certificates", "index", "enabled")


class Template(Settings):
    """One template. `body` is its YAML without name and comment."""

    noun: ClassVar[str] = "template"

    name: Annotated[
        str,
        Setting(
            "name",
            "template",
            "Name",
            "What it is chosen by.",
            max_length=127,
            pattern=r"[^\x00-\x1f\x7f]+",
            pattern_says="one line of text",
            filled=True,
        ),
    ]
    comment: Annotated[
        str, Setting("comment", "template", "Comment", "What it is for, in one line.", max_length=500)
    ] = ""
    body: str

    @cached_property
    def content(self) -> Content:
        """The body, understood."""
        return _content(_loaded(self.body))

    def file(self) -> str:
        """The template as a file of its own."""
        head = {"name": self.name, **({"comment": self.comment} if self.comment else {})}
        return _written(head) + self.body


@dataclass(frozen=True)
class Prerequisite:
    """A global setting a template counts on; `path` is where LoadMaster's menu has it."""

    section: str
    name: str
    value: Any
    path: str
    why: str


@dataclass(frozen=True)
class TemplateService:
    """One service of a template: settings, which address it is on, the port of its real servers (0: its own)."""

    settings: Mapping[str, Any]
    place: str = ""
    server_port: int = 0
    real_servers: bool = True

    @property
    def name(self) -> str:
        return str(self.settings.get("name", ""))

    @property
    def has_tls(self) -> bool:
        """Whether it presents a certificate."""
        return self.settings.get("ssl_acceleration") is True


@dataclass(frozen=True)
class Content:
    """What a template makes and needs."""

    services: tuple[TemplateService, ...]
    rules: tuple[Mapping[str, Any], ...] = ()
    prerequisites: tuple[Prerequisite, ...] = ()
    next_steps: tuple[str, ...] = ()

    @property
    def places(self) -> tuple[str, ...]:
        """The addresses it needs, by name; the one without a name comes first."""
        return tuple(dict.fromkeys(service.place for service in self.services))


def read_templates(text: str) -> tuple[Template, ...]:
    """The templates of a file. Raises `OperatorError` that says where it is wrong."""
    if len(text) > LONGEST_FILE:
        raise _wrong(f"The file has more than {LONGEST_FILE:,} characters")
    data = _loaded(text)
    if not isinstance(data, dict):
        raise _wrong("The file holds no template")
    several = data.get("templates")
    if several is None:
        return (_template(data),)
    if set(data) != {"templates"} or not isinstance(several, list) or not several:
        raise _wrong("'templates' stands alone and holds a list of templates")
    found = []
    for number, one in enumerate(several):
        with located(f"templates[{number}]"):
            found.append(_template(one))
    names = [one.name for one in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise _wrong(f"The file has template {twice!r} twice")
    return tuple(found)


def template_text(name: str, comment: str, services: Sequence[Mapping[str, Any]], rules: Sequence[Any]) -> Template:
    """A template of declared services and rules."""
    body = {"services": list(services), **({"rules": list(rules)} if rules else {})}
    return Template.make({"name": name, "comment": comment, "body": _written(body)})


def _template(data: Any) -> Template:
    if not isinstance(data, dict):
        raise _wrong("A template is a mapping of name, services and more")
    unknown = [str(key) for key in data if key not in _MEMBERS]
    if unknown:
        raise _wrong(f"{unknown[0]!r} is no part of a template", allowed=", ".join(_MEMBERS))
    content = {key: value for key, value in data.items() if key not in ("name", "comment")}
    understood = _content(content)
    found = Template.make({"name": data.get("name", ""), "comment": data.get("comment", ""), "body": _written(content)})
    found.__dict__["content"] = understood
    return found


def _content(data: Any) -> Content:
    if not isinstance(data, dict):
        raise _wrong("A template is a mapping of services and more")
    services = _list(data, "services")
    if not 1 <= len(services) <= MOST_SERVICES:
        raise _wrong(f"A template makes 1 to {MOST_SERVICES} services", field="services")
    found = []
    for number, one in enumerate(services):
        with located(f"services[{number}]"):
            found.append(_service(one))
    prerequisites = []
    for number, one in enumerate(_list(data, "prerequisites")):
        with located(f"prerequisites[{number}]"):
            prerequisites.append(_prerequisite(one))
    steps = _list(data, "next")
    if not all(isinstance(step, str) and step.isprintable() for step in steps):
        raise _wrong("'next' holds lines of text", field="next")
    rules = _list(data, "rules")
    if not all(isinstance(rule, dict) for rule in rules):
        raise _wrong("'rules' holds content rules", field="rules")
    return Content(tuple(found), tuple(rules), tuple(prerequisites), tuple(steps))


def _service(data: Any) -> TemplateService:
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise _wrong("A service is a mapping of settings")
    for name in _ASKED_FOR:
        if name in data:
            raise _wrong(f"{name!r} is no part of a template: it is asked for when the template is used", field=name)
    port, servers, place = data.get("server_port", 0), data.get("real_servers", True), data.get("place", "")
    if not isinstance(port, int) or not 0 <= port <= 65535:
        raise _wrong("'server_port' is a port", field="server_port", allowed="0 to 65535")
    if not isinstance(servers, bool) or not isinstance(place, str) or not place.isprintable():
        raise _wrong("'real_servers' is true or false, 'place' a word")
    if "port" not in data:
        raise _wrong("A service needs a port", field="port")
    settings = {key: value for key, value in data.items() if key not in _ENTRY}
    return TemplateService(settings, place, port, servers)


def _prerequisite(data: Any) -> Prerequisite:
    if not isinstance(data, dict) or set(data) != {"setting", "is", "path", "why"}:
        raise _wrong("A prerequisite has setting, is, path and why")
    section, _, name = str(data["setting"]).partition(".")
    model = SECTIONS.get(section)
    if model is None or name not in model.declared():
        raise _wrong(f"{data['setting']!r} is no global parameter", field="setting", allowed="SECTION.NAME")
    return Prerequisite(section, name, data["is"], str(data["path"]), str(data["why"]))


def _list(data: Mapping[str, Any], name: str) -> list[Any]:
    found = data.get(name, [])
    if not isinstance(found, list):
        raise _wrong(f"{name!r} is a list", field=name)
    return found


def _wrong(message: str, *, field: str = "data", allowed: str = "") -> OperatorError:
    return OperatorError(message, field=field, allowed=allowed or None, remedy="See docs/guides/templates.md")


def _loaded(text: str) -> Any:
    try:
        for event in yaml.parse(text, _LOADER):
            if isinstance(event, yaml.AliasEvent):
                # a few of them can stand for more than memory holds
                raise yaml.YAMLError(f"aliases are not taken, as *{event.anchor}")
        return yaml.load(text, _LOADER)  # noqa: S506 - both loaders are safe ones
    except (yaml.YAMLError, RecursionError, ValueError) as failure:
        mark = getattr(failure, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        what = getattr(failure, "problem", None) or str(failure)[:200] or "it is nested too deeply"
        raise OperatorError(
            f"The file is no template: {what}{where}",
            field="data",
            remedy="Send a template of Steelyard's; the format of a LoadMaster's own is not known and cannot be read",
        ) from None


def _written(data: Mapping[str, Any]) -> str:
    text: str = yaml.dump(dict(data), Dumper=_DUMPER, sort_keys=False, allow_unicode=True, width=120)
    return text


__all__ = ["Content", "Prerequisite", "Template", "TemplateService", "read_templates", "template_text"]
