"""The real servers of the data-plane measurement: one nginx worker that answers at once, in clear and in TLS."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.certificates import leaf
from tests.support.ports import free_ports

from bench.machine import program

#: real servers of the measured service
SERVERS = 3
_MANY = 1_000_000_000


@dataclass(frozen=True)
class Origins:
    """Ports on 127.0.0.1, and the certificate that origins and proxies present."""

    plain: tuple[int, ...]
    tls: tuple[int, ...]
    certificate: Path


@contextlib.contextmanager
def running_origins() -> Iterator[Origins]:
    """Origins while the context lasts. Connections to them are kept as long as the client keeps them."""
    ports = free_ports(2 * SERVERS)
    with tempfile.TemporaryDirectory(prefix="bench-origin-") as name:
        directory = Path(name)
        certificate = leaf("bench.example", kind="rsa").write(directory, "bench")
        origins = Origins(tuple(ports[:SERVERS]), tuple(ports[SERVERS:]), certificate)
        configuration = directory / "nginx.conf"
        configuration.write_text(_configuration(origins, directory))
        with nginx(configuration, ports[0]):
            yield origins


def _configuration(origins: Origins, directory: Path) -> str:
    listen = "".join(f"listen 127.0.0.1:{port};" for port in origins.plain)
    listen += "".join(f"listen 127.0.0.1:{port} ssl;" for port in origins.tls)
    return f"""
worker_processes 1; daemon off; pid {directory}/nginx.pid; error_log {directory}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests {_MANY}; keepalive_timeout 3600s;
  ssl_certificate {origins.certificate}; ssl_certificate_key {origins.certificate}; ssl_protocols TLSv1.2 TLSv1.3;
  server {{ {listen} location / {{ default_type text/plain; return 200 "hello"; }} }}
}}
"""


@contextlib.contextmanager
def nginx(configuration: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """An nginx on that configuration (`daemon off`), from the moment it listens on the port."""
    with child([program("nginx"), "-c", str(configuration)], port) as process:
        yield process


@contextlib.contextmanager
def child(command: list[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process while the context lasts, from the moment it listens on a port of 127.0.0.1."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _wait_for(process, port)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said = process.stderr.read().decode() if process.stderr is not None else ""
            raise RuntimeError(f"{process.args!r} ended at its start: {said}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.02)
    raise RuntimeError(f"{process.args!r} does not listen on port {port}")
