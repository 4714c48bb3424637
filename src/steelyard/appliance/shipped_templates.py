"""The templates that come with Steelyard: the files of the folder `shipped`, read when they are first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from steelyard.model.configuration import Configuration
from steelyard.model.errors import NotFound
from steelyard.model.template import Template, read_templates


@cache
def shipped_families() -> Mapping[str, tuple[Template, ...]]:
    """Those of each file, by the file's name without its ending."""
    folder = files("steelyard.appliance") / "shipped"
    found = sorted((file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)
    return {file.name.removesuffix(".yaml"): read_templates(file.read_text(encoding="utf-8")) for file in found}


@cache
def shipped_templates() -> Mapping[str, Template]:
    """By name."""
    return {one.name: one for family in shipped_families().values() for one in family}


def every_template(configuration: Configuration) -> Mapping[str, Template]:
    """Those that come with Steelyard and those that were imported, by name, in the order in which people sort."""
    found = {**shipped_templates(), **configuration.templates}
    return {name: found[name] for name in sorted(found, key=str.casefold)}


def template_named(configuration: Configuration, name: str) -> Template:
    """One of them. Raises `NotFound`."""
    found = configuration.templates.get(name) or shipped_templates().get(name)
    if found is None:
        raise NotFound("template", name)
    return found
