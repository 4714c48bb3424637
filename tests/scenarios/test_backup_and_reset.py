"""Backup, factory reset, restore on a whole appliance with traffic: what clients and users get is the same afterwards.

One appliance for the file; each test leaves it as it found it.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.scenarios.site import QUICK_CHECKS, START_SECONDS, wait_until
from tests.support.api_clients import LoadMasterClient, NativeClient
from tests.support.certificates import Certified, authority, leaf
from tests.support.clients import Reply, fetch
from tests.support.load import Load
from tests.support.origin import Origin
from tests.support.ports import free_port
from tests.support.steelyard_process import SteelyardProcess

from steelyard.appliance.access import hash_password

pytestmark = [pytest.mark.engine, pytest.mark.needs("haproxy")]

PHRASE = "a pass phrase, long enough"
NEW_PASSWORD = "after-the-reset"
#: words that stand in nothing but the configuration that is reset
CANARY = "canary-7f3a"


@dataclass
class Shop:
    """What a restore has to bring back, and how it shows."""

    steelyard: SteelyardProcess
    origins: list[Origin]
    certificate: Certified
    http: int
    https: int
    deputy: str = "deputy-password"
    api_key: str = ""
    before: dict[str, Any] = field(default_factory=dict)

    @property
    def native(self) -> NativeClient:
        return self.steelyard.native

    def ok(self, method: str, path: str, data: object = None, **options: Any) -> Any:
        answer = self.native.request(method, path, json=data, **options)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def get(self, path: str = "/", *, cookie: str = "") -> Reply:
        headers = [("cookie", cookie)] if cookie else []
        return fetch(f"http://127.0.0.1:{self.http}{path}", headers=headers)

    def fingerprint(self) -> str | None:
        return fetch(f"https://127.0.0.1:{self.https}/").fingerprint

    def serves(self) -> bool:
        try:
            return self.get().status == 200 and fetch(f"https://127.0.0.1:{self.https}/").status == 200
        except (OSError, ssl.SSLError):
            return False

    def is_closed(self) -> bool:
        try:
            self.get()
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
        return False

    def seen(self) -> dict[str, Any]:
        """What everybody sees of it: clients on the wire, users and programs at the door."""
        first = self.get()
        cookie = first.cookies["shop"]
        bodies = {self.get(cookie=f"shop={cookie}").name for _ in range(4)}
        return {
            "sticks": bodies == {first.name},
            "cookie": sorted(first.cookies),
            "status": self.get("/").status,
            "certificate": self.fingerprint(),
            "configuration": self.ok("GET", "/configuration"),
            "users": self.ok("GET", "/users"),
            "deputy": NativeClient(self.steelyard.url, "deputy", self.deputy).get("/users").status_code,
            "key": self.native.request("GET", "/virtual-services", headers={"X-API-Key": self.api_key}).status_code,
            "keys": LoadMasterClient(self.steelyard.url, "bal", self.steelyard.password)
            .v2("listapikeys")[1]
            .get("apikeys"),
            "services": [one["index"] for one in self.ok("GET", "/virtual-services")],
        }


def _built(shop: Shop) -> None:
    shop.ok("PATCH", "/parameters/checks", QUICK_CHECKS)
    shop.ok("PATCH", "/parameters/email", {"server": f"{CANARY}.example", "port": 2525, "password": f"{CANARY}-mail"})
    shop.ok("POST", "/users", {"name": "deputy", "password": shop.deputy, "permissions": ["vs", "backup"]})
    shop.ok("POST", "/certificates", {"name": "shop", "pem": shop.certificate.bundle().decode()})
    shop.ok("POST", "/ldap-endpoints", {
        "name": "directory", "servers": ["192.0.2.9"], "user": "cn=reader", "password": f"{CANARY}-ldap",
    })  # fmt: skip
    common = {
        "address": "127.0.0.1",
        "service_type": "http",
        "check_type": "http",
        "check_url": "/health",
        "servers": [{"address": "127.0.0.1", "port": origin.port} for origin in shop.origins],
    }
    shop.ok("POST", "/virtual-services", {
        **common, "port": shop.http, "name": CANARY, "persistence": "active-cookie", "cookie": "shop",
        "persistence_timeout": 3600,
    })  # fmt: skip
    shop.ok("POST", "/virtual-services?wait=true", {
        **common, "port": shop.https, "name": "secure", "ssl_acceleration": True, "certificates": ["shop"],
    })  # fmt: skip
    shop.steelyard.loadmaster.must("addapikey")
    shop.api_key = shop.steelyard.loadmaster.v2("listapikeys")[1]["apikeys"][0]
    wait_until("the shop serves", shop.serves, 20)


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with ExitStack() as stack:
        origins = [stack.enter_context(Origin(name)) for name in ("one", "two")]
        process = SteelyardProcess()
        stack.callback(process.stop)
        process.start(START_SECONDS)
        trusted = leaf("shop.example", issuer=authority("Backup Root"))
        built = Shop(process, origins, trusted, free_port(), free_port())
        _built(built)
        built.before = built.seen()
        assert built.before["sticks"], built.before
        assert built.before["certificate"] == trusted.fingerprint
        assert (built.before["deputy"], built.before["key"]) == (200, 200)
        yield built


@pytest.fixture(scope="module")
def complete(shop: Shop) -> bytes:
    """A backup of everything, as the API gives it."""
    return base64.b64decode(shop.ok("POST", "/backup", {"password": PHRASE})["data"])


def _cli(shop: Shop, *words: str, **environment: str) -> str:
    command = [sys.executable, "-m", "steelyard", *words, "--state-dir", str(shop.steelyard.state_dir)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, cwd="/", env=os.environ | environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _is_first_start(shop: Shop) -> bool:
    """Whether it answers with the new password, and knows nothing."""
    try:
        answer = NativeClient(shop.steelyard.url, "bal", NEW_PASSWORD).get("/virtual-services")
    except httpx.TransportError:
        return False
    return answer.status_code == 200 and answer.json() == []


def _restored(shop: Shop, file: bytes, **more: object) -> Any:
    """Restore as the administrator of the new password; the answer."""
    data = {"data": base64.b64encode(file).decode(), "password": PHRASE, **more}
    native = NativeClient(shop.steelyard.url, "bal", NEW_PASSWORD)
    answer = native.post("/restore?wait=true", json=data)
    assert answer.is_success, answer.text
    wait_until("the shop serves again", shop.serves, 20)
    return answer.json()


def _left(root: Path, words: list[bytes]) -> list[str]:
    """The files of a directory that hold one of the words."""
    found = []
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            found += [f"{path}: {word!r}" for word in words if word in content]
    return found


@pytest.mark.requirement("X-01")
def test_backup_reset_restore_on_the_command_line_leaves_nothing_different(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "everything"
    _cli(shop, "backup", str(file), STEELYARD_BACKUP_PASS_PHRASE=PHRASE)
    assert file.stat().st_mode & 0o777 == 0o600
    assert CANARY.encode() not in file.read_bytes()
    root = shop.steelyard.state_dir
    key = shop.certificate.key_pem.splitlines()[1]
    secret = [CANARY.encode(), b"deputy", key, shop.api_key.encode()]
    assert _left(root, [CANARY.encode()]), "the words that are looked for stand somewhere before"

    said = _cli(shop, "reset", "--yes", STEELYARD_NEW_PASSWORD=NEW_PASSWORD)
    assert "Sign in as bal" in said
    wait_until("it is as at the first start", lambda: _is_first_start(shop), 30)
    assert shop.is_closed(), "traffic has ended"
    native = NativeClient(shop.steelyard.url, "bal", NEW_PASSWORD)
    assert [one["name"] for one in native.get("/users").json()] == ["bal"]
    assert [one["temporary"] for one in native.get("/certificates").json()] == [True]
    history = native.get("/history").json()
    assert [one["number"] for one in history] == [1]
    assert history[0]["summary"] == "factory reset, asked for by bal through cli"
    assert native.get("/events").json() == [] or CANARY not in native.get("/events").text
    assert shop.native.get("/virtual-services").status_code == 401, "the old password"
    assert native.request("GET", "/virtual-services", headers={"X-API-Key": shop.api_key}).status_code in (200, 401)
    assert _left(root, secret) == []

    out = _cli(shop, "restore", str(file), "--yes", STEELYARD_BACKUP_PASS_PHRASE=PHRASE)
    assert "Restored: revision 2" in out
    wait_until("the shop serves again", shop.serves, 20)
    assert shop.seen() == shop.before


def test_a_dry_run_says_what_comes_and_changes_nothing(shop: Shop, complete: bytes) -> None:
    body = {"data": base64.b64encode(complete).decode(), "password": PHRASE}
    revision = shop.native.get("/virtual-services").headers["etag"]
    found = shop.ok("POST", "/restore?dry_run=true", body)
    assert found["dry_run"]
    assert found["differences"] == []
    assert found["object"] == {"restored": ["base", "vs"], "left_out": []}
    shop.ok("PATCH", "/virtual-services/1", {"name": "renamed"})
    found = shop.ok("POST", "/restore?dry_run=true", body)
    assert [(one["kind"], one["key"], one["action"]) for one in found["differences"]] == [("service", "1", "change")]
    assert shop.ok("GET", "/virtual-services/1")["name"] == "renamed"
    stale = shop.native.post("/restore", json=body, headers={"If-Match": revision})
    assert stale.status_code == 412
    shop.ok("POST", "/restore", body)
    assert shop.seen() == shop.before


def test_killed_at_any_moment_a_reset_is_finished_by_the_next_start(shop: Shop, complete: bytes) -> None:
    """The note of a reset is on the disk when it is answered; whatever is done by then is done again."""
    answer = shop.native.post("/reset", json={"confirm": "reset", "password": NEW_PASSWORD})
    assert answer.status_code == 202
    assert answer.json() == {"user": "bal", "password": None}
    shop.steelyard.kill9()
    shop.steelyard.start(START_SECONDS)
    assert _is_first_start(shop)
    assert shop.is_closed()
    assert _left(shop.steelyard.state_dir, [CANARY.encode()]) == []
    assert not (shop.steelyard.state_dir / "factory-reset.json").exists()
    _restored(shop, complete)
    assert shop.seen() == shop.before


def test_a_reset_that_could_only_be_noted_happens_at_the_next_start(shop: Shop, complete: bytes) -> None:
    """As after a kill between the note and everything else: database, engines and traffic are still there."""
    shop.native.post("/reset", json={"confirm": "reset", "password": NEW_PASSWORD})
    wait_until("it is as at the first start", lambda: _is_first_start(shop), 30)
    root = shop.steelyard.state_dir
    _restored(shop, complete)
    note = {"password_hash": _hash_of(shop), "one_time": False, "author": "bal", "origin": "api", "network": {}}
    shop.steelyard.kill9()
    assert shop.serves(), "traffic goes on"
    (root / "factory-reset.json").write_text(json.dumps(note))
    shop.steelyard.start(START_SECONDS)
    assert shop.is_closed()
    assert shop.ok("GET", "/virtual-services") == []
    assert _left(root, [CANARY.encode()]) == []
    native = shop.native
    answer = native.post("/restore?wait=true", json={"data": base64.b64encode(complete).decode(), "password": PHRASE})
    assert answer.is_success
    wait_until("the shop serves again", shop.serves, 20)
    assert shop.seen() == shop.before


def test_killed_again_and_again_a_reset_comes_to_its_end(shop: Shop, complete: bytes) -> None:
    """At moments between the first look at the state directory and the first answer."""
    root = shop.steelyard.state_dir
    shop.steelyard.kill9()
    note = {"password_hash": _hash_of(shop), "one_time": False, "author": "bal", "origin": "api", "network": {}}
    (root / "factory-reset.json").write_text(json.dumps(note))
    command = [sys.executable, "-m", "steelyard", "serve", "--state-dir", str(root)]
    command += ["--admin-port", str(shop.steelyard.admin_port)]
    for seconds in (0.45, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        else:
            pytest.fail("it ended by itself")
    shop.steelyard.start(START_SECONDS)
    assert shop.is_closed()
    assert shop.ok("GET", "/virtual-services") == []
    assert [one["number"] for one in shop.ok("GET", "/history")] == [1]
    assert not (root / "factory-reset.json").exists()
    assert _left(root, [CANARY.encode()]) == []
    shop.ok("POST", "/restore?wait=true", {"data": base64.b64encode(complete).decode(), "password": PHRASE})
    wait_until("the shop serves again", shop.serves, 20)
    assert shop.seen() == shop.before


def _hash_of(shop: Shop) -> str:
    """A hash of the first password, as the store has one."""
    return hash_password(shop.steelyard.password)


def test_a_restore_the_engine_refuses_leaves_everything_as_it_was(shop: Shop, complete: bytes) -> None:
    """A port that another program holds: the whole restore is refused, and traffic has not noticed."""
    index = next(one["index"] for one in shop.ok("GET", "/virtual-services") if one["port"] == shop.http)
    shop.ok("DELETE", f"/virtual-services/{index}?wait=true")
    wait_until("the port is free", shop.is_closed, 10)
    revision = shop.ok("GET", "/history?limit=1")[0]["number"]
    with Origin("squatter", port=shop.http):
        answer = shop.native.post("/restore", json={"data": base64.b64encode(complete).decode(), "password": PHRASE})
        assert not answer.is_success
        assert str(shop.http) in answer.json()["error"]["message"]
    assert shop.ok("GET", "/history?limit=1")[0]["number"] == revision
    assert shop.fingerprint() == shop.certificate.fingerprint
    shop.ok("POST", "/restore?wait=true", {"data": base64.b64encode(complete).decode(), "password": PHRASE})
    wait_until("the shop serves again", shop.serves, 20)
    assert shop.seen() == shop.before


def test_a_restore_is_not_noticed_by_clients_of_services_that_stay_as_they_are(shop: Shop, complete: bytes) -> None:
    index = next(one["index"] for one in shop.ok("GET", "/virtual-services") if one["port"] == shop.https)
    shop.ok("PATCH", f"/virtual-services/{index}?wait=true", {"persistence": "src", "persistence_timeout": 600})
    with Load("http1", "127.0.0.1", shop.http, pause=0.02) as load:
        load.wait_for_more(100)
        body = {"data": base64.b64encode(complete).decode(), "password": PHRASE}
        assert shop.ok("POST", "/restore?wait=true", body)["reload"]
        load.wait_for_more(200)
    load.result().assert_clean()
    assert shop.seen() == shop.before


def test_loadmasters_commands_save_and_restore_parts(shop: Shop) -> None:
    lm = shop.steelyard.loadmaster
    answer = lm.call("backup")
    assert answer.status == 200
    assert answer.media_type == "application/octet-stream"
    assert answer.body[:2] == b"\x1f\x8b"
    status, found = lm.v2("backup")
    assert status == 200
    assert base64.b64decode(found["data"]) == answer.body, "the same configuration gives the same bytes"
    assert shop.certificate.key_pem.splitlines()[1] not in answer.body
    shop.ok("PATCH", "/virtual-services/1", {"name": "renamed"})
    shop.ok("PATCH", "/parameters/checks", {"retries": 4})
    assert lm.must("restore", type=2, body=answer.body).message == "Command completed ok"
    assert shop.ok("GET", "/virtual-services/1")["name"] == CANARY
    assert shop.ok("GET", "/parameters/checks")["retries"] == 4
    status, found = lm.v2("restore", type=1, data=base64.b64encode(answer.body).decode())
    assert status == 200, found
    assert "Users, passwords and API keys stay as they are" in found["message"]
    assert shop.seen() == shop.before
    for given, says in ((0, "out of range"), (16, "out of range"), (12, "global balancing (4) and SSO (8)")):
        refused = lm.call("restore", type=given, body=answer.body)
        assert (refused.status, says in refused.message) == (422, True), refused.message
    assert lm.call("restore", type=15, body=b"").status == 422


def test_a_plain_backup_on_an_empty_appliance_wants_the_certificates_first(shop: Shop, complete: bytes) -> None:
    lm = shop.steelyard.loadmaster
    plain = lm.call("backup").body
    certificates = lm.call("backupcert", password="certificates").body
    shop.native.post("/reset", json={"confirm": "reset", "password": NEW_PASSWORD})
    wait_until("it is as at the first start", lambda: _is_first_start(shop), 30)
    fresh = LoadMasterClient(shop.steelyard.url, "bal", NEW_PASSWORD)
    refused = fresh.call("restore", type=15, body=plain)
    assert refused.status == 422
    assert "the private key of certificate shop" in refused.message
    fresh.must("restorecert", type="full", password="certificates", body=certificates)
    refused = fresh.call("restore", type=15, body=plain)
    assert "the private key" not in refused.message
    assert "the password of LDAP endpoint directory" in refused.message
    done = fresh.must("restore", type=15, incomplete=1, body=plain)
    assert "Not in the file and not here: the password of LDAP endpoint directory" in done.message
    wait_until("the shop serves again", shop.serves, 20)
    assert shop.fingerprint() == shop.certificate.fingerprint
    assert [one["name"] for one in NativeClient(shop.steelyard.url, "bal", NEW_PASSWORD).get("/users").json()] == [
        "bal"
    ]
    _restored(shop, complete)
    assert shop.seen() == shop.before


def test_who_may(shop: Shop, complete: bytes) -> None:
    deputy = NativeClient(shop.steelyard.url, "deputy", shop.deputy)
    assert deputy.get("/backup").status_code == 200
    refused = deputy.post("/backup", json={"password": PHRASE})
    assert (refused.status_code, refused.json()["error"]["remedy"]) == (403, "Make one without a password")
    body = {"data": base64.b64encode(complete).decode(), "password": PHRASE}
    assert deputy.post("/restore", json=body).status_code == 403
    assert deputy.post("/reset", json={"confirm": "reset"}).status_code == 403
    assert shop.native.post("/reset", json={"confirm": "yes"}).status_code == 422
    assert shop.serves()
