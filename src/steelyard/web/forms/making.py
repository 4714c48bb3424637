"""Fields made of a model's settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from steelyard.model.barred import Bars
from steelyard.model.setting import GIVE_ALLOWED, Declared, Settings
from steelyard.web.forms.field import Choice, Complaint, Field, Offer
from steelyard.web.forms.posted import BITS, posted_form, value_of, widget_of
from steelyard.web.forms.wording import help_of, in_words, plainly, range_of, unit_of

Values = Mapping[str, Any]
_NO_BARS = Bars()
#: where each character counts
_MONO = frozenset({"pattern", "replacement", "check_pattern", "check_url", "error_url", "adaptive_url", "address"})
#: how pydantic says that a text is no number
_NO_NUMBER = re.compile(r":? ?Input should be a valid integer.*$")
_QUOTED = re.compile(r"^'([^']*)'")
#: what an empty password field stands for, where there is one
KEPT = "unchanged"
_ROWS = {"area": 3, "lines": 4, "words": 4, "page": 8}


class Maker:
    """Makes the fields of one object's form.

    `values` are what it has, `was` what the fields held when the form was first drawn, `texts` what they hold where
    somebody has typed already. `offers` are what settings may name, `errors` what is wrong with some of them, `idle`
    why some have no effect.
    """

    def __init__(
        self,
        model: type[Settings],
        values: Values,
        *,
        was: Mapping[str, str] | None = None,
        texts: Mapping[str, str] | None = None,
        offers: Mapping[str, Offer] | None = None,
        bars: Bars = _NO_BARS,
        idle: Mapping[str, str] | None = None,
        errors: Mapping[str, Complaint] | None = None,
    ) -> None:
        self._model = model
        self._values = values
        self._was = was or {}
        self._texts = texts or {}
        self._offers = offers or {}
        self._bars = bars
        self._idle = idle or {}
        self._errors = errors or {}

    def fields(self, names: Iterable[str]) -> tuple[Field, ...]:
        """The fields of those settings that are built and have anything to say at present."""
        made = (self.field(name) for name in names)
        return tuple(one for one in made if one is not None)

    def field(self, name: str) -> Field | None:
        """One field; None where it is not to be shown.

        A setting without effect is left out while it has its default, and nobody has typed anything else.
        """
        declared = self._model.declared()[name]
        setting = declared.setting
        if not setting.built:
            return None
        offer = self._offers.get(name)
        kept = self._values[name]
        before = self._was.get(name, posted_form(declared, kept, offered=offer is not None))
        text = self._texts.get(name, before)
        changed = text != before and value_of(declared, text) != value_of(declared, before)
        if setting.secret:
            changed = bool(text)
        idle, error = self._idle.get(name, ""), self._errors.get(name)
        if idle and not changed and error is None and declared.is_default(kept):
            return None
        barred = self._bars.settings.get(name, "")
        choices = self._choices(declared, text, offer)
        if declared.setting.choices and declared.kind != "list" and len(choices) < 2 and error is None:
            # one choice is none
            return None
        widget = widget_of(declared, offered=offer is not None)
        return Field(
            name=name,
            widget=widget,
            label=setting.label,
            help=help_of(self._model, declared),
            value=text,
            unit=unit_of(declared),
            range="" if offer is not None else "One a line." if widget == "lines" else range_of(declared),
            default="" if widget == "picks" else _default(declared, kept),
            max_length=setting.max_length,
            rows=max(_ROWS.get(widget, 0), min(text.count("\n") + 1, 16)) if widget in _ROWS else 0,
            required=not isinstance(declared.default, (str, int, tuple)),
            choices=choices,
            mono=name in _MONO,
            made_at=offer.made_at if offer is not None else "",
            wire=setting.wire or "",
            changed=changed,
            before=in_words(declared, value_of(declared, before)) if changed and not setting.secret else "",
            barred=plainly(self._model, barred, name) if barred and not changed else "",
            notice=idle,
            error=error,
        )

    def _choices(self, declared: Declared, text: str, offer: Offer | None) -> tuple[Choice, ...]:
        if declared.name in BITS:
            chosen = set(text.split())
            return tuple(Choice(str(bit), label, str(bit) in chosen) for bit, label in BITS[declared.name].items())
        if offer is not None:
            return _offered(declared, text, offer)
        setting = declared.setting
        if not setting.choices or declared.kind in ("boolean", "list"):
            return ()
        return tuple(
            Choice(str(value), str(meaning) or str(value), str(value) == text, self._why_not(declared, value, text))
            for value, meaning in setting.choices.items()
            if value not in setting.unbuilt
        )

    def _why_not(self, declared: Declared, value: Any, text: str) -> str:
        if str(value) == text or declared.name in self._bars.settings:
            return ""
        found = self._bars.why_not(declared.name, value)
        return plainly(self._model, found, declared.name) if found else ""


def _offered(declared: Declared, text: str, offer: Offer) -> tuple[Choice, ...]:
    labels = dict(offer.choices)
    if declared.kind != "list":
        chosen = {} if text in labels else {text: text}
        return tuple(Choice(value, label, value == text) for value, label in {**labels, **chosen}.items())
    picked = [part for part in text.split("\n") if part]
    first = tuple(Choice(value, labels.get(value, value), True) for value in picked)
    return first + tuple(Choice(value, label) for value, label in offer.choices if value not in picked)


def _default(declared: Declared, kept: Any) -> str:
    """What it is where nobody says anything; empty, none and 0 say nothing, the help says what these mean."""
    if declared.setting.secret:
        return KEPT if kept else ""
    if not isinstance(declared.default, (str, int, tuple)) or not declared.default or declared.kind == "boolean":
        return ""
    return in_words(declared, declared.default)


def _beside(declared: Declared, message: str, allowed: str) -> str:
    """A message as it stands at its field, which need not be named there: "“hello” is no whole number"."""
    for name in (declared.setting.wire, declared.name):
        if name and message.startswith(f"{name} '"):
            message = message[len(name) + 1 :]
            break
    if allowed:
        message = message.removesuffix(f"; allowed: {allowed}")
    message = _QUOTED.sub("“\\1”", message, count=1)
    return _NO_NUMBER.sub(" is no whole number", message)


def complaints_of(
    model: type[Settings], failure: Any, *, shown: Callable[[str], bool]
) -> tuple[dict[str, Complaint], Complaint | None]:
    """An error at its field; what belongs to no field that is shown stands above the form."""
    name = getattr(failure, "field", None)
    known = name if isinstance(name, str) and name in model.declared() else None
    allowed = getattr(failure, "allowed", None) or ""
    remedy = getattr(failure, "remedy", None) or ""
    at_field = known is not None and shown(known)
    message = failure.message
    if known is not None and at_field:
        message = _beside(model.declared()[known], message, allowed)
    complaint = Complaint(
        plainly(model, message, known if at_field else None),
        allowed,
        "" if remedy in (GIVE_ALLOWED, "Correct it") else plainly(model, remedy),
        getattr(failure, "words", None) or "",
    )
    if known is not None and at_field:
        return {known: complaint}, None
    return {}, complaint


__all__ = ["KEPT", "Maker", "complaints_of"]
