"""A large configuration: 1,000 services with 10 real servers each, all on loopback addresses.

Services listen on 127.200.x.y, real servers are 127.11.x.y to 127.20.x.y, so all 10,000 are different, and every one
is reached through a single listener on 0.0.0.0. Every tenth service has TCP checks (1,000 servers, one check every 9 s
each); the others have none, so that the checking of 10,000 servers does not compete with what is measured for two
cores. Every third service has source persistence.
"""

from __future__ import annotations

from typing import Any

SERVICES = 1000
SERVERS = 10
WEIGHT = 1000


def service_address(number: int) -> str:
    """Where service `number` (from 0) listens."""
    return f"127.200.{number // 250}.{number % 250 + 1}"


def server_address(number: int, server: int) -> str:
    """Real server `server` (from 0) of service `number`."""
    return f"127.{11 + server}.{number // 250}.{number % 250 + 1}"


def service(number: int, port: int, server_port: int, servers: int = SERVERS) -> dict[str, Any]:
    """The settings of one service, by the names of the model and the native API."""
    return {
        "address": service_address(number),
        "port": port,
        "name": f"service {number}",
        "service_type": "http",
        "schedule": "wrr",
        "check_type": "tcp" if number % 10 == 0 else "none",
        "persistence": "src" if number % 3 == 0 else "none",
        "servers": [
            {"address": server_address(number, server), "port": server_port, "weight": WEIGHT}
            for server in range(servers)
        ],
    }
