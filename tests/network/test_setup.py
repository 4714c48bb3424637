"""`steelyard setup` on a console: asked step by step, refused and asked again, applied at once, kept or taken back."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pexpect
import pytest
from tests.support import processes
from tests.support.namespaces import Lab, own_files, two_arms, wait_until
from tests.support.processes import MARKER
from tests.support.steelyard_process import SteelyardProcess
from tests.support.web_forms import fields_of

pytestmark = [pytest.mark.network, pytest.mark.needs("ip", "net_admin", "haproxy")]

_SECONDS = 30


def _hears_interrupts() -> None:
    """A shell that starts the tests in the background has them, and what they start, pass over Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Console:
    """A dumb terminal of the balancer on which `steelyard setup` runs."""

    def __init__(self, bed: Bed, *arguments: str, state_dir: Path | None = None, alone: bool = False) -> None:
        command = ["-m", "steelyard", "setup", "--state-dir", str(state_dir or bed.steelyard.state_dir), *arguments]
        words = [*(bed.prefix if alone else ()), sys.executable, *command]
        environment = {**os.environ, "TERM": "dumb", MARKER: bed.marker}
        with bed.balancer.inside():
            self.child: pexpect.spawn[str] = pexpect.spawn(
                words[0],
                words[1:],
                env=environment,
                encoding="utf-8",
                timeout=_SECONDS,
                dimensions=(24, 80),
                cwd="/",
                preexec_fn=_hears_interrupts,
            )
        bed.consoles.append(self.child)

    def says(self, pattern: str) -> str:
        """Wait for that; what came before it, on one line."""
        self.child.expect(pattern)
        return " ".join(str(self.child.before).split())

    def answer(self, prompt: str, text: str) -> str:
        """Answer a prompt; what was said before it."""
        before = self.says(prompt)
        self.child.sendline(text)
        return before

    def end(self) -> tuple[str, int]:
        """The rest, and the exit code."""
        self.child.expect(pexpect.EOF)
        self.child.close()
        return " ".join(str(self.child.before).split()), int(
            self.child.exitstatus if self.child.exitstatus is not None else -1
        )


class Bed:
    """Steelyard in the balancer's namespace, with files of its own below /etc."""

    def __init__(self, lab: Lab) -> None:
        two_arms(lab, servers=1)
        self.balancer = lab.hosts["balancer"]
        self.directory = Path(tempfile.mkdtemp(prefix="sy-setup-", dir="/tmp"))
        self.prefix = own_files(self.directory / "etc")
        self.marker = self.directory.name
        self.consoles: list[pexpect.spawn[str]] = []
        with self.balancer.inside():
            self.steelyard = SteelyardProcess(admin_address="0.0.0.0", prefix=self.prefix).start()
            self._native = self.steelyard.native

    def native(self, method: str, path: str, body: Any = None) -> Any:
        with self.balancer.inside():
            answer = self._native.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def gateways(self) -> list[str]:
        return [one["gateway"] for one in self.balancer.show("route", "show", "default")]

    def revision(self) -> int:
        return int(self.native("GET", "/history")[0]["number"])

    def close(self) -> None:
        for child in self.consoles:
            child.close(force=True)
        with self.balancer.inside():
            self.steelyard.stop()
        processes.end(processes.belonging_to(self.directory, self.marker), grace=2.0)
        shutil.rmtree(self.directory, ignore_errors=True)


@pytest.fixture(scope="module")
def bed() -> Iterator[Bed]:
    with Lab() as lab:
        made = Bed(lab)
        try:
            yield made
        finally:
            made.close()


@pytest.mark.requirement("S4-10", "S5-04")
def test_the_console_shows_where_the_web_interface_is_and_what_came_by_dhcp(bed: Bed) -> None:
    # what a DHCP client does: an address that ends unless it is renewed
    bed.balancer.ip("addr add 192.0.2.77/24 dev eth0 valid_lft 3600 preferred_lft 3600")
    console = Console(bed)
    shown = console.says("Have Steelyard manage the network")
    assert f"https://192.0.2.1:{bed.steelyard.admin_port}" in shown
    assert re.search(r"eth0 network side 192\.0\.2\.1/24.*192\.0\.2\.77/24 \(by DHCP\)", shown), shown
    assert re.search(r"eth1 farm side 10\.0\.0\.1/24", shown)
    console.child.sendline("n")
    assert console.end()[1] == 0
    assert not bed.native("GET", "/network")["managed"]
    bed.balancer.ip("addr del 192.0.2.77/24 dev eth0")


