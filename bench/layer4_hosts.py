"""The hosts of the layer-4 benchmark: a client and a real server, and between them three ways that are measured.

Each is a network namespace. The router only routes: it is the limit. The balancer runs Steelyard, the proxies HAProxy
and nginx; they are hosts of their own because connection tracking, once a host has it, slows all its packets down. The
real server has an address for what is balanced, whose answers go back through the balancer.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.namespaces import Lab, Namespace
from tests.support.steelyard_process import SteelyardProcess

from bench.machine import program, say

VIP = "192.0.2.10"
ROUTED, BALANCED = "10.0.0.11", "10.0.0.12"
WEB, SERVICE, UDP = 8080, 80, 5300
HAPROXY, NGINX = 8001, 8002
PROXIES = "192.0.2.3"
LARGE_BYTES = 1_000_000
_STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")

_ORIGIN = """
user root; worker_processes 1; pid {directory}/origin.pid; error_log /dev/null; daemon off;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; sendfile on;
  server {{ listen {port} reuseport; root {directory}; location = / {{ return 200 "hello\\n"; }} }}
}}
"""
_HAPROXY = """
global
  nbthread 1
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen web
  bind {address}:{port}
  server one {server}:{web}
"""
_NGINX = """
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
worker_processes 1; pid {directory}/stream.pid; error_log /dev/null; daemon off;
events {{ worker_connections 4096; }}
stream {{
  server {{ listen {address}:{port}; proxy_pass {server}:{web}; }}
  server {{ listen {address}:{udp} udp; proxy_pass {server}:{udp}; proxy_responses 0; }}
}}
"""


@dataclass(frozen=True)
class Way:
    """One way of reaching the real server: where a client connects, and where it sends UDP, if it can."""

    name: str
    url: str
    udp: tuple[str, int] | None


@dataclass(frozen=True)
class Hosts:
    """What is measured, and from where."""

    client: Namespace
    server: Namespace
    ways: tuple[Way, ...]


@contextlib.contextmanager
def hosts() -> Iterator[Hosts]:
    """All of it, running; gone afterwards."""
    with Lab() as lab, tempfile.TemporaryDirectory(prefix="bench-") as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        client, server = lab.host("client"), lab.host("server")
        router, balancer = lab.host("router", forwards=True), lab.host("balancer", forwards=True)
        proxies = lab.host("proxies")
        lab.network(
            "outside",
            (client, "eth0", ("192.0.2.100/24",)),
            (router, "eth0", ("192.0.2.1/24",)),
            (balancer, "eth0", ("192.0.2.2/24", f"{VIP}/32")),
            (proxies, "eth0", (f"{PROXIES}/24",)),
        )
        lab.network(
            "inside",
            (server, "eth0", (f"{ROUTED}/24", f"{BALANCED}/24")),
            (router, "eth1", ("10.0.0.1/24",)),
            (balancer, "eth1", ("10.0.0.2/24",)),
            (proxies, "eth1", ("10.0.0.3/24",)),
        )
        client.ip("route add 10.0.0.0/24 via 192.0.2.1")
        server.ip(
            "route add default via 10.0.0.1",
            "route add default via 10.0.0.2 table 100",
            f"rule add from {BALANCED} table 100",
        )
        (directory / "large").write_bytes(bytes(LARGE_BYTES))
        _nginx(server, directory, "origin", _ORIGIN.format(directory=directory, port=WEB))
        # nobody reads it: what does not fit is counted and dropped
        sink = server.socket(kind=socket.SOCK_DGRAM)
        sink.bind(("0.0.0.0", UDP))
        (directory / "haproxy.cfg").write_text(_HAPROXY.format(address=PROXIES, port=HAPROXY, server=ROUTED, web=WEB))
        proxies.popen(program("haproxy"), "-db", "-f", str(directory / "haproxy.cfg"), stderr=subprocess.DEVNULL)
        has_stream = _STREAM_MODULE.exists()
        if has_stream:
            stream = _NGINX.format(directory=directory, address=PROXIES, port=NGINX, server=ROUTED, web=WEB, udp=UDP)
            _nginx(proxies, directory, "stream", stream)
        else:
            say("nginx stream is left out: it needs the package libnginx-mod-stream")
        stack.enter_context(_steelyard(balancer))
        yield Hosts(
            client,
            server,
            (
                Way("plain routing", f"http://{ROUTED}:{WEB}/", (ROUTED, UDP)),
                Way("Steelyard", f"http://{VIP}:{SERVICE}/", (VIP, UDP)),
                Way("HAProxy TCP mode", f"http://{PROXIES}:{HAPROXY}/", None),
                *((Way("nginx stream", f"http://{PROXIES}:{NGINX}/", (PROXIES, UDP)),) if has_stream else ()),
            ),
        )


def _nginx(host: Namespace, directory: Path, name: str, text: str) -> None:
    path = directory / f"{name}.conf"
    path.write_text(text)
    host.popen(program("nginx"), "-c", str(path), "-p", str(directory), stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def _steelyard(balancer: Namespace) -> Iterator[None]:
    """Steelyard with a TCP and a UDP service, made through its API."""
    with balancer.inside():
        steelyard = SteelyardProcess().start()
        api = steelyard.native
    try:
        for port, server_port, settings in (
            (SERVICE, WEB, {"force_l4": True, "service_type": "gen"}),
            (UDP, UDP, {"protocol": "udp"}),
        ):
            body = {
                **{"address": VIP, "port": port, "check_type": "none", **settings},
                "servers": [{"address": BALANCED, "port": server_port}],
            }
            with balancer.inside():
                answer = api.post("/virtual-services", json=body)
            if answer.status_code >= 300:
                raise RuntimeError(f"Steelyard refused a service: {answer.text}")
        yield
    finally:
        with balancer.inside():
            steelyard.stop()
