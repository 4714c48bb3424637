"""Bad input through both APIs while traffic flows: field and remedy are named, nothing is committed or disturbed."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest
from tests.scenarios.site import Site
from tests.support import certificates
from tests.support.api_clients import Answer
from tests.support.bad_values import CONTROLS, WRONG, in_turn
from tests.support.clients import client_context
from tests.support.load import Load
from tests.support.ports import free_port

from steelyard.model.real_server import RealServer
from steelyard.model.virtual_service import VirtualService

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.needs("haproxy"), pytest.mark.timeout(180)]

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def shared() -> Iterator[Site]:
    with Site() as made:
        yield made


@pytest.fixture(scope="module")
def traffic(shared: Site) -> Iterator[Load]:
    with shared.load() as load:
        yield load
    load.result().assert_clean()


@pytest.fixture
def untouched(shared: Site, traffic: Load) -> Iterator[Site]:
    """The site, with traffic flowing; afterwards nothing may have changed and no request may have failed."""
    site = shared
    before, running, worker, pid = site.saved(), site.running(), site.worker(), site.steelyard.pid
    failed = traffic.failed
    yield site
    traffic.wait_for_more(20)
    assert traffic.failed == failed
    assert site.saved() == before
    assert (site.running(), site.worker(), site.steelyard.pid) == (running, worker, pid)
    assert site.problems() == []
    assert "Traceback" not in site.steelyard.log


@pytest.fixture
def native(untouched: Site) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=f"{untouched.steelyard.url}/api/v1",
        auth=("bal", untouched.steelyard.password),
        verify=False,
        trust_env=False,
        timeout=60,
    ) as client:
        yield client


def refused(response: httpx.Response, *statuses: int, field: str | None = None, says: str = "") -> dict[str, Any]:
    """The error of an answer that refuses, after a look at what every such answer must have."""
    assert response.status_code in (statuses or (422,)), f"{response.status_code} {response.text[:500]}"
    assert "Traceback" not in response.text and 'File "' not in response.text
    error: dict[str, Any] = response.json()["error"]
    assert error["message"], error
    if field is not None:
        assert error.get("field") == field, error
    assert says.lower() in str(error).lower(), error
    return error


def turned_down(answer: Answer, *says: str) -> None:
    """The same for LoadMaster's API."""
    assert not answer.ok, answer.body
    assert 400 <= answer.status < 500, (answer.status, answer.body)
    assert b"Traceback" not in answer.body and b'File "' not in answer.body
    assert answer.message, answer.body
    for words in says:
        assert words.lower() in answer.message.lower(), answer.message


# --- values of settings


def test_control_characters_in_every_setting(native: httpx.Client) -> None:
    for name, control in in_turn(VirtualService.declared(), CONTROLS):
        answer = native.patch("/virtual-services/1", json={name: f"a{control}b"})
        error = refused(answer, 400, 422)
        assert name in str(error), (name, error)
        assert control not in str(error["message"]), error
    for name in RealServer.declared():
        answer = native.patch("/virtual-services/1/real-servers/1", json={name: "a\nb"})
        assert name in str(refused(answer, 400, 422)), name
    for control in CONTROLS:
        refused(native.patch(f"/virtual-services/1?reason={httpx.QueryParams({'r': control})}"), 400, 422)
        refused(native.post("/users", json={"name": f"a{control}b", "password": "long enough"}), field="name")
        refused(native.post("/certificates", json={"name": f"a{control}b", "pem": "x"}), 400, 422)


def test_control_characters_in_every_parameter_of_loadmaster(untouched: Site) -> None:
    site = untouched
    where = {"vs": "127.0.0.1", "port": site.port, "prot": "tcp"}
    with closing(site.steelyard.loadmaster) as loadmaster:
        for declared in VirtualService.declared().values():
            wire = declared.setting.wire
            if wire is None or wire.lower() in where:
                continue
            for control in ("\n", "\x00"):
                turned_down(loadmaster.call("modvs", {**where, wire: f"a{control}b"}), wire)
            status, answer = loadmaster.v2("modvs", **{**where, "port": str(site.port), wire: "a\r\nb"})
            assert 400 <= status < 500 and wire in str(answer), (wire, answer)
        for name in where:
            turned_down(loadmaster.call("showvs", {**where, name: "a\nb"}))
        turned_down(loadmaster.call("addcert", {"cert": "a\nb"}, body=certificates.leaf("bad.example").bundle()))
        turned_down(loadmaster.call("no%01such"))


def test_wrong_types_and_ranges(native: httpx.Client) -> None:
    """Whatever is given for any setting: an answer below 500, and when it is refused the setting is named."""
    dry = {"dry_run": "true"}
    for name, value in in_turn(VirtualService.declared(), WRONG):
        body = json.dumps({name: value}).encode()
        answer = native.patch("/virtual-services/1", params=dry, content=body, headers=JSON)
        assert answer.status_code < 500, (name, value, answer.text)
        if answer.status_code != 200:
            named = (name, VirtualService.wire_name(name), "JSON")
            assert any(word in answer.text for word in named), (name, value, answer.text)
        assert "Traceback" not in answer.text


