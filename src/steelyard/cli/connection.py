"""The way to the native API: the Unix socket of a local Steelyard, or a URL with a password or an API key.

Passwords come from a file, the environment or a prompt, never from the command line, where every user of the host could
read them.
"""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from getpass import getpass
from pathlib import Path
from typing import Any

import httpx

from steelyard.cli.failures import Misuse, Refused, Unreachable

PATIENCE_SECONDS = 60.0
_PREFIX = "/api/v1"


@dataclass(frozen=True)
class Connection:
    """What the command line and the environment say about the way."""

    url: str | None = None
    user: str = "bal"
    password_file: Path | None = None
    api_key: str | None = None
    insecure: bool = False
    ca_file: Path | None = None
    state_dir: Path | None = None


class ApiClient:
    """Requests to the API; every error is a `Failure`."""

    def __init__(self, client: httpx.Client, where: str, remedy: str) -> None:
        self._client = client
        self._where = where
        self._remedy = remedy

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        based_on: int | None = None,
        patience: float = PATIENCE_SECONDS,
    ) -> Any:
        """The JSON of the answer, within `patience` seconds. Raises `Refused` or `Unreachable`."""
        headers = {} if based_on is None else {"If-Match": f'"{based_on}"'}
        given = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            response = self._client.request(
                method,
                f"{_PREFIX}{path}",
                json=body,
                params=given,
                headers=headers,
                timeout=httpx.Timeout(PATIENCE_SECONDS, read=patience),
            )
        except httpx.TimeoutException:
            raise Unreachable(
                f"{self._where} did not answer in {patience:.0f} s", "Look at its log, or try again"
            ) from None
        except httpx.TransportError as failure:
            raise self._unreachable(failure) from None
        return self._answer(response)

    def get(self, path: str, **query: Any) -> Any:
        """A read."""
        return self.request("GET", path, query=query)

    def stream(self, path: str, **query: Any) -> Iterator[Any]:
        """The data of server-sent events as they come, without end."""
        given = {name: value for name, value in query.items() if value is not None}
        waiting = httpx.Timeout(PATIENCE_SECONDS, read=None)
        try:
            with self._client.stream("GET", f"{_PREFIX}{path}", params=given, timeout=waiting) as response:
                if not response.is_success:
                    response.read()
                    self._answer(response)
                for line in response.iter_lines():
                    if line.startswith("data: "):
                        yield json.loads(line.removeprefix("data: "))
        except httpx.TransportError as failure:
            raise self._unreachable(failure) from None

    def _unreachable(self, failure: httpx.TransportError) -> Unreachable:
        if "CERTIFICATE_VERIFY_FAILED" in str(failure):
            return Unreachable(
                f"The certificate of {self._where} is not trusted",
                "Name its certificate by --ca-file, or give --insecure if you know the network in between",
            )
        return Unreachable(f"No Steelyard answers at {self._where}: {failure}", self._remedy)

    def _answer(self, response: httpx.Response) -> Any:
        try:
            found = response.json()
        except ValueError:
            raise Unreachable(
                f"{self._where} answered {response.status_code} without JSON, so it is no Steelyard API", self._remedy
            ) from None
        if response.is_success:
            return found
        error = found.get("error") if isinstance(found, dict) else None
        if not isinstance(error, dict):
            raise Refused({"kind": "http", "message": f"{self._where} answered {response.status_code}"})
        if response.status_code == 401:
            error.setdefault("remedy", "Check --user and the password, or the API key")
        raise Refused(error)


def open_client(
    connection: Connection, transport: httpx.BaseTransport | None = None, *, interactive: bool = False
) -> ApiClient:
    """The client of a connection. `transport` replaces the network. Raises `Misuse`."""
    if connection.url is None:
        socket = local_state_dir(connection) / "run" / "api.sock"
        client = httpx.Client(
            base_url="http://steelyard",
            transport=transport or httpx.HTTPTransport(uds=str(socket)),
            timeout=PATIENCE_SECONDS,
        )
        remedy = "Start it by `steelyard serve`, name its state directory by --state-dir, or another Steelyard by --url"
        return ApiClient(client, str(socket), remedy)
    url = connection.url.rstrip("/").removesuffix(_PREFIX)
    if not url.startswith(("http://", "https://")):
        raise Misuse(f"{connection.url!r} is no URL of a Steelyard", "Give one like https://adc.example.net:8443")
    if "@" in url:
        raise Misuse("The URL holds a user or password", "Give --user, and the password by file or environment")
    try:
        client = httpx.Client(
            base_url=url,
            transport=transport,
            verify=_trust(connection),
            timeout=PATIENCE_SECONDS,
            **_credentials(connection, interactive),
        )
    except httpx.InvalidURL as failure:
        raise Misuse(f"{connection.url!r} is no URL: {failure}", "Give one like https://adc.example.net:8443") from None
    return ApiClient(client, url, "Check the URL and that Steelyard runs there")


def local_state_dir(connection: Connection) -> Path:
    """The state directory of the Steelyard on this host."""
    return connection.state_dir or _usual_state_dir()


def _usual_state_dir() -> Path:
    # Imported only when it is needed: a remote Steelyard is asked without loading the parts of one.
    from steelyard.appliance.startup import default_state_dir

    return default_state_dir()


def _trust(connection: Connection) -> ssl.SSLContext | bool:
    if connection.insecure:
        return False
    if connection.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(connection.ca_file))
    except (OSError, ssl.SSLError) as failure:
        raise Misuse(f"{connection.ca_file} cannot be used as trusted certificates: {failure}") from None


def _credentials(connection: Connection, interactive: bool) -> dict[str, Any]:
    if connection.api_key:
        try:
            connection.api_key.encode("ascii")
        except UnicodeEncodeError:
            raise Misuse("The API key holds characters no API key has") from None
        return {"headers": {"X-API-Key": connection.api_key}}
    password = read_secret(connection.password_file, "STEELYARD_PASSWORD")
    if password is None and interactive:
        password = getpass(f"Password of {connection.user}: ")
    if password is None:
        raise Misuse(
            "No password is given", "Set STEELYARD_PASSWORD or STEELYARD_API_KEY, or name a file by --password-file"
        )
    return {"auth": (connection.user, password)}


def read_secret(file: Path | None, variable: str) -> str | None:
    """The secret of a file (its last line end removed), or of an environment variable. Raises `Misuse`."""
    if file is None:
        return os.environ.get(variable)
    try:
        return file.read_text("utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeError) as failure:
        raise Misuse(f"The file {file} cannot be read: {failure}") from None
