"""A real browser on a real Steelyard.

    with Rig() as rig, rig.screen(width=390, theme="dark") as screen:
        screen.open("/virtual-services")
        screen.page.get_by_role("link", name="shop").click()
        screen.must_be_accessible()

The browser is Debian's Chromium, driven by Playwright. Every request a page makes is noted: none may leave the host.
Screenshots go to the directory that STEELYARD_SCREENSHOTS names, docs/images among others; without it none is made.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from playwright.sync_api import Page, Playwright, expect, sync_playwright
from tests.support.origin import Origin
from tests.support.ports import free_port
from tests.support.steelyard_process import SteelyardProcess

_AXE = (Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js").read_text("utf-8")
#: WCAG 2.2 AA, and what axe knows besides it to be good
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
#: without a sandbox because tests run as root; the others stop Chromium from calling home
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: the machine may be busy with other tests
_PATIENCE_MS = 15_000


class Screen:
    """One page of one browser window, and what went wrong in it."""

    def __init__(self, rig: Rig, page: Page) -> None:
        self.rig, self.page = rig, page
        self.foreign: list[str] = []
        self.complaints: list[str] = []
        page.on("request", self._note)
        page.on("console", lambda message: self._complain(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, request: Any) -> None:
        if not request.url.startswith((self.rig.steelyard.url, "data:")):
            self.foreign.append(request.url)

    def _complain(self, kind: str, text: str) -> None:
        # Chromium writes a line for every answer that is not a success; those that are wanted are asked for in tests
        if kind == "error" and not text.startswith("Failed to load resource"):
            self.complaints.append(text)

    def open(self, path: str) -> Page:
        """Go to a page of this Steelyard."""
        self.page.goto(self.rig.steelyard.url + path)
        return self.page

    def troubles(self) -> list[str]:
        """Scripts that failed, what the policy of the page stopped, requests to other hosts."""
        return [f"{self.page.url}: {one}" for one in (*self.complaints, *self.foreign)]

    def must_be_clean(self) -> None:
        """There are no troubles."""
        assert not self.troubles()

    def look(self, width: int, theme: str) -> None:
        """Another window and another look of the same page."""
        self.page.set_viewport_size({"width": width, "height": 900 if width > 600 else 844})
        self.page.emulate_media(color_scheme="dark" if theme == "dark" else "light")

    def barriers(self, rules: list[str] | None = None) -> list[str]:
        """What axe finds; by every rule unless some are named."""
        self.page.evaluate(f"if (!window.axe) {{ {_AXE} }}")
        found = self.page.evaluate(
            "only => axe.run(document, {runOnly: only, resultTypes: ['violations']})",
            {"type": "rule", "values": rules} if rules else {"type": "tag", "values": _RULES},
        )
        return [
            f"{self.page.url}: {one['id']} ({one['help']}): {node['target']} {node['failureSummary']}"
            for one in found["violations"]
            for node in one["nodes"][:3]
        ]

    def must_be_accessible(self) -> None:
        """axe finds nothing."""
        found = self.barriers()
        assert not found, "\n".join(found)

    def sideways(self) -> list[str]:
        """Whether the page is wider than its window; what has to be wider has a box of its own to scroll in."""
        wide, window = self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        return [f"{self.page.url} is {wide} wide in {window}"] if wide > window else []

    def keep(self, name: str) -> None:
        """Keep a picture of it."""
        directory = os.environ.get("STEELYARD_SCREENSHOTS")
        if directory:
            self.page.screenshot(path=Path(directory) / f"{name}.png")


class Rig:
    """Steelyard, its real servers and the browser. A Steelyard that is given runs already, and goes on afterwards."""

    def __init__(self, steelyard: SteelyardProcess | None = None) -> None:
        self._stack = contextlib.ExitStack()
        self._own = steelyard is None
        self.steelyard = steelyard or SteelyardProcess()
        self._state: Any = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            if self._own:
                stack.enter_context(self.steelyard)
            playwright: Playwright = stack.enter_context(sync_playwright())
            self._browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(_ARGUMENTS))
            stack.callback(self._browser.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def origin(self, address: str = "127.0.0.1", port: int | None = None) -> Origin:
        """A real server that runs until the end unless it is stopped before."""
        return self._stack.enter_context(Origin("real server", address=address, port=port))

    def clear(self) -> None:
        """Remove every service: tests of another module may have left some."""
        native = self.steelyard.native
        for service in native.get("virtual-services").json():
            if not service["parent"]:
                native.delete(f"virtual-services/{service['index']}")

    def service(self, name: str, *origins: Origin, **settings: Any) -> int:
        """A virtual service with these real servers; its index."""
        servers = [{"address": origin.address, "port": origin.port} for origin in origins]
        body = {"address": "127.0.0.1", "port": free_port(), "name": name, "service_type": "http", "servers": servers}
        answer = self.steelyard.native.post("virtual-services", json={**body, **settings})
        answer.raise_for_status()
        index: int = answer.json()["object"]["index"]
        return index

    @contextlib.contextmanager
    def screen(self, *, width: int = 1280, theme: str = "light", signed_in: bool = True) -> Iterator[Screen]:
        """A window. `theme` is what the system of its user prefers."""
        context = self._browser.new_context(
            ignore_https_errors=True,
            viewport={"width": width, "height": 900 if width > 600 else 844},
            color_scheme="dark" if theme == "dark" else "light",
            storage_state=self._state if signed_in else None,
            reduced_motion="reduce",
        )
        context.set_default_timeout(_PATIENCE_MS)
        expect.set_options(timeout=_PATIENCE_MS)
        try:
            made = Screen(self, context.new_page())
            if signed_in and self._state is None:
                self.sign_in(made)
                self._state = context.storage_state()
            yield made
        finally:
            context.close()

    def sign_in(self, screen: Screen) -> None:
        """By the form, as the administrator."""
        page = screen.open("/sign-in")
        page.get_by_label("User").fill(self.steelyard.user)
        page.get_by_label("Password").fill(self.steelyard.password)
        if page.get_by_label("I accept").count():
            page.get_by_label("I accept").check()
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/")
        # a line above the first page, shown once, is not what other tests look at
        screen.open("/")

    def forget_sign_in(self) -> None:
        """The next window signs in anew."""
        self._state = None


__all__ = ["Rig", "Screen"]