# --- addresses and ports


@pytest.mark.parametrize(
    ("address", "port", "field"),
    [
        ("203.0.113.9", 8080, "address"),
        ("2001:db8::9", 8080, "address"),
        ("300.1.1.1", 8080, "address"),
        ("host.example", 8080, "address"),
        ("127.0.0.1/8", 8080, "address"),
        ("", 8080, "address"),
        ("127.0.0.1", 65536, "port"),
        ("127.0.0.1", -80, "port"),
        ("127.0.0.1", "http", "port"),
    ],
)
def test_addresses_and_ports_that_cannot_be(
    untouched: Site, native: httpx.Client, address: str, port: object, field: str
) -> None:
    refused(native.post("/virtual-services", json={"address": address, "port": port}), 400, 422, field=field)
    with closing(untouched.steelyard.loadmaster) as loadmaster:
        turned_down(loadmaster.call("addvs", vs=address, port=port, prot="tcp"))
    server = {"address": address if field == "address" else "127.0.0.1", "port": port}
    if address not in ("203.0.113.9", "2001:db8::9"):  # a real server may be anywhere
        refused(native.post("/virtual-services/1/real-servers", json=server), 400, 422)


_HOLDER = """
import socket, sys
with socket.socket() as s:
    s.bind(("127.0.0.1", int(sys.argv[1])))
    s.listen()
    print("ready", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def foreign_listener(port: int) -> Iterator[int]:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as foreign:
        assert foreign.stdin is not None and foreign.stdout is not None
        try:
            assert foreign.stdout.readline() == "ready\n"
            yield foreign.pid
        finally:
            foreign.stdin.close()
            foreign.wait(10)


def test_a_port_a_foreign_process_listens_on_is_named_with_its_holder(untouched: Site, native: httpx.Client) -> None:
    port = free_port()
    with foreign_listener(port) as pid:
        error = refused(native.post("/virtual-services", json={"address": "127.0.0.1", "port": port}), field="port")
        assert str(pid) in error["message"] and error["remedy"]
        refused(native.post("/virtual-services", json={"address": "0.0.0.0", "port": port}), field="port")
        refused(native.patch("/virtual-services/1", json={"port": port}), field="port")
        refused(native.patch("/virtual-services/1", json={"extra_ports": str(port)}), 422)
        with closing(untouched.steelyard.loadmaster) as loadmaster:
            turned_down(loadmaster.call("addvs", vs="127.0.0.1", port=port, prot="tcp"), "in use", str(pid))
    admin = untouched.steelyard.admin_port
    refused(native.post("/virtual-services", json={"address": "127.0.0.1", "port": admin}), field="port")


def test_duplicates(untouched: Site, native: httpx.Client) -> None:
    port = untouched.port
    refused(native.post("/virtual-services", json={"address": "127.0.0.1", "port": port}), 409)
    refused(native.post("/virtual-services", json={"address": "127.0.0.1", "port": f"{port}"}), 409)
    taken = {"address": "127.0.0.1", "port": untouched.origins[0].port}
    refused(native.post("/virtual-services/1/real-servers", json=taken), 409, 422)
    refused(native.post("/users", json={"name": "bal", "password": "long enough"}), 409)
    twice = {"address": "127.0.0.1", "port": free_port(), "servers": [taken, taken]}
    refused(native.post("/virtual-services", json=twice), 409, 422)
    with closing(untouched.steelyard.loadmaster) as loadmaster:
        turned_down(loadmaster.call("addvs", vs="127.0.0.1", port=port, prot="tcp"))
        where = {"vs": "127.0.0.1", "port": port, "prot": "tcp"}
        turned_down(loadmaster.call("addrs", where, rs="127.0.0.1", rsport=untouched.origins[0].port))


# --- certificates


@pytest.mark.requirement("S4-30")
def test_certificates_that_do_not_fit(untouched: Site, native: httpx.Client) -> None:
    leaf, other = certificates.leaf("bad.example"), certificates.leaf("worse.example")
    archive = leaf.pkcs12(b"right")

    def put(**more: str) -> httpx.Response:
        return native.post("/certificates", json={"name": "bad", **more})

    refused(put(pem=(leaf.pem + other.key_pem).decode()), says="does not belong")
    refused(put(pem=leaf.pem.decode()), says="key")
    refused(put(pem=leaf.key_pem.decode()), says="certificate")
    refused(put(data=base64.b64encode(archive).decode(), password="wrong"), says="password")
    refused(put(data=base64.b64encode(archive).decode()), says="password")
    refused(put(data=base64.b64encode(archive[:-20]).decode(), password="right"))
    refused(put(data="no base64!"), field="data")
    refused(put(pem=""), 400, 422)
    refused(put(pem="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
    refused(put(), 400, 422)
    with closing(untouched.steelyard.loadmaster) as loadmaster:
        turned_down(loadmaster.call("addcert", {"cert": "bad"}, body=leaf.pem + other.key_pem), "does not belong")
        turned_down(loadmaster.call("addcert", {"cert": "bad", "password": "wrong"}, body=archive), "password")
        turned_down(loadmaster.call("addcert", {"cert": "bad"}, body=b""))
        turned_down(loadmaster.call("addcert", {"cert": "../../../etc/passwd"}, body=leaf.bundle()))
        turned_down(loadmaster.call("addcert", {"cert": "bad"}, body=bytes(range(256)) * 100))
    for name in ("../up", "a/b", "", ".", "x" * 300, "a b;c"):
        refused(native.post("/certificates", json={"name": name, "pem": leaf.bundle().decode()}), 400, 422)


# --- bodies


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"port": 80',
        b'{"port": }',
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe{}",
        b'{"weight": NaN}',
        b'{"weight": 1e999}',
        b'{"weight": 1, "weight": 2}',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"\x00" * 100,
        b"weight=1",
    ],
    ids=lambda body: repr(body[:16]),
)
def test_bodies_that_are_no_json(untouched: Site, native: httpx.Client, body: bytes) -> None:
    for method, path in (("POST", "/virtual-services"), ("PATCH", "/virtual-services/1/real-servers/1")):
        refused(native.request(method, path, content=body, headers=JSON), 400, 422)
    answer = native.request("POST", f"{untouched.steelyard.url}/accessv2", content=body, headers=JSON, auth=None)
    assert 400 <= answer.status_code < 500
    assert "Traceback" not in answer.text
    refused(native.request("PUT", "/configuration", content=body, headers=JSON), 400, 422)


def test_bodies_of_ten_megabytes(untouched: Site, native: httpx.Client) -> None:
    large = b'{"nickname": "' + b"x" * (10 * 1024 * 1024) + b'"}'
    url = untouched.steelyard.url

    def in_parts() -> Iterator[bytes]:
        for start in range(0, len(large), 65536):
            yield large[start : start + 65536]

    error = refused(native.patch("/virtual-services/1", content=large, headers=JSON), 413)
    assert error["allowed"] and error["remedy"]
    refused(native.patch("/virtual-services/1", content=in_parts(), headers=JSON), 413)
    fits = b'{"name": "' + b"x" * (9 * 1024 * 1024) + b'"}'
    error = refused(native.patch("/virtual-services/1", content=fits, headers=JSON), field="name")
    assert len(str(error)) < 2000, "the answer repeats the whole value"
    for path in ("/accessv2", "/access/modvs", "/access/addcert?cert=bad"):
        answer = native.post(f"{url}{path}", content=large)
        assert 400 <= answer.status_code < 500, (path, answer.status_code)
        assert "Traceback" not in answer.text and len(answer.text) < 20_000
    answer = native.post(f"{url}/access/addcert?cert=bad", content=b"x" * (9 * 1024 * 1024))
    assert 400 <= answer.status_code < 500


def test_unknown_names(untouched: Site, native: httpx.Client) -> None:
    error = refused(native.patch("/virtual-services/1", json={"nmae": "x"}), field="nmae")
    assert "name" in error["remedy"]
    refused(native.patch("/virtual-services/1?dryrun=true", json={"name": "x"}), field="dryrun")
    refused(native.patch("/virtual-services/99", json={"name": "x"}), 404)
    refused(native.patch("/virtual-services/abc", json={"name": "x"}), 404, 422)
    refused(native.patch(f"/virtual-services/{10**40}", json={"name": "x"}), 404, 422)
    refused(native.get("/history/-1"), 404, 422)
    refused(native.get(f"/history/{10**30}"), 404, 422)
    refused(native.get("/nothing"), 404)
    refused(native.request("BREW", "/virtual-services"), 404, 405)
    with closing(untouched.steelyard.loadmaster) as loadmaster:
        turned_down(loadmaster.call("nosuchcommand"))
        turned_down(loadmaster.call("showvs", vs=99))
        turned_down(loadmaster.call("modvs"))


def test_bytes_that_are_no_http(untouched: Site) -> None:
    """On the administration port and on the service: neither may fall over."""
    admin = untouched.steelyard.admin_port
    for port, tls in ((admin, False), (admin, True), (untouched.port, False)):
        for data in (
            b"\x00" * 5000,
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET " + b"a" * 200_000,
            b"\x16\x03\x01\xff\xff" * 10,
            b"",
        ):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as raw:
                raw.settimeout(5)
                stream = client_context().wrap_socket(raw) if tls else raw
                stream.sendall(data)
                stream.shutdown(socket.SHUT_WR) if not isinstance(stream, ssl.SSLSocket) else None
                if data:
                    stream.recv(1000)
    # half a request, and the client goes away
    for path in ("/api/v1/virtual-services", "/access/modvs", "/accessv2"):
        with socket.create_connection(("127.0.0.1", admin), 5) as raw, client_context().wrap_socket(raw) as stream:
            login = base64.b64encode(f"bal:{untouched.steelyard.password}".encode()).decode()
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\nContent-Length: 1000\r\n\r\n"
            stream.sendall(head.encode() + b'{"half')
    assert untouched.get("/status")["revision"]
