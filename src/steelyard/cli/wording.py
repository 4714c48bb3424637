"""Messages in the names that the command line uses. Pure.

Messages call a setting by its name in the LoadMaster API, which is not what is typed here.
"""

from __future__ import annotations

from collections.abc import Iterator

from steelyard.model.content_rule import ContentRule
from steelyard.model.parameters import SECTIONS
from steelyard.model.real_server import RealServer
from steelyard.model.setting import Settings
from steelyard.model.slot import Slot
from steelyard.model.virtual_service import VirtualService

_MODELS: tuple[type[Settings], ...] = (VirtualService, RealServer, Slot, ContentRule, *SECTIONS.values())


def in_settings_words(message: str, field: str) -> str:
    """The message, beginning with the name of the setting `field` where it begins with LoadMaster's name for it."""
    for name in _wire_names(field):
        rest = message.removeprefix(name)
        if rest != message and rest.startswith((" ", ":", "=")):
            return field + rest
    return message


def _wire_names(field: str) -> Iterator[str]:
    for model in _MODELS:
        declared = model.declared().get(field)
        if declared is not None and declared.setting.wire:
            yield declared.setting.wire