@pytest.mark.requirement("S4-12", "S4-13", "S4-14")
def test_every_step_is_looked_at_at_once_and_all_of_them_are_one_change(bed: Bed) -> None:
    before = bed.revision()
    console = Console(bed)
    console.answer("Have Steelyard manage the network", "y")
    assert "1/5" in console.answer(r"Address \[192\.0\.2\.1/24\]: ", "192.0.2.300/24")
    assert "is no address with a prefix length" in console.answer(r"Address \[", "192.0.2.10")
    assert "has no prefix length" in console.answer(r"Address \[", "-")
    assert "needs an address" in console.answer(r"Address \[", "192.0.2.10/24")
    assert "2/5" in console.answer(r"Address \[10\.0\.0\.1/24\]: ", "192.0.2.20/24")
    said = console.answer(r"Address \[10", "10.0.0.2/24")
    assert "192.0.2.20/24 of eth1 is in 192.0.2.0/24, which is the network of eth0" in said
    assert "3/5" in console.answer(r"DNS servers.*: ", "192.0.2.53 nonsense")
    assert "no address" in console.answer(r"DNS servers.*: ", "192.0.2.53 192.0.2.54")
    assert "4/5" in console.answer(r"Search domains.*: ", "example.com bad_domain!")
    assert "no domain" in console.answer(r"Search domains.*: ", "<")
    # one step back, and on again
    console.answer(r"DNS servers \[192\.0\.2\.53 192\.0\.2\.54\]: ", "")
    console.answer(r"Search domains.*: ", "example.com example.org")
    assert "5/5" in console.answer(r"Gateway.*: ", "10.0.0.254")
    said = console.answer(r"Gateway.*: ", "192.0.2.100")
    assert "10.0.0.254 is not in the network of the network side, eth0: 192.0.2.0/24" in said
    assert bed.revision() == before and bed.balancer.addresses("eth0")[0] == "192.0.2.1/24"
    summary = console.answer("Apply", "y")
    assert "192.0.2.10/24 (was 192.0.2.1/24)" in summary
    console.answer(r"Keep it\? \[Y/n\]", "")
    rest, code = console.end()
    assert code == 0 and "Kept." in rest and f"https://192.0.2.10:{bed.steelyard.admin_port}" in rest
    # the network was taken over as it was, and changed at one go
    assert bed.revision() == before + 2
    assert bed.balancer.addresses("eth0") == ["192.0.2.10/24", "2001:db8:1::1/64"]
    assert bed.balancer.addresses("eth1") == ["10.0.0.2/24", "2001:db8:2::1/64"]
    assert bed.gateways() == ["192.0.2.100"]
    found = bed.native("GET", "/network")
    assert (found["name_servers"], found["search_domains"]) == (
        ["192.0.2.53", "192.0.2.54"],
        ["example.com", "example.org"],
    )
    assert found["waiting"] is None


def test_present_values_are_kept_by_enter_and_then_nothing_is_to_do(bed: Bed) -> None:
    before = bed.revision()
    console = Console(bed)
    for prompt in (r"Address \[192", r"Address \[10", "DNS servers", "Search domains", r"Gateway \[192"):
        console.answer(rf"{prompt}.*: ", "")
    rest, code = console.end()
    assert code == 0 and "Nothing is to be changed" in rest
    assert bed.revision() == before


def test_ctrl_c_and_no_change_nothing(bed: Bed) -> None:
    before = bed.revision()
    console = Console(bed)
    console.answer(r"Address \[192.*: ", "192.0.2.99/24")
    console.says(r"Address \[10.*: ")
    console.child.sendintr()
    rest, code = console.end()
    assert code == 1 and "Nothing was changed" in rest
    console = Console(bed)
    console.answer(r"Address \[192.*: ", "192.0.2.99/24")
    for prompt in (r"Address \[10", "DNS servers", "Search domains", "Gateway"):
        console.answer(rf"{prompt}.*: ", "")
    console.answer("Apply", "n")
    rest, code = console.end()
    assert code == 0 and "Nothing was changed" in rest
    assert bed.revision() == before and bed.balancer.addresses("eth0")[0] == "192.0.2.10/24"


