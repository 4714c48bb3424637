"""Wrong passwords at every door of a real Steelyard, and sessions over a control plane that is killed."""

from __future__ import annotations

import base64
import re
import stat
from collections.abc import Iterator

import httpx
import pytest
from tests.support.steelyard_process import SteelyardProcess

COOKIE = "__Host-steelyard"
_NATIVE, _V1, _V2 = "/api/v1/status", "/access/listvs", "/accessv2"


@pytest.fixture(scope="module")
def steelyard() -> Iterator[SteelyardProcess]:
    with SteelyardProcess() as process:
        yield process


class Client:
    """Requests from one loopback address."""

    def __init__(self, steelyard: SteelyardProcess, address: str) -> None:
        self._steelyard = steelyard
        self.http = httpx.Client(
            base_url=steelyard.url,
            transport=httpx.HTTPTransport(verify=False, local_address=address),
            timeout=20,
        )

    def web(self, password: str, user: str = "bal") -> int:
        return self.http.post("/sign-in", data={"user": user, "password": password}).status_code

    def native(self, password: str, user: str = "bal") -> int:
        return self.http.get(_NATIVE, auth=(user, password)).status_code

    def v1(self, password: str, user: str = "bal") -> int:
        return self.http.get(_V1, auth=(user, password)).status_code

    def v2(self, password: str, user: str = "bal") -> int:
        return self.http.post(_V2, json={"cmd": "listvs", "apiuser": user, "apipass": password}).status_code

    def page(self) -> int:
        return self.http.get("/virtual-services").status_code

    def form_token(self) -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', self.http.get("/virtual-services").text)
        assert found is not None
        return found[1]


def signed_in(steelyard: SteelyardProcess, address: str, password: str | None = None, user: str = "bal") -> Client:
    client = Client(steelyard, address)
    assert client.web(password or steelyard.password, user) == 303
    assert client.page() == 200
    return client


def killed(steelyard: SteelyardProcess) -> None:
    steelyard.kill9()
    steelyard.start()


@pytest.mark.parametrize("last", ["web", "native", "v1", "v2"])
def test_guesses_at_all_doors_are_counted_together(steelyard: SteelyardProcess, last: str) -> None:
    number = ["web", "native", "v1", "v2"].index(last)
    attacker = Client(steelyard, f"127.0.1.{number + 1}")
    first, second = [one for one in ("web", "native", "v2") if one != last][:2]
    assert [getattr(attacker, first)("guess 1"), getattr(attacker, second)("guess 2")] == [401, 401]
    assert getattr(attacker, last)("guess 3") == 429
    right = steelyard.password
    assert [attacker.web(right), attacker.native(right), attacker.v1(right), attacker.v2(right)] == [429] * 4
    home = Client(steelyard, "127.0.2.1")
    assert [home.web(right), home.native(right), home.v1(right), home.v2(right)] == [303, 200, 200, 200]


def test_the_lock_is_told_in_each_form_and_is_an_event(steelyard: SteelyardProcess) -> None:
    attacker = Client(steelyard, "127.0.1.10")
    for number in range(3):
        attacker.native(f"guess {number}")
    native = attacker.http.get(_NATIVE, auth=("bal", "x"))
    assert (native.status_code, native.json()["error"]["kind"]) == (429, "locked_out")
    assert 1 <= int(native.headers["retry-after"]) <= 600
    v1 = attacker.http.get(_V1, auth=("bal", "x"))
    assert (v1.status_code, v1.headers["content-type"].split(";")[0]) == (429, "text/html")
    assert "www-authenticate" not in v1.headers
    events = steelyard.native.get("/events", params={"kind": "sign_in_locked"}).json()
    (told,) = [one for one in events if one["about"] == "127.0.1.10"]
    assert "at the native API" in told["text"]


def test_an_outdated_program_does_not_lock_its_host(steelyard: SteelyardProcess) -> None:
    host = Client(steelyard, "127.0.1.20")
    assert [host.v1("outdated") for _ in range(10)] == [401] * 10
    assert host.native(steelyard.password) == 200


def test_api_keys_and_requests_without_credentials_are_not_counted(steelyard: SteelyardProcess) -> None:
    host = Client(steelyard, "127.0.1.30")
    for number in range(8):
        assert host.http.get(_V1).status_code == 401
        assert host.http.get(_V1, params={"apikey": f"wrong {number}"}).status_code == 401
        assert host.http.get(_NATIVE, headers={"X-API-Key": f"wrong {number}"}).status_code == 401
    assert host.native(steelyard.password) == 200


def test_the_current_password_of_a_change_is_no_way_to_guess_either(steelyard: SteelyardProcess) -> None:
    user = {"name": "ursula", "password": "first secret", "permissions": ["users"]}
    assert steelyard.native.post("/users", json=user).status_code == 201
    host = Client(steelyard, "127.0.1.40")

    def change(current: str) -> int:
        call = {"cmd": "usersetsyspassword", "currpassword": current, "password": "another one"}
        return host.http.post(_V2, json=call, auth=("ursula", "first secret")).status_code

    assert [change(f"guess {number}") for number in range(4)] == [422, 422, 429, 429]


def test_a_session_outlasts_a_killed_control_plane_and_its_forms_still_count(steelyard: SteelyardProcess) -> None:
    browser = signed_in(steelyard, "127.0.3.1")
    token = browser.form_token()
    killed(steelyard)
    assert browser.page() == 200
    assert browser.form_token() == token
    refused = browser.http.post("/sign-out", data={"csrf": "x" * 43})
    assert refused.status_code == 409, "another site's token is still none"
    assert browser.http.post("/sign-out", data={"csrf": token}).status_code == 303


def test_who_signed_out_stays_out(steelyard: SteelyardProcess) -> None:
    browser = signed_in(steelyard, "127.0.3.2")
    token = browser.http.cookies[COOKIE]
    assert browser.http.post("/sign-out", data={"csrf": browser.form_token()}).status_code == 303
    killed(steelyard)
    thief = Client(steelyard, "127.0.3.2")
    thief.http.cookies.set(COOKIE, token)
    assert thief.page() == 303


def test_a_changed_password_ends_sessions_over_the_restart(steelyard: SteelyardProcess) -> None:
    native = steelyard.native
    assert native.post("/users", json={"name": "anna", "password": "first secret"}).status_code == 201
    browser = signed_in(steelyard, "127.0.3.3", "first secret", "anna")
    stays = signed_in(steelyard, "127.0.3.4")
    assert native.patch("/users/anna", json={"password": "second secret"}).status_code == 200
    killed(steelyard)
    assert browser.page() == 303
    assert stays.page() == 200


def test_the_file_of_sessions_is_private(steelyard: SteelyardProcess) -> None:
    browser = signed_in(steelyard, "127.0.3.5")
    token, form = browser.http.cookies[COOKIE], browser.form_token()
    files = list(steelyard.state_dir.glob("sessions.db*"))
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    kept = b"".join(file.read_bytes() for file in files)
    assert b"127.0.3.5" in kept
    for secret in (token, form, base64.b64encode(token.encode()).decode()):
        assert secret.encode() not in kept
