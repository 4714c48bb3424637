"""`openssl s_client` against a virtual service and the administration port: names, chains, protocols."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from tests.clients.waiting import eventually, eventually_equal
from tests.support.api_clients import LoadMasterClient
from tests.support.certificates import authority, leaf
from tests.support.origin import Origin
from tests.support.steelyard_process import SteelyardProcess

pytestmark = [pytest.mark.client, pytest.mark.needs("haproxy", "openssl")]

ROOT = authority("OpenSSL Root")
MIDDLE = authority("OpenSSL Middle", issuer=ROOT)


def s_client(port: int, *options: str | Path) -> str:
    """What it printed, of both streams; it ends by itself at the end of its input."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *map(str, options)]
    ran = subprocess.run(command, check=False, input=b"", capture_output=True, timeout=15)
    return (ran.stdout + ran.stderr).decode("utf-8", "replace")


def subject(output: str) -> str | None:
    found = re.search(r"^subject=.*?CN ?= ?(\S+)", output, re.MULTILINE)
    return None if found is None else found[1]


def protocol(output: str) -> str | None:
    """The protocol agreed on; None when the handshake failed."""
    found = re.search(r"^New, (TLSv[\d.]+), Cipher is (?!\(NONE\))", output, re.MULTILINE)
    if found is None:
        return None
    # that line names the protocol the cipher came with; up to TLS 1.2 there is one more, of the connection
    session = re.search(r"^ *Protocol *: (TLSv[\d.]+)$", output, re.MULTILINE)
    return found[1] if session is None else session[1]


@pytest.fixture
def trusted(tmp_path: Path) -> Path:
    file = tmp_path / "root.pem"
    file.write_bytes(ROOT.pem)
    return file


@pytest.fixture
def service(lm: LoadMasterClient, one: Origin, port: int) -> int:
    """The port of a HTTPS service with two certificates, one RSA and one elliptic."""
    lm.must("addcert", cert="shop", body=leaf("shop.example", "*.shop.example", issuer=MIDDLE).bundle("chain leaf key"))
    lm.must("addcert", cert="news", body=leaf("news.example", issuer=MIDDLE, kind="ec").bundle("key chain leaf root"))
    lm.must("addvs", vs="127.0.0.1", port=port, prot="tcp", vstype="http", SSLAcceleration=1, CertFile="shop news")
    lm.must("addrs", vs=1, rs="127.0.0.1", rsport=one.port)
    eventually(lambda: protocol(s_client(port)))
    return port


@pytest.mark.requirement("S4-33")
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("shop.example", "shop.example"),
        ("www.shop.example", "shop.example"),
        ("WWW.SHOP.EXAMPLE", "shop.example"),
        ("news.example", "news.example"),
        ("other.example", "shop.example"),
        (None, "shop.example"),
    ],
)
def test_the_name_asked_for_chooses_the_certificate(service: int, name: str | None, shown: str) -> None:
    options = ["-noservername"] if name is None else ["-servername", name]
    assert subject(s_client(service, *options)) == shown


@pytest.mark.requirement("S4-31")
@pytest.mark.parametrize("name", ["shop.example", "news.example"])
def test_the_chain_is_sent_without_the_root_and_verifies(service: int, trusted: Path, name: str) -> None:
    output = s_client(service, "-servername", name, "-showcerts", "-CAfile", trusted, "-verify_hostname", name)
    assert "Verify return code: 0 (ok)" in output
    assert re.findall(r"^ *\d+ s:.*?CN ?= ?(.+)$", output, re.MULTILINE) == [name, "OpenSSL Middle"]


def test_another_name_does_not_verify(service: int, trusted: Path) -> None:
    output = s_client(service, "-servername", "other.example", "-CAfile", trusted, "-verify_hostname", "other.example")
    assert "hostname mismatch" in output.lower()


@pytest.mark.parametrize(
    ("mask", "allowed"),
    [
        (1, ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]),
        (3, ["TLSv1.1", "TLSv1.2", "TLSv1.3"]),
        (7, ["TLSv1.2", "TLSv1.3"]),
        (15, ["TLSv1.3"]),
        (23, ["TLSv1.2"]),
    ],
)
def test_the_protocol_mask_is_what_clients_get(
    lm: LoadMasterClient, service: int, mask: int, allowed: list[str]
) -> None:
    lm.must("modvs", vs=1, TLSType=mask)
    offered = {"TLSv1": "-tls1", "TLSv1.1": "-tls1_1", "TLSv1.2": "-tls1_2", "TLSv1.3": "-tls1_3"}

    def agreed() -> list[str]:
        return [
            name
            for name, option in offered.items()
            if protocol(s_client(service, option, "-cipher", "DEFAULT@SECLEVEL=0")) == name
        ]

    eventually_equal(agreed, allowed)
    assert lm.must("showvs", vs=1).text("TlsType") == str(mask)


def test_old_protocols_are_refused_unless_switched_on(service: int) -> None:
    for option in ("-tls1", "-tls1_1"):
        assert protocol(s_client(service, option, "-cipher", "ALL:@SECLEVEL=0")) is None


def test_http2_is_agreed_on_when_it_is_allowed(lm: LoadMasterClient, service: int) -> None:
    assert "ALPN protocol: h2" not in s_client(service, "-alpn", "h2,http/1.1")
    lm.must("modvs", vs=1, AllowHTTP2=1)
    eventually(lambda: "ALPN protocol: h2" in s_client(service, "-alpn", "h2,http/1.1"))
    assert "ALPN protocol: http/1.1" in s_client(service, "-alpn", "http/1.1")


def test_a_service_without_tls_does_not_speak_it(lm: LoadMasterClient, service: int) -> None:
    lm.must("modvs", vs=1, SSLAcceleration=0)
    eventually(lambda: protocol(s_client(service)) is None)


@pytest.mark.requirement("S4-15")
def test_the_administration_port_speaks_modern_tls_with_a_certificate_of_its_own(steelyard: SteelyardProcess) -> None:
    assert protocol(s_client(steelyard.admin_port, "-tls1_3")) == "TLSv1.3"
    assert protocol(s_client(steelyard.admin_port, "-tls1_2")) == "TLSv1.2"
    for option in ("-tls1", "-tls1_1"):
        assert protocol(s_client(steelyard.admin_port, option, "-cipher", "ALL:@SECLEVEL=0")) is None
    output = s_client(steelyard.admin_port, "-showcerts")
    assert output.count("BEGIN CERTIFICATE") >= 1
    assert "self-signed certificate" in output
    again = s_client(steelyard.admin_port, "-servername", "whatever.example")
    assert subject(again) == subject(output)


@pytest.mark.requirement("S4-15")
def test_plain_http_on_the_administration_port_does_not_stop_it(steelyard: SteelyardProcess) -> None:
    ran = subprocess.run(
        ["curl", "-q", "-s", "--max-time", "5", f"http://127.0.0.1:{steelyard.admin_port}/access/listvs"],
        check=False,
        capture_output=True,
        timeout=15,
    )
    assert b"<Response" not in ran.stdout
    assert protocol(s_client(steelyard.admin_port)) is not None
