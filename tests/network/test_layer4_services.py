"""Layer-4 services the whole way: asked for through the APIs, carried by the kernel, checked, counted, explained."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.api_clients import LoadMasterClient, NativeClient
from tests.support.namespaces import Lab, Namespace, two_arms, wait_until
from tests.support.steelyard_process import SteelyardProcess

pytestmark = [pytest.mark.network, pytest.mark.needs("ip", "nft", "net_admin", "haproxy")]

V4, V6 = "192.0.2.10", "2001:db8:1::10"
PORT = 8080


class Site:
    """A Steelyard in the balancer's namespace, its clients and its real servers."""

    def __init__(self, lab: Lab) -> None:
        two_arms(lab, servers=2)
        self.client, self.balancer = lab.hosts["client"], lab.hosts["balancer"]
        self.balancer.ip(f"addr add {V4}/32 dev eth0", f"addr add {V6}/128 dev eth0 nodad")
        # Steelyard is to switch it on itself
        self.balancer.sysctl("ipv4/ip_forward", 0)
        self.balancer.sysctl("ipv6/conf/all/forwarding", 0)
        self.balancer.sysctl("ipv4/ping_group_range", "0 2147483647")
        self.reals: list[Namespace] = [lab.hosts["real1"], lab.hosts["real2"]]
        self.answering = {
            (number, address): real.answer(address, PORT)
            for number, real in enumerate(self.reals, start=1)
            for address in (f"10.0.0.1{number}", f"2001:db8:2::1{number}")
        }
        with self.balancer.inside():
            self.steelyard = SteelyardProcess().start()
            self._native: NativeClient = self.steelyard.native
            self._loadmaster: LoadMasterClient = self.steelyard.loadmaster

    def native(self, method: str, path: str, body: Any = None) -> Any:
        with self.balancer.inside():
            answer = self._native.request(method, path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def loadmaster(self, command: str, **parameters: Any) -> Any:
        with self.balancer.inside():
            return self._loadmaster.must(command, **parameters)

    def close(self) -> None:
        with self.balancer.inside():
            self.steelyard.stop()

    def add(self, **settings: Any) -> dict[str, Any]:
        body = {"address": V4, "port": 80, "check_type": "tcp", "check_interval": 1, "check_timeout": 1, **settings}
        made = self.native("POST", "/virtual-services", body)["object"]
        return made

    def remove(self, service: dict[str, Any]) -> None:
        self.native("DELETE", f"/virtual-services/{service['index']}")

    def roles(self, times: int = 4, *, address: str = V4, port: int = 80, udp: bool = False) -> Counter[str]:
        ask = self.client.ask_udp if udp else self.client.ask
        return Counter(ask(address, port).role for _ in range(times))


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Lab() as lab:
        made = Site(lab)
        try:
            yield made
        finally:
            made.close()


def servers(family: int = 4) -> list[dict[str, Any]]:
    start = "10.0.0.1" if family == 4 else "2001:db8:2::1"
    return [{"address": f"{start}{number}", "port": PORT} for number in (1, 2)]


def test_tcp(site: Site) -> None:
    made = site.add(force_l4=True, servers=servers(), service_type="gen")
    print(made)
    assert site.roles() == {"real1": 2, "real2": 2}
