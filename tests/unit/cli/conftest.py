"""The program against the native API in memory: typer's runner, with the network replaced."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
import pytest
import typer
from tests.unit.api.native.conftest import application
from tests.unit.api.native.memory_appliance import MemoryAppliance
from typer.testing import CliRunner, Result

from steelyard.cli.main import app
from steelyard.cli.session import Surroundings

_RUNNER = asyncio.Runner()


class Bridge(httpx.BaseTransport):
    """A synchronous transport to an ASGI application; remembers the requests."""

    def __init__(self, appliance: MemoryAppliance, *, trusted_local: bool = True) -> None:
        self._asgi = httpx.ASGITransport(
            application(appliance, trusted_local=trusted_local), raise_app_exceptions=False
        )
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return _RUNNER.run(self._handle(request))

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        found = await self._asgi.handle_async_request(
            httpx.Request(request.method, request.url, headers=request.headers, content=request.read())
        )
        return httpx.Response(found.status_code, headers=found.headers, content=await found.aread())


@dataclass
class Program:
    """`steelyard` as a person or a script runs it."""

    transport: httpx.BaseTransport
    interactive: bool = False

    def __call__(self, *arguments: str, stdin: str | bytes | None = None, **environment: str) -> Result:
        surroundings = Surroundings(self.transport, self.interactive)
        return CliRunner().invoke(app, list(arguments), input=stdin, env=environment, obj=surroundings)

    def ok(self, *arguments: str, stdin: str | bytes | None = None) -> str:
        """What it printed, if it succeeded."""
        result = self(*arguments, stdin=stdin)
        assert result.exit_code == 0, result.output
        return str(result.stdout)

    def json(self, *arguments: str) -> Any:
        """What it printed as JSON."""
        return json.loads(self.ok(*arguments, "--json"))


@pytest.fixture(scope="session", autouse=True)
def _one_command_tree() -> Iterator[None]:
    """Typer makes every command of the program anew for each run, which takes longer than the run itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing._get_command", cache(typer.main.get_command))
        yield


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "USER", "PASSWORD", "API_KEY", "CA_FILE", "STATE_DIR", "CERTIFICATE_PASSWORD"):
        monkeypatch.delenv(f"STEELYARD_{name}", raising=False)


@pytest.fixture
def appliance() -> MemoryAppliance:
    return MemoryAppliance()


@pytest.fixture
def bridge(appliance: MemoryAppliance) -> Bridge:
    return Bridge(appliance)


@pytest.fixture
def steelyard(bridge: Bridge) -> Program:
    return Program(bridge)


@pytest.fixture
def web(steelyard: Program) -> Callable[[], dict[str, Any]]:
    """Makes the service "web" with two real servers; calling it reads the service."""
    steelyard.ok(
        "vs", "add", "127.0.0.1:8080", "--name", "web", "--type", "http", "--rs", "127.0.0.1:9001", "--rs", "[::1]:9002"
    )

    def read() -> dict[str, Any]:
        found: dict[str, Any] = steelyard.json("vs", "show", "web")
        return found

    return read
