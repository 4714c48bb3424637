"""The settings catalogue: each setting is declared once, on its model field.

A field is written `name: Annotated[type, Setting(...)] = default`. From the declaration come validation and its
messages, the wire name of the LoadMaster API, the native schema, the CLI, the web forms and the reference
documentation. A setting whose behaviour is not built is declared too, with `built=False`: it keeps its default, and
any other value is refused by name.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError, model_validator
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from steelyard.model.errors import OperatorError

_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
#: half a character: JSON can say it, nothing can be made of it
_SURROGATE = re.compile(r"[\ud800-\udfff]")

#: remedies that add nothing to what is allowed
GIVE_ALLOWED = "Give an allowed value"
LEAVE_OUT = "Leave it out or give what is allowed"


@dataclass(frozen=True, eq=False)
class Setting:
    """One declared setting.

    `wire` is the request name in the LoadMaster API (None: Steelyard only), `answer` its spelling in answers when that
    differs. `choices` maps each allowed value to what it means. `unbuilt` holds choices whose behaviour is not built
    yet; `why_unbuilt` says what stands in the way. `filled` says that a text may not be empty. `separator` joins a list
    on the wire. `text_number` marks a number that API v2 answers as a string. `explains` gives reason and remedy for a
    number that range or choices refuse, or None where there is no more to say than what is allowed. `wildcard` marks a
    port whose 0 is every port, which LoadMaster writes as `*`.
    """

    wire: str | None
    section: str
    label: str
    help: str
    answer: str | None = None
    unit: str | None = None
    ge: int | None = None
    le: int | None = None
    or_zero: bool = False
    max_length: int | None = None
    pattern: str | None = None
    pattern_says: str | None = None
    filled: bool = False
    choices: Mapping[Any, str] = field(default_factory=dict)
    separator: str | None = None
    built: bool = True
    why_unbuilt: str = ""
    unbuilt: frozenset[Any] = frozenset()
    secret: bool = False
    text_number: bool = False
    wildcard: bool = False
    explains: Callable[[int], tuple[str, str] | None] | None = None

    @property
    def spelled(self) -> str | None:
        """The name in LoadMaster answers."""
        return self.answer or self.wire

    def allowed(self) -> str:
        """What may be given, in words."""
        if self.choices:
            built = {value: meaning for value, meaning in self.choices.items() if value not in self.unbuilt}
            return ", ".join(str(v) if isinstance(v, str) or not says else f"{v} ({says})" for v, says in built.items())
        if self.ge is not None or self.le is not None:
            unit = f" {self.unit}" if self.unit else ""
            if self.wildcard:
                return f"{self.ge} to {self.le}, or 0 for every port"
            return f"{'0 or ' if self.or_zero else ''}{self.ge} to {self.le}{unit}"
        if self.pattern_says:
            return self.pattern_says
        if self.max_length is not None:
            return f"at most {self.max_length} characters, no control characters"
        return "text without control characters"

    def check(self, value: Any) -> Any:
        """Validate one value; pydantic has made sure of its type."""
        if isinstance(value, str):
            self._check_text(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            self._check_number(value)
        elif isinstance(value, tuple):
            for item in value:
                if isinstance(item, str):
                    self._check_entry(item)
        if self.choices and value is not None and not isinstance(value, (tuple, bool)) and value not in self.choices:
            raise self._refused(value, "is not one of the choices")
        return value

    def _wrong(self, why: str) -> PydanticCustomError:
        return PydanticCustomError("setting", "{why}", {"why": why, "allowed": self.allowed()})

    def _refused(self, value: Any, why: str) -> PydanticCustomError:
        """As `_wrong`, with the setting's own explanation if it has one for this value."""
        more = self.explains(value) if self.explains is not None else None
        if more is None:
            return self._wrong(why)
        return PydanticCustomError("setting", "{why}", {"why": more[0], "allowed": self.allowed(), "remedy": more[1]})

    def _check_number(self, value: int) -> None:
        if self.or_zero and value == 0:
            return
        if (self.ge is not None and value < self.ge) or (self.le is not None and value > self.le):
            raise self._refused(value, "is out of range")

    def _check_entry(self, value: str) -> None:
        if not value:
            raise self._wrong("holds an empty entry")
        if self.separator is not None and self.separator in value:
            raise self._wrong(f"holds {self.separator!r} inside an entry, which separates entries")
        self._check_text(value)

    def _check_text(self, value: str) -> None:
        if self.filled and not value:
            raise self._wrong("is empty")
        if _CONTROL.search(value):
            raise self._wrong("holds a control character")
        if _SURROGATE.search(value):
            raise self._wrong("is no Unicode text")
        if self.max_length is not None and len(value) > self.max_length:
            raise self._wrong("is too long")
        if self.pattern is not None and value and re.fullmatch(self.pattern, value) is None:
            raise self._wrong("is malformed")

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))


@dataclass(frozen=True)
class Declared:
    """A setting together with the field it is declared on."""

    name: str
    setting: Setting
    default: Any
    kind: str

    def is_default(self, value: Any) -> bool:
        return bool(value == self.default)


_KINDS: tuple[tuple[type, str], ...] = ((bool, "boolean"), (int, "integer"), (str, "text"))


def _kind(annotation: Any) -> str:
    text = str(annotation)
    if "tuple" in text:
        return "list"
    for python, kind in _KINDS:
        if annotation is python or f"{python.__name__} |" in text or f"Optional[{python.__name__}]" in text:
            return kind
    return "text"