def _moved(bed: Bed, console: Console, address: str) -> None:
    console.answer(r"Address \[192.*: ", address)
    for prompt in (r"Address \[10", "DNS servers", "Search domains", "Gateway"):
        console.answer(rf"{prompt}.*: ", "")
    console.answer("Apply", "y")
    console.says(r"Keep it")
    assert bed.balancer.addresses("eth0")[0] == address


def test_a_change_that_is_not_kept_goes_back_at_once(bed: Bed) -> None:
    console = Console(bed)
    _moved(bed, console, "192.0.2.99/24")
    console.child.sendline("n")
    assert "Taken back" in console.end()[0]
    assert bed.balancer.addresses("eth0")[0] == "192.0.2.10/24"


def test_a_change_nobody_answers_for_goes_back_by_itself(bed: Bed) -> None:
    bed.native("PATCH", "/parameters/host", {"confirm_seconds": 10})
    console = Console(bed)
    _moved(bed, console, "192.0.2.99/24")
    wait_until(lambda: bed.balancer.addresses("eth0")[0] == "192.0.2.10/24", 20)
    console.child.sendline("y")
    assert "gone back already" in console.end()[0]
    bed.native("PATCH", "/parameters/host", {"confirm_seconds": 60})


def test_one_arm_is_a_farm_side_without_an_address(bed: Bed) -> None:
    console = Console(bed)
    console.answer(r"Address \[192.*: ", "")
    console.answer(r"Address \[10.*: ", "-")
    for prompt in ("DNS servers", "Search domains", "Gateway"):
        console.answer(rf"{prompt}.*: ", "")
    console.answer("Apply", "y")
    console.answer("Keep it", "y")
    console.end()
    assert bed.balancer.addresses("eth1") == []
    bed.native("PUT", "/setup/network", {"farm_address": "10.0.0.1/24"})
    assert bed.native("GET", "/network")["waiting"] is None, "what is only added cuts nobody off"
    assert bed.balancer.addresses("eth1") == ["10.0.0.1/24"]


def test_the_menu_sets_the_password_of_the_administrator(bed: Bed) -> None:
    console = Console(bed, "--menu")
    shown = console.answer("Choice: ", "2")
    assert "1 Quick Setup" in shown and "3 Show addresses" in shown
    console.answer("Go on", "y")
    console.answer("New password: ", "another secret")
    echoed = console.answer("New password again: ", "another secret")
    assert "another secret" not in echoed
    assert "The password is set" in console.answer("Choice: ", "7")
    assert "Choose 1, 2, 3" in console.answer("Choice: ", "3")
    assert "network side" in console.answer("Choice: ", "q")
    assert console.end()[1] == 0
    with bed.balancer.inside():
        old = bed.steelyard.native.get("status")
        bed.steelyard.password = "another secret"
        bed._native = bed.steelyard.native
    assert old.status_code == 401
    bed.native("GET", "/status")


