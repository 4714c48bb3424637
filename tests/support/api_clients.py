"""The three ways a test talks to Steelyard's administration port: LoadMaster's API v1 and v2, and the native API.

The LoadMaster client is deliberately raw: it sends what it is given and returns what came, so that tests can look at
exact answers. The official SDK has its own place, `tests.support.sdk`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from xml.etree import ElementTree

import httpx

_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Answer:
    """A v1 answer. `root` is the `Response` element, or None when the body is not XML (a 401 page, a download)."""

    status: int
    media_type: str
    body: bytes
    root: ElementTree.Element | None

    @property
    def ok(self) -> bool:
        return self.status == 200 and self.root is not None and self.root.find("Success") is not None

    @property
    def data(self) -> ElementTree.Element:
        """The `Data` element.

        Raises:
            LookupError: the answer has none; the message shows the answer.
        """
        found = None if self.root is None else self.root.find("Success/Data")
        if found is None:
            raise LookupError(f"no Data in {self.status} {self.body[:500]!r}")
        return found

    @property
    def message(self) -> str:
        """The text of `Error` or `Success`, empty when there is none."""
        if self.root is None:
            return ""
        found = self.root.find("Error")
        if found is None:
            found = self.root.find("Success")
        return "" if found is None or found.text is None else found.text

    def text(self, path: str) -> str | None:
        """The text of an element below `Data`, None when it is not there."""
        return self.data.findtext(path)


class LoadMasterClient:
    """`/access/COMMAND` and `/accessv2`. Without user and password it sends no credentials."""

    def __init__(
        self, url: str, user: str | None = None, password: str | None = None, *, api_key: str | None = None
    ) -> None:
        self._user, self._password, self._api_key = user, password, api_key
        auth = (user, password or "") if user is not None else None
        self._client = httpx.Client(base_url=url, auth=auth, verify=False, trust_env=False, timeout=_TIMEOUT_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def call(
        self,
        command: str,
        params: Mapping[str, object] | None = None,
        *,
        body: bytes | None = None,
        form: Mapping[str, object] | None = None,
        **more: object,
    ) -> Answer:
        """One v1 command. `body` makes it an upload (POST of raw bytes), `form` a POST of a form.

        Parameters whose names are not Python identifiers go into `params`: `call("modvs", {"CheckUse1.1": 1}, vs=1)`.
        """
        query = {name: str(value) for name, value in {**(params or {}), **more}.items()}
        if self._api_key is not None:
            query["apikey"] = self._api_key
        path = f"/access/{command}"
        if body is not None:
            # curl and the PowerShell SDK send raw uploads under the form media type.
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            response = self._client.post(path, params=query, content=body, headers=headers)
        elif form is not None:
            fields = {name: str(value) for name, value in form.items()}
            response = self._client.post(path, params=query, data=fields)
        else:
            response = self._client.get(path, params=query)
        return _answer(response)

    def must(self, command: str, params: Mapping[str, object] | None = None, **more: Any) -> Answer:
        """`call` that fails the test unless the command succeeded."""
        answer = self.call(command, params, **more)
        assert answer.ok, f"{command} answered {answer.status}: {answer.body.decode('latin-1')}"
        return answer

    def v2(self, command: str, **members: object) -> tuple[int, dict[str, Any]]:
        """One v2 command: HTTP status and JSON object. Credentials go into the object, as the known clients do."""
        message: dict[str, object] = {"cmd": command, **members}
        if self._api_key is not None:
            message["apikey"] = self._api_key
        elif self._user is not None:
            message |= {"apiuser": self._user, "apipass": self._password}
        response = self._client.post("/accessv2", json=message, auth=httpx.Auth())
        return response.status_code, response.json()


def _answer(response: httpx.Response) -> Answer:
    try:
        root = ElementTree.fromstring(response.content)
    except ElementTree.ParseError:
        root = None
    if root is not None and root.tag != "Response":
        root = None
    return Answer(response.status_code, response.headers.get("content-type", ""), response.content, root)


class NativeClient:
    """`/api/v1`: paths are given below it, `client.get("/status")`."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._client = httpx.Client(
            base_url=f"{url.rstrip('/')}/api/v1",
            auth=(user, password),
            verify=False,
            trust_env=False,
            timeout=_TIMEOUT_SECONDS,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Any request; `options` are httpx's: json, content, params, headers."""
        return self._client.request(method, path, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> httpx.Response:
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> httpx.Response:
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> httpx.Response:
        return self.request("DELETE", path, **options)
