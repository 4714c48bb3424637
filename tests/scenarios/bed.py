"""The networks of the deployments: Steelyard in a namespace `lb`, clients, routers and servers in others around it.

    with Bed() as bed:
        bed.side("outside", "203.0.113.1/24")           # eth0 of the balancer, and a switch behind it
        bed.side("farm", "192.168.1.43/24")             # eth1
        client = bed.host("client", outside="203.0.113.10/24", gateway="203.0.113.1")
        server = bed.host("fe1", farm="192.168.1.41/24", gateway="192.168.1.43")
        bed.serve(server, "192.168.1.41", 80, 443)      # answers who it is and whom it sees
        bed.start()                                     # Steelyard owns the network of lb from here on
        index = bed.add("203.0.113.41", 80, server="192.168.1.41")
        assert client.ask("203.0.113.41", 80).role == "fe1"

`two_arms(bed)` makes the hosts most deployments share. Everything goes with the bed, also when a test fails. A request
of a test's own from a host: `with client.inside(): fetch("https://203.0.113.41/")`. Origins and other listeners made
within `with server.inside():` belong to that host for ever.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from tests.support.api_clients import Answer
from tests.support.clients import Reply, fetch
from tests.support.listener import Listener
from tests.support.namespaces import Answering, Lab, Namespace
from tests.support.steelyard_process import SteelyardProcess

if TYPE_CHECKING:
    from tests.browser.rig import Rig

__all__ = ["Bed", "browser", "two_arms", "wait_until"]

_Kept = TypeVar("_Kept")

#: what checks are in these suites unless a test says otherwise; a second is too short for an answer on a busy machine
QUICK_CHECKS = {"interval": 3, "timeout": 2, "retries": 1}
#: the longest a change of a server may take to be seen, on a busy machine
NOTICED_SECONDS = 15.0


def wait_until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    """Return when the condition holds; asked ten times a second, for most conditions cost Steelyard an answer.

    Raises `AssertionError` when it does not hold in that time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"it did not come about in {seconds:g} s")
        time.sleep(0.1)