def test_before_the_first_start_the_setup_makes_the_appliance(bed: Bed) -> None:
    """On a host on which none was ever started, the change is the first one, and stays in the kernel."""
    bed.native("PUT", "/network/managed", {"managed": False})
    new = bed.directory / "new"
    console = Console(bed, state_dir=new, alone=True)
    assert "not started yet" in console.answer("Have Steelyard manage the network", "y")
    console.answer(r"Address \[192.*: ", "192.0.2.0/24")
    assert "network address of 192.0.2.0/24" in console.answer(r"Address \[192.*: ", "192.0.2.30/24")
    console.answer(r"Address \[10.*: ", "")
    for prompt in ("DNS servers", "Search domains"):
        console.answer(rf"{prompt}.*: ", "")
    console.answer(r"Gateway.*: ", "172.16.0.1")
    console.answer(r"Gateway.*: ", "192.0.2.101")
    assert not new.exists(), "nothing is written before it is wanted"
    console.answer("Apply", "y")
    said = console.answer("Keep it", "y")
    password = re.search(r"One-time password, shown only now: (\w+)", said)
    assert password is not None
    rest, code = console.end()
    assert code == 0 and "Kept." in rest
    assert bed.balancer.addresses("eth0")[0] == "192.0.2.30/24" and bed.gateways() == ["192.0.2.101"]
    # its control plane and engines are gone again, and the first real start has what was set
    assert not [one for one in processes.belonging_to(new, bed.marker) if not one.mentions("netd")]
    console = Console(bed, state_dir=new)
    assert "No Steelyard answers" in console.end()[0]
    with bed.balancer.inside():
        real = SteelyardProcess(new, prefix=bed.prefix, password_given=False)
        real.password = password.group(1)
        with real:
            assert real.native.get("setup").json()["first_step"] == "licence"
            assert real.native.get("network").status_code == 403
            assert real.native.get("setup").json()["network"]["network"]["address"] == "192.0.2.30/24"


def test_the_menu_resets_to_the_first_start_and_the_addresses_stay(bed: Bed) -> None:
    bed.native("PUT", "/network/managed", {"managed": True})
    before = bed.balancer.addresses("eth0")
    console = Console(bed, "--menu")
    console.answer("Choice: ", "4")
    console.answer("Type reset to go on: ", "no")
    assert "Nothing was reset" in console.answer("Choice: ", "4")
    console.answer("Type reset to go on: ", "reset")
    said, code = console.end()
    password = re.search(r"One-time password, shown only now: (\w+)", said)
    assert password is not None and code == 0
    bed.steelyard.password = password.group(1)
    with bed.balancer.inside():
        wait_until(lambda: _is_new(bed), 30)
    assert bed.balancer.addresses("eth0") == before


def _is_new(bed: Bed) -> bool:
    try:
        found = bed.steelyard.native.get("setup")
    except httpx.TransportError:
        # between the two
        return False
    return found.status_code == 200 and found.json()["first_step"] == "licence"


@pytest.mark.requirement("S4-13", "S4-16")
def test_the_web_interface_sets_a_new_appliance_up_to_its_addresses(bed: Bed) -> None:
    steps = {step: f"/first-start/{step}" for step in ("licence", "password", "addresses")}
    url = f"https://127.0.0.1:{bed.steelyard.admin_port}"
    with bed.balancer.inside():
        client = httpx.Client(base_url=url, verify=False, headers={"Sec-Fetch-Site": "same-origin"}, timeout=_SECONDS)

        def send(path: str, form: str = "step", **fields: str) -> str:
            shown = fields_of(client.get(path).text, form) if form else {}
            return str(client.post(path, data={**shown, **fields}).headers.get("location", ""))

        with client:
            assert send("/sign-in", "", user="bal", password=bed.steelyard.password) == "/"
            assert client.get("/").headers["location"] == steps["licence"]
            assert send(steps["licence"], accepted="1") == steps["password"]
            assert send(steps["password"], new="chosen by me", again="chosen by me") == steps["addresses"]
            changes = {
                "network_address": "192.0.2.40/24",
                "farm_address": "10.0.0.4/24",
                "default_gateway": "192.0.2.102",
            }
            assert send(steps["addresses"], do="apply", **changes) == steps["addresses"], "it may cut somebody off"
            assert bed.balancer.addresses("eth0")[0] == "192.0.2.40/24"
            csrf = fields_of(client.get(steps["addresses"]).text, "step")["csrf"][0]
            client.post("/network/waiting", data={"csrf": csrf, "do": "keep", "back": steps["addresses"]})
            assert send(steps["addresses"], do="finish") == "/"
            assert "Steelyard is set up." in client.get("/").text
    assert bed.balancer.addresses("eth1")[0] == "10.0.0.4/24" and bed.gateways() == ["192.0.2.102"]
    bed.steelyard.password = "chosen by me"
    with bed.balancer.inside():
        found = bed.steelyard.native.get("network").json()
    assert found["waiting"] is None