class Settings(BaseModel):
    """Base of every model with declared settings. Instances are immutable and valid."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, ser_json_bytes="base64")

    #: what an instance is called in messages
    noun: ClassVar[str] = "setting"

    @classmethod
    @cache
    def declared(cls) -> Mapping[str, Declared]:
        """Field name -> declaration, in catalogue order."""
        found: dict[str, Declared] = {}
        for name, info in cls.model_fields.items():
            for extra in info.metadata:
                if isinstance(extra, Setting):
                    found[name] = Declared(
                        name, extra, info.get_default(call_default_factory=True), _kind(info.annotation)
                    )
        return found

    @classmethod
    @cache
    def by_wire(cls) -> Mapping[str, Declared]:
        """Lower-cased wire name -> declaration."""
        return {d.setting.wire.lower(): d for d in cls.declared().values() if d.setting.wire is not None}

    @classmethod
    @cache
    def _guarded(cls) -> tuple[Declared, ...]:
        return tuple(d for d in cls.declared().values() if not d.setting.built or d.setting.unbuilt)

    @model_validator(mode="after")
    def _refuse_unbuilt(self) -> Self:
        for declared in self._guarded():
            value = getattr(self, declared.name)
            setting = declared.setting
            if (not setting.built and value != declared.default) or value in setting.unbuilt:
                raise PydanticCustomError(
                    "unbuilt",
                    "{name}",
                    {"name": declared.name, "value": _plain(value)},
                )
        return self

    @classmethod
    def make(cls, data: Mapping[str, Any]) -> Self:
        """Build from plain data (field names).

        Raises `OperatorError` naming field, value, what is allowed and the remedy.
        """
        try:
            return cls.model_validate(dict(data))
        except ValidationError as failure:
            raise cls.explain(failure) from None

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """A copy with some fields changed, validated as a whole."""
        unknown = [name for name in changes if name not in type(self).model_fields]
        if unknown:
            raise self.unknown_setting(unknown[0])
        return self.make({**{name: getattr(self, name) for name in type(self).model_fields}, **changes})

    @classmethod
    def unknown_setting(cls, name: str) -> OperatorError:
        """The complaint about a name that is no setting, with the nearest one there is."""
        remedy = "See docs/reference for the settings there are"
        if name in cls.model_fields:
            return OperatorError(f"{name!r} of a {cls.noun} cannot be set in this way", field=name, remedy=remedy)
        near = difflib.get_close_matches(name, list(cls.model_fields), n=1)
        return OperatorError(
            f"{name!r} is not a setting of a {cls.noun}",
            field=name,
            remedy=f"Did you mean {near[0]!r}?" if near else remedy,
        )

    @classmethod
    def explain(cls, failure: ValidationError) -> OperatorError:
        """The first complaint of pydantic in the operator's terms."""
        first = failure.errors(include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        context: dict[str, Any] = first.get("ctx", {})
        if first["type"] == "extra_forbidden":
            return cls.unknown_setting(name)
        if first["type"] == "unbuilt":
            return cls._unbuilt(cls.declared()[context["name"]], context["value"])
        if first["type"] == "rule":
            return OperatorError(f"{cls.wire_name(context['name'])}: {context['why']}", field=context["name"])
        declared = cls.declared().get(name)
        allowed = context.get("allowed") or (declared.setting.allowed() if declared is not None else None)
        hidden = first["type"] == "missing" or (declared is not None and declared.setting.secret)
        shown = None if hidden else _short(first.get("input"))
        given = f" {shown!r}" if shown is not None else ""
        why = f" {context['why']}" if "why" in context else f": {first['msg']}"
        return OperatorError(
            f"{cls.wire_name(name)}{given}{why}; allowed: {allowed}"
            if allowed
            else f"{cls.wire_name(name)}{given}{why}",
            field=name or None,
            value=shown,
            allowed=allowed,
            remedy=context.get("remedy", GIVE_ALLOWED) if allowed else None,
        )

    @classmethod
    def wire_name(cls, name: str) -> str:
        """How messages call a field: by its LoadMaster name if it has one."""
        declared = cls.declared().get(name)
        return (declared.setting.wire or name) if declared is not None else name

    @classmethod
    def _unbuilt(cls, declared: Declared, value: str) -> OperatorError:
        setting = declared.setting
        built = [str(choice) for choice in setting.choices if choice not in setting.unbuilt]
        allowed = ", ".join(built) if setting.built else f"its default, {_plain(declared.default)}"
        return OperatorError(
            f"{setting.wire or declared.name}={value} ({setting.label}) is not built in Steelyard yet"
            f"{': ' if setting.why_unbuilt else ''}{setting.why_unbuilt}; allowed: {allowed}",
            field=declared.name,
            value=value,
            allowed=allowed,
            remedy=LEAVE_OUT,
        )


def _plain(value: Any) -> str:
    """A value as operators write it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "empty"
    return "empty" if value == "" else str(value)


def _short(value: Any) -> str:
    if isinstance(value, list | tuple) and all(isinstance(item, str | int) for item in value):
        # as operators write a list
        value = " ".join(map(str, value))
    text = value if isinstance(value, str) else repr(value)
    text = text.encode("unicode_escape").decode("ascii") if _CONTROL.search(text) or _SURROGATE.search(text) else text
    return text if len(text) <= 120 else text[:117] + "..."