class Bed:
    """Hosts, switches and one Steelyard.

    Args:
        haproxy: the HAProxy to use; the one Steelyard finds by itself otherwise.
        manage: whether Steelyard owns the network of its host, so that services bring their addresses.
        checks: global check parameters; None leaves the shipped ones.
        beside: a bed whose hosts and networks this one's balancer, of another role, is among.
    """

    def __init__(
        self,
        *,
        haproxy: str | Path | None = None,
        manage: bool = True,
        checks: dict[str, int] | None = QUICK_CHECKS,
        beside: Bed | None = None,
        role: str = "lb",
    ) -> None:
        self._stack = contextlib.ExitStack()
        self.lab = beside.lab if beside is not None else self._stack.enter_context(Lab())
        self._haproxy, self._manage, self._checks = haproxy, manage, checks
        self.lb = self.lab.host(role)
        # ICMP checks without privilege, as Debian's systemd sets it
        self.lb.sysctl("ipv4/ping_group_range", "0 2147483647")
        self._switches: dict[str, Namespace] = beside._switches if beside is not None else {}
        #: how many each host and switch has, by its role
        self._interfaces: Counter[str] = beside._interfaces if beside is not None else Counter()
        self.steelyard: SteelyardProcess | None = None
        self._native: Any = None
        self._loadmaster: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # --- the networks ------------------------------------------------------------------------------------------------

    def side(self, name: str, *addresses: str) -> Namespace:
        """A switched network; with addresses (prefix length included) the next ethN of the balancer is in it."""
        self._switches[name] = self.lab.network(f"net-{name}")
        if addresses:
            self.plug(self.lb, name, *addresses)
        return self._switches[name]

    def plug(self, host: Namespace, side: str, *addresses: str) -> str:
        """Give a host one more interface, in that network; its name (eth0, eth1 ...)."""
        switch = self._switches[side]
        interface = f"eth{self._interfaces[host.role]}"
        self._interfaces[host.role] += 1
        self._interfaces[switch.role] += 1
        self.lab.join(host, interface, switch, f"p{self._interfaces[switch.role]}", addresses)
        return interface

    def host(
        self, role: str, *, gateway: str | None = None, forwards: bool = False, **sides: str | Iterable[str]
    ) -> Namespace:
        """A host with one interface in each network named: `host("fe1", farm="192.168.1.41/24", gateway=...)`."""
        made = self.lab.host(role, forwards=forwards)
        for side, addresses in sides.items():
            self.plug(made, side, *([addresses] if isinstance(addresses, str) else addresses))
        if gateway is not None:
            made.ip(f"route add default via {gateway}")
        return made

    def serve(self, host: Namespace, address: str, *ports: int) -> dict[int, Answering]:
        """Answer on TCP and UDP of these ports who this is and whom it sees; `close` one to let it fail."""
        return {port: host.answer(address, port) for port in ports}

    def listen(self, host: Namespace, kind: type[Listener], *arguments: Any, **more: Any) -> Any:
        """An `Origin`, `TcpOrigin` or other listener on a host; it ends with the bed."""
        with host.inside():
            return self._stack.enter_context(kind(*arguments, **more))

    def keep(self, one: AbstractContextManager[_Kept]) -> _Kept:
        """Enter something that is left with the bed: a `steelyard.lab` Laboratory, a directory."""
        return self._stack.enter_context(one)

    def fetch(self, host: Namespace, url: str, **more: Any) -> Reply:
        """One HTTP request from a host (`tests.support.clients.fetch`)."""
        with host.inside():
            return fetch(url, **more)

    # --- Steelyard ---------------------------------------------------------------------------------------------------

    def start(self, **options: Any) -> SteelyardProcess:
        """Start Steelyard; from here on interfaces it did not have are its to configure. `options` as its process."""
        with self.lb.inside():
            self.steelyard = SteelyardProcess(haproxy=self._haproxy, **options)
            self._stack.callback(self._stop)
            self.steelyard.start(60)
            self._clients()
        if self._checks is not None:
            self.native("PATCH", "/parameters/checks", self._checks)
        if self._manage:
            self.native("PUT", "/network/managed", {"managed": True})
        return self.steelyard

    def _clients(self) -> None:
        assert self.steelyard is not None
        self._native, self._loadmaster = self.steelyard.native, self.steelyard.loadmaster

    def _stop(self) -> None:
        assert self.steelyard is not None
        with self.lb.inside():
            self.steelyard.stop()

    def restart(self) -> None:
        """Start the control plane again, stopping it first if it runs."""
        assert self.steelyard is not None
        with self.lb.inside():
            self.steelyard.restart(60)
            self._clients()

    def asked(self, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, Any]:
        """One request to the native API: status and answer."""
        with self.lb.inside():
            answer = self._native.request(method, path, **({} if body is None else {"json": body}), **more)
        json = answer.headers.get("content-type", "").startswith("application/json")
        return answer.status_code, answer.json() if json and answer.content else answer.text

    def native(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """One request to the native API that has to succeed; its answer."""
        status, found = self.asked(method, path, body, **more)
        assert status < 300, f"{method} {path}: {status} {found}"
        return found

    def refused(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """One request to the native API that has to be refused; the error."""
        status, found = self.asked(method, path, body)
        assert status >= 400, f"{method} {path}: {status} {found}"
        error: dict[str, Any] = found["error"]
        return error

    def loadmaster(self, command: str, params: dict[str, Any] | None = None, **more: Any) -> Answer:
        """One command of LoadMaster's API that has to succeed."""
        with self.lb.inside():
            answer: Answer = self._loadmaster.must(command, params, **more)
        return answer

    def loadmaster_says(self, command: str, **more: Any) -> Answer:
        """One command of LoadMaster's API, whatever comes of it."""
        with self.lb.inside():
            answer: Answer = self._loadmaster.call(command, **more)
        return answer

    def cli(self, *words: str, fails: bool = False) -> str:
        """`steelyard WORDS` on the balancer, as its administrator types it; what it printed."""
        assert self.steelyard is not None
        command = [sys.executable, "-m", "steelyard", "--state-dir", str(self.steelyard.state_dir), *words]
        with self.lb.inside():
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd="/")
        assert (done.returncode != 0) is fails, f"{words}: {done.returncode} {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    # --- services ----------------------------------------------------------------------------------------------------

    def add(
        self, address: str, port: int, *, server: str | Iterable[str] = (), wait: bool = True, **settings: Any
    ) -> int:
        """A virtual service; its index. Servers are addresses, on the service's port.

        It is in force when this returns. Several that are made one after the other with `wait=False` share a reload,
        of which there is one a second; `settle` waits for that.
        """
        servers = [server] if isinstance(server, str) else list(server)
        server_port = settings.pop("server_port", port)
        body = {
            "address": address,
            "port": port,
            "service_type": "gen",
            "check_type": "none",
            "servers": [{"address": one, "port": server_port} for one in servers],
        }
        found = self.native("POST", f"/virtual-services?wait={str(wait).lower()}", body | settings)
        return int(found["object"]["index"])

    def change(self, index: int, **settings: Any) -> Any:
        return self.native("PATCH", f"/virtual-services/{index}?wait=true", settings)

    def remove(self, *indices: int) -> None:
        for index in indices:
            self.native("DELETE", f"/virtual-services/{index}")
        self.settle()

    def clear(self) -> None:
        """Remove every virtual service."""
        self.remove(*(one["index"] for one in self.native("GET", "/virtual-services") if not one["parent"]))

    @contextlib.contextmanager
    def service(self, address: str, port: int, **more: Any) -> Iterator[int]:
        """A virtual service for as long as this lasts: `add`."""
        index = self.add(address, port, **more)
        try:
            yield index
        finally:
            self.remove(index)

    def named(self, name: str) -> int:
        """The index of the service of that name."""
        (found,) = (one["index"] for one in self.native("GET", "/virtual-services") if one["name"] == name)
        return int(found)

    def settle(self) -> None:
        """Return when the engines have what was asked for."""
        wait_until(lambda: not self.native("GET", "/status")["reload_pending"], 20)

    def statuses(self) -> dict[str, str]:
        """The status of every service, by its name."""
        return {one["name"]: one["status"] for one in self.native("GET", "/status")["services"]}

    def servers(self, index: int) -> dict[str, str]:
        """The status of each real server of a service, by its address and port."""
        (found,) = (one for one in self.native("GET", "/status")["services"] if one["index"] == index)
        return {f"{one['address']}:{one['port']}": one["status"] for one in found["servers"]}

    def wait_for(self, index: int, status: str) -> None:
        """Wait until a service is Up, Down ..."""

        def there() -> bool:
            return any(
                one["index"] == index and one["status"] == status for one in self.native("GET", "/status")["services"]
            )

        wait_until(there, NOTICED_SECONDS)

    def wait_for_server(self, index: int, server: str, status: str) -> None:
        """Wait until a real server ("address:port") of a service is Up, Down ..."""
        wait_until(lambda: self.servers(index)[server] == status, NOTICED_SECONDS)


@contextlib.contextmanager
def browser(bed: Bed) -> Iterator[Rig]:
    """Chromium on the balancer's host, with the administration's pages: `with browser(bed) as rig, rig.screen() ...`.

    Everything the browser does has to happen inside this, in the same thread: it runs in the balancer's namespace.
    """
    from tests.browser.rig import Rig

    assert bed.steelyard is not None
    with bed.lb.inside(), Rig(bed.steelyard) as rig:
        yield rig


def two_arms(bed: Bed, *, front_ends: int = 2, gateway: str = "192.168.1.43") -> None:
    """The network most deployments share; the hosts are in `bed.lab.hosts`, Steelyard is not started.

    Outside 203.0.113.0/24: "cli-ext" .10, the balancer's eth0 .1 (services .41 to .60).
    Farm 192.168.1.0/24: the balancer's eth1 .43 (services .44 to .60), "fe1" .41, "fe2" .42, "fe3" .40, "cli-int" .200,
    whose default gateway is `gateway`.
    """
    bed.side("outside", "203.0.113.1/24")
    bed.side("farm", "192.168.1.43/24")
    bed.host("cli-ext", outside="203.0.113.10/24", gateway="203.0.113.1")
    bed.host("cli-int", farm="192.168.1.200/24", gateway="192.168.1.43")
    for role, address in (("fe1", "41"), ("fe2", "42"), ("fe3", "40"))[:front_ends]:
        bed.host(role, farm=f"192.168.1.{address}/24", gateway=gateway)
