"""The PowerShell SDK on the wire: credentials after the challenge, `Expect: 100-continue`, exactly `text/xml`."""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
from tests.clients.traffic import wait_for_origins
from tests.clients.waiting import eventually_equal
from tests.support.api_clients import LoadMasterClient
from tests.support.certificates import leaf
from tests.support.clients import Connection, Reply
from tests.support.origin import Origin
from tests.support.steelyard_process import SteelyardProcess
from tests.support.tls_client import client_context, tls_hello_fetch

pytestmark = [pytest.mark.client, pytest.mark.needs("haproxy")]

_FORM = "application/x-www-form-urlencoded"


class DotNet:
    """.NET's web request: one kept-alive connection, credentials once it was challenged, media type compared."""

    def __init__(self, steelyard: SteelyardProcess) -> None:
        self._steelyard = steelyard
        token = base64.b64encode(f"{steelyard.user}:{steelyard.password}".encode()).decode()
        self._authorization = ("Authorization", f"Basic {token}")
        self._connection: Connection | None = None
        self.challenges = 0

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _send(self, method: str, target: str, headers: list[tuple[str, str]], body: bytes) -> Reply:
        if self._connection is None or not self._connection.reusable:
            self.close()
            self._connection = Connection(self._steelyard.admin_address, self._steelyard.admin_port, tls=True)
        return self._connection.request(target, method=method, headers=headers, body=body)

    def __call__(self, command: str, body: bytes | None = None, **parameters: object) -> ElementTree.Element:
        """One cmdlet: GET, or POST of a file. Returns the element `Response`."""
        query = "&".join(f"{name}={quote(str(value))}" for name, value in parameters.items())
        target = f"/access/{command}?{query}"
        method, headers = ("GET", []) if body is None else ("POST", [("Content-Type", _FORM)])
        first = self._send(method, target, headers, body or b"")
        assert first.status == 401
        assert (first.header("www-authenticate") or "").startswith("Basic realm=")
        self.challenges += 1
        reply = self._send(method, target, [*headers, self._authorization], body or b"")
        assert reply.header("content-type") == "text/xml"
        root = ElementTree.fromstring(reply.body)
        assert root.get("stat") == str(reply.status)
        return root


@pytest.fixture
def dotnet(steelyard: SteelyardProcess, lm: LoadMasterClient) -> Iterator[DotNet]:
    client = DotNet(steelyard)
    yield client
    client.close()


def test_a_session_of_cmdlets(dotnet: DotNet, one: Origin, port: int) -> None:
    commands = [found.text for found in dotnet("listapi").findall("Success/Data/commands/cmd")]
    assert {"addvs", "listvs", "addrs", "addcert", "stats", "get", "set"} <= set(commands)
    assert dotnet("get", param="version").findtext("Success/Data/version")

    made = dotnet("addvs", vs="127.0.0.1", port=port, prot="tcp", VStype="http", NickName="power shell")
    assert (made.get("code"), made.findtext("Success/Data/NickName")) == ("ok", "power shell")
    added = dotnet("addrs", vs="127.0.0.1", port=port, prot="tcp", rs="127.0.0.1", rsport=one.port, Weight=100)
    assert added.findtext("Success/Data/Rs/Weight") == "100"
    wait_for_origins(port, "one")

    assert dotnet("modvs", vs=1, Schedule="lc").findtext("Success/Data/Schedule") == "lc"
    assert dotnet("disablers", rs="127.0.0.1").findtext("Success") == "Command completed ok"
    wait_for_origins(port, "503")
    assert len(dotnet("listvs").findall("Success/Data/VS")) == 1
    assert dotnet("delvs", vs=1).findtext("Success") == "Command completed ok"
    refused = dotnet("showvs", vs=1)
    assert (refused.get("stat"), refused.get("code"), refused.findtext("Error")) == ("422", "fail", "Unknown VS")
    assert dotnet.challenges == 9


def test_a_certificate_upload_after_the_challenge(dotnet: DotNet, port: int) -> None:
    certified = leaf("power.example")
    assert dotnet("addcert", certified.pkcs12(b"word"), cert="power", password="word", replace=0).get("code") == "ok"
    dotnet("addvs", vs="127.0.0.1", port=port, prot="tcp", SSLAcceleration=1, CertFile="power", CheckType="none")
    # without a real server it resets connections before any handshake
    dotnet("addrs", vs="127.0.0.1", port=port, prot="tcp", rs="127.0.0.1", rsport=9)
    eventually_equal(lambda: _fingerprint(port), certified.fingerprint)


