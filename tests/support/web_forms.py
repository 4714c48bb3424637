"""Forms as a browser sends them: what an untouched form of a page would post."""

from __future__ import annotations

from html.parser import HTMLParser

Fields = dict[str, list[str]]


class _Reader(HTMLParser):
    def __init__(self, form: str) -> None:
        super().__init__(convert_charrefs=True)
        self._form = form
        self._inside = False
        self.found: Fields = {}
        self.disabled: set[str] = set()
        self.labels: dict[str, str] = {}
        self._area: str | None = None
        self._select: tuple[str, bool] | None = None
        self._chosen: str | None = None
        self._first: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = given.get("id") == self._form
        if not self._inside or (tag != "option" and "name" not in given):
            return
        name = given.get("name", "")
        off = "disabled" in given
        if off and tag != "option":
            self.disabled.add(name)
        if tag == "input":
            kind = given.get("type", "text")
            if not off and (kind not in ("checkbox", "radio") or "checked" in given):
                self.found.setdefault(name, []).append(given.get("value", ""))
        elif tag == "textarea" and not off:
            self._area = ""
            self._select = (name, True)
        elif tag == "select":
            self._select, self._chosen, self._first = (name, not off), None, None
        elif tag == "option" and self._select is not None:
            if "selected" in given:
                self._chosen = given.get("value", "")
            if self._first is None and not off:
                self._first = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        if tag == "textarea" and self._area is not None and self._select is not None:
            # one newline after the tag is not content; every other is sent as CR LF
            text = self._area.removeprefix("\n").replace("\n", "\r\n")
            self.found.setdefault(self._select[0], []).append(text)
            self._area = self._select = None
        if tag == "select" and self._select is not None:
            name, on = self._select
            chosen = self._chosen if self._chosen is not None else self._first
            if on and chosen is not None:
                self.found.setdefault(name, []).append(chosen)
            self._select = None

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self._area += data


def fields_of(page: str, form: str = "editor") -> Fields:
    """The fields of a form with what they hold."""
    reader = _Reader(form)
    reader.feed(page)
    return reader.found


def disabled_fields(page: str, form: str = "editor") -> set[str]:
    """The names of fields that are greyed."""
    reader = _Reader(form)
    reader.feed(page)
    return reader.disabled


__all__ = ["Fields", "disabled_fields", "fields_of"]
