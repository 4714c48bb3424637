"""What is compared: HAProxy as Steelyard configures it, HAProxy configured by hand, nginx. Same work, one thread each.

Steelyard's configuration is the product's own: `steelyard serve` makes it from LoadMaster API calls. The hand-written
one is what an expert would write for the same behaviour (one server connection for each client connection, kept and
preferred) and nothing else: no persistence over reloads, no runtime socket, no state file, no Lua.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.support.ports import free_port
from tests.support.steelyard_process import SteelyardProcess

from bench.machine import Cores
from bench.origins import Origins, child, nginx

Work = Literal["plain", "source persistence", "TLS re-encryption"]
WORKS: tuple[Work, ...] = ("plain", "source persistence", "TLS re-encryption")

_IDLE_SECONDS = 660
_ENTRIES = 1_000_000
_EXPIRE_SECONDS = 360


@dataclass(frozen=True)
class Running:
    """A contender that serves: its URL, the processes whose CPU time counts, and more words for `wrk`."""

    url: str
    pids: Callable[[], list[int]]
    asking: tuple[str, ...] = ()


def _url(work: Work, port: int) -> str:
    return f"{'https' if work == 'TLS re-encryption' else 'http'}://127.0.0.1:{port}/"


@contextlib.contextmanager
def by_steelyard(work: Work, origins: Origins, cores: Cores, haproxy: str, directory: Path) -> Iterator[Running]:
    """A service made through the LoadMaster API of a Steelyard of its own. `directory` is not used."""
    port = free_port()
    with cores.measured_child():
        steelyard = SteelyardProcess(haproxy=haproxy)
        steelyard.start()
    with contextlib.ExitStack() as stack:
        stack.callback(steelyard.stop)
        cores.move_away(steelyard.pid)
        cores.move_away(steelyard.health_pid())
        api = steelyard.loadmaster
        settings: dict[str, object] = {"VStype": "http", "CheckType": "none", "Schedule": "rr"}
        servers = origins.plain
        if work == "source persistence":
            settings |= {"Persist": "src", "PersistTimeout": _EXPIRE_SECONDS}
        if work == "TLS re-encryption":
            uploaded = api.call("addcert", body=origins.certificate.read_bytes(), cert="bench")
            if not uploaded.ok:
                raise RuntimeError(f"the certificate was refused: {uploaded.message}")
            settings |= {"SSLAcceleration": "Y", "SSLReencrypt": "Y", "CertFile": "bench"}
            servers = origins.tls
        where = {"vs": "127.0.0.1", "port": port, "prot": "tcp"}
        api.must("addvs", {**where, **settings})
        for server in servers:
            api.must("addrs", {**where, "rs": "127.0.0.1", "rsport": server})
        yield Running(_url(work, port), steelyard.haproxy_pids)


@contextlib.contextmanager
def by_hand(work: Work, origins: Origins, cores: Cores, haproxy: str, directory: Path) -> Iterator[Running]:
    """HAProxy on the hand-written configuration."""
    port = free_port()
    path = directory / f"hand-{port}.cfg"
    path.write_text(hand_written(work, origins, port))
    with cores.measured_child():
        stack = contextlib.ExitStack()
        process = stack.enter_context(child([haproxy, "-db", "-f", str(path)], port))
    with stack:
        yield Running(_url(work, port), lambda: [process.pid])


def hand_written(work: Work, origins: Origins, port: int) -> str:
    """The hand-written configuration."""
    tls = work == "TLS re-encryption"
    bind = f"bind 127.0.0.1:{port}" + (f" ssl crt {origins.certificate} alpn http/1.1" if tls else "")
    persistence = f"""
  stick-table type ip size {_ENTRIES} expire {_EXPIRE_SECONDS}s
  stick on src"""
    servers = "".join(
        f"\n  server s{number} 127.0.0.1:{server}{' ssl verify none' if tls else ''}"
        for number, server in enumerate(origins.tls if tls else origins.plain)
    )
    return f"""global
  nbthread 1
  maxconn 9000
defaults
  mode http
  timeout connect 5s
  timeout client {_IDLE_SECONDS}s
  timeout server {_IDLE_SECONDS}s
frontend f
  {bind}
  default_backend b
backend b
  balance roundrobin
  http-reuse never
  option prefer-last-server{persistence if work == "source persistence" else ""}{servers}
"""


@contextlib.contextmanager
def by_nginx(work: Work, origins: Origins, cores: Cores, haproxy: str, directory: Path) -> Iterator[Running]:
    """The distribution's nginx with one worker. `haproxy` is not used."""
    port = free_port()
    path = directory / f"nginx-{port}.conf"
    tls = work == "TLS re-encryption"
    servers = "".join(f"server 127.0.0.1:{server};" for server in (origins.tls if tls else origins.plain))
    path.write_text(f"""
worker_processes 1; daemon off; pid {path}.pid; error_log {path}.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout {_IDLE_SECONDS}s;
  ssl_certificate {origins.certificate}; ssl_certificate_key {origins.certificate}; ssl_protocols TLSv1.2 TLSv1.3;
  upstream b {{
    {"ip_hash;" if work == "source persistence" else ""} {servers} keepalive 64; keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port}{" ssl" if tls else ""};
    location / {{
      proxy_pass {"https" if tls else "http"}://b;
      proxy_http_version 1.1; proxy_set_header Connection ""; proxy_ssl_protocols TLSv1.2 TLSv1.3;
    }}
  }}
}}
""")
    with cores.measured_child():
        stack = contextlib.ExitStack()
        process = stack.enter_context(nginx(path, port))
    with stack:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        yield Running(_url(work, port), lambda: [process.pid, *map(int, children.read_text().split())])
