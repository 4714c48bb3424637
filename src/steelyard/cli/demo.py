"""`steelyard demo`: three sample real servers and two services, to see it work at once."""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from steelyard.appliance.appliance import Appliance
from steelyard.appliance.contract import Actor
from steelyard.cli.sample_server import SampleServer
from steelyard.cli.serve import fail
from steelyard.cli.service import running, told_to_stop, until_told
from steelyard.model.commands import AddService, Batch
from steelyard.model.errors import OperatorError, SteelyardError
from steelyard.model.user import ADMINISTRATOR

_NAMES = ("ant", "bee", "cat")
_FIRST_PORT = 9101


def demo(
    admin_port: Annotated[int, typer.Option(help="Port of the API.")] = 8443,
    http_port: Annotated[int, typer.Option(help="Port of the HTTP service.")] = 8080,
    https_port: Annotated[int, typer.Option(help="Port of the HTTPS service.")] = 8444,
    server_port: Annotated[int, typer.Option(help="First port of the sample real servers.")] = _FIRST_PORT,
    haproxy: Annotated[str | None, typer.Option(help="HAProxy binary to use.", envvar="STEELYARD_HAPROXY")] = None,
) -> None:
    """Start a throw-away appliance on 127.0.0.1 with sample real servers; Ctrl-C ends all of it."""
    logging.basicConfig(level=logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="steelyard-demo-") as directory:
        try:
            asyncio.run(_demo(Path(directory), admin_port, http_port, https_port, server_port, haproxy))
        except SteelyardError as failure:
            raise fail(failure) from failure


async def _demo(
    state_dir: Path, admin_port: int, http_port: int, https_port: int, server_port: int, haproxy: str | None
) -> None:
    ports = [server_port + number for number in range(len(_NAMES))]
    stop = told_to_stop()
    samples = [await _sample(name, port) for name, port in zip(_NAMES, ports, strict=True)]
    try:
        again, sample_services = True, True
        while again:
            async with running(
                state_dir, "127.0.0.1", admin_port, haproxy=haproxy, stop_engines=True, accept_licence=True
            ) as started:
                if sample_services:
                    await _add_services(started.appliance, http_port, https_port, ports)
                    _tell(admin_port, http_port, https_port, ports, state_dir, started.password)
                again, sample_services = await until_told(started, stop), False
        typer.echo("\nEnding the demo.")
    finally:
        for sample in samples:
            sample.close()


async def _add_services(appliance: Appliance, http_port: int, https_port: int, ports: list[int]) -> None:
    actor = Actor(appliance.snapshot().configuration.user(ADMINISTRATOR), "demo")
    common = {
        "address": "127.0.0.1",
        "service_type": "http",
        "check_type": "http",
        "check_url": "/health",
        "servers": [{"address": "127.0.0.1", "port": port} for port in ports],
    }
    plain = {**common, "port": http_port, "name": "demo-http"}
    secure = {**common, "port": https_port, "name": "demo-https", "ssl_acceleration": True, "allow_http2": True}
    await appliance.execute(Batch((AddService(plain), AddService(secure))), actor, reason="demo", wait=True)


async def _sample(name: str, port: int) -> asyncio.Server:
    try:
        return await asyncio.start_server(SampleServer(name).handle, "127.0.0.1", port, reuse_address=True)
    except OSError as failure:
        raise OperatorError(
            f"The sample real server {name} cannot listen on 127.0.0.1:{port}: {failure.strerror}",
            field="server-port",
            value=port,
            remedy="Give other ports with --server-port",
        ) from failure


def _tell(
    admin_port: int, http_port: int, https_port: int, ports: list[int], state_dir: Path, password: str | None
) -> None:
    shown = password or "the one in STEELYARD_ADMIN_PASSWORD"
    login = f"{ADMINISTRATOR}:{password}" if password else f'{ADMINISTRATOR}:"$STEELYARD_ADMIN_PASSWORD"'
    typer.echo(f"""
Steelyard is running.

  real servers     {", ".join(f"{name} on 127.0.0.1:{port}" for name, port in zip(_NAMES, ports, strict=True))}
  HTTP service     http://127.0.0.1:{http_port}
  HTTPS service    https://127.0.0.1:{https_port}   (temporary self-signed certificate, HTTP/2)
  administration   https://127.0.0.1:{admin_port}   web interface and APIs; user {ADMINISTRATOR}, password {shown}

Try (in another terminal):

  for i in 1 2 3; do curl -s 'http://127.0.0.1:{http_port}/?json' | head -c 60; echo; done
  curl -sk 'https://127.0.0.1:{https_port}/?json'
  curl -sk -u {login} 'https://127.0.0.1:{admin_port}/access/listvs'
  curl -sk -u {login} 'https://127.0.0.1:{admin_port}/api/v1/status'
  {sys.executable} -m steelyard --state-dir {state_dir} vs list

Ctrl-C ends everything.
""")
