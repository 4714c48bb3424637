"""The administration's pages as they are drawn, without a browser: signed in by the form, read as text.

pages = Pages(bed)
page = pages.get("/virtual-services/1")
page.sections["ssl"], page.rows, page.disabled, page.choices("schedule"), page.text
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx
from tests.scenarios.bed import Bed
from tests.support.web_forms import Fields, disabled_fields, fields_of

_SECTION = re.compile(r'<details class="card section" id="section-(\w+)".*?<summary[^>]*>(.*?)</summary>', re.DOTALL)


def words(markup: str) -> str:
    """What is read of a piece of a page."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", markup)).split())


@dataclass(frozen=True)
class Page:
    """One page."""

    markup: str

    @cached_property
    def text(self) -> str:
        return words(self.markup.partition("<body")[2])

    @cached_property
    def sections(self) -> dict[str, str]:
        """The title line of each section of a form."""
        return {name: words(line) for name, line in _SECTION.findall(self.markup)}

    @cached_property
    def rows(self) -> list[str]:
        """The settings that have a field."""
        return re.findall(r'id="row-(\w+)"', self.markup)

    @cached_property
    def fields(self) -> Fields:
        """What an untouched form would send."""
        return fields_of(self.markup)

    @cached_property
    def disabled(self) -> set[str]:
        return disabled_fields(self.markup)

    def choices(self, setting: str) -> list[str]:
        """What a drop-down list offers."""
        (found,) = re.findall(rf'<select[^>]*id="f-{setting}"[^>]*>(.*?)</select>', self.markup, re.DOTALL)
        return [words(one) for one in re.findall(r"<option[^>]*>(.*?)</option>", found, re.DOTALL)]

    @cached_property
    def table(self) -> list[list[str]]:
        """The cells of every row of its tables, headings included."""
        rows = re.findall(r"<tr[^>]*>(.*?)</tr>", self.markup, re.DOTALL)
        return [[words(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)] for row in rows]


class Pages:
    """A session of the administrator."""

    def __init__(self, bed: Bed) -> None:
        assert bed.steelyard is not None
        self._bed = bed
        self._client = httpx.Client(
            base_url=bed.steelyard.url, verify=False, trust_env=False, headers={"Sec-Fetch-Site": "same-origin"}
        )
        answer = self._send("POST", "/sign-in", data={"user": bed.steelyard.user, "password": bed.steelyard.password})
        assert answer.status_code == 303, answer.text[:300]

    def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        with self._bed.lb.inside():
            return self._client.request(method, path, **more)

    def get(self, path: str) -> Page:
        """A page that is there."""
        answer = self._send("GET", path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:300])
        return Page(answer.text)

    def send(self, path: str, step: str, **typed: Any) -> Page:
        """Fill in the form of a page and send it: step "review", or "redraw"; a value of None leaves a switch off."""
        fields: dict[str, Any] = dict(self.get(path).fields)
        for name, value in typed.items():
            fields.pop(name, None)
            if value is not None:
                fields[name] = value
        return Page(self._send("POST", path, data={**fields, "_step": step}).text)

    def close(self) -> None:
        self._client.close()
