"""Configurations for the tests of the model, made by commands as everywhere."""

from __future__ import annotations

from typing import Any

from tests.support.strategies import with_certificates

from steelyard.model.commands import AddService, ChangeService
from steelyard.model.commands.command import Command
from steelyard.model.configuration import Configuration
from steelyard.model.virtual_service import VirtualService

HTTP: dict[str, Any] = {"address": "192.0.2.1", "port": 80}
TCP: dict[str, Any] = {"address": "192.0.2.1", "port": 5432}
SERVER: dict[str, Any] = {"address": "10.0.0.1", "port": 8080}


def apply(*commands: Command, to: Configuration | None = None) -> Configuration:
    """The configuration after these commands; it begins with certificates alone."""
    configuration = to if to is not None else with_certificates()
    for command in commands:
        configuration = command.apply(configuration).configuration
    return configuration


def added(**settings: Any) -> VirtualService:
    """A service made with these settings."""
    return apply(AddService({**HTTP, **settings})).services[1]


def changed(before: dict[str, Any], **changes: Any) -> VirtualService:
    """A service made with some settings, then changed."""
    return apply(AddService({**HTTP, **before}), ChangeService(1, changes)).services[1]
