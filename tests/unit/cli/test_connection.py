"""How the program reaches Steelyard, and what it says when it does not."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from tests.support.fake_appliance import PASSWORD
from tests.unit.api.native.memory_appliance import MemoryAppliance
from tests.unit.cli.conftest import Bridge, Program
from typer.testing import CliRunner

from steelyard import __version__
from steelyard.cli.main import app
from steelyard.model.commands import AddApiKey

URL = "https://adc.test:8443"


@pytest.fixture
def network(appliance: MemoryAppliance) -> Bridge:
    return Bridge(appliance, trusted_local=False)


@pytest.fixture
def remote(network: Bridge) -> Program:
    return Program(network)


def test_a_password_comes_from_the_environment_or_a_file(remote: Program, network: Bridge, tmp_path: Path) -> None:
    assert remote("status", "--url", URL, STEELYARD_PASSWORD=PASSWORD).exit_code == 0
    (tmp_path / "password").write_text(PASSWORD + "\n")
    assert remote("status", "--url", f"{URL}/api/v1/", "--password-file", str(tmp_path / "password")).exit_code == 0
    assert remote("status", STEELYARD_URL=URL, STEELYARD_USER="reader", STEELYARD_PASSWORD=PASSWORD).exit_code == 0
    assert {str(request.url) for request in network.requests} == {f"{URL}/api/v1/status"}


def test_options_of_the_connection_may_stand_before_the_command(remote: Program) -> None:
    environment = {"STEELYARD_URL": "https://elsewhere.test", "STEELYARD_PASSWORD": PASSWORD}
    assert remote("--url", URL, "vs", "list", **environment).exit_code == 0
    assert remote("--url", "nonsense", "vs", "list", "--url", URL, **environment).exit_code == 0
    assert remote("--url", "nonsense", "vs", "list", **environment).exit_code == 2


def test_an_api_key_is_enough(remote: Program, appliance: MemoryAppliance) -> None:
    key, key_id, kept = appliance.new_api_key()
    appliance._take(AddApiKey("bal", key_id, kept), "bal", appliance.configuration)
    assert remote("status", "--url", URL, STEELYARD_API_KEY=key).exit_code == 0
    assert remote("status", "--url", URL, "--api-key", key).exit_code == 0
    assert remote("status", "--url", URL, "--api-key", "schlüssel").exit_code == 2


def test_somebody_who_can_be_asked_is_asked(remote: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    remote.interactive = True
    monkeypatch.setattr("steelyard.cli.connection.getpass", lambda prompt: PASSWORD)
    assert remote("status", "--url", URL).exit_code == 0


def test_wrong_credentials_are_a_refusal(remote: Program) -> None:
    result = remote("status", "--url", URL, STEELYARD_PASSWORD="wrong")
    assert (result.exit_code, "Check --user and the password" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--url", URL),
        ("--url", "adc.test:8443"),
        ("--url", "https://bal:secret@adc.test"),
        ("--url", "https://adc.test:99999999"),
        ("--url", URL, "--password-file", "/nonexistent"),
        ("--url", URL, "--ca-file", "/nonexistent", "--api-key", "k"),
    ],
)
def test_a_connection_that_is_not_said_right_is_misuse(remote: Program, arguments: tuple[str, ...]) -> None:
    result = remote("status", *arguments)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("Error: ")
    assert "secret" not in result.stderr


def test_without_a_running_steelyard_it_says_what_to_do(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["status", "--state-dir", str(tmp_path)])
    assert result.exit_code == 3
    assert str(tmp_path / "run" / "api.sock") in result.stderr and "steelyard serve" in result.stderr
    as_json = CliRunner().invoke(app, ["status", "--json"], env={"STEELYARD_STATE_DIR": str(tmp_path)})
    assert as_json.exit_code == 3 and '"kind": "unreachable"' in as_json.stderr


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"), "--insecure"),
        (httpx.ConnectError("Connection refused"), "Check the URL"),
        (httpx.ReadTimeout("slow"), "did not answer"),
        (httpx.RemoteProtocolError("gibberish"), "Check the URL"),
    ],
)
def test_whatever_goes_wrong_on_the_way_is_told(failure: httpx.TransportError, says: str) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise failure

    result = Program(httpx.MockTransport(fail))("status", "--url", URL, STEELYARD_PASSWORD="x")
    assert (result.exit_code, says in result.stderr) == (3, True), result.stderr


@pytest.mark.parametrize("status", [200, 404, 502])
def test_something_else_at_that_url_is_recognised(status: int) -> None:
    other = httpx.MockTransport(lambda request: httpx.Response(status, text="<html>"))
    result = Program(other)("status", "--url", URL, STEELYARD_PASSWORD="x")
    assert (result.exit_code, "no Steelyard API" in result.stderr) == (3, True)


def test_status_names_the_parts_and_their_problems(steelyard: Program, appliance: MemoryAppliance) -> None:
    steelyard.ok("vs", "add", "127.0.0.1:80", "--name", "web")
    said = steelyard.ok("status")
    assert "HAProxy 2.6.12 ● Up (pid 10)" in said and "✖ Down" in said and "it has no real server" in said
    assert steelyard.json("status")["services"][0]["name"] == "web"


def test_settings_are_listed_with_what_is_allowed(steelyard: Program) -> None:
    said = steelyard.ok("settings", "vs")
    assert "schedule" in said and "not built yet:" in said and "sso_domain" not in said
    assert "sso_domain" in steelyard.ok("settings", "vs", "--all")
    assert {setting["name"] for setting in steelyard.json("settings", "checks")} == {"interval", "timeout", "retries"}
    assert steelyard("settings", "what").exit_code == 2


def test_the_version_needs_no_steelyard() -> None:
    result = CliRunner().invoke(app, ["version"])
    assert result.output == f"steelyard {__version__}\n"


@pytest.mark.parametrize("command", ["serve", "demo", "doctor", "stop"])
def test_commands_of_this_host_have_their_own_help(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert (result.exit_code, f"steelyard {command}" in result.output) == (0, True)


def test_every_command_of_the_api_prints_json() -> None:
    for group, names in {
        "vs": ("list", "show", "add", "set", "remove", "duplicate", "enable", "disable"),
        "rs": ("list", "add", "set", "remove", "enable", "disable", "checks"),
        "cert": ("list", "add", "replace", "remove"),
        "": ("apply", "diff", "export", "history", "rollback", "status", "settings", "version"),
    }.items():
        for name in names:
            words = [group, name, "--help"] if group else [name, "--help"]
            result = CliRunner().invoke(app, words)
            assert result.exit_code == 0 and "--json" in result.output, words
