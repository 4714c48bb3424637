"""What the settings of a service forbid each other, with reasons: for forms that grey out what would be refused.

There is no second list of rules. What is barred is found by trying: a setting is barred by what the command that
changes it says, or by a global switch that is off. A choice counts as barred where the complaint is about the setting
itself; where it is about another one, that one is what is missing, and the operator gives both in one change.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from steelyard.model.commands.services import ChangeService
from steelyard.model.configuration import Configuration
from steelyard.model.errors import ConflictError, OperatorError, SteelyardError
from steelyard.model.setting import Declared
from steelyard.model.sources import refuse_without_switch
from steelyard.model.virtual_service import VirtualService

_HEADERS = {"copy_header_from": "X-A", "copy_header_to": "X-B"}
_ADDED = {"extra_header_name": "X-A", "extra_header_value": "a"}
#: Numbers and texts are not tried value by value. For these there are rules about having any; the values are such that
#: no other rule minds, those that need each other come together.
_TRIED: Mapping[str, Mapping[str, Any]] = {
    "requests_per_second": {"requests_per_second": 1},
    "connections_per_second": {"connections_per_second": 1},
    "max_connections": {"max_connections": 1},
    "bandwidth": {"bandwidth": 16},
    "error_code": {"error_code": 503},
    "error_page": {"error_page": "cGFnZQ=="},
    "copy_header_from": _HEADERS,
    "copy_header_to": _HEADERS,
    "extra_header_name": _ADDED,
    "extra_header_value": _ADDED,
}


@dataclass(frozen=True)
class Bars:
    """`settings` have no other value than theirs now, and why; of the others `choices` that cannot be taken."""

    settings: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, Mapping[Any, str]] = field(default_factory=dict)

    def why_not(self, name: str, choice: Any) -> str:
        """Why that choice is barred, or an empty text."""
        return self.settings.get(name) or self.choices.get(name, {}).get(choice, "")


def bars(
    configuration: Configuration,
    index: int,
    changes: Mapping[str, Any] | None = None,
    *,
    leave_out: Collection[str] = (),
) -> Bars:
    """What is barred for the service of that index, with changes that are only thought of.

    Of changes that cannot be had together the later ones are left out. `leave_out` are settings nobody asks about;
    each that is asked about costs some tenths of a millisecond a choice. Raises `NotFound`.
    """
    near = _near(configuration, index)
    kept = _possible(near, index, changes or {})
    service = near.service(index).changed({}) if not kept else _changed(near, index, kept)
    settings: dict[str, str] = {}
    choices: dict[str, Mapping[Any, str]] = {}
    for declared in VirtualService.declared().values():
        if not declared.setting.built or declared.name in leave_out:
            continue
        name, present = declared.name, getattr(service, declared.name)
        if name in _TRIED:
            why = _refused(near, index, kept, _TRIED[name]) if present == declared.default else ""
            if why:
                settings[name] = why
            continue
        others = [value for value in _values(declared) if value != present]
        refused = {value: why for value in others if (why := _refused(near, index, kept, {name: value}))}
        if others and len(refused) == len(others) and len(set(refused.values())) == 1:
            settings[name] = next(iter(refused.values()))
        elif refused:
            choices[name] = refused
    return Bars(settings, choices)


def _values(declared: Declared) -> Iterator[Any]:
    setting = declared.setting
    if declared.kind == "boolean":
        yield from (False, True)
    elif setting.choices and declared.kind != "list":
        yield from (value for value in setting.choices if value not in setting.unbuilt)


def _near(configuration: Configuration, index: int) -> Configuration:
    """Without the services that the settings of this one have nothing to do with: there may be a thousand."""
    service = configuration.service(index)
    close = {index, service.parent, service.follow_vs, *(slot.service for slot in service.slots)}
    close |= {other.index for other in configuration.services.values() if other.follow_vs == index}
    if service.is_sub:
        close |= {slot.service for slot in configuration.service(service.parent).slots}
    services = {key: value for key, value in configuration.services.items() if key in close}
    return replace(configuration, services=services)


def _possible(configuration: Configuration, index: int, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes, or as many of them as can be had together."""
    if not changes or _complaint(configuration, index, changes) is None:
        return dict(changes)
    kept: dict[str, Any] = {}
    for name, value in changes.items():
        if _complaint(configuration, index, {**kept, name: value}) is None:
            kept[name] = value
    return kept


def _changed(configuration: Configuration, index: int, changes: Mapping[str, Any]) -> VirtualService:
    return ChangeService(index, changes).apply(configuration).configuration.service(index)


def _complaint(configuration: Configuration, index: int, changes: Mapping[str, Any]) -> SteelyardError | None:
    try:
        changed = ChangeService(index, changes).apply(configuration).configuration
        refuse_without_switch(changed.service(index), configuration.service(index), changed)
    except SteelyardError as failure:
        return failure
    return None


def _refused(configuration: Configuration, index: int, changes: Mapping[str, Any], tried: Mapping[str, Any]) -> str:
    found = _complaint(configuration, index, {**changes, **tried})
    if isinstance(found, (OperatorError, ConflictError)) and found.field in tried:
        return found.message
    return ""


__all__ = ["Bars", "bars"]