def _fingerprint(port: int) -> str | None:
    try:
        return tls_hello_fetch("127.0.0.1", port).fingerprint
    except OSError:
        return None


class RawConnection:
    """TLS with the request written in two parts, as `Expect: 100-continue` needs."""

    def __init__(self, steelyard: SteelyardProcess) -> None:
        plain = socket.create_connection((steelyard.admin_address, steelyard.admin_port), 10)
        self.tls: ssl.SSLSocket = client_context().wrap_socket(plain)

    def __enter__(self) -> RawConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self.tls.close()

    def send_head(self, target: str, length: int, *headers: str) -> None:
        lines = [f"POST {target} HTTP/1.1", "Host: appliance", f"Content-Type: {_FORM}", f"Content-Length: {length}"]
        self.tls.sendall("\r\n".join([*lines, "Expect: 100-continue", *headers, "", ""]).encode())

    def read_head(self) -> str:
        """The status line of the next block of headers, and what belongs to it."""
        received = b""
        while not received.endswith(b"\r\n\r\n"):
            byte = self.tls.recv(1)
            assert byte, f"closed after {received!r}"
            received += byte
        return received.decode("latin-1")


def basic(steelyard: SteelyardProcess) -> str:
    return "Authorization: Basic " + base64.b64encode(f"{steelyard.user}:{steelyard.password}".encode()).decode()


def test_the_body_is_asked_for_by_100_continue(steelyard: SteelyardProcess, lm: LoadMasterClient) -> None:
    body = leaf("power.example").bundle()
    with RawConnection(steelyard) as connection:
        connection.send_head("/access/addcert?cert=power", len(body), basic(steelyard))
        assert connection.read_head().startswith("HTTP/1.1 100")
        connection.tls.sendall(body)
        answer = connection.read_head()
        assert answer.startswith("HTTP/1.1 200")
        assert "content-type: text/xml\r\n" in answer.lower()
    assert lm.must("listcert").text("cert/name") == "power"


def test_an_upload_without_credentials_is_challenged_with_or_without_its_body(
    steelyard: SteelyardProcess, lm: LoadMasterClient
) -> None:
    body = leaf("power.example").bundle()
    with RawConnection(steelyard) as connection:
        connection.send_head("/access/addcert?cert=power", len(body))
        head = connection.read_head()
        if head.startswith("HTTP/1.1 100"):
            connection.tls.sendall(body)
            head = connection.read_head()
        assert head.startswith("HTTP/1.1 401")
        assert "www-authenticate: basic " in head.lower()
    assert lm.must("listcert").data.findall("cert") == []


def test_a_client_that_does_not_wait_for_100_continue(steelyard: SteelyardProcess, lm: LoadMasterClient) -> None:
    body = leaf("power.example").bundle()
    with RawConnection(steelyard) as connection:
        connection.send_head("/access/addcert?cert=power", len(body), basic(steelyard))
        connection.tls.sendall(body)
        head = connection.read_head()
        if head.startswith("HTTP/1.1 100"):
            head = connection.read_head()
        assert head.startswith("HTTP/1.1 200")
    assert lm.must("listcert").text("cert/name") == "power"


def test_the_media_type_is_exactly_text_xml_whatever_the_outcome(steelyard: SteelyardProcess) -> None:
    token = [tuple(basic(steelyard).split(": ", 1))]
    for target in ("listvs", "showvs?vs=77", "showvs", "nosuchcommand", "get?param=version", "getall", "stats"):
        with Connection(steelyard.admin_address, steelyard.admin_port, tls=True) as connection:
            reply = connection.request(f"/access/{target}", headers=token)  # type: ignore[arg-type]
        assert reply.header_all("content-type") == ["text/xml"], target
        assert reply.body.startswith(b'<?xml version="1.0" encoding="ISO-8859-1"?>\n')


def test_characters_beyond_ascii_are_references(steelyard: SteelyardProcess, lm: LoadMasterClient, port: int) -> None:
    lm.must("addvs", vs="127.0.0.1", port=port, CheckType="http", CheckUseGet=2, CheckPostData="\u00e9\u20ac")
    body = lm.must("showvs", vs=1).body
    assert b"<CheckPostData>&#233;&#8364;</CheckPostData>" in body
    assert body.isascii()
