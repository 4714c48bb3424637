"""`steelyard acme`."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.fake_acme import HMAC
from tests.unit.api.native.memory_appliance import MemoryAppliance
from tests.unit.cli.conftest import Program

from steelyard.model.acme_problem import AuthorityRefused


@pytest.fixture
def registered(steelyard: Program) -> Program:
    steelyard.ok("acme", "account", "register", "--agree-terms", "--email", "admin@example.com")
    steelyard.ok("vs", "add", "10.0.0.1:80", "service_type=http")
    return steelyard


def test_from_account_to_certificate(registered: Program) -> None:
    steelyard = registered
    assert "acme-v02.api.letsencrypt.org/directory/account/1" in steelyard.ok("acme", "account", "list")
    said = steelyard.ok("acme", "add", "shop", "domains=example.com,www.example.com", "challenge_services=1")
    assert "ACME certificate shop made" in said and "is issued, valid until" in said
    (found,) = steelyard.json("acme", "list")
    assert (found["domains"], found["challenge_services"]) == (["example.com", "www.example.com"], [1])
    assert "vs 1" in steelyard.ok("acme", "list")
    assert "example.com, www.example.com" in steelyard.ok("acme", "show", "shop")
    assert "is issued" in steelyard.ok("acme", "renew", "shop")
    assert "were proved" in steelyard.ok("acme", "test", "shop")
    assert "changed" in steelyard.ok("acme", "set", "shop", "key_type=ec-p256")
    assert "removed" in steelyard.ok("acme", "remove", "shop", "--keep")
    assert "shop" in steelyard.ok("cert", "list")


def test_a_failed_order_is_an_error_with_its_remedy(registered: Program, appliance: MemoryAppliance) -> None:
    appliance.authorities.objects["proof"] = AuthorityRefused("No route to it", words="{}", remedy="Open port 80")
    result = registered("acme", "add", "shop", "domains=example.com", "challenge_services=1")
    assert result.exit_code == 1
    assert "No route to it. Open port 80" in result.stderr
    assert "No route to it" in registered.ok("acme", "show", "shop")


def test_secrets_come_from_files(steelyard: Program, appliance: MemoryAppliance, tmp_path: Path) -> None:
    (tmp_path / "hmac").write_text(HMAC + "\n")
    url = "https://ca.example/dir"
    steelyard.ok(
        "acme", "account", "set", "own", f"directory_url={url}", "kid=me", "--hmac-file", str(tmp_path / "hmac")
    )
    steelyard.ok("acme", "account", "register", "own", "--agree-terms")
    assert appliance.authorities.bindings == [("me", HMAC)]
    key = tmp_path / "key.pem"
    key.write_bytes(next(iter(appliance.authorities.accounts)))
    steelyard.ok("acme", "account", "set", "copy", f"directory_url={url}")
    assert "taken over" in steelyard.ok("acme", "account", "fetch", "copy", str(key))
    assert "copy" in steelyard.ok("acme", "account", "show", "copy")
    steelyard.ok("acme", "account", "remove", "copy")
    (tmp_path / "tsig").write_text("c2VjcmV0\n")
    steelyard.ok(
        *("acme", "dns", "add", "ns", "kind=rfc2136", "server=192.0.2.53", "key_name=me"),
        *("--key-file", str(tmp_path / "tsig")),
    )
    assert "me (hmac-sha256)" in steelyard.ok("acme", "dns", "list")
    steelyard.ok("acme", "dns", "set", "ns", "check_seconds=300")
    assert "300" in steelyard.ok("acme", "dns", "show", "ns")
    steelyard.ok("acme", "dns", "remove", "ns")


def test_settings_are_shown(steelyard: Program) -> None:
    for kind in ("acme-account", "acme-certificate", "dns-provider", "acme"):
        assert "default" in steelyard.ok("settings", kind)
