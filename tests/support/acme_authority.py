"""A real ACME authority (Let's Encrypt's Pebble) that resolves names at a real DNS server (Knot), both on loopback.

Every name in the zone leads to 127.0.0.1, where the authority fetches HTTP-01 answers at `http_port`. The zone takes
updates (RFC 2136) signed with a TSIG key.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
from tests.support.certificates import Certified, authority, leaf
from tests.support.daemons import daemon
from tests.support.ports import free_port

ZONE = "acme.test"
KEY_NAME, KEY = "steelyard-update", "c3RlZWx5YXJkLWRucy11cGRhdGUta2V5LW9mLXRlc3Q="
KID, HMAC = "kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"

_KNOT = """
server:
    rundir: "{directory}"
    listen: 127.0.0.1@{port}
database:
    storage: "{directory}"
log:
  - target: stderr
    any: warning
key:
  - id: {key_name}
    algorithm: hmac-sha256
    secret: {key}
acl:
  - id: updates
    address: 127.0.0.0/8
    key: {key_name}
    action: update
zone:
  - domain: {zone}
    storage: "{directory}"
    file: zone
    acl: updates
    zonefile-sync: -1
    journal-content: all
"""
_ZONE = """$ORIGIN {zone}.
$TTL 1
@ SOA ns hostmaster 1 3600 600 86400 1
@ NS ns
@ A 127.0.0.1
* A 127.0.0.1
"""


@contextlib.contextmanager
def name_server() -> Iterator[int]:
    """The port of a server for `ZONE`."""
    with tempfile.TemporaryDirectory(prefix="knot") as text:
        directory, port = Path(text), free_port("127.0.0.1", udp=True)
        (directory / "zone").write_text(_ZONE.format(zone=ZONE))
        words = {"directory": directory, "port": port, "key_name": KEY_NAME, "key": KEY, "zone": ZONE}
        (directory / "knot.conf").write_text(_KNOT.format(**words))
        with daemon(["knotd", "-c", str(directory / "knot.conf")], directory, port):
            yield port


@dataclass(frozen=True)
class AcmeAuthority:
    """Where it is, who vouches for its TLS, where it looks for answers and asks for names."""

    directory_url: str
    authority_pem: str
    http_port: int
    dns_port: int
    management: str
    ca: Certified

    def roots(self) -> str:
        """The root of the certificates it issues, in PEM."""
        return httpx.get(f"{self.management}/roots/0", verify=self.ca.trust()).text  # type: ignore[attr-defined]


@contextlib.contextmanager
def acme_authority(dns_port: int, *, bound: bool = False, http_port: int = 0) -> Iterator[AcmeAuthority]:
    """An authority; a `bound` one registers only accounts with an external account binding (`KID`, `HMAC`).

    One nonce in ten is refused, as is usual with it, so that clients prove that they go on.
    """
    with tempfile.TemporaryDirectory(prefix="pebble") as text:
        directory = Path(text)
        port, management = free_port("127.0.0.1"), free_port("127.0.0.1")
        http_port = http_port or free_port("127.0.0.1")
        root = authority("ACME Directory Root")
        own = leaf("localhost", "127.0.0.1", issuer=root)
        (directory / "cert.pem").write_bytes(own.pem)
        (directory / "key.pem").write_bytes(own.traditional_key_pem())
        settings = {
            "listenAddress": f"127.0.0.1:{port}",
            "managementListenAddress": f"127.0.0.1:{management}",
            "certificate": "cert.pem",
            "privateKey": "key.pem",
            "httpPort": http_port,
            "tlsPort": free_port("127.0.0.1"),
            "externalAccountBindingRequired": bound,
            "externalAccountMACKeys": {KID: HMAC},
        }
        (directory / "pebble.json").write_text(json.dumps({"pebble": settings}))
        environment = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "10", "PEBBLE_AUTHZREUSE": "0"}
        arguments = ["pebble", "-config", "pebble.json", "-dnsserver", f"127.0.0.1:{dns_port}"]
        with daemon(arguments, directory, port, environment):
            yield AcmeAuthority(
                f"https://127.0.0.1:{port}/dir",
                root.pem.decode(),
                http_port,
                dns_port,
                f"https://127.0.0.1:{management}",
                root,
            )
