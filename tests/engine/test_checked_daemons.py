"""Each check kind against a real server of the kind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support import certificates, daemons
from tests.support.ports import free_port
from tests.unit.health.scripted import ask, check

from steelyard.health import check_greeting, greetings
from steelyard.health.transcript import Outcome, Transcript
from steelyard.plan.health import Directory

pytestmark = [pytest.mark.needs("root"), pytest.mark.timeout(60)]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of every daemon that speaks TLS, in one file."""
    path = tmp_path_factory.mktemp("tls") / "daemon.pem"
    path.write_bytes(certificates.leaf("localhost", kind="rsa").bundle("key leaf"))
    path.chmod(0o644)
    path.parent.chmod(0o755)
    return path


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory the daemons' own accounts can look into."""
    for one in (tmp_path, *tmp_path.parents[:2]):
        one.chmod(0o755)
    yield tmp_path


async def _ask(kind: str, port: int, **more: object) -> Transcript:
    (one,) = await ask(check(kind, timeout=5, attempts=1, **more), port)
    return one


async def _is_good(kind: str, port: int, begins: str, **more: object) -> Transcript:
    one = await _ask(kind, port, **more)
    assert one.outcome is Outcome.GOOD, one.reason
    assert one.reason.startswith(begins), one.reason
    return one


@pytest.mark.needs("nginx")
@pytest.mark.parametrize("kind", ["http", "https"])
async def test_nginx(place: Path, certificate: Path, kind: str) -> None:
    with daemons.nginx(place, certificate) as ports:
        port = ports[kind]
        await _is_good("tcp", port, "connected")
        await _is_good(kind, port, "answered 200 OK", url="/health")
        wanted = {"url": "/health", "host": "shop.example", "http11": True, "pattern": "well for shop.example by POST"}
        await _is_good(kind, port, "answered 200 OK", method="POST", body="a=b", **wanted)
        assert (await _ask(kind, port, method="GET", **wanted)).outcome is Outcome.BAD
        await _is_good(kind, port, "answered 401 Unauthorized", url="/secret")
        await _is_good(kind, port, "answered 302 Moved Temporarily", url="/away")
        assert (await _ask(kind, port)).reason == "answered 403 Forbidden; good are 200-299, 301, 302, 401"
        await _is_good(kind, port, "answered 403 Forbidden", codes=(403,))


@pytest.mark.needs("smtpd")
async def test_opensmtpd(place: Path) -> None:
    with daemons.opensmtpd(place) as port:
        await _is_good("smtp", port, "greeted with 220 ")
        assert (await _ask("pop3", port)).reason.startswith("not a greeting of POP3: 220 ")
        # the binary check finds the same greeting by its bytes
        await _is_good("bdata", port, "32 32 30 20 found at byte 0", find="32323020", within=100)
    assert (await _ask("smtp", port)).reason == f"connection refused by 127.0.0.1:{port}"


