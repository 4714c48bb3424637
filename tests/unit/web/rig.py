"""A signed-in browser without a browser: Starlette's client on the web interface of a fake appliance."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from starlette.testclient import TestClient
from tests.support.fake_appliance import PASSWORD, FakeAppliance
from tests.support.web_forms import Fields, fields_of

from steelyard.model.commands import Command
from steelyard.web.app import build_web_app


class Browser:
    """Pages of one appliance, as the administrator unless another user is named."""

    def __init__(self, appliance: FakeAppliance | None = None, user: str = "bal", password: str = PASSWORD) -> None:
        self.appliance = appliance or FakeAppliance()
        self.client = TestClient(
            build_web_app(self.appliance),
            base_url="https://lb1.example",
            follow_redirects=False,
            headers={"Sec-Fetch-Site": "same-origin"},
        )
        answer = self.client.post("/sign-in", data={"user": user, "password": password})
        assert answer.status_code == 303, answer.text

    def execute(self, *commands: Command) -> Any:
        """Change the configuration by another way; the key of the last."""
        key = None
        for command in commands:
            key = asyncio.run(self.appliance.execute(command, self.appliance.administrator())).key
        return key

    def get(self, path: str) -> str:
        """A page that is there."""
        answer = self.client.get(path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:600])
        return answer.text

    def post(self, path: str, fields: Mapping[str, str | Sequence[str]], *, htmx: bool = False) -> httpx.Response:
        """Send fields with the session's token."""
        token = fields_of(self.get("/virtual-services/add"))["csrf"][0]
        headers = {"HX-Request": "true"} if htmx else {}
        return self.client.post(path, data={"csrf": token, **fields}, headers=headers)  # type: ignore[arg-type] - lists are sent as several values

    def form(self, path: str) -> Fields:
        """The untouched form of a page."""
        return fields_of(self.get(path))

    def send(
        self, path: str, step: str, *, htmx: bool = False, form: Fields | None = None, **typed: Any
    ) -> httpx.Response:
        """Fill in the form of a page and send it. A value of None leaves a checkbox off."""
        fields: dict[str, Any] = dict(form if form is not None else self.form(path))
        for name, value in typed.items():
            if value is None:
                fields.pop(name, None)
            else:
                fields[name] = value
        return self.post(path, {**fields, "_step": step}, htmx=htmx)

    def apply(self, path: str, **typed: Any) -> httpx.Response:
        """Review a form and apply what was reviewed."""
        reviewed = self.send(path, "review", **typed)
        assert reviewed.status_code == 200, reviewed.text[:600]
        return self.post(path, {**fields_of(reviewed.text), "_step": "apply"})


__all__ = ["Browser"]