@pytest.mark.needs("dovecot")
async def test_dovecot(place: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with daemons.dovecot(place, certificate) as ports:
        await _is_good("pop3", ports["pop3"], "greeted with +OK ")
        await _is_good("imap", ports["imap"], "greeted with * OK ")
        for kind in ("pop3", "imap"):
            known = greetings.PROTOCOLS[kind]
            moved = greetings.Protocol(known.title, known.farewell, ports[f"{kind}s"], known.judge)
            monkeypatch.setattr(check_greeting, "PROTOCOLS", {kind: moved})
            one = await _is_good(kind, ports[f"{kind}s"], "greeted with ")
            assert "with TLS" in one.sent


@pytest.mark.needs("vsftpd")
async def test_vsftpd(place: Path) -> None:
    with daemons.vsftpd(place) as port:
        await _is_good("ftp", port, "greeted with 220 Welcome to the test")


@pytest.mark.needs("leafnode")
async def test_leafnode(place: Path) -> None:
    with daemons.leafnode(place, "news.steelyard-tests.net") as port:
        await _is_good("nntp", port, "greeted with 20")
    with daemons.leafnode(place, "news.test.example") as port:
        one = await _ask("nntp", port)
    assert one.outcome is Outcome.BAD
    assert one.reason.startswith("greeted with 503 Leafnode must have a unique fully-qualified domain name")


@pytest.mark.needs("telnetd")
async def test_telnetd(place: Path) -> None:
    with daemons.telnetd(place) as port:
        one = await _is_good("telnet", port, "greeted with ")
    assert one.received.startswith("\\xff\\xf")


@pytest.mark.needs("slapd")
async def test_slapd(place: Path, certificate: Path) -> None:
    user = "cn=probe,dc=example"
    with daemons.slapd(place, certificate) as ports:
        await _is_good("ldap", ports["ldap"], "bound")
        for security, port in (("plain", ports["ldap"]), ("starttls", ports["ldap"]), ("ldaps", ports["ldaps"])):
            right = Directory(security=security, user=user, password="right", base="dc=example")
            await _is_good("ldap", port, "bound, found dc=example", directory=right)
            wrong = await _ask("ldap", port, directory=right.model_copy(update={"password": "wrong"}))
            assert wrong.outcome is Outcome.BAD
            assert wrong.reason == "refused the bind: invalid credentials (49)"
        missing = right.model_copy(update={"base": "ou=none,dc=example"})
        assert (await _ask("ldap", port, directory=missing)).reason.startswith(
            "bound, but refused the search: no such object (32)"
        )
        # plain text to the port of TLS, and the other way round
        assert (await _ask("ldap", ports["ldaps"])).outcome is Outcome.FAILED
        across = await _ask("ldap", ports["ldap"], directory=Directory(security="ldaps"))
        assert across.outcome is Outcome.FAILED
        others = Directory(servers=(("127.0.0.1", free_port()), ("127.0.0.1", ports["ldap"])))
        await _is_good("ldap", 1, "bound", directory=others)


@pytest.mark.needs("dnsmasq")
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_dnsmasq(place: Path, transport: str) -> None:
    with daemons.dnsmasq(place) as port:
        await _is_good("dns", port, "www.example is 192.0.2.7", name="www.example", transport=transport)
        one = await _ask("dns", port, name="none.example", transport=transport)
        assert one.reason == "answered NXDOMAIN for none.example"
        await _is_good("dns", port, "answered ", transport=transport)


@pytest.mark.needs("xrdp")
async def test_xrdp(place: Path, certificate: Path) -> None:
    with ExitStack() as running:
        port = running.enter_context(daemons.xrdp(place, certificate, "negotiate"))
        await _is_good("rdp", port, "confirmed the connection, with TLS")
    port = free_port()
    assert (await _ask("rdp", port)).outcome is Outcome.FAILED


@pytest.mark.needs("xrdp")
async def test_xrdp_without_tls(place: Path, certificate: Path) -> None:
    with daemons.xrdp(place, certificate, "rdp") as port:
        await _is_good("rdp", port, "confirmed the connection, with standard RDP security")


_PING = """
import asyncio, pathlib
pathlib.Path("/proc/sys/net/ipv4/ping_group_range").write_text("{0}")
from tests.unit.health.scripted import ask, check
async def main():
    for address in ("127.0.0.1", "::1", "192.0.2.1"):
        (one,) = await ask(check("icmp", attempts=1), 0, address)
        print(one.outcome.value, "|", one.sent, "|", one.received, "|", one.reason)
asyncio.run(main())
"""


def _pings(group_range: str) -> list[str]:
    """Three pings in a network namespace of its own, where the host's settings and routes do not matter."""
    script = _PING.format(group_range)
    inside = ["sh", "-c", 'ip link set lo up && exec "$0" -c "$1"', sys.executable, script]
    done = subprocess.run(["unshare", "-n", *inside], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.needs("net_admin", "ip")
def test_the_kernel_answers_pings() -> None:
    four, six, elsewhere = _pings("0 2147483647")
    assert four == "good | ICMP echo request to 127.0.0.1 | ICMP echo reply, 40 bytes | answered the ping"
    assert six == "good | ICMP echo request to ::1 | ICMP echo reply, 40 bytes | answered the ping"
    assert elsewhere.startswith("failed | ICMP echo request to 192.0.2.1 |  | no connection to 192.0.2.1: network is")


@pytest.mark.needs("net_admin", "ip")
def test_a_host_that_allows_no_pings_says_so() -> None:
    for line in _pings("1 0"):
        assert line.startswith("unasked | ICMP echo request to ")
        assert line.endswith("no group of this process is in net.ipv4.ping_group_range")
